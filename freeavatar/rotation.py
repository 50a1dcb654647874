"""Rotations as the project writes them: yaw, pitch, roll, composed as Ry(yaw) Rx(pitch) Rz(roll), in radians."""

import numpy as np
from numpy.typing import NDArray


def matrix(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """(3, 3) rotation Ry(yaw) Rx(pitch) Rz(roll)."""
    (cy, cp, cr), (sy, sp, sr) = np.cos([yaw, pitch, roll]), np.sin([yaw, pitch, roll])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z, np.float64)


def angles(rotation: NDArray[np.floating]) -> tuple[float, float, float]:
    """Yaw, pitch, roll of a (3, 3) rotation, or of a rotation times a uniform scale.

    The inverse of :func:`matrix` for a pitch between -90 and 90 degrees; exactly there roll is 0.
    """
    m = np.asarray(rotation, np.float64)
    m = m / max(float(np.linalg.norm(m[:, 2])), 1e-12)
    pitch = float(np.arcsin(np.clip(-m[1, 2], -1.0, 1.0)))
    if np.hypot(m[0, 2], m[2, 2]) < 1e-7:
        return float(np.arctan2(-m[2, 0], m[0, 0])), pitch, 0.0
    return float(np.arctan2(m[0, 2], m[2, 2])), pitch, float(np.arctan2(m[1, 0], m[1, 1]))
