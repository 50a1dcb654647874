"""Where an avatar's mouth, eyes and face are in its pictures, measured: they are what moves with their controls."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar.face.alignment import EYES, similarity
from freeavatar.face.tracker import FaceTracker
from freeavatar.rig import Rig
from freeavatar.train.avatar_pictures import Pictures, at_rest
from freeavatar.types import Frame, Image, Vector

MOUTH: Final = ("mouth", "jaw", "tongue")
LIDS: Final = ("eyes", "gaze")
REGIONS: Final = (MOUTH, (*LIDS, "brows"))
WEIGHT: Final = 5.0
"""How much more a pixel of a mouth or an eye counts in the loss."""
MOUTH_AT: Final = (0.5, 0.7)
"""Middle of what moves with the mouth, in the unit crop."""
_SIDE: Final = 64
_ENOUGH: Final = 2048
"""Pictures that the measurement looks at."""


def moving(pictures: Pictures, rig: Rig, regions: Sequence[str]) -> NDArray[np.float32]:
    """(H, W) 0..1, H = W at most 64: how much each pixel moves with the controls of some regions; 0 if there are none.

    By least squares from all controls to the pixels, so that what other controls move does not count; what chance alone
    would give is taken off. Pictures with the head at rest say it best and are preferred where there are enough of them.
    """
    columns = [i for i, control in enumerate(rig.controls) if control.region in regions]
    still, count = np.flatnonzero(at_rest(rig, pictures.values)), len(rig.controls)
    rows = (still if len(still) >= 4 * count else np.arange(len(pictures)))[:_ENOUGH]
    side = min(_SIDE, pictures.images.shape[1])
    small = np.stack([cv2.resize(pictures.images[i], (side, side), interpolation=cv2.INTER_AREA) for i in rows]) / np.float32(255)
    x, y = pictures.values[rows].astype(np.float64), small.reshape(len(rows), -1)
    x, y = x - x.mean(0), y - y.mean(0)
    # The ridge keeps controls that never move, or only together, at 0.
    inverse = np.linalg.inv(x.T @ x + 1e-3 * len(x) * np.eye(count))
    change = inverse @ (x.T @ y)
    noise = np.square(y - x @ change).sum(0) / max(1, len(x) - count)
    sure = np.square(change[columns]) - 2 * inverse.diagonal()[columns, None] * noise
    heat = np.sqrt(sure.clip(0).reshape(-1, side, side, 3).sum((0, 3)))
    heat = cv2.GaussianBlur(heat, (0, 0), side / 48)
    top = float(np.quantile(heat, 0.99))
    return np.asarray((heat / top).clip(0, 1) if top > 1e-6 else np.zeros_like(heat), np.float32)


def loss_weight(pictures: Pictures, rig: Rig) -> NDArray[np.float32]:
    """(S, S) weights of the pixels, of mean 1: those of mouth and eyes count up to 1 + :data:`WEIGHT` times as much as others."""
    heat = np.maximum.reduce([moving(pictures, rig, regions) for regions in REGIONS])
    weight = 1 + WEIGHT * cv2.resize(heat, pictures.images.shape[1:3], interpolation=cv2.INTER_LINEAR)
    return np.asarray(weight / weight.mean(), np.float32)


def tracked_face(neutral: Image) -> Vector | None:
    """(2, 3) map from the unit square of a picture to that of the encoder's crop, y down, as the tracker finds it.

    Args:
        neutral: the avatar at rest.

    Returns:
        None where the tracker sees no face, such as on a monitor's.
    """
    with FaceTracker(still=True) as tracker:
        found = tracker.track(Frame(neutral, 0.0, 0))
    if found is None:
        return None
    crop, side = tracker.size, len(neutral)
    linear = found.matrix[:, :2].astype(np.float64)
    # A pixel's coordinate is that of its centre.
    offset = (found.matrix[:, 2] + 0.5 - linear.sum(1) / 2) / crop
    return np.column_stack([linear * side / crop, offset]).astype(np.float32)


def moving_face(pictures: Pictures, rig: Rig) -> Vector:
    """The same map of a face that no tracker sees: eyes and mouth are where the pictures move with their controls.

    Where there are none, the whole picture is the face.
    """
    lids, mouth = moving(pictures, rig, LIDS), moving(pictures, rig, MOUTH)
    if not (lids.any() and mouth.any()):
        return np.eye(2, 3, dtype=np.float32)
    # The right eye is on the left of a picture that is not mirrored.
    middle = round(_middle(lids)[0] * len(lids))
    right, left = lids.copy(), lids.copy()
    right[:, middle:], left[:, :middle] = 0, 0
    source = np.stack([_middle(right), _middle(left), _middle(mouth)])
    return similarity(source, np.array([*EYES, MOUTH_AT])).astype(np.float32)


def _middle(heat: NDArray[np.float32]) -> NDArray[np.float64]:
    """(2,) x, y of the middle of what is warm, in the unit square."""
    y, x = np.nonzero(heat >= 0.75 * heat.max())
    return (np.array([x.mean(), y.mean()]) + 0.5) / len(heat)
