"""Unit quaternions xyzw: rotations that can be joined, shared out and smoothed without the jumps that angles have."""

import math
from collections.abc import Iterable

import numpy as np

from freeavatar.rotation import angles

Quaternion = tuple[float, float, float, float]
"""x, y, z, w of unit length."""


def from_angles(yaw: float, pitch: float, roll: float) -> Quaternion:
    """The rotation Ry(yaw) Rx(pitch) Rz(roll), angles in radians, as in :mod:`freeavatar.rotation`."""
    (sy, sp, sr), (cy, cp, cr) = ([f(angle / 2) for angle in (yaw, pitch, roll)] for f in (math.sin, math.cos))
    return multiply(multiply((0.0, sy, 0.0, cy), (sp, 0.0, 0.0, cp)), (0.0, 0.0, sr, cr))


def to_angles(q: Quaternion) -> tuple[float, float, float]:
    """Yaw, pitch, roll in radians, the inverse of :func:`from_angles` for a pitch between -90 and 90 degrees."""
    x, y, z, w = q
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return angles(np.array(rows))


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    """The rotation ``a`` after the rotation ``b``."""
    (ax, ay, az, aw), (bx, by, bz, bw) = a, b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def inverse(q: Quaternion) -> Quaternion:
    """The rotation back."""
    return (-q[0], -q[1], -q[2], q[3])


def to_vector(q: Quaternion) -> tuple[float, float, float]:
    """The rotation's axis times its angle in radians, the short way round (the logarithm map)."""
    x, y, z, w = q if q[3] >= 0 else (-q[0], -q[1], -q[2], -q[3])
    length = math.sqrt(x * x + y * y + z * z)
    scale = 2 * math.atan2(length, w) / length if length > 0 else 0.0
    return (x * scale, y * scale, z * scale)


def from_vector(vector: Iterable[float]) -> Quaternion:
    """The rotation about an axis by the axis' length in radians, the inverse of :func:`to_vector`."""
    x, y, z = vector
    angle = math.sqrt(x * x + y * y + z * z)
    scale = math.sin(angle / 2) / angle if angle > 0 else 0.0
    return (x * scale, y * scale, z * scale, math.cos(angle / 2))


def power(q: Quaternion, share: float) -> Quaternion:
    """A share of a rotation about the same axis: ``power(q, s)`` and ``power(q, 1 - s)`` make ``q``."""
    return from_vector(share * part for part in to_vector(q))


def mean(rotations: Iterable[Quaternion]) -> Quaternion:
    """The rotation nearest to a few that lie close together.

    The eigenvector of the largest eigenvalue of the sum of q qT (Markley et al. 2007), for which q and -q are the same.
    """
    stack = np.array(list(rotations))
    x, y, z, w = map(float, np.linalg.eigh(stack.T @ stack)[1][:, -1])
    return (x, y, z, w)
