"""Solids for modelling by program: grids, tubes, lathe work and spheres as vertices and triangles."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def grid_faces(rows: int, columns: int, closed: bool = False) -> Array:
    """(F, 3) triangles of a (rows, columns) grid of vertices; ``closed`` joins the last column to the first.

    They face the side from which rows run down while columns run to the right.
    """
    last = columns if closed else columns - 1
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(last), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = a + columns, b + columns
    return np.concatenate([np.stack([a, c, d], -1), np.stack([a, d, b], -1)], -1).reshape(-1, 3)


def flipped(faces: Array) -> Array:
    """The same triangles seen from the other side."""
    return faces[:, ::-1]


def lathe(profile: Sequence[tuple[float, float]], count: int = 48) -> Array:
    """(R, count, 3) points of an outline turned about z.

    Args:
        profile: (radius, z) from the front (largest z) on the axis outwards and back; then grid_faces face outwards.
        count: points around.
    """
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    radius, z = np.array(profile).T
    return np.stack([radius[:, None] * np.cos(angle), radius[:, None] * np.sin(angle), np.broadcast_to(z[:, None], (len(z), count))], -1)


def rounded(profile: Sequence[tuple[float, float]], steps: int = 3) -> list[tuple[float, float]]:
    """An outline with its corners cut off ``steps`` times (Chaikin), which makes a smooth curve; the ends stay."""
    points = np.array(profile)
    for _ in range(steps):
        ahead = np.stack([0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]], 1).reshape(-1, 2)
        points = np.concatenate([points[:1], ahead[1:-1], points[-1:]])
    return [(float(r), float(z)) for r, z in points]


def tube(curve: Array, radius: Array | float, sides: int = 10, closed: bool = False, flat: float = 1.0) -> Array:
    """(N, sides, 3) points around a curve, with rounded ends unless it is closed; then the last row repeats the first.

    Args:
        curve: (n, 3) points.
        radius: metres, one for all or one a point.
        sides: points around.
        closed: the curve ends where it begins.
        flat: depth (towards z) as a part of the height.
    """
    radii = np.broadcast_to(np.asarray(radius, float), (len(curve),))
    if not closed:
        turn = np.linspace(0, np.pi / 2, 5)
        start, end = curve[0] - curve[1], curve[-1] - curve[-2]
        start, end = start / np.linalg.norm(start), end / np.linalg.norm(end)
        curve = np.concatenate(
            [
                curve[0] + start * (radii[0] * np.cos(turn[:-1]))[:, None],
                curve,
                curve[-1] + end * (radii[-1] * np.sin(turn[1:]))[:, None],
            ]
        )
        radii = np.concatenate([radii[0] * np.sin(turn[:-1]), radii, radii[-1] * np.cos(turn[1:])])
        ahead = np.gradient(curve, axis=0)
    else:
        ahead = np.roll(curve, -1, axis=0) - np.roll(curve, 1, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True).clip(1e-12)
    up = np.cross((0.0, 0.0, 1.0), ahead)
    up /= np.linalg.norm(up, axis=1, keepdims=True).clip(1e-12)
    out = np.cross(ahead, up)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)[:, None]
    points = np.asarray(curve[:, None] + radii[:, None, None] * (np.cos(angle) * up[:, None] + flat * np.sin(angle) * out[:, None]))
    return np.concatenate([points, points[:1]]) if closed else points


def ellipsoid(centre: Sequence[float] | Array, radii: Sequence[float] | Array, rows: int = 17, columns: int = 28) -> Array:
    """(rows, columns, 3) points, from its front pole at +z to the back."""
    theta = np.linspace(0, np.pi, rows)
    return np.asarray(lathe(list(zip(np.sin(theta), np.cos(theta), strict=True)), columns) * radii + centre)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """0 up to ``low``, 1 from ``high`` on, smooth between (``low`` may be the larger one)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
