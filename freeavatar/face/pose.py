"""Head pose: from MediaPipe's facial transformation matrix to the project's yaw, pitch, roll and metres."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from freeavatar.rotation import angles
from freeavatar.types import Vector

FIELD_OF_VIEW: Final = np.radians(63.0)
"""Vertical field of view in radians that MediaPipe assumes for every image.

Distances follow from it. Angles suffer less: rendered heads of known pose give 0.95 of the true yaw for a lens of
about this field, 0.87 at 42 degrees and 0.83 at 20 degrees (pitch alike; roll is exact).
"""
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
    turn = angles(matrix[:3, :3])
    x, y, z = np.asarray(matrix[:3, 3], np.float64) * _METRES
    return np.array([*turn, x, y, z / enlarged], np.float32)
