"""Quaternions xyzw, for the formats that carry rotations as such."""

import math

Quaternion = tuple[float, float, float, float]
"""x, y, z, w of unit length."""


def from_angles(yaw: float, pitch: float, roll: float) -> Quaternion:
    """The rotation Ry(yaw) Rx(pitch) Rz(roll), angles in radians, as in :mod:`freeavatar.rotation`."""

    def about(axis: int, angle: float) -> Quaternion:
        s = math.sin(angle / 2)
        return (s * (axis == 0), s * (axis == 1), s * (axis == 2), math.cos(angle / 2))

    return multiply(multiply(about(1, yaw), about(0, pitch)), about(2, roll))


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    """The rotation ``a`` after the rotation ``b``."""
    (ax, ay, az, aw), (bx, by, bz, bw) = a, b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def power(q: Quaternion, share: float) -> Quaternion:
    """A share of a rotation about the same axis: ``power(q, s)`` and ``power(q, 1 - s)`` make ``q``."""
    x, y, z, w = q if q[3] >= 0 else (-q[0], -q[1], -q[2], -q[3])  # the short way round
    length = math.sqrt(x * x + y * y + z * z)
    half = math.atan2(length, w) * share
    scale = math.sin(half) / length if length > 0 else 0.0
    return (x * scale, y * scale, z * scale, math.cos(half))
