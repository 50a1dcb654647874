"""Stage ``animator``: one network for all shipped avatars, from synthetic people whose expression is known.

A rig's truth is its own ARKit map applied to the person's true ARKit weights; a control is learnt from a person only if
the head family can express the shapes behind it. Real faces have no truth: there the animator is asked to agree with the
encoder's own ARKit read-out, so that it is at home with features of real faces, too.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from freeavatar.arkit import INDEX, NAMES
from freeavatar.errors import FreeAvatarError
from freeavatar.models.animator import Animator
from freeavatar.models.expression import ExpressionEncoder
from freeavatar.rig import ANIMATOR, Rig, list_rigs, load_rig
from freeavatar.train.export import check_exported, write_folder, write_onnx
from freeavatar.train.expression import channels_last, load_trained
from freeavatar.train.real_faces import RealFaces
from freeavatar.train.shards import Crops, Shards

CODE, QUERY = 16, 32
BETA = 0.2
"""Where the loss turns from squares to absolute values: with less, what is seen dimly stays at rest; with more, rest trembles."""
REST = 0.05
"""A truth below this counts as rest; moving controls weigh more."""


@dataclass(frozen=True)
class AnimatorConfig:
    """Train the animator on features of a trained encoder.

    Attributes:
        data: folders written by tools/render_dataset.
        encoder: checkpoint of the stage ``expression``.
        weights: weights folder of the exported encoder that the animator will refuse to run without.
        out: weights folder to write.
        real: file written by tools/weak_labels; only its pictures are used.
        rigs: names or folders of the avatars; all shipped ones if empty.
        epochs: passes over the data, each with fresh jitter.
        batch: crops a step.
        rate: peak learning rate.
        seed: seed of weights and data.
    """

    data: tuple[Path, ...]
    encoder: Path
    weights: Path
    out: Path
    real: Path | None = None
    rigs: tuple[str, ...] = ()
    epochs: int = 3
    batch: int = 128
    rate: float = 1e-3
    seed: int = 0


class Avatars(nn.Module):
    """What is learnt of each avatar: a code (K,) and a query (N, Q) for each of its animator-driven controls."""

    def __init__(self, rigs: Sequence[Rig]) -> None:
        super().__init__()
        self.codes = nn.ParameterDict({r.name: nn.Parameter(torch.randn(CODE) * 0.5) for r in rigs})
        self.queries = nn.ParameterDict({r.name: nn.Parameter(torch.randn(len(driven(r)), QUERY) * 0.5) for r in rigs})


def driven(rig: Rig) -> list[int]:
    """Indices of the controls that the animator drives."""
    return [i for i, control in enumerate(rig.controls) if control.source == ANIMATOR]


def truth(rig: Rig, arkit: NDArray[np.floating], mask: NDArray[np.floating]) -> tuple[Tensor, Tensor]:
    """Normalised values (B, N) of the driven controls and what of them is known (B, N), from ARKit truth (B, 52)."""
    columns = driven(rig)
    values = rig.normalise(rig.from_arkit(arkit))[:, columns]
    needs = np.zeros((len(columns), len(NAMES)), np.float32)
    for row, i in enumerate(columns):
        needs[row, [INDEX[shape] for shape in rig.controls[i].arkit]] = 1
    known = (1 - mask) @ needs.T == 0  # no missing shape behind the control
    return torch.from_numpy(values), torch.from_numpy(known & (needs.sum(1) > 0))


@torch.inference_mode()
def features(
    model: ExpressionEncoder, shards: Shards, seed: int, augment: bool, batch: int = 128
) -> tuple[Tensor, NDArray[np.float32], NDArray[np.float32]]:
    """Features (M, F), ARKit truth and mask (M, 52) of one pass over the shards; spoilt crops are left out."""
    crops, rng = Crops(shards, model.size, batch, seed, augment), np.random.default_rng(seed)
    found, shapes, masks = [], [], []
    parts = np.array_split(shards.whole, max(1, 4 * len(shards.whole) // batch))
    for comparisons in tqdm(parts, desc="features", unit="batch"):
        rows = crops.collect(comparisons, rng)
        good = rows["confidence"] > 0
        with torch.autocast("cpu", torch.bfloat16):
            read = model(rows["image"].float().contiguous(memory_format=torch.channels_last))
        found.append(read.feature.float()[good])
        shapes.append(rows["arkit"][good].numpy())
        masks.append(rows["mask"][good].numpy())
    return torch.cat(found), np.concatenate(shapes), np.concatenate(masks)


@torch.inference_mode()
def real_features(model: ExpressionEncoder, path: Path, seed: int, batch: int = 128) -> tuple[Tensor, NDArray[np.float32]]:
    """Features (M, F) of as many random real faces as there are, and the encoder's own ARKit read-out (M, 52)."""
    faces = RealFaces(path, model.size, batch, seed)
    reads = []
    for step in tqdm(range(len(faces) // batch), desc="real faces", unit="batch"):
        with torch.autocast("cpu", torch.bfloat16):
            reads.append(model(faces.images(step).float().contiguous(memory_format=torch.channels_last)))
    return torch.cat([r.feature.float() for r in reads]), torch.cat([r.arkit.float() for r in reads]).numpy()


def loss_of(predicted: Tensor, wanted: Tensor, known: Tensor, rest: Tensor) -> Tensor:
    """Smooth L1 over the known controls; those that move count four times."""
    weight = known * (1 + 3 * ((wanted - rest).abs() > REST))
    return (F.smooth_l1_loss(predicted, wanted, beta=BETA, reduction="none") * weight).sum() / weight.sum().clamp(min=1)


def train(config: AnimatorConfig) -> Path:
    """Run the stage and write the weights folder; returns it.

    Raises:
        FreeAvatarError: the loss is not finite.
    """
    torch.manual_seed(config.seed)
    encoder = load_trained(config.encoder)
    check_exported(encoder, config.weights)
    encoder = channels_last(encoder)
    shards = Shards(config.data)
    rigs = [load_rig(name) for name in config.rigs or list_rigs()]
    model, avatars = Animator(encoder.to_feature.out_features, CODE, QUERY), Avatars(rigs)
    parameters = [*model.parameters(), *avatars.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=config.rate, weight_decay=1e-3)
    passes = 6
    count = len(shards) + (len(RealFaces(config.real, 128, 1, 0).jpegs) if config.real else 0)
    total = config.epochs * passes * (count // config.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.rate, total_steps=total + passes * config.epochs + 1)
    for epoch in range(config.epochs):
        x, shapes, masks = features(encoder, shards, config.seed + epoch, augment=True)
        if config.real:
            more, own = real_features(encoder, config.real, config.seed + epoch)
            x, shapes, masks = torch.cat([x, more]), np.concatenate([shapes, own]), np.concatenate([masks, np.ones_like(own)])
        labels = {rig.name: truth(rig, shapes, masks) for rig in rigs}
        rests = {rig.name: torch.from_numpy(rig.normalise(rig.neutral())[driven(rig)]) for rig in rigs}
        # The features of a pass are cheap to reuse: the encoder is by far the slower part.
        for _ in range(passes):
            order = torch.randperm(len(x))
            running = 0.0
            for start in range(0, len(x) - config.batch + 1, config.batch):
                rows = order[start : start + config.batch]
                noisy = x[rows] + 0.03 * torch.randn(len(rows), x.shape[1])
                loss = torch.zeros(())
                for rig in rigs:
                    code = avatars.codes[rig.name].expand(len(rows), -1)
                    wanted, known = labels[rig.name]
                    loss = loss + loss_of(model(noisy, code, avatars.queries[rig.name]), wanted[rows], known[rows], rests[rig.name])
                if not torch.isfinite(loss):
                    raise FreeAvatarError(f"the animator's loss is {loss.item()}: lower --rate (now {config.rate})")
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
                running += loss.item()
        print(f"epoch {epoch + 1}: loss {running / max(1, len(x) // config.batch):.4f}")
    export_animator(model.eval(), avatars, rigs, config.weights, config.out)
    (config.encoder.parent / "animator_config.json").write_text(json.dumps(asdict(config), default=str, indent=1))
    return config.out


def export_animator(model: Animator, avatars: Avatars, rigs: Sequence[Rig], encoder: Path, folder: Path) -> None:
    """Write the animator's weights folder: graph, avatars.safetensors, fp16 weights, config."""
    from safetensors.torch import save_file

    encoder_config = json.loads((encoder / "config.json").read_text())

    def fill(place: Path) -> dict[str, object]:
        example = [torch.randn(2, encoder_config["feature_size"]), torch.randn(2, CODE), torch.randn(5, QUERY)]
        axes = {"feature": {0: "batch"}, "code": {0: "batch"}, "queries": {0: "controls"}, "values": {0: "batch", 1: "controls"}}
        write_onnx(model, example, place / "model.onnx", ["feature", "code", "queries"], ["values"], axes)
        tensors = {f"{r.name}.code": avatars.codes[r.name].detach() for r in rigs}
        tensors |= {f"{r.name}.queries": avatars.queries[r.name].detach() for r in rigs}
        save_file(tensors, place / "avatars.safetensors")
        save_file({k: v.half() for k, v in model.state_dict().items()}, place / "model.safetensors")
        return {
            "format": 1, "encoder_sha256": encoder_config["sha256"], "feature_version": encoder_config["feature_version"],
            "feature_size": encoder_config["feature_size"], "code_size": CODE, "query_size": QUERY,
            "rigs": {r.name: [r.controls[i].name for i in driven(r)] for r in rigs},
        }  # fmt: skip

    write_folder(folder, fill)
