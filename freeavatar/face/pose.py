"""Head pose: from MediaPipe's facial transformation matrix to the project's yaw, pitch, roll and metres."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from freeavatar.types import Vector

FIELD_OF_VIEW: Final = np.radians(63.0)
"""Vertical field of view in radians that MediaPipe assumes for every image; distances follow from it."""
_METRES: Final = 0.01
"""MediaPipe's canonical face is in centimetres."""


def head_pose(matrix: NDArray[np.floating], enlarged: float = 1.0) -> Vector:
    """Yaw, pitch, roll in radians and x, y, z in metres.

    MediaPipe's axes are already ours: camera at the origin looking along -Z, X to the right of the image (the
    subject's left), Y up, the face looking along +Z at rest.

    Args:
        matrix: (4, 4) facial transformation, column vectors, centimetres.
        enlarged: height of the image the landmarker saw, borders included, over the height of the frame, both in
            frame pixels. A border widens the assumed field of view of the frame itself, which would bring the
            head too near: the distance is scaled back.

    Returns:
        (6,) yaw, pitch, roll, x, y, z.
    """
    angles = euler(matrix[:3, :3])
    x, y, z = np.asarray(matrix[:3, 3], np.float64) * _METRES
    return np.array([*angles, x, y, z / enlarged], np.float32)


def rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """(3, 3) rotation Ry(yaw) Rx(pitch) Rz(roll), radians."""
    (cy, cp, cr), (sy, sp, sr) = np.cos([yaw, pitch, roll]), np.sin([yaw, pitch, roll])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z, np.float64)


def euler(matrix: NDArray[np.floating]) -> tuple[float, float, float]:
    """Yaw, pitch, roll in radians of a (3, 3) rotation, or of a rotation times a uniform scale.

    The inverse of :func:`rotation` for a pitch between -90 and 90 degrees; exactly there roll is 0.
    """
    m = np.asarray(matrix, np.float64)
    m = m / max(float(np.linalg.norm(m[:, 2])), 1e-12)
    pitch = float(np.arcsin(np.clip(-m[1, 2], -1.0, 1.0)))
    if np.hypot(m[0, 2], m[2, 2]) < 1e-7:
        return float(np.arctan2(-m[2, 0], m[0, 0])), pitch, 0.0
    return float(np.arctan2(m[0, 2], m[2, 2])), pitch, float(np.arctan2(m[1, 0], m[1, 1]))
