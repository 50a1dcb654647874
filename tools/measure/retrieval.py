"""Does the avatar show what the person shows? Each frame of a clip looks for its own picture among those of the avatar.

Judged on raster pictures with the head at rest, by the embeddings of an encoder; one that the animator was not trained with
says most.
"""

import tempfile
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freeavatar.encoder import Encoder
from freeavatar.rig import ANIMATOR, Rig
from freeavatar.train.avatar_pictures import Painter
from freeavatar.train.renderer import RendererConfig, find_face
from freeavatar.types import FaceCrop, Vector

from .metrics import Array

FRAMES: Final = 50
"""Pictures among which a frame looks for its own."""


def ranks(person: Array, avatar: Array) -> Array:
    """(T,) of each frame, the place of its own picture among all by the cosine of what is left of the embeddings (T, D) when
    each domain's mean is taken off: 1 is the best, (T + 1) / 2 is chance. Ties share their places."""
    a, b = (rows - rows.mean(0) for rows in (person.astype(np.float64), avatar.astype(np.float64)))
    likeness = a @ (b / np.linalg.norm(b, axis=1, keepdims=True).clip(1e-9)).T
    own = likeness.diagonal()[:, None]
    return np.asarray(1 + (likeness > own + 1e-9).sum(1) + ((np.abs(likeness - own) <= 1e-9).sum(1) - 1) / 2, np.float64)


def spread_frames(count: int) -> NDArray[np.intp]:
    """Numbers of up to :data:`FRAMES` frames, evenly spread over a clip."""
    return np.unique(np.linspace(0, count - 1, min(FRAMES, count)).round().astype(np.intp))


class Portraits:
    """Embeddings of an avatar's raster pictures.

    Args:
        rig: the avatar.
        judge: reads them.
    """

    def __init__(self, rig: Rig, judge: Encoder) -> None:
        self.rig, self._judge = rig, judge
        with tempfile.TemporaryDirectory() as scratch:
            self._view = find_face(RendererConfig(rig.name, Path(scratch)), rig)

    def embed(self, values: Vector) -> Array:
        """(T, D) embeddings of control values (T, N) in their ranges; head and gaze are brought to rest."""
        free = np.array([c.source == ANIMATOR for c in self.rig.controls])
        still = self.rig.normalise(np.where(free, values, self.rig.neutral()))
        with Painter(self.rig, self._judge.size, self._view) as painter:
            pictures = [painter.paint(row) for row in still]
        return embed(pictures, self._judge)


def embed(pictures: list[NDArray[np.uint8]], judge: Encoder) -> Array:
    """(T, D) embeddings of crops."""
    none = np.eye(2, 3, dtype=np.float32), None, np.zeros(6, np.float32)
    crops = [FaceCrop(picture, *none, 0.0, i) for i, picture in enumerate(pictures)]
    parts = [judge.encode(crops[i : i + 16]) for i in range(0, len(crops), 16)]
    return np.stack([read.embedding for part in parts for read in part]).astype(np.float64)
