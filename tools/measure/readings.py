"""What an encoder reads from the benchmark's pictures."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from freeavatar.encoder import Encoder
from freeavatar.face import alignment
from freeavatar.types import FaceCrop, Image

from .parallel import spread
from .pictures import Rows, decoded
from .real import picture

_AT_ONCE: Final = 200
_BATCH: Final = 8


@dataclass(frozen=True)
class _Part:
    """Pictures that one process reads: JPEG bytes, or names of files of a split of the real faces."""

    weights: Path | None
    variant: str | None
    pictures: Sequence[Any]
    landmarks: NDArray[np.float32]
    split: str = ""


@functools.cache
def _encoder(weights: Path | None, variant: str | None) -> Encoder:
    return Encoder.load(weights, threads=1, variant=variant)


def _read(part: _Part) -> Rows:
    encoder = _encoder(part.weights, part.variant)
    sizes = {"feature": encoder.feature_size, "embedding": encoder.embedding_size, "arkit": 52, "gaze": 2}
    rows: Rows = {key: np.full((len(part.pictures), size), np.nan, np.float32) for key, size in sizes.items()}
    seen = np.flatnonzero(np.isfinite(part.landmarks[:, 0, 0]))
    for some in np.split(seen, range(_BATCH, len(seen), _BATCH)):
        images = [picture(part.split, str(part.pictures[i])).image if part.split else decoded(part.pictures[i]) for i in some]
        crops = [_crop(image, part.landmarks[i], encoder.size) for image, i in zip(images, some, strict=True)]
        for i, read in zip(some, encoder.encode(crops), strict=True):
            for key in rows:
                rows[key][i] = getattr(read, key)
    return rows


def _crop(image: Image, landmarks: NDArray[np.float32], size: int) -> FaceCrop:
    cut, matrix = alignment.align(image, landmarks, size)
    return FaceCrop(cut, matrix, landmarks, np.zeros(6, np.float32), 0.0, 0)


def read(
    pictures: Sequence[Any],
    landmarks: NDArray[np.float32],
    weights: Path | None,
    variant: str | None,
    workers: int,
    label: str,
    split: str = "",
) -> Rows:
    """``feature``, ``embedding``, ``arkit`` and ``gaze`` of every picture; NaN where no face was found.

    Args:
        pictures: JPEG bytes, or file names of the real faces of ``split``.
        landmarks: (N, 478, 3) that the crops are cut by.
        weights: the encoder's folder; None takes the shipped one.
        variant: of its graphs; None takes the one that runs unless told otherwise.
        workers: processes, one thread each.
        label: of the progress bar.
        split: of the real faces.
    """
    cuts = range(0, len(pictures), _AT_ONCE)
    parts = [_Part(weights, variant, pictures[i : i + _AT_ONCE], landmarks[i : i + _AT_ONCE], split) for i in cuts]
    done = spread(_read, parts, workers, f"encoder, {label}")
    return {key: np.concatenate([rows[key] for rows in done]) for key in done[0]}
