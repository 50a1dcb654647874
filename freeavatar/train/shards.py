"""Crops with truth, as ``tools/render_dataset`` writes them, read back and jittered for training."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from freeavatar import rotation
from freeavatar.errors import SourceError
from freeavatar.train import webcam
from freeavatar.types import Image

CROP_FIELD_OF_VIEW: Final = math.radians(20)
"""Vertical field of view of the camera that a crop is taken to come from: the frame of the encoder's head pose."""
JITTER: Final = (0.022, 0.022, 0.04, 0.05)
"""Standard deviation of a training crop's dx, dy (fractions of the crop), log scale and roll (radians) from the ideal one."""
BENT: Final = 0.7
"""Share of crops that are bent into another face."""
NEGATIVES: Final = 0.06
"""Share of crops that are spoilt on purpose and teach the confidence to say no."""
_LABELS: Final = ("movement", "arkit", "mask", "gaze", "pose", "centre")


class Shards:
    """All images of a folder of shards: JPEG bytes in memory, labels as arrays.

    Args:
        folder: written by ``tools/render_dataset``.
        most: read at most this many shards.

    Raises:
        SourceError: no shards there.
    """

    def __init__(self, folder: Path, most: int | None = None) -> None:
        paths = sorted(p for p in folder.glob("shard_*.npz") if ".tmp" not in p.name)[:most]
        if not paths:
            raise SourceError(f"no shards in {folder}: make them with  python tools/render_dataset.py {folder}")
        self.jpegs: list[NDArray[np.uint8]] = []
        labels: dict[str, list[NDArray[np.generic]]] = {k: [] for k in (*_LABELS, "person", "family")}
        for path in paths:
            with np.load(path, allow_pickle=False) as z:
                data, offsets = z["jpeg"], z["offsets"]
                self.jpegs += [data[a:b] for a, b in itertools.pairwise(offsets)]
                for key, rows in labels.items():
                    rows.append(z[key])
        self.labels = {k: np.concatenate(v) for k, v in labels.items()}

    def __len__(self) -> int:
        return len(self.jpegs)

    def image(self, i: int) -> NDArray[np.uint8]:
        """(SIDE, SIDE, 3) RGB uint8 crop with margin."""
        return decode(self.jpegs[i])


def decode(jpeg: NDArray[np.uint8]) -> Image:
    """(SIDE, SIDE, 3) RGB uint8 crop with margin, as it is stored."""
    return np.ascontiguousarray(np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


def cut(image: Image, matrix: NDArray[np.floating], size: int) -> Image:
    """(size, size, 3) training crop of a stored one; ``matrix`` (2, 3) goes from stored pixels to the crop's."""
    crop = cv2.warpAffine(image, np.asarray(matrix), (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def stored_matrix(jitter: NDArray[np.floating], size: int, side: int) -> NDArray[np.float64]:
    """(2, 3) map from the pixels of a stored crop, ``side`` wide with its margin, to those of a displaced crop."""
    margin = (side - size) / 2
    return np.asarray(jitter_matrix(jitter, size) @ np.array([[1, 0, -margin], [0, 1, -margin], [0, 0, 1]]))


def jitter_matrix(jitter: NDArray[np.floating], size: int) -> NDArray[np.float64]:
    """(2, 3) map from ideal crop pixels to those of a crop displaced by (dx, dy, log scale, roll)."""
    dx, dy, log_scale, roll = (float(v) for v in jitter)
    c, s, k = math.cos(roll), math.sin(roll), math.exp(log_scale)
    linear = k * np.array([[c, -s], [s, c]])
    middle = np.array([size / 2 - 0.5] * 2)
    return np.column_stack([linear, middle + size * np.array([dx, dy]) - linear @ middle])


def jittered_pose(pose: NDArray[np.floating], centre: NDArray[np.floating], jitter: NDArray[np.floating]) -> NDArray[np.float32]:
    """(6,) head pose in the camera of a displaced crop, from yaw, pitch, roll and (x, y, side in metres) in the ideal one."""
    dx, dy, log_scale, spin = (float(v) for v in jitter)
    # Clockwise in the image is a negative roll.
    turn = rotation.matrix(0, 0, -spin) @ rotation.matrix(*(float(v) for v in pose))
    k = math.exp(log_scale)
    x, y = centre[0] - 0.5, centre[1] - 0.5
    x, y = k * (math.cos(spin) * x - math.sin(spin) * y) + dx, k * (math.sin(spin) * x + math.cos(spin) * y) + dy
    side = centre[2] / k
    return np.array([*rotation.angles(turn), x * side, -y * side, -side / 2 / math.tan(CROP_FIELD_OF_VIEW / 2)], np.float32)


class Crops(IterableDataset[dict[str, Tensor]]):
    """Endless batches of jittered, webcam-like crops.

    Each batch holds ``image (B,3,S,S) uint8``, ``movement``, ``arkit``, ``mask``, ``gaze``, ``head_pose (B,6)``,
    ``align (B,4)`` and ``confidence (B,)``; where confidence is 0 the other labels mean nothing.
    """

    def __init__(self, shards: Shards, size: int, batch: int, seed: int, augment: bool = True) -> None:
        self.shards, self.size, self.batch, self.seed, self.augment = shards, size, batch, seed, augment

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        worker = get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        cv2.setNumThreads(1)
        while True:
            order = rng.permutation(len(self.shards))
            for start in range(0, len(order) - self.batch + 1, self.batch):
                yield self.collect(order[start : start + self.batch], rng)

    def collect(self, rows: NDArray[np.integer], rng: np.random.Generator) -> dict[str, Tensor]:
        """The batch of the given rows."""
        items = [self._one(int(i), rng) for i in rows]
        batch = {k: torch.from_numpy(np.stack([item[k] for item in items])) for k in items[0]}
        batch["image"] = batch["image"].permute(0, 3, 1, 2).contiguous()
        for key in ("movement", "arkit", "mask", "gaze"):
            batch[key] = torch.from_numpy(self.shards.labels[key][rows])
        return batch

    def _one(self, i: int, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        image = self.shards.image(i)
        jitter = np.zeros(4)
        if self.augment:
            jitter = rng.normal(0, JITTER).clip((-0.07, -0.07, -0.12, -0.2), (0.07, 0.07, 0.12, 0.2))
        matrix = stored_matrix(jitter, self.size, image.shape[0])
        good = 1.0
        if self.augment and rng.random() < NEGATIVES:
            good = 0.0
            matrix = webcam.spoilt_crop(self.size, image.shape[0], rng)
        crop = cut(image, matrix, self.size)
        if self.augment:
            crop = webcam.degrade(webcam.bend(crop, rng) if rng.random() < BENT else crop, rng)
        return {
            "image": crop,
            "head_pose": jittered_pose(self.shards.labels["pose"][i], self.shards.labels["centre"][i], jitter),
            "align": jitter.astype(np.float32),
            "confidence": np.float32(good),  # type: ignore[dict-item]
        }
