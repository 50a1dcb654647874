"""Head pose in yaw, pitch, roll and metres: from MediaPipe's facial transformation, and from what the encoder reads in a crop."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from freeavatar.rotation import angles, matrix
from freeavatar.types import Vector

FIELD_OF_VIEW: Final = np.radians(63.0)
"""Vertical field of view in radians that MediaPipe assumes for every image.

Distances follow from it. Angles suffer less: rendered heads of known pose give 0.95 of the true yaw for a lens of
about this field, 0.87 at 42 degrees and 0.83 at 20 degrees (pitch alike; roll is exact).
"""
CROP_FIELD_OF_VIEW: Final = np.radians(20.0)
"""Vertical field of view in radians of the camera that a crop is taken to come from: the frame of the encoder's head pose."""
_NEAREST: Final = 0.05
"""Metres that a head is away at least."""
_METRES: Final = 0.01
"""MediaPipe's canonical face is in centimetres."""


def head_pose(transformation: NDArray[np.floating], enlarged: float = 1.0) -> Vector:
    """Yaw, pitch, roll in radians and x, y, z in metres.

    MediaPipe's axes are already ours: camera at the origin looking along -Z, X to the right of the image (the
    subject's left), Y up, the face looking along +Z at rest.

    Args:
        transformation: (4, 4) facial transformation, column vectors, centimetres.
        enlarged: height of the image the landmarker saw, borders included, over the height of the frame, both in
            frame pixels. A border widens the assumed field of view of the frame itself, which would bring the
            head too near: the distance is scaled back.

    Returns:
        (6,) yaw, pitch, roll, x, y, z.
    """
    turn = angles(transformation[:3, :3])
    x, y, z = np.asarray(transformation[:3, 3], np.float64) * _METRES
    return np.array([*turn, x, y, z / enlarged], np.float32)


def pose_in_frame(pose: NDArray[np.floating], crop: NDArray[np.floating], size: int, width: int, height: int) -> Vector:
    """The pose in the frame of one that was read in a crop.

    Args:
        pose: (6,) yaw, pitch, roll, x, y, z in the crop's own camera (:data:`CROP_FIELD_OF_VIEW`).
        crop: (2, 3) similarity from frame pixels to crop pixels.
        size: side of the crop in pixels.
        width, height: of the frame in pixels.

    Returns:
        (6,) yaw, pitch, roll, x, y, z in a camera of :data:`FIELD_OF_VIEW`.
    """
    cos, sin = float(crop[0, 0]), float(crop[1, 0])
    upright = matrix(0, 0, np.arctan2(sin, cos)) @ matrix(*(float(v) for v in pose[:3]))
    x, y, z = float(pose[3]), float(pose[4]), min(float(pose[5]), -_NEAREST)
    crop_focal, focal = (side / 2 / np.tan(view / 2) for side, view in ((size, CROP_FIELD_OF_VIEW), (height, FIELD_OF_VIEW)))
    seen = np.array([x, -y]) / -z * crop_focal + (size - 1) / 2  # in crop pixels, y down
    place = np.linalg.solve(np.asarray(crop, np.float64)[:, :2], seen - crop[:, 2])
    distance = -z * focal / crop_focal * float(np.hypot(cos, sin))
    across, down = (place - [(width - 1) / 2, (height - 1) / 2]) * distance / focal
    return np.array([*angles(upright), across, -down, -distance], np.float32)
