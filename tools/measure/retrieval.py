"""Does the avatar show what the person shows? Each frame of a clip looks for its own picture among those of the avatar.

Judged on raster pictures with the head at rest: by the embeddings of an encoder, of which one that the animator was not trained
with says most; or, where it is known what the person does, by the picture of the avatar that does just that.
"""

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar import arkit
from freeavatar.encoder import Encoder
from freeavatar.errors import FreeAvatarError
from freeavatar.face import FaceTracker
from freeavatar.face.alignment import align
from freeavatar.rig import ANIMATOR, Rig
from freeavatar.sources import open_source
from freeavatar.train.avatar_pictures import Painter
from freeavatar.train.renderer import RendererConfig, find_face
from freeavatar.types import FaceCrop, Frame, Image, Vector

from .metrics import Array

FRAMES: Final = 50
"""Pictures among which a frame looks for its own."""
SIDE: Final = 96
"""Side of the pictures that are compared pixel by pixel."""
Sizes = dict[int, FaceCrop]
"""Crops of one face by their side in pixels: each encoder takes its own."""


def ranks(person: Array, avatar: Array) -> Array:
    """(T,) of each frame, the place of its own picture among all by the cosine of what is left of the embeddings (T, D) when
    each domain's mean is taken off: 1 is the best, (T + 1) / 2 is chance. Ties share their places."""
    a, b = (rows - rows.mean(0) for rows in (person.astype(np.float64), avatar.astype(np.float64)))
    likeness = a @ (b / np.linalg.norm(b, axis=1, keepdims=True).clip(1e-9)).T
    return _places(likeness, 1e-9)


def nearest(truth: Sequence[Image], avatar: Sequence[Image]) -> Array:
    """(T,) of each frame, the place of the avatar's own picture among all of its T, by how far each is, pixel by pixel, from the
    picture of the same avatar that does what the person does in that frame. Ties share their places."""
    a, b = (np.stack(pictures).reshape(len(pictures), -1).astype(np.float64) for pictures in (truth, avatar))
    apart = (a * a).sum(1)[:, None] - 2 * a @ b.T + (b * b).sum(1)  # squared distances
    return _places(-apart, 1e-3)


def _places(likeness: Array, alike: float) -> Array:
    """(T,) of each row of (T, T), the place of the column of the same number, the largest first; closer than ``alike`` is a tie."""
    own = likeness.diagonal()[:, None]
    return np.asarray(1 + (likeness > own + alike).sum(1) + ((np.abs(likeness - own) <= alike).sum(1) - 1) / 2, np.float64)


def read_truth(path: Path) -> Array:
    """(T, 52) ARKit weights of every frame of a clip, as ``tools/render_clip`` writes them.

    Raises:
        FreeAvatarError: no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            truth = file["arkit"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise FreeAvatarError(f"{path}: is no truth of a clip ({error}); expected what tools/render_clip.py --truth writes") from error
    if truth.ndim != 2 or truth.shape[1] != len(arkit.NAMES) or not np.isfinite(truth).all():
        raise FreeAvatarError(f"{path}: arkit is of shape {truth.shape}; expected a row of {len(arkit.NAMES)} finite weights a frame")
    return np.asarray(truth, np.float64)


def spread_frames(count: int) -> NDArray[np.intp]:
    """Numbers of up to :data:`FRAMES` frames, evenly spread over a clip."""
    return np.unique(np.linspace(0, count - 1, min(FRAMES, count)).round().astype(np.intp))


def faces_of(video: Path, sizes: Collection[int]) -> list[Sizes]:
    """The face of evenly spread frames, in crops of every size, with MediaPipe's scores.

    Raises:
        FreeAvatarError: the video cannot be read, or a face is seen in fewer than 2 frames.
    """
    with open_source(video) as source, FaceTracker(peer=True) as tracker:
        found = [_cut(frame, crop, sizes) for frame in source if (crop := tracker.track(frame)) is not None]
    if len(found) < 2:
        raise FreeAvatarError(f"{video}: a face is seen in {len(found)} frames; expected at least 2")
    return [found[i] for i in spread_frames(len(found))]


def _cut(frame: Frame, crop: FaceCrop, sizes: Collection[int]) -> Sizes:
    cuts = {size: align(frame.image, np.asarray(crop.landmarks), size) for size in sizes}
    return {size: replace(crop, image=image, matrix=matrix) for size, (image, matrix) in cuts.items()}


class Portraits:
    """An avatar's raster pictures, framed as an encoder's crops.

    Args:
        rig: the avatar.
    """

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        with tempfile.TemporaryDirectory() as scratch:
            self._view = find_face(RendererConfig(rig.name, Path(scratch)), rig)

    def paint(self, values: Vector, sizes: Collection[int]) -> dict[int, list[Image]]:
        """T pictures of control values (T, N) in their ranges, by their side in pixels; head and gaze are brought to rest."""
        free = np.array([c.source == ANIMATOR for c in self.rig.controls])
        still = self.rig.normalise(np.where(free, values, self.rig.neutral()))
        with Painter(self.rig, max(sizes), self._view) as painter:
            large = [painter.paint(row) for row in still]
        return {size: [_shrink(picture, size) for picture in large] for size in sizes}


def _shrink(picture: Image, size: int) -> Image:
    return picture if len(picture) == size else cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def embed(pictures: Sequence[Image], judge: Encoder) -> Array:
    """(T, D) embeddings of crops."""
    none = np.eye(2, 3, dtype=np.float32), None, np.zeros(6, np.float32)
    crops = [FaceCrop(picture, *none, 0.0, i) for i, picture in enumerate(pictures)]
    parts = [judge.encode(crops[i : i + 16]) for i in range(0, len(crops), 16)]
    return np.stack([read.embedding for part in parts for read in part]).astype(np.float64)
