"""Stage ``expression``: supervised read-outs and a metric space from synthetic people.

The encoder learns, from crops of people whose expression is known, the movement of the skin (both head families in one
space, every face region equally heavy), ARKit weights where the family can express them, gaze, head pose, confidence
and misalignment. Distances in the embedding follow distances of skin movement across people. ``--real`` adds real faces
with a teacher's scores for the jaw, the smile and the lids; the last fifth of training does without it.
"""

import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from tqdm import tqdm

from freeavatar.errors import FreeAvatarError
from freeavatar.models.expression import ExpressionEncoder, Readings
from freeavatar.train.shards import JITTER, Crops, Shards


@dataclass(frozen=True)
class ExpressionConfig:
    """Train the expression encoder on shards of synthetic people.

    Attributes:
        data: folder written by tools/render_dataset.
        out: folder for checkpoints and logs.
        real: file written by tools/weak_labels: real faces with a teacher's scores.
        start: checkpoint to start from (weights only).
        steps: optimiser steps.
        batch: crops a step.
        rate: peak learning rate.
        seed: seed of weights and data.
        threads: CPU threads; 0 leaves the choice to torch.
        workers: processes that prepare crops; 0 prepares them in the training process itself.
        size: side of the crop in pixels.
    """

    data: Path
    out: Path
    real: Path | None = None
    start: Path | None = None
    steps: int = 9000
    batch: int = 64
    rate: float = 1e-3
    seed: int = 0
    threads: int = 0
    workers: int = 1
    size: int = 128


WEIGHTS = {"movement": 1.0, "arkit": 1.5, "gaze": 0.5, "pose": 0.3, "align": 0.15, "confidence": 0.1, "embedding": 0.3}
"""Weight of each loss term; every term is scaled to about 1 for a prediction of the mean."""
TEACHER = 1.0
"""Weight of the teacher's scores on real faces."""


def losses(read: Readings, batch: dict[str, Tensor], spread: Tensor) -> dict[str, Tensor]:
    """The loss terms of a batch.

    Args:
        read: outputs for the batch.
        batch: labels as :class:`freeavatar.train.shards.Crops` yields them.
        spread: scalar, mean squared norm of the movement labels around their mean.
    """
    good = batch["confidence"]
    count = good.sum().clamp(min=1)

    def mean(per_sample: Tensor) -> Tensor:
        return (per_sample * good).sum() / count

    wrong = (read.movement - batch["movement"]).square().sum(1) / spread
    # Half of the shapes rest in most pictures: moving ones weigh more.
    shape_error = F.smooth_l1_loss(read.arkit, batch["arkit"], beta=0.1, reduction="none") * batch["mask"] * (1 + 3 * batch["arkit"])
    pose_error = ((read.head_pose - batch["head_pose"]) / read.head_pose.new_tensor([0.25, 0.2, 0.1, 0.01, 0.01, 0.06])).square()
    align_error = ((read.align - batch["align"]) / read.align.new_tensor(JITTER)).square()
    return {
        "movement": mean(wrong),
        "arkit": mean(shape_error.sum(1) / batch["mask"].sum(1)) * 40,
        "gaze": mean(((read.gaze - batch["gaze"]) / 0.18).square().mean(1)),
        "pose": mean(pose_error.mean(1)),
        "align": mean(align_error.mean(1)),
        "confidence": F.binary_cross_entropy(read.confidence.float().clamp(1e-4, 1 - 1e-4), good),
        "embedding": _metric(read.embedding, batch["movement"], good > 0, spread),
    }


def _metric(embedding: Tensor, movement: Tensor, good: Tensor, spread: Tensor) -> Tensor:
    """Distances of unit embeddings follow saturating distances of skin movement, whoever moves."""
    e, m = embedding[good], movement[good]
    apart = torch.cdist(m, m) / spread.sqrt()
    target = 1.5 * (1 - torch.exp(-apart / 1.2))
    actual = (2 - 2 * e @ e.T).clamp(min=1e-6).sqrt()
    off = ~torch.eye(len(e), dtype=torch.bool, device=e.device)
    return (actual - target)[off].square().mean() * 8


def rate_at(step: int, config: ExpressionConfig) -> float:
    """Learning rate: warm-up over 3 per cent, then a cosine to a hundredth."""
    warm = max(1, config.steps * 3 // 100)
    if step < warm:
        return config.rate * (step + 1) / warm
    return config.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, config.steps - warm))))


def train(config: ExpressionConfig) -> Path:
    """Run the stage; goes on from ``out/last.pt`` if that exists. Returns the checkpoint's path.

    Raises:
        FreeAvatarError: the loss is not finite.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shards = Shards(config.data)
    movement = torch.from_numpy(shards.labels["movement"])
    spread = (movement - movement.mean(0)).square().sum(1).mean().to(device)
    architecture: dict[str, Any] = {"size": config.size, "movements": movement.shape[1]}
    model = channels_last(ExpressionEncoder(**architecture).to(device))
    moving_average = torch.optim.swa_utils.get_ema_multi_avg_fn(0.998)  # type: ignore[no-untyped-call]
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=moving_average, use_buffers=True)
    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW([{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}], lr=config.rate)
    step, last = 0, config.out / "last.pt"
    if last.is_file():
        state = torch.load(last, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step = state["step"]
    elif config.start:
        model.load_state_dict(torch.load(config.start, map_location=device, weights_only=True)["model"])
        average.module.load_state_dict(model.state_dict())

    def save() -> None:
        temporary = last.with_suffix(".tmp")
        state = {"model": model.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
        torch.save({**state, "architecture": architecture}, temporary)
        os.replace(temporary, last)

    (config.out / "config.json").write_text(json.dumps(asdict(config), default=str, indent=1))
    crops = Crops(shards, config.size, config.batch, seed=config.seed + step)
    loader = iter(_loader(crops, config.workers))
    real = None
    if config.real:
        from freeavatar.train.real_faces import RealFaces

        real = iter(RealFaces(config.real, config.size, config.batch // 4, config.seed + step))
    model.train()
    sums: dict[str, float] = {}
    saved = time.monotonic()
    with (config.out / "log.jsonl").open("a") as log, tqdm(initial=step, total=config.steps, unit="step") as bar:
        while step < config.steps:
            for group in optimiser.param_groups:
                group["lr"] = rate_at(step, config)
            batch = {k: v.to(device, non_blocking=True) for k, v in next(loader).items()}
            images = batch["image"]
            taught = real is not None and step < config.steps * 0.8
            if taught:
                faces = next(real)  # type: ignore[arg-type]
                images = torch.cat([images, faces["image"].to(device)])
            with torch.autocast(device.type, torch.bfloat16):
                read = model(images.float().contiguous(memory_format=torch.channels_last))
            read = Readings(*(r.float() for r in read))
            n = len(batch["image"])
            terms = losses(Readings(*(r[:n] for r in read)), batch, spread)
            total = sum((WEIGHTS[k] * v for k, v in terms.items()), torch.zeros((), device=device))
            if taught:
                error = F.smooth_l1_loss(read.arkit[n:], faces["arkit"].to(device), beta=0.1, reduction="none")
                terms["teacher"] = (error * faces["mask"].to(device)).sum(1).mean()
                total = total + TEACHER * terms["teacher"]
            if not torch.isfinite(total):
                raise FreeAvatarError(f"the loss is {total.item()} at step {step}: lower --rate (now {config.rate}) and start again")
            optimiser.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
            optimiser.step()
            average.update_parameters(model)
            step += 1
            bar.update()
            for key, value in terms.items():
                sums[key] = sums.get(key, 0.0) + value.item() / 100
            if step % 100 == 0:
                log.write(json.dumps({"step": step, **{k: round(v, 4) for k, v in sums.items()}}) + "\n")
                log.flush()
                bar.set_postfix({k: f"{v:.3f}" for k, v in sums.items()})
                sums = {}
            if time.monotonic() - saved > 120:
                save()
                saved = time.monotonic()
    save()
    return last


def _loader(crops: Crops, workers: int) -> DataLoader[dict[str, Tensor]]:
    if not workers:
        return DataLoader(crops, batch_size=None)
    # Not forked: a fork copies locks that other threads of this process may hold, and then waits for ever.
    return DataLoader(crops, batch_size=None, num_workers=workers, prefetch_factor=6, multiprocessing_context="spawn")


def channels_last(model: ExpressionEncoder) -> ExpressionEncoder:
    """The model with the memory layout that convolutions are fastest in."""
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def load_trained(path: Path) -> ExpressionEncoder:
    """The averaged model of a checkpoint, ready to evaluate or export."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = ExpressionEncoder(**state["architecture"])
    model.load_state_dict({k.removeprefix("module."): v for k, v in state["average"].items() if k.startswith("module.")})
    return model.eval()


@torch.inference_mode()
def evaluate(model: ExpressionEncoder, folder: Path, most: int | None = 5) -> dict[str, float]:
    """Scores on shards of held-out people: movement explained, ARKit error and correlation of moving shapes, gaze, pose."""
    shards = Shards(folder, most)
    crops = Crops(shards, model_size(model), 64, 0, augment=False)
    rng = np.random.default_rng(0)
    reads, labels = [], []
    for start in range(0, len(shards), 64):
        batch = crops.collect(np.arange(start, min(start + 64, len(shards))), rng)
        reads.append(model(batch.pop("image").float()))
        labels.append(batch)
    read = Readings(*(torch.cat(r) for r in zip(*reads, strict=True)))
    truth = {k: torch.cat([b[k] for b in labels]) for k in labels[0]}
    m = truth["movement"]
    active = (truth["arkit"] > 0.1) & (truth["mask"] > 0)
    look = torch.corrcoef(torch.stack([read.gaze[:, 0], truth["gaze"][:, 0]]))[0, 1]
    return {
        "movement_explained": 1 - ((read.movement - m).square().sum() / (m - m.mean(0)).square().sum()).item(),
        "arkit_active_mae": (read.arkit - truth["arkit"])[active].abs().mean().item(),
        "arkit_correlation": torch.corrcoef(torch.stack([read.arkit[truth["mask"] > 0], truth["arkit"][truth["mask"] > 0]]))[0, 1].item(),
        "gaze_yaw_correlation": look.item(),
        "head_yaw_mae": (read.head_pose - truth["head_pose"])[:, 0].abs().mean().item(),
        "images": float(len(shards)),
    }


def model_size(model: ExpressionEncoder) -> int:
    """Side in pixels of the crops that a model takes."""
    return math.isqrt(model.pos_embed.shape[1]) * 16
