"""Stage ``expression``: a metric space and read-outs, from comparisons of synthetic people and from real faces.

Synthetic people, whose expression is known, teach the movement of the skin (all head families in one space, every face
region equally heavy), ARKit weights where the family can express them, gaze, head pose, confidence and misalignment.
The embedding learns by comparison, as published (FreeAvatar, arXiv 2409.13180, stage 1b): triplets across identity,
pose, light and head family with hard, mirrored and intensity-ordered negatives; its distances follow those of skin
movement. ``--real`` adds real faces: emotion labels through a head of their own, agreement between two views of a face,
and a teacher: its scores for the jaw, the smile and the lids, and its order of two pictures of one person by their brows. The
last fifth of training does without.
``--raters`` adds triplets that people judged (FEC).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from freeavatar import arkit
from freeavatar.errors import WeightsError
from freeavatar.models.expression import SIZES, ExpressionEncoder, Readings
from freeavatar.train import losses, triplets
from freeavatar.train.emotion import EMOTIONS, emotion_triplets
from freeavatar.train.export import load_weights
from freeavatar.train.fec import TripletCrops
from freeavatar.train.loop import CHECKPOINT, Batch, Outcome, Recipe, fit, load_average
from freeavatar.train.place import place
from freeavatar.train.real_faces import CLEAR, RealFaces, brows
from freeavatar.train.shards import Crops, Shards

TEACHER: Final = 1.0
"""Weight of the teacher's scores on real faces, and of its order of two pictures of a person by their brows."""
TAUGHT: Final = 0.8
"""Share of the steps with a teacher."""
REAL: Final = {"emotion": 0.3, "emotion_triplet": 0.1, "agreement": 0.15, "tongue": 1.0}
"""Weights of what real faces teach: their emotion labels on the feature, through a head of their own; triplets by label on
the embedding, of small weight, since labels are noisy and an emotion is no expression; agreement of two views of a face; that
nobody sticks the tongue out: one that lies in an open mouth, as rendered heads hardly show it, is not out."""
RATERS: Final = 0.6
"""Weight of triplets that people judged."""


@dataclass(frozen=True)
class ExpressionConfig:
    """Train the expression encoder.

    Attributes:
        data: folders written by tools/render_dataset.
        out: folder for checkpoints and logs.
        real: file written by tools/weak_labels: real faces with emotion labels and a teacher's scores.
        raters: file written by tools/pack_triplets: triplets that people judged.
        teacher: use the teacher's scores on real faces.
        start: weights to start from: a checkpoint of this stage or of mae (with the same --model), or a weights folder.
        steps: optimiser steps.
        batch: synthetic crops a step; a quarter as many real faces, twice each.
        rate: peak learning rate.
        seed: seed of weights and data.
        threads: CPU threads; 0 leaves the choice to torch.
        workers: processes that prepare crops; 0 prepares them in the training process itself.
        size: side of the crop in pixels; None for the model's own.
        model: the encoder's size: fast and large have a convolutional stem; compact is a small one without transformer
            blocks; tiny, small and base go on from the stage mae.
    """

    data: tuple[Path, ...]
    out: Path
    real: Path | None = None
    raters: Path | None = None
    teacher: bool = True
    start: Path | None = None
    steps: int = 9000
    batch: int = 64
    rate: float = 1e-3
    seed: int = 0
    threads: int = 0
    workers: int = 1
    size: int | None = None
    model: Literal["fast", "large", "compact", "tiny", "small", "base"] = "fast"


class Mixture:
    """Batches of synthetic crops, and beside them (``real_…``, ``raters_…``) those of the other sources."""

    def __init__(self, crops: Crops, real: RealFaces | None, raters: TripletCrops | None) -> None:
        self.crops, self.others = crops, {"real": real, "raters": raters}

    def batch(self, step: int) -> Batch:
        batch = self.crops.batch(step)
        for prefix, source in self.others.items():
            if source is not None:
                batch |= {f"{prefix}_{name}": value for name, value in source.batch(step).items()}
        return batch


def train(config: ExpressionConfig) -> Path:
    """Run the stage; goes on from ``out/last.pt`` if that exists. Returns the checkpoint's path.

    Raises:
        FreeAvatarError: the loss is not finite, or a file is unusable.
    """
    with place(config.threads) as where:
        torch.manual_seed(config.seed)
        shards = Shards(config.data)
        space = losses.MovementSpace(torch.from_numpy(shards.labels["movement"])).to(where.device)
        movements = shards.labels["movement"].shape[1]
        architecture = {**SIZES[config.model], "movements": movements, "emotions": len(EMOTIONS)}
        size = architecture["size"] = config.size or architecture["size"]
        model = channels_last(ExpressionEncoder(**architecture).to(where.device))
        if config.start and not (config.out / CHECKPOINT).is_file():
            start(model, config.start)
        crops = Crops(shards, size, config.batch, config.seed, rank=where.rank)
        real = RealFaces(config.real, size, config.batch // 4, config.seed, rank=where.rank) if config.real else None
        raters = TripletCrops(config.raters, size, config.batch // 8, config.seed, rank=where.rank) if config.raters else None
        recipe = Recipe(config.out, config.steps, config.rate, config.seed, config.workers)
        until = int(config.steps * TAUGHT) if config.teacher else 0
        return fit(model, partial(_step, space, until), Mixture(crops, real, raters), recipe, where, architecture, config)


def start(model: ExpressionEncoder, path: Path) -> None:
    """Take over the averaged weights of a checkpoint, or those of a weights folder; what they lack or have otherwise stays new.

    Raises:
        WeightsError: nothing in it fits.
    """
    weights = load_weights(path).state_dict() if path.is_dir() else load_average(path)[1]
    if "cls_token" in weights:  # of the stage mae, whose first position is the class token's
        weights["pos_embed"] = weights["pos_embed"][:, 1:]
    own = model.state_dict()
    if "eyes.proj.weight" in own.keys() - weights.keys():  # the strip starts from what the whole face's stem sees
        weights |= {f"eyes.{name}": value for name, value in weights.items() if name.startswith("stem.")}
    fits = {k: v for k, v in weights.items() if k in own and v.shape == own[k].shape}
    if "patch_embed.proj.weight" not in fits:
        raise WeightsError(f"{path}: holds another encoder; train with the settings that it was made with")
    model.load_state_dict({**own, **fits})


def _step(space: losses.MovementSpace, taught: int, network: Callable[..., Any], batch: Batch, number: int) -> Outcome:
    """Every loss term of a batch."""
    parts: list[str] = [
        k for k in ("image", "real_image", "real_view", "raters_anchor", "raters_positive", "raters_negative") if k in batch
    ]
    images = torch.cat([batch[k] for k in parts])
    every = network(images.float().contiguous(memory_format=torch.channels_last))
    split = [r.float().split([len(batch[k]) for k in parts]) for r in every]
    read = {k: Readings(*(r[i] for r in split)) for i, k in enumerate(parts)}
    terms = losses.losses(read["image"], batch, space)
    weights = dict(losses.WEIGHTS)
    if "real_image" in batch:
        terms |= _real(read["real_image"], read["real_view"], batch, space, np.random.default_rng(number))
        weights |= {"teacher": TEACHER * (number < taught), "order": TEACHER * (number < taught), **REAL}
    if "raters_anchor" in batch:
        anchor, positive, negative = (read[k].embedding for k in ("raters_anchor", "raters_positive", "raters_negative"))
        terms["raters"] = triplets.triplet_loss(anchor, positive, negative, batch["raters_margin"]).mean() * 4
        weights["raters"] = RATERS
    total = torch.stack([weights[k] * v for k, v in terms.items()]).sum()
    return Outcome(total, terms, read["image"].embedding)


def _real(face: Readings, view: Readings, batch: Batch, space: losses.MovementSpace, rng: np.random.Generator) -> dict[str, Tensor]:
    """What real faces teach: two views of each, its emotion label, the teacher's scores and its order by brows."""
    error = F.smooth_l1_loss(face.arkit, batch["real_arkit"], beta=0.1, reduction="none") * batch["real_mask"]
    labels, persons = (batch[k].repeat(2).cpu().numpy() for k in ("real_label", "real_person"))
    rows = torch.from_numpy(emotion_triplets(labels, persons, rng, 2 * len(labels)))
    both = torch.cat([face.embedding, view.embedding])
    anchor, positive, negative = both[rows].unbind(1)
    apart = triplets.triplet_loss(anchor, positive, negative, both.new_full((len(rows),), triplets.MARGIN))
    # The straighter view leads: it is not pulled towards the one that is bent and spoilt more.
    tongue = torch.cat([face.arkit, view.arkit])[:, arkit.INDEX["tongueOut"]]
    disagreement = space.squared(view.movement - face.movement.detach()) + 2 * (view.embedding - face.embedding.detach()).square().sum(1)
    return {
        "teacher": error.sum(1).mean(),
        "order": (_order(face.arkit, batch) + _order(view.arkit, batch)) / 2,
        "emotion": F.cross_entropy(face.emotion, batch["real_label"], label_smoothing=0.2),
        "emotion_triplet": apart.sum() / max(1, len(rows)) * 4,
        "agreement": disagreement.mean(),
        "tongue": F.smooth_l1_loss(tongue, torch.zeros_like(tongue), beta=0.1),
    }


def _order(read: Tensor, batch: Batch) -> Tensor:
    """Of two faces of a person, whose brows the teacher sees clearly higher (or lower) shall read so by a margin, whatever its scores.

    A hinge loss over all such pairs of a batch, 1 where both read alike; 0 in a batch without any.
    """
    truth, person = brows(batch["real_arkit"], batch["real_mask"]), batch["real_person"]
    own = brows(read, torch.ones_like(read))
    more = (truth[:, None] - truth[None] > CLEAR) & (person[:, None] == person[None])[..., None]  # (B, B, 3); NaN is more than nothing
    short = F.relu(CLEAR - (own[:, None] - own[None])) / CLEAR
    return (short * more).sum() / more.sum().clamp(min=1)


def channels_last(model: ExpressionEncoder) -> ExpressionEncoder:
    """The model with the memory layout that convolutions are fastest in."""
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def load_trained(path: Path) -> ExpressionEncoder:
    """The averaged model of a checkpoint, ready to evaluate or export."""
    architecture, weights = load_average(path)
    model = ExpressionEncoder(**architecture)
    model.load_state_dict(weights)
    return model.eval()
