"""Hair: a cap combed back into a knot. Sculpted here, from numbers alone.

The cap is a surface over directions from a centre inside the skull, laid out around the knot, so that its rows and its
texture follow the strands.
"""

import numpy as np

from human_base import Indices, Points, triangulate
from human_parts import Part

CENTRE = np.array([0.0, 0.05, 0.0])
"""Metres in the head's frame; directions are seen from here."""
KNOT = np.array([0.0, np.sin(1.06), -np.cos(1.06)])
"""Direction in which the hair is tied."""

# The hairline of the left half: azimuth from the face (degrees, +Z towards +X) and elevation.
_HAIRLINE = np.array([
    (0, 33.5), (12, 36), (24, 36.5), (36, 33), (46, 27), (54, 20), (61, 11), (68, 2), (74, -5), (82, -6), (90, -5),
    (100, -6), (110, -11), (120, -20), (132, -31), (145, -40), (160, -46), (180, -48),
], dtype=float)  # fmt: skip
_COLUMNS, _ROWS = 144, 18


def hair(skull: Points, layers: int) -> list[Part]:
    """The parts of the hair; they ride on the head and have no morphs.

    Args:
        skull: (S, 3) points of the scalp and face without ears, metres.
        layers: layers of the stacks.
    """
    radius = _SkullRadius(skull)
    return [_cap(radius, layers), _knot(radius, layers)]


def inside_hairline(points: Points) -> Points:
    """Signed distance (V,) to the hairline in metres, roughly: positive under the hair."""
    away = points - CENTRE
    turn, polar = _around_knot(away)
    return np.asarray((_hairline(turn) - polar) * np.linalg.norm(away, axis=1))


class _SkullRadius:
    """Distance from the centre to the scalp in a direction, interpolated between the mesh's vertices."""

    def __init__(self, skull: Points) -> None:
        away = skull - CENTRE
        self._distance = np.linalg.norm(away, axis=1)
        self._unit = away / self._distance[:, None]

    def __call__(self, unit: Points) -> Points:
        near = unit @ self._unit.T
        index = np.argsort(-near, axis=1)[:, :6]
        weight = 1.0 / (1.0 - np.take_along_axis(near, index, axis=1) + 2e-5)
        return np.asarray((weight * self._distance[index]).sum(axis=1) / weight.sum(axis=1))


def _cap(radius: _SkullRadius, layers: int) -> Part:
    rng = np.random.default_rng(11)
    turn = np.linspace(0.0, 2 * np.pi, _COLUMNS + 1)
    # Rows crowd at the hairline, where the surface rises out of the skin.
    along = 1.0 - (1.0 - np.linspace(0.0, 1.0, _ROWS)) ** 1.6
    jitter = np.convolve(np.tile(rng.normal(0.0, 1.0, _COLUMNS), 3), [0.3, 0.5, 0.3], mode="same")[_COLUMNS : 2 * _COLUMNS]
    edge = _hairline(turn) + 0.010 * np.append(jitter, jitter[0])
    start = 0.12
    s, psi = np.meshgrid(along, turn, indexing="ij")
    polar = start + (edge - start) * s
    unit = _direction(psi, polar)
    flat = unit.reshape(-1, 3)
    bone = radius(flat).reshape(s.shape)
    inside = (edge - polar) * bone
    body = 0.0060 + 0.007 * np.clip(unit[..., 1], 0, 1) ** 2
    clumps = np.zeros_like(s)
    for waves, height in ((13, 0.5), (19, 0.6), (29, 0.7), (44, 0.5)):
        clumps += height * np.sin(waves * psi + rng.uniform(0, 2 * np.pi) + rng.normal(0, 1.6) * s)
    # Strands leave the skin at the hairline and lie on one another a centimetre further in.
    forehead = np.clip(unit[..., 2] * 1.6, 0, 1) * np.clip(unit[..., 1] * 3, 0, 1)
    rise = 1.0 - np.exp(-inside / (0.0055 + 0.007 * forehead))
    thick = body * rise + 0.0008 * clumps * np.clip(inside / 0.01, 0.1, 1.0) - 0.0004 - 0.003 * np.exp(-inside / 0.0006)
    points = CENTRE + flat * (bone + thick).reshape(-1, 1)
    points.reshape(_ROWS, _COLUMNS + 1, 3)[:, -1] = points.reshape(_ROWS, _COLUMNS + 1, 3)[:, 0]
    uv = np.stack([psi / (2 * np.pi), s], axis=-1).reshape(-1, 2)
    return Part("hairCap", _still(points, layers), _grid(_ROWS, _COLUMNS + 1), uv)


def _knot(radius: _SkullRadius, layers: int) -> Part:
    """A twisted bun where the strands meet."""
    rows, columns = 20, 48
    polar, turn = np.meshgrid(np.linspace(0.02, np.pi - 0.02, rows), np.linspace(0.0, 2 * np.pi, columns + 1), indexing="ij")
    twist = turn + 1.7 * polar
    size = 0.033 * (1.0 + 0.055 * np.sin(5 * twist) + 0.02 * np.sin(9 * twist + 1.0))
    x, y, axis = _frame()
    local = np.sin(polar)[..., None] * (np.cos(turn)[..., None] * x + np.sin(turn)[..., None] * y) + 0.78 * np.cos(polar)[..., None] * axis
    centre = CENTRE + KNOT * (float(radius(KNOT[None])[0]) + 0.022)
    points = (centre + size[..., None] * local).reshape(-1, 3)
    grid = points.reshape(rows, columns + 1, 3)
    grid[:, -1] = grid[:, 0]
    uv = np.stack([2.0 * twist / (2 * np.pi), 0.25 + 0.5 * polar / np.pi], axis=-1).reshape(-1, 2)
    return Part("hairKnot", _still(points, layers), _grid(rows, columns + 1), uv)


def _hairline(turn: Points) -> Points:
    """Polar angle (radians) of the hairline around the knot, at turns in radians."""
    left = np.radians(_HAIRLINE)
    azimuth = np.concatenate([left[:, 0], -left[1:-1, 0][::-1]])
    elevation = np.concatenate([left[:, 1], left[1:-1, 1][::-1]])
    line = np.stack([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)], axis=1)
    at, polar = _around_knot(line)
    order = np.argsort(at)
    return np.interp(turn, at[order], polar[order], period=2 * np.pi)


def _frame() -> tuple[Points, Points, Points]:
    x = np.array([1.0, 0.0, 0.0])
    return x, np.cross(KNOT, x), KNOT


def _around_knot(away: Points) -> tuple[Points, Points]:
    """Turn (0..2 pi) and polar angle around the knot of directions (V, 3)."""
    x, y, axis = _frame()
    unit = away / np.linalg.norm(away, axis=1, keepdims=True)
    return np.arctan2(unit @ y, unit @ x) % (2 * np.pi), np.arccos(np.clip(unit @ axis, -1.0, 1.0))


def _direction(turn: Points, polar: Points) -> Points:
    x, y, axis = _frame()
    turn, polar = turn[..., None], polar[..., None]
    return np.asarray(np.sin(polar) * (np.cos(turn) * x + np.sin(turn) * y) + np.cos(polar) * axis)


def _grid(rows: int, columns: int) -> Indices:
    index = np.arange(rows * columns).reshape(rows, columns)
    return triangulate(np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], axis=-1).reshape(-1, 4))


def _still(points: Points, layers: int) -> Points:
    return np.concatenate([points[None], np.zeros((layers - 1, *points.shape))])
