"""The training loop that stages share: schedule, averaging, checkpoints, logs, many processes.

A stage brings a network, a step (batch -> loss) and a source of batches. Batches and all chance inside a step are
functions of (seed, rank, step) alone, so a run that was stopped goes on bit by bit as if it had not been.
"""

import json
import math
import platform
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from freeavatar.errors import FreeAvatarError, WeightsError
from freeavatar.interrupt import stop_on
from freeavatar.output import replacing
from freeavatar.train.journal import Journal
from freeavatar.train.place import Place, has_bf16, told_to_stop

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CHECKPOINT: Final = "last.pt"
SAVE_EVERY: Final = 120.0
"""Seconds between checkpoints."""

Batch = dict[str, Tensor]


class Outcome(NamedTuple):
    """What a step found.

    Attributes:
        loss: scalar to minimise.
        terms: scalars for the log.
        feature: (B, D) what is watched for collapse.
    """

    loss: Tensor
    terms: dict[str, Tensor]
    feature: Tensor


class Step(Protocol):
    """The stage's own part of a step; ``network`` runs the model in bf16 where the device has it."""

    def __call__(self, network: Callable[..., Any], batch: Batch, number: int) -> Outcome: ...


class Source(Protocol):
    """Batches by the number of their step; picklable where other processes prepare them."""

    def batch(self, step: int) -> Batch: ...


@dataclass(frozen=True)
class Recipe:
    """Settings of the loop.

    Attributes:
        out: folder for the checkpoint ``last.pt``, ``config.json``, ``log.jsonl`` and TensorBoard's ``events``.
        steps: optimiser steps.
        rate: peak learning rate.
        seed: seed of all chance.
        workers: processes that prepare batches; 0 prepares them in the training process itself.
        decay: weight decay of tensors with more than one axis.
        betas: AdamW's.
        warm: share of the steps in which the rate rises.
        clip: largest norm of the gradient.
        average: decay of the moving average of the weights, a step.
    """

    out: Path
    steps: int
    rate: float
    seed: int = 0
    workers: int = 0
    decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    warm: float = 0.03
    clip: float = 2.0
    average: float = 0.998


def rate_at(step: int, recipe: Recipe) -> float:
    """Learning rate: linear warm-up, then a cosine to a hundredth (SGDR, Loshchilov & Hutter 2017)."""
    warm = max(1, math.floor(recipe.steps * recipe.warm))
    if step < warm:
        return recipe.rate * (step + 1) / warm
    return recipe.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, recipe.steps - warm))))


def batches(source: Source, first: int, last: int, workers: int) -> Iterator[Batch]:
    """The batches of the steps ``first`` to ``last - 1`` in order; each of n workers prepares every n-th."""
    if not workers:
        return map(source.batch, range(first, last))
    # Not forked: a fork copies locks that other threads of this process may hold, and then waits for ever.
    loader = DataLoader(
        _Steps(source), batch_size=None, sampler=range(first, last), num_workers=workers, prefetch_factor=6,
        multiprocessing_context="spawn", worker_init_fn=_start_worker, pin_memory=torch.cuda.is_available(),
    )  # fmt: skip
    return iter(loader)


class _Steps(Dataset[Batch]):
    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitem__(self, step: int) -> Batch:
        return self.source.batch(step)


def _start_worker(_: int) -> None:
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the trainer ends its workers


def fit(
    model: nn.Module,
    step: Step,
    source: Source,
    recipe: Recipe,
    where: Place,
    architecture: Mapping[str, Any],
    config: "DataclassInstance",
) -> Path:
    """Train a model; goes on from ``out/last.pt`` if that exists. SIGINT and SIGTERM save and end the run.

    Args:
        model: on its device, the same in every process.
        step: the stage's part of a step.
        source: the batches of this process.
        recipe: the loop's settings.
        where: the place of this process.
        architecture: what the model is rebuilt from, kept in the checkpoint.
        config: the stage's settings, kept beside it in ``config.json``.

    Returns:
        The checkpoint's path: a dict of ``model``, ``average``, ``optimiser``, ``step`` and ``architecture``.

    Raises:
        FreeAvatarError: the loss or its gradient is not finite.
        WeightsError: ``out/last.pt`` is damaged or of another model.
        KeyboardInterrupt: the run was told to stop; its state is saved.
    """
    last = recipe.out / CHECKPOINT
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.average), use_buffers=True)  # type: ignore[no-untyped-call]
    learnt = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in learnt if p.ndim > 1]},
        {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=recipe.rate, betas=recipe.betas, weight_decay=recipe.decay)
    parts: dict[str, Any] = {"model": model, "average": average, "optimiser": optimiser}
    first = _resume(last, parts, architecture, where.device) if last.is_file() else 0
    network = _network(model, where)

    def save(done: int) -> None:
        if where.rank == 0:
            state = {name: part.state_dict() for name, part in parts.items()}
            with replacing(last) as temporary:
                torch.save({**state, "step": done, "architecture": architecture}, temporary)

    if where.rank == 0:
        recipe.out.mkdir(parents=True, exist_ok=True)
        with replacing(recipe.out / "config.json") as temporary:
            settings = {**asdict(config), "environment": _environment(where)}
            temporary.write_text(json.dumps(settings, default=str, indent=1) + "\n")
    model.train()
    done, saved = first, time.monotonic()
    with stop_on(signal.SIGINT, signal.SIGTERM) as stop, Journal(recipe.out, first, recipe.steps, where.rank == 0) as journal:
        for number, batch in zip(count(first), batches(source, first, recipe.steps, recipe.workers)):
            _seed(recipe.seed, where.rank, number)
            rate = rate_at(number, recipe)
            for group in optimiser.param_groups:
                group["lr"] = rate
            outcome = step(network, {k: v.to(where.device, non_blocking=True) for k, v in batch.items()}, number)
            optimiser.zero_grad(set_to_none=True)
            outcome.loss.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(learnt, recipe.clip)
            if not torch.isfinite(norm):
                problem = f"the loss is {outcome.loss.item()}, its gradient {norm.item()} at step {number}"
                raise FreeAvatarError(f"{problem}: lower --rate (now {recipe.rate:g}); the same command goes on from the last checkpoint")
            optimiser.step()
            average.update_parameters(model)
            done = number + 1
            journal.add(done, {"loss": outcome.loss, **outcome.terms, "rate": torch.tensor(rate), "gradient": norm}, outcome.feature)
            if told_to_stop(stop.is_set(), done, where):
                break
            if time.monotonic() - saved > SAVE_EVERY:
                save(done)
                saved = time.monotonic()
    save(done)
    if done < recipe.steps:
        print(f"stopped at step {done} of {recipe.steps}; the same command goes on from {last}", file=sys.stderr)
        raise KeyboardInterrupt
    return last


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """All that :func:`fit` saved.

    Raises:
        WeightsError: no checkpoint of :func:`fit`.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        missing = {"model", "average", "optimiser", "step", "architecture"} - state.keys()
    except Exception as error:  # unpickling hostile bytes raises anything
        raise WeightsError(f"{path}: cannot be read as a checkpoint ({type(error).__name__}); delete it or name another") from error
    if missing:
        raise WeightsError(f"{path}: is no checkpoint of a stage, it has no {', '.join(sorted(missing))}; delete it or name another")
    return state


def load_average(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The architecture and the averaged weights of a checkpoint.

    Raises:
        WeightsError: no checkpoint of :func:`fit`.
    """
    state = load_checkpoint(path, torch.device("cpu"))
    return state["architecture"], {k.removeprefix("module."): v for k, v in state["average"].items() if k.startswith("module.")}


def _resume(path: Path, parts: Mapping[str, Any], architecture: object, device: torch.device) -> int:
    """Bring the parts to the state of a checkpoint; its step."""
    state = load_checkpoint(path, device)
    if state["architecture"] != architecture:
        raise WeightsError(f"{path}: holds a model of {state['architecture']}, not of {architecture}; choose another --out")
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except (RuntimeError, ValueError, KeyError) as error:
        raise WeightsError(f"{path}: does not fit this version's model ({error}); choose another --out") from error
    return int(state["step"])


def _network(model: nn.Module, where: Place) -> Callable[..., Any]:
    """The model in bf16 where the device has it, its gradients shared by all processes."""
    shared = model
    if where.world > 1:
        # A loss may be absent from a step, and its head with it.
        shared = nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)
    cpu = where.device.type == "cpu"
    half = has_bf16(where.device)

    def run(*inputs: Any) -> Any:
        # On CPUs the fused attention's backward pass is slow for as few tokens as a face has: a tenth of a step.
        attention: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH) if cpu else nullcontext()
        with torch.autocast(where.device.type, torch.bfloat16, enabled=half), attention:
            return shared(*inputs)

    return run


def _seed(seed: int, rank: int, step: int) -> None:
    """All chance of a step, afresh: nothing of it needs to be saved, and processes differ."""
    word = int(np.random.SeedSequence([seed, rank, step]).generate_state(1)[0])
    random.seed(word)
    np.random.seed(word)
    torch.manual_seed(word)


def _environment(where: Place) -> dict[str, object]:
    name = torch.cuda.get_device_name(where.device) if where.device.type == "cuda" else platform.machine()
    return {
        "python": platform.python_version(), "torch": torch.__version__, "device": f"{where.device.type} {name}",
        "threads": torch.get_num_threads(), "processes": where.world, "bf16": has_bf16(where.device),
    }  # fmt: skip
