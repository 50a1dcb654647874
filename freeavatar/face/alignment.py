"""THE face crop: one similarity transform from landmarks to an upright square, and its inverse.

Training and run time share this module, so that a crop means the same everywhere. The transform is fitted by least
squares (Umeyama 1991, without reflection) to landmarks that hardly move with expression: eye corners and the bony
part of the nose. Both eye distance and eye-nose distance take part, so scale stays steady when the head turns.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar.types import Image, Vector

TEMPLATE: Final = "upright-2"
"""Name of the crop template; stored with every encoder, which refuses another."""

_POINTS: Final[dict[int, tuple[float, float]]] = {
    # MediaPipe index: (x, y) in the unit square, x to the right of the image (the subject's left), y down.
    33: (0.252, 0.305), 133: (0.417, 0.313),  # right eye, outer and inner corner
    263: (0.748, 0.305), 362: (0.583, 0.313),  # left eye, outer and inner corner
    168: (0.500, 0.287), 6: (0.500, 0.346),  # bridge of the nose
    98: (0.426, 0.559), 327: (0.574, 0.559), 2: (0.500, 0.582),  # wings and base of the nose
}  # fmt: skip
INDICES: Final = tuple(_POINTS)
"""MediaPipe indices of the landmarks that define the crop."""
_TARGET: Final = np.array(list(_POINTS.values()), np.float64)
EYES: Final = tuple((float(x), float(y)) for x, y in (_TARGET[:2].mean(0), _TARGET[2:4].mean(0)))
"""Centres of the right and the left eye in the unit crop."""


def similarity(source: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float64]:
    """Least-squares similarity (rotation, uniform scale, translation) from (N, 2) ``source`` to (N, 2) ``target``.

    Returns:
        (2, 3) matrix M with ``target ~ source @ M[:, :2].T + M[:, 2]``.

    Raises:
        ValueError: all source points coincide, so that no scale exists.
    """
    a, b = source - source.mean(0), target - target.mean(0)
    spread = float((a * a).sum())
    if not spread > 1e-12:
        raise ValueError("similarity: the source points coincide")
    cos = float((a * b).sum()) / spread
    sin = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / spread
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, target.mean(0) - linear @ source.mean(0)])


def crop_matrix(landmarks: NDArray[np.floating], size: int) -> Vector:
    """(2, 3) transform from frame pixels to the pixels of a ``size`` x ``size`` crop, from (478, 2+) landmarks."""
    # A pixel's coordinate is that of its centre, so the middle of the crop lies at (size - 1) / 2.
    return similarity(np.asarray(landmarks, np.float64)[list(INDICES), :2], _TARGET * size - 0.5).astype(np.float32)


def inverse(matrix: NDArray[np.floating]) -> Vector:
    """The inverse of a (2, 3) similarity: from crop pixels back to frame pixels."""
    linear = np.linalg.inv(np.asarray(matrix, np.float64)[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]]).astype(np.float32)


def displacement(align: NDArray[np.floating], size: int) -> NDArray[np.float64]:
    """(2, 3) map from the pixels of the ideal crop, ``size`` wide, to those of a crop displaced by ``align``.

    Args:
        align: (4,) dx, dy (fractions of the crop), log scale, roll (radians, clockwise in the image).
        size: side of both crops in pixels.
    """
    dx, dy, log_scale, roll = (float(v) for v in align)
    c, s, k = np.cos(roll), np.sin(roll), np.exp(log_scale)
    linear = k * np.array([[c, -s], [s, c]])
    middle = np.array([(size - 1) / 2] * 2)
    return np.column_stack([linear, middle + size * np.array([dx, dy]) - linear @ middle])


def transform(points: NDArray[np.floating], matrix: NDArray[np.floating]) -> Vector:
    """Apply a (2, 3) matrix to (..., 2) points."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], np.float32)


def warp(image: Image, matrix: NDArray[np.floating], size: int) -> Image:
    """Cut the crop out of an image; outside the frame the border colour is repeated.

    A crop that shrinks the image by more than two is taken from a halved image, so that it does not alias.
    """
    matrix = np.asarray(matrix, np.float64)
    while np.hypot(matrix[0, 0], matrix[1, 0]) < 0.5 and min(image.shape[:2]) > 1:
        height, width = image.shape[:2]
        image = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        # A pixel centre at x lies at (x + 0.5) / step - 0.5 in the halved image; an odd side's step is not exactly 2.
        step = np.array([width / image.shape[1], height / image.shape[0]])
        matrix = np.column_stack([matrix[:, :2] * step, matrix[:, 2] + matrix[:, :2] @ (step / 2 - 0.5)])
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def align(image: Image, landmarks: NDArray[np.floating], size: int) -> tuple[Image, Vector]:
    """The upright crop of a face.

    Args:
        image: (H, W, 3) RGB uint8.
        landmarks: (478, 2+) MediaPipe landmarks in pixels of ``image``.
        size: side of the crop in pixels.

    Returns:
        The (size, size, 3) crop and the (2, 3) matrix from frame pixels to crop pixels.
    """
    matrix = crop_matrix(landmarks, size)
    return warp(image, matrix, size), matrix
