"""Stage ``animator``: one network for all shipped avatars, from synthetic people whose expression is known.

A rig's truth is its own ARKit map applied to the person's true ARKit weights; a control is learnt from a person only if
the head family can express the shapes behind it. Real faces have no truth: there the animator is asked to agree with the
encoder's own ARKit read-out, so that it is at home with features of real faces, too; and, through a frozen neural renderer
where there is one, to show on the avatar what the person shows.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from freeavatar.errors import FreeAvatarError, RigError
from freeavatar.models.animator import NETWORKS, MlpAnimator, Network
from freeavatar.rig import Rig, list_rigs, load_rig
from freeavatar.train.controls import Goal, goal, maps, total, truth
from freeavatar.train.export import load_weights, write_folder, write_onnx
from freeavatar.train.features import Features, read_features
from freeavatar.train.perceptual import Perceptual, load

CODE, QUERY = 16, 64
EXAMPLES: Final = 1600
"""Crops whose features ship, for avatars that are fitted later."""


RESTLESS: Final = 0.2
"""Share of the most restless control of a face in ``steadiness``: viewers see the one that trembles, not the mean."""
SEEN: Final = 32
"""Crops a step that are rendered for the perceptual loss."""
PEOPLE: Final = 512
"""Crops over which the perceptual loss centres people and avatars."""


@dataclass(frozen=True)
class Shares:
    """Weights of the loss terms; ``steadiness`` is how far values differ under other camera noise.

    The first four are those of :meth:`freeavatar.train.controls.Goal.losses`.
    """

    control: float = 1.0
    asymmetry: float = 0.3
    closure: float = 0.2
    sparsity: float = 0.05
    steadiness: float = 1.0
    perceptual: float = 0.05


SHARES: Final = Shares()


@dataclass(frozen=True)
class AnimatorConfig:
    """Train the animator on features of a trained encoder.

    Attributes:
        data: folders written by tools/render_dataset.
        weights: weights folder of the exported encoder that the animator will refuse to run without.
        out: weights folder to write.
        real: file written by tools/weak_labels; only its pictures are used.
        renderers: folders of the stage ``renderer``, each of the name of its rig; without any there is no perceptual loss.
        features: folder in which what the encoder reads is kept.
        rigs: names or folders of the avatars; all shipped ones if empty.
        network: control tokens, the same with attention, or the published residual MLP.
        epochs: passes over the crops.
        batch: crops a step.
        rate: peak learning rate.
        shares: weights of the loss terms.
        seed: seed of weights and data.
        workers: threads that read features.
    """

    data: tuple[Path, ...]
    weights: Path
    out: Path
    real: Path | None = None
    renderers: tuple[Path, ...] = ()
    features: Path = Path("data/features")
    rigs: tuple[str, ...] = ()
    network: Literal["tokens", "attention", "mlp"] = "tokens"
    epochs: int = 8
    batch: int = 256
    rate: float = 1e-3
    shares: Shares = SHARES
    seed: int = 0
    workers: int = 2


class Avatars(nn.Module):
    """What is learnt of each avatar: a code (K,) and a query (N, Q) for each of its animator-driven controls.

    A query begins as the control's ARKit map and rest (:class:`freeavatar.models.animator.TokenAnimator`).
    """

    def __init__(self, rigs: Sequence[Rig]) -> None:
        super().__init__()
        self.codes = nn.ParameterDict({rig.name: nn.Parameter(torch.zeros(CODE)) for rig in rigs})
        self.queries = nn.ParameterDict({rig.name: nn.Parameter(_queries(rig)) for rig in rigs})


def _queries(rig: Rig) -> Tensor:
    known = np.column_stack([maps(rig), rig.normalise(rig.neutral())[rig.driven]])
    return torch.cat([torch.from_numpy(known), torch.randn(len(known), QUERY - known.shape[1]) * 0.1], 1)


def train(config: AnimatorConfig) -> Path:
    """Run the stage and write the weights folder; returns it.

    Raises:
        FreeAvatarError: an input is not usable, or the loss is not finite.
    """
    rigs = [load_rig(name) for name in config.rigs or list_rigs()]
    features = read_features(config.weights, config.data, config.real, config.features, config.seed, config.workers)
    judge = _judge(config, rigs, features) if config.renderers else None
    model, avatars = fit(config, rigs, features, load_weights(config.weights).to_arkit, judge)
    export_animator(model, avatars, rigs, features, config)
    return config.out


def _judge(config: AnimatorConfig, rigs: Sequence[Rig], features: Features) -> Perceptual:
    """The perceptual loss through the neural renderers that there are."""
    folders = {folder.name: folder / "last.pt" for folder in config.renderers}
    if unknown := folders.keys() - {rig.name for rig in rigs}:
        raise RigError(f"--renderers: {', '.join(sorted(unknown))} is no rig that is trained; a renderer's folder has its rig's name")
    some = np.random.default_rng(config.seed).permutation(len(features))[:PEOPLE]
    values = {rig.name: truth(rig, features.arkit[some], features.mask[some])[0] for rig in rigs if rig.name in folders}
    return load(config.weights, folders, features.embedding[torch.from_numpy(some)], values)


def fit(
    config: AnimatorConfig, rigs: Sequence[Rig], features: Features, read: nn.Linear, perceptual: Perceptual | None = None
) -> tuple[Network, Avatars]:
    """The network and the avatars' codes and queries, trained on M features.

    Args:
        config: the stage's settings.
        rigs: the avatars.
        features: what is trained on.
        read: logits of ARKit weights (52) from a feature, as the encoder reads them: where control tokens start from.
        perceptual: judges what the avatars show.

    Raises:
        FreeAvatarError: the loss is not finite.
    """
    torch.manual_seed(config.seed)
    model, avatars = NETWORKS[config.network](features.feature.shape[1], CODE, QUERY), Avatars(rigs)
    if not isinstance(model, MlpAnimator):
        model.read.load_state_dict(read.state_dict())
    goals = {rig.name: goal(rig, features.arkit, features.mask) for rig in rigs}
    optimiser = torch.optim.AdamW([*model.parameters(), *avatars.parameters()], lr=config.rate, weight_decay=1e-2)
    batches = max(1, len(features) // config.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.rate, total_steps=config.epochs * batches)
    step = 0
    for epoch in range(config.epochs):
        running: dict[str, float] = {}
        for rows in tqdm(torch.randperm(len(features)).chunk(batches), desc=f"epoch {epoch + 1}", leave=False):
            terms = losses(model, avatars, goals, features, rows, config.shares)
            if perceptual and (seen := _looked_at(perceptual, rigs, step)):
                some = rows[:SEEN]
                values = model(features.feature[some], avatars.codes[seen][None], avatars.queries[seen])
                terms["perceptual"] = perceptual.loss(seen, values.clamp(0, 1), features.embedding[some])
            loss = total(terms, {name: share for name, share in vars(config.shares).items() if name in terms})
            if not torch.isfinite(loss):
                raise FreeAvatarError(f"the animator's loss is {loss.item()}: lower --rate (now {config.rate})")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            step += 1
            for name, term in terms.items():
                running[name] = running.get(name, 0.0) + term.item() / batches
        if perceptual:
            _check(perceptual, model, avatars, features)
        print(f"epoch {epoch + 1}: " + ", ".join(f"{name} {value:.4f}" for name, value in running.items()))
    return model.eval(), avatars


def losses(
    model: nn.Module, avatars: Avatars, goals: Mapping[str, Goal], features: Features, rows: Tensor, shares: Shares
) -> dict[str, Tensor]:
    """The loss terms of some crops, each summed over the avatars."""
    some = rows[: len(rows) // 4]  # enough to see how much noise moves a control
    terms: dict[str, Tensor] = {}
    for name, aim in goals.items():
        code, queries = avatars.codes[name][None], avatars.queries[name]
        values = model(features.feature[rows], code, queries)
        own = aim.losses(values, rows)
        if shares.steadiness:
            tremble = (model(features.twin[some], code, queries) - values[: len(some)]).abs()
            own["steadiness"] = tremble.mean() + RESTLESS * tremble.amax(1).mean()
        for term, value in own.items():
            terms[term] = terms.get(term, torch.zeros(())) + value
    return terms


def _looked_at(perceptual: Perceptual, rigs: Sequence[Rig], step: int) -> str | None:
    """The avatar that is looked at in a step: one after the other, of those that can be judged."""
    able = [rig.name for rig in rigs if rig.name in perceptual.rigs]
    return able[step % len(able)] if able else None


@torch.inference_mode()
def _check(perceptual: Perceptual, model: nn.Module, avatars: Avatars, features: Features) -> None:
    """Let the judge look whether its renderers are still to be believed at what the animator makes now."""
    rows = torch.randint(len(features), (2 * SEEN,))
    for name in [name for name in avatars.codes if name in perceptual.rigs]:
        gap = perceptual.check(name, model(features.feature[rows], avatars.codes[name][None], avatars.queries[name]).clamp(0, 1))
        print(f"{name}: neural and raster renders differ by {gap:.2f} of the spread of expressions")


def export_animator(model: nn.Module, avatars: Avatars, rigs: Sequence[Rig], features: Features, config: AnimatorConfig) -> None:
    """Write the animator's weights folder: graph, avatars.safetensors, fp16 weights, config, and what fits an avatar later."""
    from safetensors.torch import save_file

    encoder = json.loads((config.weights / "config.json").read_text())
    for parameter in model.parameters():
        parameter.data = parameter.data.half().float()  # what an avatar is fitted with later is what runs, to the bit

    def fill(place: Path) -> dict[str, object]:
        example = [torch.randn(2, encoder["feature_size"]), torch.randn(2, CODE), torch.randn(5, QUERY)]
        axes = {"feature": {0: "batch"}, "code": {0: "batch"}, "queries": {0: "controls"}, "values": {0: "batch", 1: "controls"}}
        write_onnx(model, example, place / "model.onnx", ["feature", "code", "queries"], ["values"], axes)
        tensors = {f"{r.name}.code": avatars.codes[r.name].detach() for r in rigs}
        tensors |= {f"{r.name}.queries": avatars.queries[r.name].detach() for r in rigs}
        save_file(tensors, place / "avatars.safetensors")
        rows = torch.randperm(len(features))[:EXAMPLES]
        shapes = torch.from_numpy(np.where(features.mask > 0, features.arkit, -1))[rows]
        network = {f"network.{k}": v.half().contiguous() for k, v in model.state_dict().items()}
        save_file({"feature": features.feature[rows].half(), "arkit": shapes.half(), **network}, place / "fitting.safetensors")
        return {
            "format": 1, "encoder_sha256": encoder["sha256"], "feature_version": encoder["feature_version"],
            "feature_size": encoder["feature_size"], "code_size": CODE, "query_size": QUERY, "network": config.network,
            "examples": min(EXAMPLES, len(features)),
            "rigs": {r.name: [r.controls[i].name for i in r.driven] for r in rigs},
        }  # fmt: skip

    write_folder(config.out, fill)
