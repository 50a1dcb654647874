"""Builds the rig ``pixel``: a small monitor on a stand whose face is a handful of glowing pixels. Eight controls in all.

Every pixel is a small tile whose place and size are functions of the pose; a morph is what one parameter changes.

    python tools/build_pixel.py
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from gltf_writer import Material, Node, Primitive, linear, write_glb
from modelling import Pose, joined, primitive, still
from rig_preview import draw_expression
from solids import Array, ellipsoid, lathe, rounded, smoothstep, tube

FOLDER: Final = Path(__file__).parents[1] / "rigs" / "pixel"
MORPHS: Final = ("lidLeft", "lidRight", "smile", "frown", "mouthOpen", "browRaise", "browLower")

CASE = Material("case", linear("#f2b33d"), roughness=0.30)
FACE = Material("bezel", linear("#f9e7c3"), roughness=0.38)
DARK = Material("rubber", linear("#4a3b52"), roughness=0.6)
KNOB = Material("knob", linear("#e8604f"), roughness=0.3)
STEEL = Material("steel", linear("#c6c2cc"), metallic=0.9, roughness=0.3)
GLOW = Material("pixels", linear("#b9ffe0"), roughness=0.5, emissive=(0.10, 0.42, 0.28))
PINK = Material("cheeks", linear("#ff8fa8"), roughness=0.5, emissive=(0.32, 0.05, 0.10))
WARM = Material("mouth", linear("#ff9d7a"), roughness=0.5, emissive=(0.34, 0.09, 0.05))
LIGHT = Material("light", linear("#ff7a66"), roughness=0.4, emissive=(0.42, 0.08, 0.04))

HALF: Final = np.array([0.118, 0.100])
"""Half of the case's width and height."""
SCREEN: Final = np.array([0.092, 0.075])
CENTRE_Y: Final = 0.013
"""Height of the middle of the screen."""
PIVOT: Final = np.array([0.0, -0.100, -0.020])
STEP: Final = 0.0112
"""From one pixel to the next."""
PIXEL: Final = 0.0098
"""Side of a pixel."""
EYE_X: Final = 0.0392
EYE_Y: Final = 0.022
MOUTH_Y: Final = -0.0235
_AROUND: Final = 96


def rounded_square(half: Array, power: float, depth: float) -> Array:
    """(_AROUND, 3) outline of a superellipse at a depth, counter-clockwise seen from the front."""
    angle = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    x, y = (side * np.sign(v) * np.abs(v) ** (2 / power) for side, v in zip(half, (c, s), strict=True))
    return np.stack([x, y, np.full_like(x, depth)], -1)


def glass(flat: Array) -> Array:
    """Depth (z) of the bulging screen at (..., 2) x and y."""
    away = ((flat - (0, CENTRE_Y)) / SCREEN) ** 2
    return np.asarray(0.0800 + 0.0095 * (1 - 0.5 * away.sum(-1)))


# --- pixels -------------------------------------------------------------------------------------------------------


def tile(centre: Array, size: Array) -> Array:
    """(4, 4, 3) a pixel on the screen: a flat tile with bevelled edges, of a width and height, its front 2 mm before the glass."""
    square = np.array([[-1, 1], [-1, -1], [1, -1], [1, 1]]) / 2
    z = float(glass(centre))
    rows = []
    for share, height in ((1.0, -0.001), (1.0, 0.0012), (0.80, 0.0021), (0.0, 0.0021)):
        rows.append(np.column_stack([centre + square * size * share, np.full(4, z + height)]))
    return np.stack(rows[::-1])


def eye_pixel(side: int, column: int, row: int) -> Callable[[Pose], Array]:
    """One of three by four pixels of an eye; as the lid closes, all rows meet in one line."""

    def build(pose: Pose) -> Array:
        shut = pose.get("lidLeft" if side > 0 else "lidRight", 0.0)
        happy = pose.get("smile", 0.0)
        x = side * EYE_X + (column - 1) * STEP * (1 + 0.22 * shut)
        open_y = EYE_Y + (1.5 - row) * STEP
        shut_y = EYE_Y - 0.5 * STEP + abs(column - 1) * 0.0052
        # The lowest row rises a little with a smile, like a cheek under an eye.
        y = open_y + shut * (shut_y - open_y) + 0.30 * STEP * happy * (row == 3)
        size = np.array([PIXEL * (1 + 0.25 * shut), PIXEL * (1 - 0.35 * happy * (row == 3))])
        return tile(np.array([x, y]), size)

    return build


def brow_pixel(side: int, column: int) -> Callable[[Pose], Array]:
    def build(pose: Pose) -> Array:
        x = side * (EYE_X + (column - 1) * STEP)
        raised = 0.0135 * pose.get("browRaise", 0.0) - 0.0015 * pose.get("browLower", 0.0)
        tilt = (column - 1) * (0.0062 * pose.get("browLower", 0.0) - 0.0032 * pose.get("browRaise", 0.0) - 0.0012)
        y = EYE_Y + 3.0 * STEP + raised + tilt
        return tile(np.array([x, y]), np.array([PIXEL, 0.0058]))

    return build


_MOUTH: Final = 9
_LIP: Final = 0.0090
"""Side of a pixel of a lip."""
"""Pixels of a lip."""


def mouth_pixel(column: int, lower: bool) -> Callable[[Pose], Array]:
    """A pixel of one of two lips, which lie on each other until the mouth opens."""
    t = (column - (_MOUTH - 1) / 2) / ((_MOUTH - 1) / 2)

    def build(pose: Pose) -> Array:
        smile, frown, opened = (pose.get(name, 0.0) for name in ("smile", "frown", "mouthOpen"))
        wide = 1 + 0.16 * smile - 0.02 * frown - 0.20 * opened
        bend = 0.0030 + 0.0200 * smile - 0.0210 * frown
        y = MOUTH_Y + bend * (abs(t) ** 1.8 - 0.45)
        arch = np.sqrt(max(1 - t**2, 0.0))
        y += -0.0250 * arch * opened if lower else 0.0075 * arch * opened
        return tile(np.array([t * 3.35 * STEP * wide, y]), np.array([_LIP, _LIP]))

    return build


def tongue_pixel(column: int) -> Callable[[Pose], Array]:
    """Pixels inside the mouth, tiny and behind the glass until it opens."""

    def build(pose: Pose) -> Array:
        smile, frown, opened = (pose.get(name, 0.0) for name in ("smile", "frown", "mouthOpen"))
        y = MOUTH_Y - 0.0015 - 0.0105 * opened - 0.0090 * smile + 0.0095 * frown
        x = (column - 1) * STEP * 0.94
        size = np.full(2, PIXEL) * (0.04 + 0.88 * opened)
        return np.asarray(tile(np.array([x, y]), size) - np.array([0, 0, 0.0035 * (1 - opened)]))

    return build


def cheek_pixel(side: int, column: int) -> Callable[[Pose], Array]:
    def build(pose: Pose) -> Array:
        smile = pose.get("smile", 0.0)
        at = np.array([side * (0.0640 + column * STEP), -0.0070 + 0.0045 * smile])
        return tile(at, np.array([PIXEL, PIXEL * 0.62]) * (1 + 0.12 * smile))

    return build


def pixels() -> list[Primitive]:
    parts = [primitive(mouth_pixel(c, lower), GLOW, MORPHS) for c in range(_MOUTH) for lower in (False, True)]
    parts += [primitive(tongue_pixel(c), WARM, MORPHS) for c in range(3)]
    for side in (1, -1):
        # The corner of light in an eye is a pixel that is not lit; it lies on the same side in both.
        grid = [(c, r) for c in range(3) for r in range(4) if (c, r) != (0, 0)]
        parts += [primitive(eye_pixel(side, c, r), GLOW, MORPHS) for c, r in grid]
        parts += [primitive(brow_pixel(side, c), GLOW, MORPHS) for c in range(3)]
        parts += [primitive(cheek_pixel(side, c), PINK, MORPHS) for c in range(2)]
    return parts


# --- the monitor --------------------------------------------------------------------------------------------------


def case() -> Array:
    """(rows, _AROUND, 3) from the bezel's outer edge to the back."""
    rows = [(1.00, 5.0, 0.070), (1.015, 5.0, 0.064), (1.02, 5.0, 0.050), (1.00, 5.0, 0.000), (0.97, 4.8, -0.030),
            (0.86, 4.2, -0.060), (0.66, 3.4, -0.086), (0.60, 3.2, -0.094), (0.52, 3.0, -0.098), (0.0, 3.0, -0.0985)]  # fmt: skip
    return np.stack([rounded_square(HALF * k, power, z) + np.array([0, 0.004, 0]) for k, power, z in rows])


def bezel() -> Array:
    """(rows, _AROUND, 3) from the screen's edge to the case."""
    inner = rounded_square(SCREEN, 6.0, 0.0) + np.array([0, CENTRE_Y, 0])
    outer = rounded_square(HALF, 5.0, 0.0) + np.array([0, 0.004, 0])
    rows = [(0.00, 0.0710), (0.02, 0.0765), (0.14, 0.0845), (0.45, 0.0850), (0.80, 0.0835), (0.95, 0.0790), (1.00, 0.0700)]
    return np.stack([inner + k * (outer - inner) + (0, 0, z) for k, z in rows])


def screen() -> Primitive:
    """The glass, painted: dark, with a faint grid of pixels that are not lit and a reflection."""
    n = 25
    x, y = np.meshgrid(np.linspace(-1.04, 1.04, n), np.linspace(1.04, -1.04, n))
    flat = np.stack([x * SCREEN[0], y * SCREEN[1] + CENTRE_Y], -1)
    points = np.concatenate([flat, (glass(flat) - 0.0025)[..., None]], -1)
    points[..., 2] = np.minimum(points[..., 2], 0.0900)
    part = still(points, Material("screen", roughness=0.16, emissive=(0.006, 0.006, 0.012), texture=_screen_picture()), closed=False)
    uv = np.stack([(x + 1.04) / 2.08, (1.04 - y) / 2.08], -1).reshape(-1, 2)
    a, b, c = (part.positions[part.faces[:, k]] for k in range(3))
    faces = part.faces if np.cross(b - a, c - a)[:, 2].sum() > 0 else part.faces[:, ::-1]
    return Primitive(part.positions, faces, part.material, uv=uv)


def _screen_picture() -> bytes:
    """PNG, sRGB: the grid's cells lie under the pixels of the face."""
    width, height = 512, 512
    u, v = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    x, y = (u * 2 - 1) * 1.04 * SCREEN[0], (1 - v * 2) * 1.04 * SCREEN[1] + CENTRE_Y
    cell = np.stack([(x - EYE_X) / STEP, (y - EYE_Y) / STEP + 0.5], -1)
    inside = np.abs(cell - np.round(cell)).max(axis=-1)
    unlit = smoothstep(0.46, 0.40, inside)[..., None]
    vignette = np.clip(1 - 0.45 * ((u * 2 - 1) ** 2 + (v * 2 - 1) ** 2), 0, 1)[..., None]
    colour = (np.array([0.135, 0.110, 0.205]) + unlit * np.array([0.030, 0.032, 0.042])) * (0.72 + 0.28 * vignette)
    done, data = cv2.imencode(".png", np.round(colour[..., ::-1] * 255).astype(np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not done:
        raise RuntimeError("the screen could not be encoded as PNG")
    return data.tobytes()


def upright(points: Array) -> Array:
    """Lathe work along z turned to stand on y."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)


def head_primitives() -> list[Primitive]:
    parts = [still(case(), CASE), still(bezel(), FACE), screen(), *pixels()]
    knob = rounded([(0, 0.0145), (0.0070, 0.0145), (0.0095, 0.0115), (0.0100, 0.0)], 1)
    for x, size in ((0.078, 1.0), (0.054, 0.72)):
        parts.append(still(lathe(knob, 24) * (size, size, 1) + (x, -0.0785, 0.0805), KNOB))
    for i in range(6):
        x = -0.088 + 0.0085 * i
        slot = np.array([[x, -0.0815, 0.0850], [x, -0.0755, 0.0850]])
        parts.append(still(tube(slot, 0.0019, 8), DARK))
    return [*parts, *_aerial()]


def _aerial() -> list[Primitive]:
    """A loop aerial on top: a bent wire with a lamp at each end."""
    foot = upright(lathe(rounded([(0, 0.012), (0.013, 0.011), (0.021, 0.004), (0.026, -0.004)], 2), 28)) + np.array([0, 0.104, -0.010])
    parts = [still(foot, DARK)]
    for side in (1, -1):
        s = np.linspace(0, 1, 10)[:, None]
        wire = np.array([0.004, 0.112, -0.010]) + s * np.array([0.052, 0.058, -0.004]) + s * (1 - s) * np.array([-0.010, 0.012, 0])
        parts += [still(tube(wire * (side, 1, 1), 0.0022, 8), STEEL)]
        parts += [still(ellipsoid(wire[-1] * (side, 1, 1), (0.0075, 0.0075, 0.0075), 11, 16), LIGHT)]
    return parts


def stand() -> list[Primitive]:
    """Neck and foot, which stay where they are."""
    neck = [(0.0, -0.088), (0.024, -0.090), (0.022, -0.108), (0.020, -0.125), (0.024, -0.140), (0.040, -0.146)]
    foot = [(0.030, -0.142), (0.072, -0.147), (0.092, -0.154), (0.098, -0.163), (0.098, -0.172), (0.0, -0.173)]
    return [
        still(upright(lathe(rounded(neck, 1), 32)) - np.array([0, 0, 0.020]), DARK),
        still(upright(lathe(rounded(foot, 1), 56)) * (1, 1, 0.82) - np.array([0, 0, 0.010]), CASE),
    ]


def nodes() -> list[Node]:
    pivot = (float(PIVOT[0]), float(PIVOT[1]), float(PIVOT[2]))
    return [Node("stand", primitives=joined(stand()), children=[Node("head", pivot, joined(head_primitives(), -PIVOT))])]


def main() -> None:
    """Write the model and its picture."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    size = write_glb(FOLDER / "avatar.glb", nodes(), "CC0-1.0, the FreeAvatar contributors")
    print(f"{FOLDER / 'avatar.glb'}: {size / 1e6:.2f} MB")
    draw_expression(FOLDER, {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9, "jawOpen": 0.25}, (0.30, 0.06, -0.10), (0.0, 0.0))


if __name__ == "__main__":
    main()
