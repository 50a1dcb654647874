"""Stage ``mae``: a facial feature space by masked autoencoding (He et al. 2022) of real and synthetic faces.

Three quarters of every picture are hidden; the network paints them, each patch normalised by its own mean and deviation.
No label is used. Pictures are cropped at random and mirrored, and nothing else is done to them, as published.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from freeavatar.errors import FreeAvatarError, SourceError
from freeavatar.models.vit import PRESETS, MaskedAutoencoder
from freeavatar.train.loop import CHECKPOINT, Batch, Outcome, Recipe, fit, load_average
from freeavatar.train.pictures import Jpeg, intact, load
from freeavatar.train.place import place
from freeavatar.train.pretrained import load_pretrained
from freeavatar.train.real_faces import RealFaces
from freeavatar.train.shards import cut, decode, stored_matrix

PATCH: Final = 16
AREA: Final = (0.3, 1.0)
"""Share of a stored picture that a random crop takes."""
RATIO: Final = 4 / 3
"""Largest ratio of the sides of a random crop."""
REAL: Final = 0.5
"""Share of real faces in a batch, where there are any."""


@dataclass(frozen=True)
class MaeConfig:
    """Pre-train a vision transformer as a masked autoencoder.

    Attributes:
        data: folders of shards written by tools/render_dataset.
        out: folder for checkpoints and logs.
        real: file written by tools/weak_labels; only its pictures are used.
        start: weights to start from: a checkpoint of this stage, or public ones of MAE or MAE-Face (.pth, .safetensors).
        model: size of the network.
        size: side of the crop in pixels, a multiple of 16.
        mask: share of the patches that is hidden.
        steps: optimiser steps.
        batch: crops a step and process.
        rate: peak learning rate for 256 crops a step; scaled in proportion to what there are.
        seed: seed of weights and data.
        threads: CPU threads; 0 leaves the choice to torch.
        workers: processes that prepare crops; 0 prepares them in the training process itself.
    """

    data: tuple[Path, ...]
    out: Path
    real: Path | None = None
    start: Path | None = None
    model: Literal["tiny", "small", "base"] = "tiny"
    size: int = 128
    mask: float = 0.75
    steps: int = 40000
    batch: int = 256
    rate: float = 1.5e-4
    seed: int = 0
    threads: int = 0
    workers: int = 1


class Faces:
    """Batches of ``image (B,3,S,S) uint8``: random crops of synthetic and real faces, half of them mirrored.

    Args:
        synthetic: pictures of one kind; ``real``: of the other, which may be empty.
        size: side of the crops in pixels.
        batch: crops a batch.
        seed: seed of all chance.
        rank: number of the process; each draws its own faces.
    """

    def __init__(self, synthetic: Sequence[Jpeg], real: Sequence[Jpeg], size: int, batch: int, seed: int, rank: int = 0) -> None:
        self.synthetic, self.real, self.size, self.rows, self.seed = synthetic, real, size, batch, [seed, rank]

    def batch(self, step: int) -> Batch:
        """The crops of a step, a function of the seed, the rank and the step."""
        rng = np.random.default_rng([*self.seed, step])
        crops = []
        for _ in range(self.rows):
            jpegs = self.real if self.real and rng.random() < REAL else self.synthetic
            image = decode(jpegs[int(rng.integers(len(jpegs)))])
            crops.append(cut(image, random_crop(self.size, image.shape[0], rng), self.size))
        return {"image": _stack(crops)}


def random_crop(size: int, side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(2, 3) map from the pixels of a stored picture, ``side`` wide, to a random part of it, stretched to ``size`` and maybe mirrored."""
    area, ratio = rng.uniform(*AREA), math.exp(rng.uniform(-1, 1) * math.log(RATIO) / 2)
    wide, high = (side * min(1.0, math.sqrt(area) * r) for r in (ratio, 1 / ratio))
    left, top = rng.uniform(0, side - wide), rng.uniform(0, side - high)
    x, y = size / wide, size / high
    # A pixel's coordinate is that of its centre.
    matrix = np.array([[x, 0, x * (0.5 - left) - 0.5], [0, y, y * (0.5 - top) - 0.5]])
    if rng.random() < 0.5:
        matrix[0] = np.array([0, 0, size - 1]) - matrix[0]
    return matrix


def straight(jpegs: Sequence[Jpeg], size: int) -> Tensor:
    """(N, 3, size, size) uint8 ideal crops, to judge a model by."""
    images = [decode(jpeg) for jpeg in jpegs]
    return _stack([cut(image, stored_matrix(np.zeros(4), size, image.shape[0]), size) for image in images])


def read_shards(folders: Sequence[Path]) -> list[Jpeg]:
    """The pictures of all shards of some folders, without broken ones.

    Raises:
        SourceError: no shards there, or more than 1 per cent of the pictures are broken.
    """
    found: list[Jpeg] = []
    for folder in folders:
        command = f"python tools/render_dataset.py {folder}"
        paths = sorted(p for p in folder.glob("shard_*.npz") if ".tmp" not in p.name)
        if not paths:
            raise SourceError(f"{folder}: holds no shards; make them with  {command}")
        jpegs = [jpeg for path in paths for jpeg in load(path, (), command)[0]]
        found += [jpegs[i] for i in intact(jpegs, folder)]
    return found


def train(config: MaeConfig) -> Path:
    """Run the stage; goes on from ``out/last.pt`` if that exists. Returns the checkpoint's path.

    Raises:
        FreeAvatarError: a setting makes no sense, the loss is not finite, or a file is unusable.
    """
    if config.size < 2 * PATCH or config.size % PATCH:
        raise FreeAvatarError(f"--size is {config.size}: expected a multiple of {PATCH}, at least {2 * PATCH}")
    if not (0 < config.mask < 1 and int((config.size // PATCH) ** 2 * (1 - config.mask))):
        raise FreeAvatarError(f"--mask is {config.mask}: expected a share that hides some of the patches and leaves some, such as 0.75")
    with place(config.threads) as where:
        torch.manual_seed(config.seed)
        architecture: dict[str, Any] = {"size": config.size, "patch": PATCH, **asdict(PRESETS[config.model]), "mask": config.mask}
        model = MaskedAutoencoder(**architecture).to(where.device)
        if config.start and not (config.out / CHECKPOINT).is_file():
            load_pretrained(model, config.start)
        real = RealFaces(config.real, config.size, 1, config.seed).jpegs if config.real else []
        source = Faces(read_shards(config.data), real, config.size, config.batch, config.seed, where.rank)
        rate = config.rate * config.batch * where.world / 256
        recipe = Recipe(config.out, config.steps, rate, config.seed, config.workers, betas=(0.9, 0.95), warm=0.05)
        return fit(model, _step, source, recipe, where, architecture, config)


def _step(network: Callable[..., Any], batch: Batch, number: int) -> Outcome:
    image = batch["image"].float()
    noise = torch.rand(len(image), (image.shape[2] // PATCH) ** 2, device=image.device)
    read = network(image, noise)
    return Outcome(read.loss, {}, read.feature.float())


def load_trained(path: Path) -> MaskedAutoencoder:
    """The averaged model of a checkpoint, ready to evaluate."""
    architecture, weights = load_average(path)
    model = MaskedAutoencoder(**architecture)
    model.load_state_dict(weights)
    return model.eval()


@torch.inference_mode()
def evaluate(model: MaskedAutoencoder, images: Tensor) -> dict[str, float]:
    """Scores on pictures (N, 3, S, S) that were not trained on, the same patches hidden every time.

    Returns:
        ``loss``: mean squared error of the hidden patches, in normalised pixels; ``mean_patch``: that of painting, at every
        place, the mean patch of these very pictures; ``images``: how many there were.
    """
    noise = torch.rand(len(images), model.patches, generator=torch.Generator().manual_seed(0))
    groups = [slice(start, start + 64) for start in range(0, len(images), 64)]
    mean = torch.stack([model.target(images[g].float()).sum(0) for g in groups]).sum(0) / len(images)
    loss = flat = 0.0
    for g in groups:
        image = images[g].float()
        read = model(image, noise[g])
        error = (model.target(image) - mean).square().mean(2)
        loss += read.loss.item() * len(image) / len(images)
        flat += ((error * read.hidden).sum() / read.hidden.sum()).item() * len(image) / len(images)
    return {"loss": loss, "mean_patch": flat, "images": float(len(images))}


def _stack(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
