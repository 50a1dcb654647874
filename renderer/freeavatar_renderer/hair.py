"""Hair of random cuts: a cap that lifts the scalp, a fringe over the forehead, lengths down the sides and the back.

A cut is laid out over directions from a point inside the skull. Every direction is bound to a few points of the scalp
once, on the average head, so that a cut follows the shape of whoever wears it.
"""

import functools
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]

CENTRE: Final = np.array([0, 0.05, 0], np.float32)
"""Metres from the skull's joint; directions are seen from here."""
# The hairline of the left half: azimuth from the face (degrees, +Z towards +X) and elevation.
_LINE: Final = np.array([
    (0, 33.5), (12, 36), (24, 36.5), (36, 33), (46, 27), (54, 20), (61, 11), (68, 2), (74, -5), (82, -6), (90, -5),
    (100, -6), (110, -11), (120, -20), (132, -31), (145, -40), (160, -46), (180, -48),
], dtype=np.float32)  # fmt: skip
_COLUMNS, _ROWS, _LOWEST, _HIGHEST = 72, 31, -60.0, 90.0
"""The grid of bound directions: columns around (5 degrees each), rows of elevation."""
_COLOURS: Final = (
    (24, 20, 18), (34, 26, 22), (58, 40, 30), (78, 52, 34), (112, 76, 46), (150, 110, 66), (196, 160, 104), (222, 198, 150),
    (128, 58, 30), (92, 40, 26),
)  # fmt: skip
"""Black, browns, blonds, reds; sRGB."""


@dataclass(frozen=True)
class Cut:
    """A head of hair.

    Attributes:
        colour: sRGB 0..255.
        thickness: metres that the hair stands off the scalp; 0 is bald.
        recede: degrees that the forehead's hairline lies higher than usual.
        fringe: elevation in degrees at which the fringe ends, on the middle line; None for none. The brows lie near 5.
        slant: degrees that the fringe ends lower for each degree towards the subject's left.
        width: degrees that the fringe reaches to either side.
        length: height in metres, from the skull's joint, at which the lengths end; None for short hair.
        opening: azimuth in degrees at which the lengths begin.
        seed: of strands and their unevenness.
    """

    colour: tuple[float, float, float]
    thickness: float
    recede: float = 0.0
    fringe: float | None = None
    slant: float = 0.0
    width: float = 60.0
    length: float | None = None
    opening: float = 70.0
    seed: int = 0


def draw_cut(rng: np.random.Generator, age: float, female: float) -> Cut:
    """A random cut; old people may be grey, men may be bald or have a receding hairline."""
    colour = np.array(_COLOURS[rng.integers(len(_COLOURS))]) * rng.uniform(0.8, 1.2)
    grey = float(np.clip(rng.normal((age - 50) / 25, 0.4), 0, 1))
    colour = colour + (np.array([190, 188, 184]) - colour) * grey * rng.uniform(0.4, 1)
    if rng.random() < 0.06:  # dyed
        colour = rng.uniform(30, 230, 3)
    man = female < 0.5
    if man and rng.random() < 0.05 + 0.25 * (age > 45):
        return Cut(tuple(colour), 0.0, 60.0)
    long = rng.random() < (0.15 if man else 0.7)
    fringe = rng.random() < (0.35 if man else 0.45)
    return Cut(
        tuple(colour),
        float(rng.uniform(0.03, 0.05) if rng.random() < 0.08 else rng.uniform(0.003, 0.022)),
        float(rng.uniform(0, 14) if man and age > 28 and not fringe else rng.uniform(-4, 6)),
        float(rng.uniform(1, 24)) if fringe else None,
        float(rng.normal(0, 0.12)),
        float(rng.uniform(40, 66)),
        float(rng.uniform(-0.2, -0.03)) if long else None,
        float(rng.uniform(58, 84)),
        int(rng.integers(2**31)),
    )


def _angles(points: Floats) -> tuple[Floats, Floats]:
    """Azimuth and elevation in degrees of points (..., 3) seen from the centre."""
    away = points - CENTRE
    azimuth = np.degrees(np.arctan2(away[..., 0], away[..., 2]))
    return azimuth, np.degrees(np.arctan2(away[..., 1], np.hypot(away[..., 0], away[..., 2])))


def inside(places: Floats, recede: float) -> Floats:
    """(...) degrees that points (..., 3) of the average head lie inside the hairline."""
    azimuth, elevation = _angles(places)
    front = np.clip(1.3 - np.abs(azimuth) / 50, 0, 1)
    return np.asarray(elevation - np.interp(np.abs(azimuth), *_LINE.T) - recede * front, np.float32)


def lift(places: Floats, ears: Floats, cut: Cut) -> Floats:
    """(V,) metres that the scalp at points (V, 3) of the average head stands out under the cut."""
    if not cut.thickness:
        return np.zeros(len(places), np.float32)
    rise = 1 - np.exp(-np.clip(inside(places, cut.recede), 0, None) / (3 + 300 * cut.thickness))
    bumps = np.random.default_rng(cut.seed).uniform(0.88, 1.12, len(places))
    return np.asarray(cut.thickness * rise * bumps * (ears < 0.05), np.float32)


@dataclass(frozen=True)
class Scalp:
    """Binds directions to the scalp: (rows * columns, 6) vertices and their weights."""

    vertices: Indices
    weights: Floats

    @classmethod
    def bind(cls, points: Floats, usable: NDArray[np.bool_]) -> "Scalp":
        """Bind to the ``usable`` vertices (V,) of the average head (V, 3)."""
        index = np.flatnonzero(usable)
        away = points[index] - CENTRE
        unit = away / np.linalg.norm(away, axis=1, keepdims=True)
        azimuth, elevation = np.meshgrid(
            np.radians(np.arange(_COLUMNS) * 360 / _COLUMNS - 180), np.radians(np.linspace(_LOWEST, _HIGHEST, _ROWS))
        )
        flat = np.cos(elevation)
        direction = np.stack([flat * np.sin(azimuth), np.sin(elevation), flat * np.cos(azimuth)], -1).reshape(-1, 3)
        near = direction @ unit.T
        best = np.argpartition(-near, 6, axis=1)[:, :6]
        weights = 1 / (1 - np.take_along_axis(near, best, 1) + 1e-3)
        return cls(index[best].astype(np.int32), (weights / weights.sum(1, keepdims=True)).astype(np.float32))

    def surface(self, points: Floats) -> Floats:
        """(rows, columns + 1, 3) the scalp of a head (V, 3) below each direction; the last column repeats the first."""
        grid = (points[self.vertices] * self.weights[..., None]).sum(1).reshape(_ROWS, _COLUMNS, 3)
        return np.asarray(np.concatenate([grid, grid[:, :1]], 1), np.float32)


def locks(scalp: Scalp, points: Floats, cut: Cut) -> tuple[Floats, Indices, Floats] | None:
    """Fringe and lengths of a head (V, 3): vertices, triangles and texture coordinates; None for a cut without either."""
    surface, rng = scalp.surface(points), np.random.default_rng(cut.seed + 1)
    pieces = []
    if cut.fringe is not None:
        pieces.append(_fringe(surface, cut, rng))
    if cut.length is not None:
        pieces.append(_lengths(surface, cut, rng))
    if not pieces:
        return None
    starts = np.cumsum([0, *(len(p[0]) for p in pieces)])
    return (
        np.concatenate([p[0] for p in pieces]),
        np.concatenate([p[1] + s for p, s in zip(pieces, starts[:-1], strict=True)]).astype(np.int32),
        np.concatenate([p[2] for p in pieces]),
    )


def _fringe(surface: Floats, cut: Cut, rng: np.random.Generator) -> tuple[Floats, Indices, Floats]:
    columns, rows = 49, 9
    azimuth = np.linspace(-cut.width, cut.width, columns)
    # The fringe is shortest on the middle line and runs out towards the temples.
    ends = (cut.fringe or 0) - cut.slant * azimuth - 0.004 * azimuth**2 + _uneven(rng, columns, 2.0)
    top = 58 + _uneven(rng, columns, 1.0)
    along = np.linspace(0, 1, rows)[:, None]
    elevation = top + (ends - top) * along
    off = cut.thickness * (1 - along) + 0.002 + 0.006 * np.sin(np.pi * along) + 0.002 * along + _uneven(rng, columns, 0.0008)
    vertices = _above(surface, np.broadcast_to(azimuth, elevation.shape), elevation, off)
    return _grid(vertices, azimuth / 30)


def _lengths(surface: Floats, cut: Cut, rng: np.random.Generator) -> tuple[Floats, Indices, Floats]:
    columns, rows, drop = 65, 7, 7
    azimuth = np.linspace(cut.opening, 360 - cut.opening, columns)
    along = np.linspace(0, 1, rows)[:, None]
    elevation = (62 + (-4 - 62) * along) * np.ones(columns)
    off = cut.thickness + 0.003 + 0.010 * along + _uneven(rng, columns, 0.0015)
    upper = _above(surface, np.broadcast_to(azimuth, elevation.shape), elevation, off * np.ones_like(elevation))
    # Below the ears the lengths hang straight down.
    end = np.minimum((cut.length or 0) + _uneven(rng, columns, 0.006), upper[-1, :, 1] - 0.02)
    share = np.linspace(0, 1, drop + 1)[1:, None]
    lower = np.repeat(upper[-1][None], drop, 0)
    lower[..., 1] += (end - upper[-1, :, 1]) * share
    lower[..., ::2] *= (1 + 0.12 * np.sin(np.pi * share) * rng.uniform(-0.3, 1))[..., None]
    return _grid(np.concatenate([upper, lower]), azimuth / 30)


def _uneven(rng: np.random.Generator, columns: int, size: float) -> NDArray[np.float64]:
    """(columns,) smooth noise: strands come in tufts."""
    return np.convolve(rng.normal(0, size, columns + 2), [0.5, 0.7, 0.5], mode="valid")


def _above(surface: Floats, azimuth: NDArray[np.floating], elevation: NDArray[np.floating], off: NDArray[np.floating]) -> Floats:
    """Points ``off`` metres above the scalp in the given directions."""
    x = (azimuth + 180) % 360 * _COLUMNS / 360
    y = (elevation - _LOWEST) / (_HIGHEST - _LOWEST) * (_ROWS - 1)
    at = cv2.remap(surface, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    away = at - CENTRE
    return np.asarray(at + away / np.linalg.norm(away, axis=-1, keepdims=True) * off[..., None], np.float32)


def _grid(vertices: Floats, across: NDArray[np.floating]) -> tuple[Floats, Indices, Floats]:
    rows, columns, _ = vertices.shape
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1].ravel(), index[1:, :-1].ravel(), index[1:, 1:].ravel(), index[:-1, 1:].ravel()
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    uv = np.stack(np.broadcast_arrays(across[None], np.linspace(0, 1, rows)[:, None]), -1)
    return vertices.reshape(-1, 3), triangles.astype(np.int32), uv.reshape(-1, 2).astype(np.float32)


@functools.cache
def _strands() -> Floats:
    """(128, 128) brightness of strands running down, mean 1; it repeats from side to side."""
    rng = np.random.default_rng(21)
    noise = sum(
        amount * cv2.GaussianBlur(rng.normal(size=(3 * 128, 3 * 128)), (0, 0), sigmaX=blur, sigmaY=40) * np.sqrt(blur) * 12
        for blur, amount in ((0.7, 0.5), (2.0, 0.6), (5.0, 0.6))
    )
    tile = np.asarray(noise)[128:256, 128:256]
    return np.asarray(1 + 0.22 * (tile - tile.mean()) / tile.std(), np.float32)


def streaks(rng: np.random.Generator, size: int) -> Floats:
    """(size, size) brightness of short hair running down a skin's texture, mean 1; ``size`` is a multiple of 128."""
    return np.roll(np.tile(_strands(), (size // 128, size // 128)), tuple(rng.integers(0, size, 2)), (0, 1))


def strands(cut: Cut) -> NDArray[np.uint8]:
    """(128, 128, 3) the texture of fringe and lengths."""
    return np.asarray(np.clip(_strands()[..., None] * np.array(cut.colour), 0, 255), np.uint8)
