"""Hair of the rig ``anime``: a cap and locks on a hull around the head, each lock a tapered blade along a curve."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.interpolate import PchipInterpolator

from gltf_writer import linear
from solids import Array, smoothstep

# The hull at some heights (y): half of its width, depth of its front, depth of its back.
_RINGS: Final = np.array([
    (-0.170, 0.066, 0.066, 0.068), (-0.140, 0.076, 0.078, 0.084), (-0.110, 0.086, 0.090, 0.096), (-0.080, 0.093, 0.097, 0.104),
    (-0.050, 0.0965, 0.101, 0.110), (-0.020, 0.0965, 0.101, 0.114), (0.010, 0.0955, 0.100, 0.115), (0.040, 0.0925, 0.097, 0.113),
    (0.070, 0.0850, 0.087, 0.103), (0.095, 0.0720, 0.070, 0.086), (0.110, 0.0540, 0.048, 0.064), (0.118, 0.0330, 0.026, 0.040),
    (0.1225, 0.0, 0.0, 0.0),
])  # fmt: skip
_HULL: Final = PchipInterpolator(_RINGS[:, 0], _RINGS[:, 1:])
_TOP: Final = 0.1225

ROOT, MIDDLE, TIP, SHINE = (np.array(linear(c)[:3]) for c in ("#3d3a7a", "#5a55a8", "#8f86dc", "#c3bcf7"))


def hull(angle: Array, y: Array, lift: Array | float = 0.0) -> Array:
    """(..., 3) a point of the hull at an angle (radians, 0 in front, positive to the left) and a height, ``lift`` outside of it."""
    width, front, back = np.moveaxis(_HULL(np.clip(y, _RINGS[0, 0], _TOP)), -1, 0)
    depth = np.where(np.cos(angle) > 0, front, back)
    out = np.stack([np.sin(angle), smoothstep(0.03, 0.12, y) * 1.2, np.cos(angle)], -1)
    out /= np.linalg.norm(out, axis=-1, keepdims=True)
    skull = np.stack([width * np.sin(angle), np.broadcast_to(y, width.shape), depth * np.cos(angle)], -1)
    return np.asarray(skull + np.asarray(lift)[..., None] * out)


_AROUND: Final = np.radians([0, 45, 90, 135, 180, 225, 315])
"""Round a lock: its inner side, which hardly anybody sees, is flat."""


def along(rows: int) -> Array:
    """(rows,) 0..1 from root to tip: closer at the root, where locks bend over the crown and the ring of light lies."""
    return np.asarray(np.linspace(0, 1, rows) ** 1.3)


def lock(keys: Sequence[tuple[float, float, float]], width: float, thick: float = 0.4, rows: int = 12) -> Array:
    """(rows, 7, 3) a blade from its root to its tip.

    Args:
        keys: angle in degrees, height and lift in metres of some points from root to tip.
        width: half of its width in metres.
        thick: thickness as a part of the width.
        rows: points along.
    """
    keyed = np.array(keys)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(keyed[:, :2] * (0.0016, 1.0), axis=0), axis=1))])
    t = along(rows)
    angle, y, lift = PchipInterpolator(length / length[-1], keyed)(t).T
    angle = np.radians(angle)
    middle = hull(angle, y, lift)
    out = hull(angle, y, lift + 0.01) - middle
    ahead = np.gradient(middle, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    across = np.cross(out, ahead)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    out = np.cross(ahead, across)
    taper = np.sqrt(np.clip(1 - np.abs(2 * t - 0.72) ** 2.6 / 1.28**2.6, 0, 1)) * (1 - smoothstep(0.45, 1.0, t) * 0.55)
    taper = np.maximum(np.where(t < 0.36, np.maximum(taper, 0.75), taper), 0.02)
    high = np.sin(_AROUND)
    rim = np.stack([np.cos(_AROUND), np.where(high > 0, high, 0.35 * high) * thick], -1)
    wide = (width * taper)[:, None, None]
    return np.asarray(middle[:, None] + wide * (rim[None, :, :1] * across[:, None] + rim[None, :, 1:] * out[:, None]))


def fringe() -> list[Array]:
    """Locks over the forehead, short enough to leave the brows free."""
    cuts = ((-64, 0.010, 0.0135), (-51, 0.028, 0.0135), (-37, 0.037, 0.0130), (-24, 0.041, 0.0125), (-12, 0.036, 0.0120),
            (14, 0.038, 0.0120), (26, 0.043, 0.0125), (39, 0.036, 0.0130), (51, 0.027, 0.0135), (64, 0.012, 0.0135))  # fmt: skip
    locks = []
    for i, (angle, tip, width) in enumerate(cuts):
        sweep = -7 if angle < 0 else 7
        keys = [(0.7 * angle, 0.1205, 0.000), (0.85 * angle, 0.094, 0.0030 + 0.0008 * (i % 2)),
                (angle, 0.062, 0.0035 + 0.0010 * (i % 2)), (angle + sweep, tip, 0.000)]  # fmt: skip
        locks.append(lock(keys, width))
    middle = [(12, 0.1205, 0.002), (3, 0.088, 0.0058), (-2, 0.054, 0.0060), (3, 0.018, 0.0035)]
    return [*locks, lock(middle, 0.0085)]


def sides() -> list[Array]:
    """Locks that frame the face."""
    locks = []
    cuts = ((58, -0.072, 0.0090, 0.000), (70, -0.108, 0.0125, 0.001), (84, -0.122, 0.0165, 0.002), (100, -0.115, 0.0190, 0.002))
    for side in (1, -1):
        for angle, tip, width, bow in cuts:
            keys = [(0.9 * angle, 0.1200, 0.000), (angle, 0.070, 0.0030), (angle + 2, 0.000, 0.003 + bow),
                    (angle, -0.055, 0.004 + bow), (angle - 7, tip, -0.006)]  # fmt: skip
            locks.append(lock([(side * a, y, lift) for a, y, lift in keys], width, 0.38, 17))
    return locks


def back() -> list[Array]:
    """A bob: long locks, and shorter ones between them below."""
    locks = []
    for i, angle in enumerate(range(112, 249, 17)):
        turn = 3 if i % 2 else -3
        keys = [(angle, 0.1205, 0.000), (angle, 0.080, 0.002 + 0.0015 * (i % 2)), (angle, 0.000, 0.004),
                (angle, -0.070, 0.005 - 0.002 * (i % 2)), (angle + turn, -0.128 + 0.010 * (i % 2), -0.008)]  # fmt: skip
        locks.append(lock(keys, 0.0215, 0.30, 16))
        under = [(angle + 8, 0.020, -0.006), (angle + 8, -0.060, 0.000), (angle + 8 - turn, -0.120, -0.012)]
        locks.append(lock(under, 0.0200, 0.25, 9))
    return locks


def crown() -> list[Array]:
    """One lock that will not lie down."""
    y = np.array([0.120, 0.134, 0.144, 0.143, 0.132])
    x = np.array([0.000, 0.004, 0.014, 0.026, 0.034])
    z = np.array([-0.004, 0.002, 0.010, 0.018, 0.022])
    t = along(18)
    curve = PchipInterpolator(np.linspace(0, 1, 5), np.stack([x, y, z], -1))(t)
    ahead = np.gradient(curve, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    across = np.cross(ahead, (0.3, 0.1, 1.0))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    out = np.cross(across, ahead)
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    wide = (0.0058 * np.sin(np.pi * (0.18 + 0.82 * t)) ** 0.8 + 0.0002)[:, None, None]
    return [curve[:, None] + wide * (np.cos(turn)[None, :, None] * across[:, None] + 0.4 * np.sin(turn)[None, :, None] * out[:, None])]


def cap() -> Array:
    """(rows, columns, 3) what covers the scalp under the locks, from the crown down."""
    angle = np.linspace(-np.pi, np.pi, 48, endpoint=False)[None]
    front = smoothstep(1.35, 0.75, np.abs(angle))
    side = smoothstep(2.0, 1.35, np.abs(angle))
    bottom = -0.070 + 0.072 * side + 0.077 * front
    t = np.linspace(0, 1, 18)[:, None]
    y = _TOP - (_TOP - bottom) * (0.25 * t + 0.75 * t**2)
    lift = -0.001 - 0.004 * smoothstep(0.8, 1.0, t) + 0 * angle
    return hull(np.broadcast_to(angle, y.shape), y, lift)


def tone(points: Array) -> Array:
    """(V, 3) linear colours of a lock (rows, columns, 3): dark at its root, light at its tip, with a band of shine over the crown."""
    rows, columns = points.shape[:2]
    t = np.repeat(along(rows), columns)[:, None]
    colour = np.where(t < 0.55, ROOT + (MIDDLE - ROOT) * smoothstep(0, 0.55, t), MIDDLE + (TIP - MIDDLE) * smoothstep(0.55, 1.0, t))
    return np.asarray(colour + shine(points) * (SHINE - colour))


def cap_tone(points: Array) -> Array:
    """(V, 3) linear colours of the cap."""
    y = points.reshape(-1, 3)[:, 1:2]
    colour = MIDDLE + (ROOT - MIDDLE) * (0.3 + 0.7 * smoothstep(0.06, -0.02, y))
    return np.asarray(colour + shine(points) * 0.8 * (SHINE - colour))


def shine(points: Array) -> Array:
    """(V, 1) share of the ring of light, which runs zigzag around the head."""
    x, y, z = points.reshape(-1, 3).T
    angle = np.arctan2(x, z)
    zigzag = 0.0045 * np.abs((angle * 7 / np.pi) % 2 - 1)
    return np.asarray(0.55 * np.exp(-(((y - 0.074 - zigzag) / 0.0075) ** 2)))[:, None]
