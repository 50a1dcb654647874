"""Stage ``avatar``: a new avatar learns to be driven by the animator that ships, which stays as it is.

Only the avatar's own code and queries are fitted, to examples that come with the animator: features of training people
and their true ARKit weights, which the rig's own map turns into what its controls should be. So it takes a minute, needs
no training data, and leaves all other avatars as they are, to the bit.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from freeavatar.animator import FIELDS, FITTED, OPTIONAL, Fitted, write_fitted
from freeavatar.errors import RigError, WeightsError
from freeavatar.models.animator import NETWORKS, Network
from freeavatar.network import WEIGHTS, read_config
from freeavatar.progress import progress
from freeavatar.rig import load_rig
from freeavatar.tensors import read_tensors
from freeavatar.train.animator import EXAMPLES, SHARES, Avatars
from freeavatar.train.controls import REST, Goal, goal, total

JUDGED: Final = 10
"""Every so many-th example is not fitted to, but judged by."""


@dataclass(frozen=True)
class AvatarConfig:
    """Fit an avatar to a trained animator.

    Attributes:
        animator: weights folder of the animator; the shipped one if omitted.
        steps: optimiser steps.
        batch: examples a step.
        rate: peak learning rate.
        seed: seed of all chance.
    """

    animator: Path | None = None
    steps: int = 200
    batch: int = 128
    rate: float = 1e-3
    seed: int = 0


@dataclass(frozen=True)
class Summary:
    """What fitting brought.

    Attributes:
        rig: the avatar's name.
        controls: controls that the animator drives.
        before, after: mean absolute error on examples not fitted to, in shares of the controls' ranges, where the truth is away
            from rest (``active``) and where it is not (``rest``); before, the network knows the avatar by its map alone.
        output: the file written.
    """

    rig: str
    controls: int
    before: dict[str, float]
    after: dict[str, float]
    output: str


def train(rig: Path, config: AvatarConfig) -> Summary:
    """Fit a rig's code and queries and write them into its folder.

    Raises:
        FreeAvatarError: the rig or the weights are not usable, no control of the rig has an ARKit map, or its folder cannot
            be written.
    """
    torch.manual_seed(config.seed)
    avatar = load_rig(rig)
    if not any(avatar.controls[i].arkit for i in avatar.driven):
        raise RigError(f"{avatar.name}: none of its controls has an arkit map; add one to its rig.toml, there is nothing to learn from")
    network, examples, sha256 = load(config.animator or WEIGHTS / "animator")
    aim = goal(avatar, examples["arkit"].clip(min=0).numpy(), (examples["arkit"] >= 0).float().numpy())
    own = Avatars([avatar])
    rows = torch.arange(len(aim.wanted))
    judged, fitted = rows[rows % JUDGED == 0], rows[rows % JUDGED != 0]
    before = _errors(network, own, aim, examples["feature"], judged)
    optimiser = torch.optim.Adam(own.parameters(), lr=config.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.rate, total_steps=config.steps)
    shares = {name: share for name, share in vars(SHARES).items() if name in ("control", "asymmetry", "closure", "sparsity")}
    for _ in progress(range(config.steps), config.steps, f"fitting {avatar.name}"):
        some = fitted[torch.randint(len(fitted), (config.batch,))]
        loss = total(aim.losses(_drive(network, own, examples["feature"][some]), some), shares)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    after = _errors(network, own, aim, examples["feature"], judged)
    names = [avatar.controls[i].name for i in avatar.driven]
    path = avatar.folder / FITTED
    write_fitted(path, Fitted(_array(own.codes[avatar.name]), dict(zip(names, _array(own.queries[avatar.name]), strict=True))), sha256)
    return Summary(avatar.name, len(names), before, after, str(path))


def load(folder: Path) -> tuple[Network, dict[str, Tensor], str]:
    """The frozen network of a weights folder, its examples ``feature (M, F)`` and ``arkit (M, 52)``, -1 where unknown, and its sha256.

    Raises:
        WeightsError: missing, damaged, or without anything to fit an avatar with.
    """
    config = read_config(folder, FIELDS, OPTIONAL)
    kind, count = config.get("network", ""), config.get("examples", 0)
    if kind not in NETWORKS or not 0 < count <= EXAMPLES:
        raise WeightsError(f"{folder}: holds nothing to fit an avatar with; install weights of this version")
    network = NETWORKS[kind](config["feature_size"], config["code_size"], config["query_size"])
    shapes: dict[str, tuple[int, ...]] = {"feature": (count, config["feature_size"]), "arkit": (count, 52)}
    shapes |= {f"network.{name}": tuple(value.shape) for name, value in network.state_dict().items()}
    tensors = {name: torch.from_numpy(value) for name, value in read_tensors(folder / "fitting.safetensors", shapes).items()}
    network.load_state_dict({name: tensors[f"network.{name}"] for name in network.state_dict()})
    return network.eval().requires_grad_(False), {name: tensors[name] for name in ("feature", "arkit")}, config["sha256"]


def _drive(network: Network, own: Avatars, feature: Tensor) -> Tensor:
    (name,) = own.codes
    values: Tensor = network(feature, own.codes[name][None], own.queries[name])
    return values


@torch.inference_mode()
def _errors(network: Network, own: Avatars, aim: Goal, feature: Tensor, rows: Tensor) -> dict[str, float]:
    wanted, known = aim.wanted[rows], aim.known[rows]
    active = (wanted - aim.rest).abs() > REST
    error = (_drive(network, own, feature[rows]).clamp(0, 1) - wanted).abs()
    return {
        name: float(error[which].sum() / which.sum().clamp(min=1))
        for name, which in (("active", known & active), ("rest", known & ~active))
    }


def _array(parameter: Tensor) -> "np.ndarray[Any, np.dtype[np.float32]]":
    return parameter.detach().numpy()
