"""What hides what on an avatar, seen along z: for tests of lids and lips."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def first_hit(points: Floats, faces: NDArray[np.uint32], rays: Floats) -> Floats:
    """Largest z at which lines along z through rays (R, 2) meet a surface; -inf where they do not."""
    low, high = rays.min(axis=0), rays.max(axis=0)
    corners = points[faces, :2]
    faces = faces[((corners.max(axis=1) >= low) & (corners.min(axis=1) <= high)).all(axis=1)]
    a, b, c = (points[faces[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    flat = np.abs(area) < 1e-14
    area = np.where(flat, 1.0, area)
    x, y = rays[:, :1] - a[:, 0], rays[:, 1:] - a[:, 1]
    u = (x * (c[:, 1] - a[:, 1]) - y * (c[:, 0] - a[:, 0])) / area
    v = (y * (b[:, 0] - a[:, 0]) - x * (b[:, 1] - a[:, 1])) / area
    inside = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9) & ~flat
    z = a[:, 2] + u * (b[:, 2] - a[:, 2]) + v * (c[:, 2] - a[:, 2])
    return np.asarray(np.where(inside, z, -np.inf).max(axis=1, initial=-np.inf))


def turned(points: Floats, yaw: float, pitch: float) -> Floats:
    """Points as they lie when seen from a direction in radians."""
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    return points @ (np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]]) @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])).T
