"""Stage ``renderer``: a network that draws one avatar from its controls, with a gradient that the raster does not have.

It learns from the raster's own pictures, or from pictures that a user brings from any engine, and is judged by what it is
for: whether the encoder reads the same expression from its pictures as from the true ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tyro.conf import Positional

from freeavatar.errors import FreeAvatarError, WeightsError
from freeavatar.models.expression import ExpressionEncoder, Readings
from freeavatar.network import WEIGHTS
from freeavatar.output import replacing
from freeavatar.rig import Rig, load_rig
from freeavatar.train.avatar_pictures import (
    LEAST,
    MOST,
    WHOLE,
    Painter,
    PictureBatches,
    Pictures,
    as_tensor,
    at_rest,
    read_pictures,
    render_pictures,
)  # fmt: skip
from freeavatar.train.export import load_weights
from freeavatar.train.expression import channels_last
from freeavatar.train.likeness import psnr, ssim
from freeavatar.train.loop import CHECKPOINT, Batch, Outcome, Recipe, fit, load_average
from freeavatar.train.place import has_bf16, place
from freeavatar.train.regions import loss_weight, moving_face, tracked_face
from freeavatar.types import Image, Vector
from freeavatar_renderer.neural import MODELS, NeuralRenderer, PatchRenderer, Renderer

EDGES: Final = 0.5
"""Weight of the differences between neighbouring pixels: lids and lips are thin."""
FEATURES: Final = 0.05
"""Weight of the distance of the encoder's features."""
LOOKED: Final = 16
"""Pictures a step that the encoder looks at: it costs more than the renderer."""
PIXELS_FIRST: Final = 0.5
"""Share of the run before the encoder looks."""
WINDOW: Final = 0.05
"""Share of the run that the average of the weights looks back on."""
TRACKED: Final = 512
"""Pixels of the picture in which the tracker looks for the avatar's face."""
GLANCED: Final = (256, 64)
"""Pictures, and their side in pixels, that show where a face moves which the tracker does not see."""
JUDGED: Final = 512
"""Held-out pictures that scores are taken from, at most."""
COLUMNS: Final = 8
"""Pictures in a row of the grid."""


@dataclass(frozen=True)
class RendererConfig:
    """Train the neural renderer of one avatar.

    Attributes:
        rig: name or folder of the avatar.
        out: folder for checkpoints, logs, the drawn pictures and the grid.
        pictures: folder of pictures and controls of one's own, instead of raster renders of the rig.
        images: raster renders to learn from.
        framing: ``face``: the encoder's crop with the head at rest, all that the animator's loop looks at; ``camera``: all that the
            camera sees, with the head turning.
        model: ``patches``; ``small``, convolutions, for turning heads; ``published`` for 256 pixels on a GPU.
        size: side of the pictures in pixels.
        steps: optimiser steps.
        batch: pictures a step and process.
        rate: peak learning rate.
        seed: seed of weights, control values and held-out pictures.
        threads: CPU threads; 0 leaves the choice to torch.
        encoder: weights folder of the encoder that looks at the pictures and judges them.
    """

    rig: Positional[str]
    out: Path
    pictures: Path | None = None
    images: int = 2048
    framing: Literal["face", "camera"] = "face"
    model: Literal["patches", "small", "published"] = "patches"
    size: int = 128
    steps: int = 2000
    batch: int = 32
    rate: float = 3e-3
    seed: int = 0
    threads: int = 0
    encoder: Path = WEIGHTS / "encoder"


def train(config: RendererConfig) -> Path:
    """Run the stage; goes on from ``out/last.pt`` if that exists. Returns the checkpoint's path.

    Raises:
        FreeAvatarError: a setting makes no sense, the loss is not finite, or a file is unusable.
    """
    if not 0 < config.images <= MOST:
        raise FreeAvatarError(f"--images is {config.images}: expected 1 to {MOST}")
    rig = load_rig(config.rig)
    with place(config.threads) as where:
        torch.manual_seed(config.seed)
        architecture: dict[str, Any] = {"model": config.model, "size": config.size, "controls": list(rig.names)}
        model = _build(architecture)
        last = config.out / CHECKPOINT
        if last.is_file():  # a new look of the avatar must not move what it has learnt
            known = load_trained(last, rig)
            view, crop = known.view.numpy(), known.face.numpy()
        else:
            face = find_face(config, rig)
            view, crop = (face, WHOLE) if config.framing == "face" else (WHOLE, face)
        learnt, _ = read(config, rig, view).split(config.seed)
        model.view.copy_(torch.from_numpy(view))
        model.face.copy_(torch.from_numpy(crop))
        if not last.is_file() and isinstance(model, PatchRenderer | NeuralRenderer):
            usual = np.median(learnt.images[:JUDGED], axis=0).astype(np.float32) / 255
            model.start_from(torch.from_numpy(usual).permute(2, 0, 1))
        weight = torch.from_numpy(loss_weight(learnt, rig)).to(where.device)
        model.to(where.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        source = PictureBatches(learnt, config.batch, config.seed, where.rank)
        average = 1 - 1 / max(1.0, WINDOW * config.steps)
        recipe = Recipe(config.out, config.steps, config.rate, config.seed, decay=0.0, betas=(0.9, 0.99), average=average)
        critic = Critic(load_weights(config.encoder).to(where.device), model.crop, as_tensor(learnt.images[:JUDGED]).to(where.device))
        look_from = round(PIXELS_FIRST * config.steps)
        return fit(model, partial(_step, weight, critic, look_from), source, recipe, where, architecture, config)


def read(config: RendererConfig, rig: Rig, view: Vector) -> Pictures:
    """All pictures of a run, those that are held out among them."""
    still = config.framing == "face"
    if not config.pictures:
        return render_pictures(rig, config.out / "pictures", config.images, config.size, config.seed, view, still)
    pictures = read_pictures(config.pictures, rig, config.size, view)
    if not still:
        return pictures
    rows = np.flatnonzero(at_rest(rig, pictures.values))
    if len(rows) < LEAST:
        raise FreeAvatarError(f"{config.pictures}: in {len(rows)} pictures the head is at rest; expected {LEAST}, or set --framing camera")
    return pictures.rows(rows)


def _build(architecture: dict[str, Any]) -> Renderer:
    try:
        return MODELS[architecture["model"]](len(architecture["controls"]), architecture["size"])
    except ValueError as error:
        raise FreeAvatarError(f"--model {architecture['model']}: {error}; set --size") from error


def find_face(config: RendererConfig, rig: Rig) -> Vector:
    """(2, 3) map from what the camera sees to the encoder's crop, both as the unit square with y down."""
    neutral, (count, side) = rig.normalise(rig.neutral()), GLANCED
    if config.pictures:
        pictures = read_pictures(config.pictures, rig, 2 * side)
        nearest = pictures.images[np.abs(pictures.values - neutral).sum(1).argmin()]
        found = tracked_face(np.asarray(cv2.resize(nearest, (TRACKED, TRACKED), interpolation=cv2.INTER_CUBIC), np.uint8))
        return moving_face(pictures, rig) if found is None else found
    with Painter(rig, TRACKED, WHOLE) as painter:
        found = tracked_face(painter.paint(neutral))
    return moving_face(render_pictures(rig, config.out / "glanced", count, side, config.seed), rig) if found is None else found


def picture_loss(painted: Tensor, wanted: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """Terms of the loss of pictures (B, 3, S, S) in 0..1: ``pixels`` and ``edges``, weighted by (S, S)."""
    off = painted - wanted
    across, down = off[..., 1:] - off[..., :-1], off[..., 1:, :] - off[..., :-1, :]
    edges = (across.abs() * weight[:, 1:]).mean() + (down.abs() * weight[1:]).mean()
    return {"pixels": (off.abs() * weight).mean(), "edges": edges}


def frozen(encoder: ExpressionEncoder) -> ExpressionEncoder:
    """The encoder, from now on for looking only."""
    return channels_last(encoder.eval().requires_grad_(False))


def look(encoder: ExpressionEncoder, crops: Tensor) -> Readings:
    """What the encoder reads from crops (B, 3, S, S) in 0..1.

    In bf16 where the device has it, which takes half the time and moves features by half a percent of the distance between two
    expressions.
    """
    with torch.autocast(crops.device.type, torch.bfloat16, enabled=has_bf16(crops.device)):
        readings: Readings = encoder(255 * crops.contiguous(memory_format=torch.channels_last))
    return readings


class Critic:
    """Looks at pictures with the encoder's eyes (Johnson et al. 2016, perceptual losses); changes nothing in the encoder.

    Args:
        encoder: reads expressions; frozen here.
        crop: cuts its crops out of pictures.
        pictures: (M, 3, S, S) uint8, whose features say what a large distance is.
    """

    def __init__(self, encoder: ExpressionEncoder, crop: Callable[[Tensor, int], Tensor], pictures: Tensor) -> None:
        self._encoder, self._crop = frozen(encoder), crop
        with torch.no_grad():
            features = torch.cat([self._read(part.float() / 255) for part in torch.split(pictures, LOOKED)])
        self._spread = (features - features.mean(0)).square().sum(1).mean().sqrt().clamp(min=1e-6)

    def __call__(self, painted: Tensor, wanted: Tensor) -> Tensor:
        """Mean distance of the features of pictures (B, 3, S, S) in 0..1, in units of their spread."""
        with torch.no_grad():
            true = self._read(wanted)
        distance: Tensor = torch.linalg.vector_norm(self._read(painted) - true, dim=1).mean() / self._spread
        return distance

    def _read(self, pictures: Tensor) -> Tensor:
        return look(self._encoder, self._crop(pictures, self._encoder.size)).feature.float()


def _step(weight: Tensor, critic: Critic, look_from: int, network: Callable[..., Any], batch: Batch, number: int) -> Outcome:
    painted, wanted = network(batch["values"]), batch["image"].float() / 255
    terms = picture_loss(painted, wanted, weight)
    loss = terms["pixels"] + EDGES * terms["edges"]
    if number >= look_from:
        terms["features"] = critic(painted[:LOOKED], wanted[:LOOKED])
        loss = loss + FEATURES * terms["features"]
    return Outcome(loss, terms, F.adaptive_avg_pool2d(painted, 8).flatten(1))


def load_trained(path: Path, rig: Rig) -> Renderer:
    """The averaged renderer of a checkpoint, frozen: gradients pass through it, none stays in it.

    Raises:
        WeightsError: no checkpoint of this stage, or of an avatar with other controls.
    """
    architecture, weights = load_average(path)
    if architecture.keys() != {"model", "size", "controls"} or architecture["model"] not in MODELS:
        raise WeightsError(f"{path}: holds no neural renderer; train one with  freeavatar train renderer {rig.name} --out ...")
    if architecture["controls"] != list(rig.names):
        raise WeightsError(f"{path}: was trained for other controls than those of rig {rig.name!r}; train it again")
    model = _build(architecture)
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False)


@torch.inference_mode()
def judge(model: Renderer, rig: Rig, pictures: Pictures, learnt: Pictures, encoder: ExpressionEncoder) -> dict[str, float]:
    """Scores on pictures that were not learnt from.

    Args:
        model: trained.
        rig: the avatar.
        pictures: those held out.
        learnt: those that the model learnt from: where the mouth and the eyes are, and the mean picture to compare with.
        encoder: judges expressions.

    Returns:
        ``psnr`` in dB and ``ssim``, means over pictures; ``psnr_parts``: with the pixels weighted as in the loss;
        ``psnr_mean``: PSNR of the mean picture instead of the network's; ``perceptual``: mean distance of the encoder's
        features of neural and true crops, ``expression_error``: that of its embeddings, of ``expression_images`` pictures
        with the head at rest, each as a share of the mean distance between two true pictures; ``expression_worst``: the
        95th percentile of that error; ``images``: how many there were. The expression scores are left out where fewer
        than 8 heads are at rest.
    """
    pictures = pictures.rows(np.arange(min(len(pictures), JUDGED)))
    true = as_tensor(pictures.images).float() / 255
    painted = torch.cat([model(part) for part in torch.split(torch.from_numpy(pictures.values), 32)]).clamp(0, 1)
    mean = torch.from_numpy(learnt.images.mean(0, dtype=np.float64)).permute(2, 0, 1)[None].float() / 255
    scores = {
        "psnr": psnr(painted, true).mean(), "psnr_parts": psnr(painted, true, torch.from_numpy(loss_weight(learnt, rig))).mean(),
        "psnr_mean": psnr(mean.expand_as(true), true).mean(), "ssim": ssim(painted, true).mean(),
    }  # fmt: skip

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        reads = [encoder(255 * model.crop(part, encoder.size)) for part in torch.split(images, 32)]
        return torch.cat([r.feature for r in reads]), torch.cat([r.embedding for r in reads])

    (feature, embedding), (true_feature, true_embedding) = read(painted), read(true)
    scores["perceptual"] = _relative(feature, true_feature).mean()
    still = torch.from_numpy(at_rest(rig, pictures.values))
    if still.sum() >= 8:
        error = _relative(embedding[still], true_embedding[still])
        scores |= {"expression_error": error.mean(), "expression_worst": error.quantile(0.95), "expression_images": still.sum()}
    return {name: float(value) for name, value in scores.items()} | {"images": float(len(pictures))}


def _relative(read: Tensor, true: Tensor) -> Tensor:
    """(B,) distance of each row from its true one, as a share of the mean distance of two true rows."""
    distance: Tensor = torch.linalg.vector_norm(read - true, dim=1) / F.pdist(true).mean()
    return distance


@torch.inference_mode()
def grid(model: Renderer, pictures: Pictures, rows: int = 2) -> Image:
    """(H, W, 3) RGB uint8: in each of the rows true pictures, below them those of the network and four times the difference."""
    chosen = np.linspace(0, len(pictures) - 1, min(rows * COLUMNS, len(pictures))).astype(np.intp)
    some = pictures.rows(chosen)
    true = some.images.astype(np.float32)
    painted = 255 * model(torch.from_numpy(some.values)).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    strips = []
    for start in range(0, len(some), COLUMNS):
        part = slice(start, start + COLUMNS)
        kinds = true[part], painted[part], 4 * np.abs(painted[part] - true[part])
        strip = np.concatenate([np.concatenate(list(images), axis=1) for images in kinds])
        strips.append(np.pad(strip, ((0, 4), (0, COLUMNS * model.size - strip.shape[1]), (0, 0)), constant_values=255))
    return np.concatenate(strips).round().clip(0, 255).astype(np.uint8)


def report(config: RendererConfig, last: Path) -> dict[str, float]:
    """:func:`judge` of a finished run, and its :func:`grid` as ``out/grid.png``."""
    rig = load_rig(config.rig)
    model = load_trained(last, rig)
    learnt, held_out = read(config, rig, model.view.numpy()).split(config.seed)
    with replacing(config.out / "grid.png") as temporary:
        temporary.write_bytes(cv2.imencode(".png", grid(model, held_out)[..., ::-1])[1].tobytes())
    return judge(model, rig, held_out, learnt, load_weights(config.encoder))
