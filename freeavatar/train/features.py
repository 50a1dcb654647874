"""What the encoder reads from the training pictures, read once and kept, so that the animator trains in minutes.

The exported graph reads them, as at run time, quantisation included.
"""

import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from freeavatar.encoder import Encoder
from freeavatar.output import replacing
from freeavatar.train.real_faces import RealFaces, view_of
from freeavatar.train.shards import Crops, Shards
from freeavatar.types import FaceCrop, Image

NOISE: Final = 3.0
"""Standard deviation of what a webcam adds to a pixel from frame to frame, in steps of 255."""
_PART: Final = 32
"""Crops read at once."""
_KEYS: Final = ("feature", "twin", "embedding", "arkit", "mask")
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Features:
    """M crops as the encoder sees them.

    Attributes:
        feature: (M, F).
        twin: (M, F) of the same crops under other noise.
        embedding: (M, D) of unit length.
        arkit: (M, 52) the truth; of real faces, which have none, what the encoder reads.
        mask: (M, 52) 1 where ``arkit`` is to be believed.
    """

    feature: Tensor
    twin: Tensor
    embedding: Tensor
    arkit: NDArray[np.float32]
    mask: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.feature)


def read_features(weights: Path, data: Sequence[Path], real: Path | None, cache: Path, seed: int = 0, workers: int = 2) -> Features:
    """Features of all crops, jittered and degraded; spoilt ones are left out.

    Args:
        weights: folder of the exported encoder.
        data: folders written by tools/render_dataset.
        real: file written by tools/weak_labels.
        cache: folder in which they are kept by the encoder's hash; pictures that it holds are not read again.
        seed: of the jitter.
        workers: threads.

    Raises:
        FreeAvatarError: the encoder or the pictures are not usable, or the cache cannot be written.
    """
    encoder = Encoder.load(weights, threads=1)
    place = cache / encoder.sha256[:12]
    place.mkdir(parents=True, exist_ok=True)
    parts = [_kept(place / f"{f.name}_{seed}.npz", _count(f), partial(_synthetic, encoder, f, seed, workers)) for f in data]
    if real is not None:
        parts.append(_kept(place / f"{real.stem}_{seed}.npz", real.stat().st_size, partial(_real, encoder, real, seed, workers)))
    joined = {key: np.concatenate([part[key] for part in parts]).astype(np.float32) for key in _KEYS}
    tensors = {key: torch.from_numpy(joined[key]) for key in ("feature", "twin", "embedding")}
    return Features(**tensors, arkit=joined["arkit"], mask=joined["mask"])


def _count(folder: Path) -> int:
    """Bytes of a folder's shards: another number means other pictures."""
    return sum(path.stat().st_size for path in folder.glob("shard_*.npz"))


def _kept(path: Path, size: int, read: Callable[[], Arrays]) -> Arrays:
    """The arrays of a file if it was made from pictures of this size, else those read, which it then holds."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if int(file["size"]) == size:
                return {key: file[key] for key in _KEYS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # not there, or damaged: it is made anew
    arrays = {key: value.astype(np.float16) for key, value in read().items()}
    with replacing(path) as temporary:
        np.savez(temporary, size=np.array(size), **arrays)  # type: ignore[arg-type]
    return arrays


def _synthetic(encoder: Encoder, folder: Path, seed: int, workers: int) -> Arrays:
    shards = Shards([folder])
    crops = Crops(shards, encoder.size, _PART, seed)

    def part(comparisons: NDArray[np.integer]) -> Arrays:
        rng = np.random.default_rng([seed, int(comparisons[0])])
        rows = crops.collect(comparisons, rng)
        good = rows["confidence"].numpy() > 0
        found = _encode(encoder, rows["image"].permute(0, 2, 3, 1).numpy()[good], rng)
        return found | {"arkit": rows["arkit"].numpy()[good], "mask": rows["mask"].numpy()[good]}

    return _spread(part, np.array_split(shards.whole, -(-len(shards.whole) * 4 // _PART)), workers, folder.name)


def _real(encoder: Encoder, path: Path, seed: int, workers: int) -> Arrays:
    faces = RealFaces(path, encoder.size, _PART, seed)

    def part(rows: NDArray[np.integer]) -> Arrays:
        rng = np.random.default_rng([seed, int(rows[0])])
        found = _encode(encoder, np.stack([view_of(faces.jpegs[i], encoder.size, rng, spoilt=False) for i in rows]), rng)
        return found | {"arkit": found["read"], "mask": np.ones_like(found["read"])}

    return _spread(part, np.array_split(np.arange(len(faces)), -(-len(faces) // _PART)), workers, path.stem)


def _spread(part: Callable[[Any], Arrays], jobs: Sequence[Any], workers: int, label: str) -> Arrays:
    with ThreadPoolExecutor(workers) as pool:
        done = list(tqdm(pool.map(part, jobs), total=len(jobs), desc=f"features, {label}", unit="part"))
    return {key: np.concatenate([arrays[key] for arrays in done]) for key in _KEYS}


def _encode(encoder: Encoder, images: NDArray[np.uint8], rng: np.random.Generator) -> Arrays:
    """What the encoder reads of (B, S, S, 3) crops, with and without noise."""
    noisy = (images + rng.normal(0, NOISE, images.shape)).clip(0, 255).round().astype(np.uint8)
    straight, twin = (encoder.encode([_crop(image) for image in some]) for some in (images, noisy))
    found = {key: np.stack([getattr(row, key) for row in straight]) for key in ("feature", "embedding")}
    return found | {"read": np.stack([row.arkit for row in straight]), "twin": np.stack([row.feature for row in twin])}


def _crop(image: Image) -> FaceCrop:
    return FaceCrop(image, np.eye(2, 3, dtype=np.float32), None, np.zeros(6, np.float32), 0.0, 0)
