"""The robot's modelling functions: pose -> points of one part.

A pose gives the parameters that are not 0, by morph target. Lengths are metres in the head's own frame (origin in the
middle of the head, Y up, the face along +Z, +X its left); parts are (rows, columns, 3) grids of points.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from solids import Array, ellipsoid, lathe, rounded, smoothstep, tube

Pose = Mapping[str, float]
MORPHS: Final = (
    "mouthOpen", "mouthSmile", "mouthFrown", "mouthWide", "mouthPucker", "mouthTight", "mouthBare", "mouthLeft", "mouthRight",
    "jawLeft", "jawRight", "jawForward", "browRaise", "browLower", "browWorry", "browAnger", "browSkewLeft", "browSkewRight",
    "lidWideLeft", "lidWideRight", "squint", "cheekPuff", "sneer", "tongue",
)  # fmt: skip

RADII: Final = np.array([0.118, 0.112, 0.106])
POWER: Final = 2.5
EYE: Final = np.array([0.0435, 0.021, 0.086])
EYE_RADIUS: Final = 0.030
LID_EDGE: Final = 50.0
"""Degrees above straight ahead at which the upper lid rests."""
MOUTH_Y: Final = -0.043
PIVOT: Final = np.array([0.0, -0.075, -0.015])
"""Where the head turns on its neck."""
AROUND: Final = 64
"""Points around mouth, mask and shell."""
ANGLE: Final = np.linspace(0, 2 * np.pi, AROUND, endpoint=False)


# --- the head's surface -------------------------------------------------------------------------------------------


def _chubby(y: Array) -> Array:
    """Width factor: a little wider at the cheeks than at the crown."""
    return np.asarray(1 - 0.075 * y / RADII[1])


def surface(x: Array, y: Array) -> Array:
    """Height z of the front of the head."""
    inside = 1 - np.abs(x / _chubby(y) / RADII[0]) ** POWER - np.abs(y / RADII[1]) ** POWER
    return np.asarray(RADII[2] * np.maximum(inside, 1e-3) ** (1 / POWER))


def _outline() -> Array:
    """(AROUND, 2) edge of the mask: a soft rounded rectangle."""
    c, s = np.cos(ANGLE), np.sin(ANGLE)
    return np.stack([0.094 * np.sign(c) * np.abs(c) ** 0.68, -0.014 + 0.079 * np.sign(s) * np.abs(s) ** 0.68], -1)


def _jaw(points: Array, pose: Pose) -> Array:
    """The chin follows the jaw, and cheeks swell; for everything that lies on the head's surface."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    chin = smoothstep(-0.045, -0.10, y) * smoothstep(-0.05, 0.05, z)
    side = pose.get("jawLeft", 0.0) - pose.get("jawRight", 0.0)
    forward = pose.get("jawForward", 0.0)
    moved = points + chin[..., None] * np.array([0.014 * side, -0.013 * pose.get("mouthOpen", 0.0), 0.013 * forward])
    cheek = np.exp(-(((np.abs(x) - 0.088) / 0.034) ** 2) - ((y + 0.038) / 0.042) ** 2 - ((z - 0.055) / 0.05) ** 2)
    outwards = np.stack([np.sign(x) * 0.75, np.full_like(x, -0.1), np.full_like(x, 0.65)], -1)
    return np.asarray(moved + 0.018 * pose.get("cheekPuff", 0.0) * cheek[..., None] * outwards)


def shell(pose: Pose) -> Array:
    """(rows, AROUND, 3) from the mask's edge to the back of the head."""
    edge = _outline()
    start = np.stack([edge[:, 0] / _chubby(edge[:, 1]), edge[:, 1], surface(edge[:, 0], edge[:, 1])], -1)
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    back = np.array([0.0, 0.0, -1.0])
    whole = np.arccos(start @ back)[None, :, None]
    t = np.linspace(0, 1, 15)[:, None, None]
    ray = (np.sin((1 - t) * whole) * start + np.sin(t * whole) * back) / np.sin(whole)
    points = ray / (np.abs(ray / RADII) ** POWER).sum(-1, keepdims=True) ** (1 / POWER)
    points[..., 0] *= _chubby(points[..., 1])
    return _jaw(points, pose)


def rim(pose: Pose) -> Array:
    """Gasket between mask and shell."""
    edge = _outline()
    return _jaw(tube(np.column_stack([edge, surface(edge[:, 0], edge[:, 1]) - 0.001]), 0.0045, 6, closed=True), pose)


# --- mouth --------------------------------------------------------------------------------------------------------


def mouth_curve(pose: Pose) -> Array:
    """(AROUND, 3) edge of the mouth: x, y and how far it stands out from the surface."""

    def p(name: str) -> float:
        return pose.get(name, 0.0)

    c, s = np.cos(ANGLE), np.sin(ANGLE)
    upper, lower = np.maximum(s, 0) ** 0.75, np.maximum(-s, 0) ** 0.75
    width = 0.033 + 0.013 * p("mouthWide") - 0.019 * p("mouthPucker") + 0.009 * p("mouthSmile") - 0.002 * p("mouthFrown")
    width += 0.006 * p("mouthBare") - 0.007 * p("cheekPuff") + 0.002 * p("mouthTight") - 0.004 * p("mouthOpen")
    rise = 0.0032 + 0.005 * p("mouthOpen") + 0.0035 * p("mouthPucker") + 0.008 * p("mouthBare") - 0.0014 * p("mouthTight")
    rise += 0.004 * p("sneer")
    drop = 0.0032 + 0.031 * p("mouthOpen") + 0.0035 * p("mouthPucker") + 0.008 * p("mouthBare") - 0.0014 * p("mouthTight")
    drop += 0.010 * p("tongue")
    bend = 0.0046 + 0.018 * p("mouthSmile") - 0.016 * p("mouthFrown")
    corner = np.abs(c) ** 1.7
    side = p("mouthLeft") - p("mouthRight")
    x = width * c + 0.013 * side + 0.013 * (p("jawLeft") - p("jawRight")) * lower
    y = MOUTH_Y + rise * upper - drop * lower + bend * (corner - 0.35) + 0.008 * side * c
    out = 0.012 * p("mouthPucker") + 0.010 * p("jawForward") * lower + 0.003 * p("cheekPuff")
    return np.stack([x, y, np.broadcast_to(out, x.shape)], -1)


def mask(pose: Pose) -> Array:
    """(rows, AROUND, 3) from the mouth's edge to the mask's."""
    rest, edge = mouth_curve({}), _outline()
    t = (np.linspace(0, 1, 13) ** 1.35)[:, None, None]
    follow = (1 - t) ** 1.1  # no steeper, or the chin folds when the mouth opens
    shift = follow * (mouth_curve(pose) - rest)
    flat = (1 - t) * rest[:, :2] + t * edge + shift[..., :2]
    z = surface(flat[..., 0], flat[..., 1]) - 0.004 + shift[..., 2] * follow[..., 0] ** 5
    # A shallow dimple where lips and mask meet, so that the mouth looks set in.
    return _jaw(np.concatenate([flat, (z - 0.002 * np.exp(-((t[..., 0] / 0.12) ** 2)))[..., None]], -1), pose)


def _mouth_edge(pose: Pose) -> Array:
    curve = mouth_curve(pose)
    return _jaw(np.column_stack([curve[:, :2], surface(curve[:, 0], curve[:, 1]) - 0.004 + curve[:, 2]]), pose)


def lips(pose: Pose) -> Array:
    radius = 0.0038 - 0.0014 * pose.get("mouthTight", 0.0) + 0.0010 * pose.get("mouthPucker", 0.0)
    return tube(_mouth_edge(pose) + np.array([0, 0, 0.0012]), radius, 8, closed=True)


def throat(pose: Pose) -> Array:
    """(rows, AROUND, 3) the inside of the mouth."""
    edge = _mouth_edge(pose)
    middle = edge.mean(0)
    rows = ((1, 0), (1.05, 0.008), (1.0, 0.022), (0.7, 0.034), (0, 0.038))
    return np.stack([middle + (edge - middle) * (k, k, 1) - (0, 0, depth) for k, depth in rows])


def teeth(pose: Pose, lower: bool) -> Array:
    x = np.linspace(-0.026, 0.026, 13)
    side, forward = pose.get("jawLeft", 0.0) - pose.get("jawRight", 0.0), pose.get("jawForward", 0.0)
    drop = 0.027 * pose.get("mouthOpen", 0.0) + 0.003 * pose.get("mouthBare", 0.0)
    middle = np.full_like(x, MOUTH_Y + (-0.0062 - drop if lower else 0.0062))
    depth = surface(x, middle) - 0.015 - 6 * x**2
    return tube(np.column_stack([x, middle, depth]) + lower * np.array([0.012 * side, 0, 0.010 * forward]), 0.0062, 10, flat=0.35)


def tongue(pose: Pose) -> Array:
    points = ellipsoid((0, MOUTH_Y - 0.010, 0.070), (0.016, 0.006, 0.018), 13, 20)
    out, low = pose.get("tongue", 0.0), pose.get("mouthOpen", 0.0)
    front = smoothstep(0.064, 0.088, points[..., 2])[..., None]
    points = points + np.array([0, -0.019 * low, -0.005 * low])
    return np.asarray(points + out * (front * np.array([0, -0.013, 0.032]) + np.array([0, 0.004, 0.004])))


# --- eyes, brows, cheeks, nose ------------------------------------------------------------------------------------


def goggle(side: int) -> Callable[[Pose], Array]:
    """Ring around an eye; it grows when the eye opens wide."""
    profile = rounded([(0.0312, -0.006), (0.0312, 0.011), (0.0335, 0.0185), (0.0385, 0.0170), (0.0410, 0.008), (0.0420, -0.014)], 1)
    ring = lathe(profile, 44)

    def build(pose: Pose) -> Array:
        wide = pose.get("lidWideLeft" if side > 0 else "lidWideRight", 0.0)
        return ring * (1 + 0.09 * wide, 1 + 0.09 * wide, 1 + 0.2 * wide) + EYE * (side, 1, 1)

    return build


def eye_zone(start: float, end: float, rows: int) -> Array:
    """Part of an eyeball between two angles (degrees) from its front; the cornea bulges a little."""
    theta = np.radians(np.linspace(start, end, rows))
    radius = EYE_RADIUS + 0.0012 * np.clip(1 - (theta / np.radians(38)) ** 2, 0, 1)
    return lathe(list(zip(radius * np.sin(theta), radius * np.cos(theta), strict=True)), 36)


def lid(radius: float, edge: float, span: float, rows: int = 11) -> Array:
    """Part of a sphere around the x axis, from ``edge`` degrees above straight ahead over ``span`` degrees."""
    beta = np.radians(np.linspace(-86, 86, 19))
    alpha = np.radians(np.linspace(edge, edge + span, rows))[:, None]
    return radius * np.stack([np.broadcast_to(np.sin(beta), (rows, 19)), np.cos(beta) * np.sin(alpha), np.cos(beta) * np.cos(alpha)], -1)


def lid_edge(radius: float, edge: float) -> Array:
    """A seam along the edge of a lid, which gives it thickness."""
    return tube(lid(radius, edge, 1, 2)[0], 0.0017, 6)


def lower_lid(side: int, seam: bool) -> Callable[[Pose], Array]:
    def build(pose: Pose) -> Array:
        edge = -60 + 36 * pose.get("squint", 0.0)
        points = lid_edge(0.0313, edge) if seam else lid(0.0313, edge, -75, 6)
        return points + EYE * (side, 1, 1)

    return build


def brow(side: int) -> Callable[[Pose], Array]:
    """A floating bar above an eye."""

    def build(pose: Pose) -> Array:
        def p(name: str) -> float:
            return pose.get(name, 0.0)

        own, other = ("browSkewLeft", "browSkewRight") if side > 0 else ("browSkewRight", "browSkewLeft")
        u = np.linspace(-1, 1, 11)  # from the nose outwards
        raised = 0.017 * p("browRaise") - 0.0125 * p("browLower") + 0.013 * p(own) - 0.006 * p(other)
        tilt = -0.08 + 0.55 * p("browAnger") - 0.50 * p("browWorry")
        x = EYE[0] + 0.001 + 0.026 * u * np.cos(tilt) - 0.004 * p("browAnger") - 0.003 * p("browLower")
        y = 0.0655 + raised + 0.026 * u * np.sin(tilt) + (0.005 + 0.003 * p("browRaise")) * (1 - u**2) - 0.009 * p("browAnger")
        y = y + 0.003 * p("browWorry") - 0.002
        z = np.maximum(surface(x, y) + 0.012, 0.1125 - 0.35 * np.maximum(y - 0.045, 0))
        radius = 0.0062 - 0.0016 * u
        return tube(np.column_stack([x, y, z]), radius, 10) * (side, 1, 1)

    return build


def cheek(side: int) -> Callable[[Pose], Array]:
    """A light on a cheek."""

    def build(pose: Pose) -> Array:
        smile, puff = pose.get("mouthSmile", 0.0), pose.get("cheekPuff", 0.0)
        x, y = 0.070 + 0.002 * puff, -0.030 + 0.007 * smile + 0.002 * pose.get("squint", 0.0)
        size = np.array([0.0115, 0.0085, 0.005]) * (1 + 0.18 * smile + 0.75 * puff)
        flat = ellipsoid((0, 0, 0), size, 9, 20)
        dx = flat[..., 0] + x
        dy = flat[..., 1] + y
        centre = _jaw(np.array([[x, y, float(surface(np.array(x), np.array(y))) - 0.004]]), {"cheekPuff": puff})[0]
        follow = surface(dx, dy) - surface(np.array(x), np.array(y))
        return np.asarray((np.stack([flat[..., 0], flat[..., 1], flat[..., 2] + follow], -1) + centre) * (side, 1, 1))

    return build


def nose(pose: Pose) -> Array:
    sneer = pose.get("sneer", 0.0)
    points = ellipsoid((0, 0, 0), np.array([0.0098, 0.0068, 0.0075]) * (1 + 0.35 * sneer, 1 - 0.1 * sneer, 1 + 0.1 * sneer), 11, 20)
    points[..., 0] *= 1 + 0.35 * points[..., 1] / 0.0068
    return np.asarray(points + np.array([0, -0.0065 + 0.0065 * sneer, 0.1045]))


# --- ears, antennas, body -----------------------------------------------------------------------------------------


def sideways(points: Array, side: int) -> Array:
    """Lathe work along z turned to point outwards at one ear."""
    return np.stack([side * (points[..., 2] + 0.108), points[..., 1] + 0.004, -side * points[..., 0] - 0.012], -1)


def antenna(side: int, tip: bool) -> Callable[[Pose], Array]:
    """A rod on an ear with a lamp; it moves with the brows."""

    def build(pose: Pose) -> Array:
        def p(name: str) -> float:
            return pose.get(name, 0.0)

        own = p("browSkewLeft" if side > 0 else "browSkewRight")
        lean = 0.30 - 0.20 * p("browRaise") + 0.20 * p("browLower") + 0.50 * p("browWorry") - 0.2 * own + 0.20 * p("sneer")
        back = 0.15 + 0.75 * p("browAnger") + 0.1 * p("browLower")
        s = np.linspace(0, 1, 9)[:, None]
        length = 0.086 + 0.010 * p("browRaise") + 0.010 * own
        aim = np.array([np.sin(lean), np.cos(lean) * np.cos(back), -np.cos(lean) * np.sin(back)])
        # The rod starts upright and bends towards its aim.
        curve = np.array([0.127, 0.030, -0.012]) + length * (s * (1 - s) * np.array([0, 1, 0]) * 0.6 + s * (0.4 + 0.6 * s) * aim)
        points = ellipsoid(curve[-1], (0.0085, 0.0085, 0.0085), 9, 14) if tip else tube(curve, np.linspace(0.0042, 0.0026, 9), 6)
        return points * (side, 1, 1)

    return build


def upright(points: Array) -> Array:
    """Lathe work along z turned to stand on y."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)


def bellows() -> Array:
    rings = [(0.036 + (0.0055 if i % 2 else 0.0), -0.088 - 0.0078 * i) for i in range(11)]
    return upright(lathe(rounded(rings, 1), 28))


def body() -> Array:
    profile = [(0.030, -0.150), (0.046, -0.149), (0.056, -0.153), (0.085, -0.160), (0.122, -0.176), (0.140, -0.205), (0.142, -0.27)]
    return upright(lathe(rounded(profile, 2), 36)) * (1, 1, 0.72)
