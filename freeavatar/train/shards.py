"""Crops with truth, as ``tools/render_dataset`` writes them, read back and jittered for training."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from freeavatar import arkit, rotation
from freeavatar.errors import SourceError
from freeavatar.face.alignment import displacement
from freeavatar.face.pose import CROP_FIELD_OF_VIEW
from freeavatar.train import webcam
from freeavatar.train.pictures import INNER, SIDE, Jpeg, intact, load
from freeavatar.types import Image

JITTER: Final = (0.022, 0.022, 0.04, 0.05)
"""Standard deviation of a training crop's dx, dy (fractions of the crop), log scale and roll (radians) from the ideal one."""
BENT: Final = 0.12
"""Share of crops that are bent into another face."""
BROWS_MOVED: Final = 0.03
"""Share of crops whose brows are moved to another resting place."""
FOLDED: Final = 0.4
"""Share of crops whose skin folds with the brows."""
DEGRADED: Final = 0.65
"""Share of crops that are degraded by camera, codec, light or an occluder."""
NEGATIVES: Final = 0.06
"""Share of crops that are spoilt on purpose and teach the confidence to say no."""
_RAISED: Final = [arkit.INDEX[name] for name in ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")]
_LOWERED: Final = [arkit.INDEX[name] for name in ("browDownLeft", "browDownRight")]
_LABELS: Final = ("movement", "arkit", "mask", "gaze", "pose", "centre")


class Shards:
    """All comparisons of some folders of shards: JPEG bytes in memory, labels as arrays; rows 4i to 4i+3 belong together.

    Args:
        folders: written by ``tools/render_dataset``.
        most: read at most this many shards of each.

    Raises:
        SourceError: no shards there, or over 1 per cent of their pictures are broken.
    """

    def __init__(self, folders: Sequence[Path], most: int | None = None) -> None:
        self.jpegs: list[Jpeg] = []
        labels: dict[str, list[NDArray[Any]]] = {k: [] for k in (*_LABELS, "kind", "person")}
        for folder in folders:
            paths = sorted(p for p in folder.glob("shard_*.npz") if ".tmp" not in p.name)[:most]
            if not paths:
                raise SourceError(f"no shards in {folder}: make them with  python tools/render_dataset.py {folder}")
            for path in paths:
                jpegs, arrays = load(path, list(labels), f"python tools/render_dataset.py {folder}")
                self.jpegs += jpegs
                for key, rows in labels.items():
                    rows.append(arrays[key])
        self.labels = {k: np.concatenate(v) for k, v in labels.items()}
        self.labels["person"] = numbered(self.labels["person"])
        good = np.zeros(len(self.jpegs), bool)
        good[intact(self.jpegs, ", ".join(map(str, folders)))] = True
        self.whole = np.flatnonzero(good.reshape(-1, 4).all(1))
        """Comparisons whose four pictures can all be read."""

    def __len__(self) -> int:
        return len(self.jpegs)

    def image(self, i: int) -> NDArray[np.uint8]:
        """(SIDE, SIDE, 3) RGB uint8 crop with margin."""
        return decode(self.jpegs[i])


def numbered(names: NDArray[Any]) -> NDArray[np.int64]:
    """(N,) a number for each person of each run of comparisons that two people share: a known face is invented anew for each pair."""
    pairs = [frozenset(four) for four in names.reshape(-1, 4).tolist()]
    run = np.cumsum([0, *(a != b for a, b in itertools.pairwise(pairs))])
    keys = np.char.add(np.char.add(run.repeat(4).astype(str), " "), names.astype(str))
    return np.asarray(np.unique(keys, return_inverse=True)[1], np.int64)


def decode(jpeg: NDArray[np.uint8]) -> Image:
    """(SIDE, SIDE, 3) RGB uint8 crop with margin, as it is stored."""
    return np.ascontiguousarray(np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


def cut(image: Image, matrix: NDArray[np.floating], size: int) -> Image:
    """(size, size, 3) training crop of a stored one; ``matrix`` (2, 3) goes from stored pixels to the crop's."""
    crop = cv2.warpAffine(image, np.asarray(matrix), (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def stored_matrix(jitter: NDArray[np.floating], size: int, side: int) -> NDArray[np.float64]:
    """(2, 3) map from the pixels of a stored crop, ``side`` wide with its margin, to those of a displaced crop ``size`` wide."""
    scale = size * SIDE / (INNER * side)
    # A pixel's coordinate is that of its centre.
    shift = (size - 1) / 2 - scale * (side - 1) / 2
    return np.asarray(displacement(jitter, size) @ np.array([[scale, 0, shift], [0, scale, shift], [0, 0, 1]]))


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


def augment(crop: Image, rng: np.random.Generator, jitter: NDArray[np.floating], shapes: NDArray[np.floating] | None = None) -> Image:
    """The crop as it might be of another face through another camera; a third of them stay clean.

    Args:
        crop: (S, S, 3) RGB uint8.
        rng: source of chance.
        jitter: (4,) displacement of the crop from the ideal one.
        shapes: (52,) ARKit weights, by which a rendered face's skin folds; None where it does so by itself.
    """
    place = displacement(jitter, crop.shape[0])
    if rng.random() < BENT:
        crop = webcam.bend(crop, rng)
    if rng.random() < BROWS_MOVED:
        crop = webcam.shift_brows(crop, rng, place)
    if shapes is not None and rng.random() < FOLDED:
        crop = webcam.fold(crop, rng, float(shapes[_RAISED].mean()), float(shapes[_LOWERED].mean()), place)
    return webcam.degrade(crop, rng, place) if rng.random() < DEGRADED else crop


class Crops:
    """Batches of jittered, webcam-like crops, each a function of the seed, the process's rank and the step.

    Each batch holds ``image (B,3,S,S) uint8``, ``movement``, ``arkit``, ``mask``, ``gaze``, ``head_pose (B,6)``,
    ``align (B,4)``, ``confidence (B,)``, ``person (B,)`` and ``kind (B/4,2)`` (:mod:`freeavatar_renderer.comparisons`:
    rows come in fours); where confidence is 0 the other labels mean nothing.
    """

    def __init__(self, shards: Shards, size: int, batch: int, seed: int, augment: bool = True, rank: int = 0) -> None:
        self.shards, self.size, self.rows, self.seed, self.augment, self.rank = shards, size, batch, seed, augment, rank

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step: random comparisons, each with its neighbour, which mostly shows the same two people."""
        rng = np.random.default_rng([self.seed, self.rank, step])
        count, whole = self.rows // 4, self.shards.whole
        places = rng.integers(0, len(whole), -(-count // 2))[:, None] + np.arange(2)
        return self.collect(whole[places.ravel()[:count] % len(whole)], rng)

    def collect(self, comparisons: NDArray[np.integer], rng: np.random.Generator) -> dict[str, Tensor]:
        """The batch of the given comparisons."""
        rows = (comparisons[:, None] * 4 + np.arange(4)).ravel()
        items = [self._one(int(i), rng) for i in rows]
        batch = {k: torch.from_numpy(np.stack([item[k] for item in items])) for k in items[0]}
        batch["image"] = batch["image"].permute(0, 3, 1, 2).contiguous()
        for key in ("movement", "arkit", "mask", "gaze", "person"):
            batch[key] = torch.from_numpy(self.shards.labels[key][rows])
        batch["kind"] = torch.from_numpy(self.shards.labels["kind"][comparisons])
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
            crop = augment(crop, rng, jitter, self.shards.labels["arkit"][i] if good else None)
        return {
            "image": crop,
            "head_pose": jittered_pose(self.shards.labels["pose"][i], self.shards.labels["centre"][i], jitter),
            "align": jitter.astype(np.float32),
            "confidence": np.float32(good),  # type: ignore[dict-item]
        }
