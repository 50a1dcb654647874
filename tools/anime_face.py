"""The face of the rig ``anime``: the head's surface, lids, eyes, brows and mouth, each a function of the pose.

Lengths are metres in the head's own frame: origin in the middle of the head, Y up, the face along +Z, +X its left. What
lies on the face is drawn in the plane (x, y) and lifted onto the head's surface.
"""

from typing import Final

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

from modelling import Pose
from solids import Array, ellipsoid, smoothstep

MORPHS: Final = (
    "happy", "angry", "sad", "relaxed", "surprised", "aa", "ih", "ou", "ee", "oh",
    "blink", "blinkLeft", "blinkRight", "lookUp", "lookDown", "lookLeft", "lookRight",
)  # fmt: skip

# --- the head's surface -------------------------------------------------------------------------------------------

# From the crown to below the chin, each row one tilted ring around the head:
# height and depth of its front, height and depth of its back, half of its width.
_RINGS: Final = np.array([
    (0.1180, -0.004, 0.1180, -0.004, 0.0000),
    (0.1150, 0.034, 0.1130, -0.044, 0.0380),
    (0.1010, 0.060, 0.0980, -0.075, 0.0640),
    (0.0740, 0.080, 0.0700, -0.097, 0.0800),
    (0.0380, 0.0905, 0.0390, -0.106, 0.0865),
    (0.0040, 0.0930, 0.0120, -0.106, 0.0875),
    (-0.0235, 0.0925, -0.0100, -0.101, 0.0850),
    (-0.0430, 0.0915, -0.0250, -0.090, 0.0785),
    (-0.0610, 0.0905, -0.0385, -0.077, 0.0675),
    (-0.0765, 0.0890, -0.0490, -0.065, 0.0530),
    (-0.0890, 0.0865, -0.0580, -0.056, 0.0375),
    (-0.0960, 0.0805, -0.0650, -0.050, 0.0265),
    (-0.0970, 0.0690, -0.0700, -0.046, 0.0230),
    (-0.0950, 0.0500, -0.0760, -0.042, 0.0220),
])  # fmt: skip
ROWS: Final = len(_RINGS) - 1
"""Largest row of :func:`head`."""
_PROFILE: Final = PchipInterpolator(np.arange(ROWS + 1), _RINGS)

EYE: Final = np.array([0.0390, -0.0120])
"""Middle of the left eye."""
MOUTH_Y: Final = -0.0650
_MOUTH_SIZE: Final = 1.22


def head(angle: Array, row: Array) -> Array:
    """(..., 3) the smooth head, without nose and other detail.

    Args:
        angle: radians around it, 0 in front, positive to its left.
        row: from 0 at the crown to :data:`ROWS` below the chin.
    """
    rings = _PROFILE(row)
    front, back, width = rings[..., 0:2], rings[..., 2:4], rings[..., 4]
    share = ((1 - np.cos(angle)) / 2)[..., None]
    side = front + (back - front) * share
    return np.stack([width * np.sin(angle), side[..., 0], side[..., 1]], -1)


def place(flat: Array) -> tuple[Array, Array]:
    """Angle and row at which the front of the head has the given (..., 2) x and y."""
    angle = np.arcsin(np.clip(flat[..., 0] / 0.088, -0.95, 0.95))
    row = np.interp(-flat[..., 1], -_RINGS[:, 0][:12], np.arange(12.0))
    step = 1e-4
    for _ in range(12):
        here = head(angle, row)
        miss = flat - here[..., :2]
        by_angle = (head(angle + step, row) - here)[..., :2] / step
        by_row = (head(angle, row + step) - here)[..., :2] / step
        area = by_angle[..., 0] * by_row[..., 1] - by_angle[..., 1] * by_row[..., 0]
        area = np.where(np.abs(area) < 1e-7, -1e-7, area)
        turn = (miss[..., 0] * by_row[..., 1] - miss[..., 1] * by_row[..., 0]) / area
        down = (by_angle[..., 0] * miss[..., 1] - by_angle[..., 1] * miss[..., 0]) / area
        angle = np.clip(angle + np.clip(turn, -0.3, 0.3), -1.5, 1.5)
        row = np.clip(row + np.clip(down, -0.5, 0.5), 0, ROWS)
    return angle, row


def detail(flat: Array) -> Array:
    """How far nose, lips and eye sockets stand out (towards +Z) at (..., 2) x and y."""
    x, y = np.abs(flat[..., 0]), flat[..., 1]
    down = y + 0.0440
    nose = (
        0.0085
        * np.exp(-((x / (0.0048 + 0.05 * np.maximum(-down, 0))) ** 2))
        * np.exp(-np.where(down > 0, (down / 0.014) ** 2, (down / 0.0042) ** 2))
    )
    bridge = 0.0016 * np.exp(-((x / 0.006) ** 2) - ((y + 0.024) / 0.016) ** 2)
    lips = 0.0016 * np.exp(-((x / 0.013) ** 2) - ((y - MOUTH_Y) / 0.007) ** 2)
    under = -0.0016 * np.exp(-((x / 0.012) ** 2) - ((y + 0.0770) / 0.0045) ** 2)
    socket = -0.0012 * np.exp(-(((x - 0.037) / 0.022) ** 2) - ((y + 0.012) / 0.017) ** 2)
    return np.asarray(nose + bridge + lips + under + socket)


def on_face(flat: Array, lift: Array | float = 0.0) -> Array:
    """(..., 3) points of the face at (..., 2) x and y, ``lift`` metres in front of it."""
    angle, row = place(flat)
    z = head(angle, row)[..., 2] + detail(flat) + lift
    return np.concatenate([flat, z[..., None]], -1)


def jaw(points: Array, pose: Pose) -> Array:
    """The chin sinks as the mouth opens; for everything that lies on the face's surface."""
    opening = 0.0090 * pose.get("aa", 0) + 0.0060 * pose.get("oh", 0) + 0.002 * pose.get("surprised", 0) + 0.002 * pose.get("ih", 0)
    chin = smoothstep(-0.058, -0.092, points[..., 1]) * smoothstep(0.0, 0.055, points[..., 2])
    return np.asarray(points + chin[..., None] * opening * np.array([0.0, -1.0, -0.25]))


# --- eyes ---------------------------------------------------------------------------------------------------------

# Outline of the left eye about its middle, from the inner corner over the top to the outer corner and back, in mm.
_EYE: Final = np.array([
    (-18.5, -5.0), (-17.2, 4.5), (-11.5, 13.0), (-1.5, 17.2), (9.5, 15.8), (17.0, 9.2), (20.2, 0.0),
    (17.6, -9.0), (9.0, -15.6), (-3.0, -16.4), (-13.0, -12.0),
]) * 1.16e-3  # fmt: skip
_EYE_CURVE: Final = CubicSpline(np.arange(len(_EYE) + 1), np.concatenate([_EYE, _EYE[:1]]), bc_type="periodic")
_OUTER: Final = 6.0
"""Parameter of the outer corner."""
LID_POINTS: Final = 25
"""Points along one lid, corners included."""


def lid(pose: Pose, side: int, upper: bool) -> Array:
    """(LID_POINTS, 2) edge of a lid of the eye on ``side`` (1 is the left) as if it were the left, from the nose outwards."""

    def p(name: str) -> float:
        return pose.get(name, 0.0)

    start, end = (0.0, _OUTER) if upper else (float(len(_EYE)), _OUTER)
    points = _EYE_CURVE(np.linspace(start, end, LID_POINTS))
    x, y = points.T
    across = np.clip((x + 0.0215) / 0.0449, 0, 1)  # 0 at the nose, 1 outside
    arch = np.sin(np.pi * across) ** 0.7
    if upper:
        y = y + arch * (
            0.0018 * p("surprised") - 0.0065 * p("relaxed") - 0.0035 * p("lookDown") + 0.0012 * p("lookUp") - 0.002 * p("happy")
        )
        y = y - p("angry") * arch * (0.0085 - 0.0060 * across) - p("sad") * arch * (0.0010 + 0.0060 * across)
    else:
        y = y + arch * (0.0062 * p("happy") + 0.0030 * p("angry") + 0.0022 * p("sad") + 0.0015 * p("relaxed") - 0.0004 * p("surprised"))
    closed = p("blink") + p("blinkLeft" if side > 0 else "blinkRight")
    shut = -0.0060 + 0.0035 * across - 0.0090 * np.sin(np.pi * across) - 0.0012 * upper
    return np.asarray(EYE + np.stack([x, y + closed * (shut - y)], -1))


def eye_rings() -> list[Array]:
    """Outlines (N, 2) of the left eye and around it, for the mesh of the skin."""
    upper, lower = lid({}, 1, True), lid({}, 1, False)
    edge = np.concatenate([upper, lower[-2:0:-1]]) - EYE
    out = edge / np.linalg.norm(edge / (0.0226, 0.0197), axis=1, keepdims=True)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    return [EYE + edge + out * grown for grown in (0.0, 0.0022, 0.0050)]


def _grown(pose: Pose) -> float:
    return 1 - 0.13 * pose.get("surprised", 0.0)


def iris(pose: Pose, rings: int = 9, columns: int = 40) -> Array:
    """(rings, columns, 3) disc of the left iris, from its middle outwards; both irises move alike, so mirror the gaze."""
    look = np.array([
        0.0068 * (pose.get("lookLeft", 0.0) - pose.get("lookRight", 0.0)),
        0.0058 * pose.get("lookUp", 0.0) - 0.0062 * pose.get("lookDown", 0.0),
    ])  # fmt: skip
    angle = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    radius = np.linspace(0, 1, rings)[:, None, None] * _grown(pose)
    circle = radius * np.stack([0.0152 * np.cos(angle), 0.0184 * np.sin(angle)], -1)
    return on_face(EYE + 0.0004 + look + circle, -0.0024)


def white(rows: int = 15, columns: int = 15) -> Array:
    """(rows, columns, 3) white of the left eye, from the top down."""
    x, y = np.meshgrid(np.linspace(-0.0265, 0.0275, columns), np.linspace(0.0255, -0.0240, rows))
    return on_face(EYE + np.stack([x, y], -1), -0.0040)


def stroke(line: Array, above: Array | float, below: Array | float, lift: float) -> Array:
    """(3, N, 3) a stroke on the face along a line (N, 2), wider by the given metres on both sides of it."""
    ahead = np.gradient(line, axis=0)
    up = np.stack([-ahead[:, 1], ahead[:, 0]], -1) / np.linalg.norm(ahead, axis=1, keepdims=True).clip(1e-9)
    top, bottom = np.broadcast_to(above, len(line)), np.broadcast_to(below, len(line))
    edges = np.stack([line + up * top[:, None], line + up * (top - bottom)[:, None] / 2, line - up * bottom[:, None]])
    return on_face(edges, np.array([lift, lift + 0.0006, lift])[:, None])


def lashes(pose: Pose, side: int) -> Array:
    """Stroke along the upper lid, ending in a wing."""
    line = lid(pose, side, True)
    t = np.linspace(0, 1, len(line))
    away = line[-1] - line[-4]
    tip = line[-1] + np.array([0.0052, 0.0015]) * 0.6 + away / np.linalg.norm(away) * 0.0022
    line = np.concatenate([line, [0.6 * line[-1] + 0.4 * tip, 0.25 * line[-1] + 0.75 * tip, tip]])
    thick = np.concatenate([0.0009 + 0.0036 * np.sin(np.pi * (0.06 + 0.80 * t)) ** 0.8, [0.0024, 0.0014, 0.0003]])
    return stroke(line, thick, 0.0008 * np.ones(len(line)) * np.minimum(1, thick / 0.001), 0.0012)


def lower_lashes(pose: Pose, side: int) -> Array:
    line = lid(pose, side, False)[LID_POINTS // 3 : -1]
    t = np.linspace(0, 1, len(line))
    return stroke(line, 0.0002, 0.0003 + 0.0011 * np.sin(np.pi * t * 0.85) ** 1.2, 0.0009)


def crease(pose: Pose, side: int) -> Array:
    """Fold of the upper lid; it follows the lid a part of its way."""
    rest, now = lid({}, side, True), lid(pose, side, True)
    line = (rest + 0.85 * (now - rest))[4:-3] + np.array([0.0, 0.0056])
    t = np.linspace(0, 1, len(line))
    return stroke(line, 0.0007 * np.sin(np.pi * t) ** 0.6, 0.0, 0.0006)


def brow(pose: Pose, side: int) -> Array:
    """Stroke of the brow above the left eye; presets move both alike."""

    def p(name: str) -> float:
        return pose.get(name, 0.0)

    t = np.linspace(0, 1, 17)  # from the nose outwards
    raised = 0.0075 * p("surprised") + 0.0032 * p("happy") + 0.0015 * p("relaxed") - 0.0035 * p("angry") + 0.0010 * p("sad")
    tilt = (0.5 - t) * (0.0125 * p("sad") - 0.0150 * p("angry") + 0.002 * p("relaxed"))
    arch = (0.0052 + 0.0022 * p("surprised") + 0.0015 * p("happy") - 0.0030 * p("angry") - 0.0025 * p("sad")) * np.sin(
        np.pi * (0.15 + 0.8 * t)
    )
    x = 0.0165 + 0.042 * t - 0.0030 * p("angry") * (1 - t) + 0.001 * p("surprised")
    y = 0.0215 + raised + tilt + arch - 0.004 * t
    half = 0.0019 * np.minimum(1, 6 * t + 0.55) * (1 - t**2.2) + 0.0002
    return stroke(np.stack([x, y], -1), half, half, 0.0012)


# --- mouth --------------------------------------------------------------------------------------------------------

LIP_POINTS: Final = 21
"""Points along one lip, corners included."""


def lip(pose: Pose, upper: bool) -> Array:
    """(LIP_POINTS, 3) edge of a lip, from right to left: x, y and how far it stands out."""

    def p(name: str) -> float:
        return pose.get(name, 0.0)

    c = np.cos(np.linspace(np.pi, 0, LIP_POINTS))
    s = np.sqrt(1 - c**2)
    width = 0.0125 + 0.0075 * p("happy") + 0.0020 * p("relaxed") - 0.0020 * p("sad") - 0.0015 * p("angry") - 0.0040 * p("surprised")
    width += 0.0015 * p("aa") + 0.0035 * p("ih") - 0.0065 * p("ou") + 0.0050 * p("ee") - 0.0035 * p("oh")
    bend = 0.0022 + 0.0060 * p("happy") + 0.0022 * p("relaxed") - 0.0070 * p("sad") - 0.0050 * p("angry") - 0.0010 * p("surprised")
    bend += 0.0010 * p("ee") - 0.0010 * p("oh") - 0.0013 * p("ou")
    if upper:
        rise = (
            0.0001 + 0.0010 * p("surprised") + 0.0030 * p("aa") + 0.0018 * p("ih") + 0.0026 * p("ou") + 0.0024 * p("ee") + 0.0042 * p("oh")
        )
        open_by = rise * s**0.8
    else:
        drop = 0.0001 + 0.0012 * p("happy") + 0.0042 * p("surprised") + 0.0125 * p("aa") + 0.0042 * p("ih") + 0.0044 * p("ou")
        drop += 0.0044 * p("ee") + 0.0086 * p("oh")
        open_by = -drop * s**0.9
    y = MOUTH_Y + _MOUTH_SIZE * (bend * (np.abs(c) ** 1.8 - 0.4) + open_by)
    out = (0.0062 * p("ou") + 0.0028 * p("oh")) * s**0.5
    return np.stack([_MOUTH_SIZE * width * c, y, np.broadcast_to(out, c.shape)], -1)


MOUTH_LENS: Final = 0.0030
"""Half of the mouth's height while the skin is meshed: a slit has no inside."""


def mouth_rings() -> list[Array]:
    """Outlines (N, 2) of the mouth, slightly open, and around it, for the mesh of the skin; counter-clockwise from the right corner."""
    c = np.cos(np.linspace(np.pi, 0, LIP_POINTS))
    s = np.sqrt(1 - c**2)
    edge = np.concatenate([np.stack([0.0125 * c, -MOUTH_LENS * s], -1), np.stack([0.0125 * c, MOUTH_LENS * s], -1)[-2:0:-1]])
    out = edge / (0.0125, MOUTH_LENS)
    middle = np.array([0.0, MOUTH_Y])
    return [middle + edge + out * np.array([grown * 0.8, grown]) for grown in (0.0, 0.0020, 0.0046)]


def mouth_edge(pose: Pose) -> Array:
    """(2 * LIP_POINTS - 2, 3) points of the edge of the mouth on the face, as :func:`mouth_rings` goes around it."""
    curve = np.concatenate([lip(pose, False), lip(pose, True)[-2:0:-1]])
    return jaw(on_face(curve[:, :2], curve[:, 2]), pose)


def throat(pose: Pose) -> Array:
    """(rows, N, 3) the inside of the mouth."""
    edge = mouth_edge(pose)
    middle = edge.mean(0)
    rows = ((1, 0.0004), (1.08, 0.006), (1.10, 0.016), (0.8, 0.026), (0, 0.028))
    return np.stack([middle + (edge - middle) * (k, k, 1) - (0, 0, depth) for k, depth in rows])


def lip_line(pose: Pose, upper: bool) -> Array:
    """Stroke along a lip, thinner towards the corners."""
    curve = lip(pose, upper)
    t = np.linspace(0, 1, LIP_POINTS)
    half = (0.00060 if upper else 0.00030) * (0.45 + 0.55 * np.sin(np.pi * t)) + 0.0001
    points = stroke(curve[:, :2], half, half, 0.0005)
    return jaw(points + np.stack([0 * t, 0 * t, curve[:, 2]], -1), pose)


def teeth(pose: Pose) -> Array:
    """(rows, columns, 3) a white strip behind the upper lip."""
    curve = lip(pose, True)[2:-2]
    shown = 0.0030
    edge = jaw(on_face(curve[:, :2], curve[:, 2]), pose)
    hidden = 0.0032 * pose.get("ou", 0.0) + 0.0032 * pose.get("oh", 0.0) + 0.0024 * pose.get("surprised", 0.0)
    middle = edge + np.array([0, hidden, -0.0024])
    low = np.sqrt(np.clip(1 - np.linspace(-1, 1, len(edge)) ** 2, 0, 1)) * shown
    down = np.stack([0 * low, -low, 0 * low], -1)
    return np.stack([middle + np.array([0, 0.002, 0]), middle, middle + down, middle + down - (0, 0, 0.002)])


def tongue(pose: Pose) -> Array:
    lower = jaw(on_face(lip(pose, False)[:, :2], 0.0), pose)
    bottom, top = lower[LIP_POINTS // 2], on_face(lip(pose, True)[LIP_POINTS // 2, :2])
    half = max(float(lower[:, 0].max()) * 0.62, 0.004)
    high = 0.0028 + 0.22 * float(top[1] - bottom[1])
    return ellipsoid(bottom + np.array([0, 0.50 * high - 0.0016, -0.0110]), (half, high, 0.0085), 11, 18)
