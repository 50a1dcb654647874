"""What a training run leaves behind: a log, TensorBoard's events, a bar, a warning when its features collapse."""

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from freeavatar.output import replacing

LOG_EVERY: Final = 100
"""Steps between lines of the log."""
COLLAPSED: Final = 3.0
"""Effective rank below which features are taken to have collapsed."""


def effective_rank(feature: Tensor) -> float:
    """How many dimensions a batch of features (B, D) really uses, 1 to D (Roy & Vetterli 2007).

    The exponential of the entropy of the singular values around the mean; what is small beside the features
    themselves is rounding and does not count, so that a constant has rank 1.
    """
    feature = feature.detach().float().cpu()
    values = torch.linalg.svdvals(feature - feature.mean(0))
    share = values[values > 1e-4 * torch.linalg.matrix_norm(feature)]
    share = share / share.sum()
    return math.exp(-(share * share.log()).sum().item())


def _step_of(line: str) -> float:
    """The step of a line of the log; infinite where the line was not written to its end."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


class Journal:
    """Means over :data:`LOG_EVERY` steps in ``log.jsonl`` and for TensorBoard, progress on a terminal, the watch for collapse.

    Args:
        out: folder of ``log.jsonl`` and of TensorBoard's ``events``.
        first: step to go on from.
        last: step at which the run ends.
        writes: whether this is the one process that writes.
    """

    def __init__(self, out: Path, first: int, last: int, writes: bool) -> None:
        self.out, self.first, self.last, self.writes = out, first, last, writes
        self.sums: dict[str, Tensor] = {}
        self.steps, self.collapsed = 0, False

    def __enter__(self) -> Self:
        if self.writes:
            path = self.out / "log.jsonl"
            if path.is_file():
                lines = path.read_text(errors="replace").splitlines(keepends=True)
                with replacing(path) as temporary:
                    temporary.write_text("".join(line for line in lines if _step_of(line) <= self.first))
            self.lines = path.open("a")
            self.board = SummaryWriter(str(self.out / "events"), purge_step=self.first)
        self.bar = tqdm(initial=self.first, total=self.last, unit="step", disable=None if self.writes else True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.close()
        if self.writes:
            self.lines.close()
            self.board.close()

    def add(self, step: int, terms: Mapping[str, Tensor], feature: Tensor) -> None:
        """Count a step that is done, by its scalars and the features (B, D) of its batch."""
        self.bar.update()
        if not self.writes:
            return
        for key, value in terms.items():
            self.sums[key] = self.sums.get(key, torch.zeros_like(value)) + value.detach()
        self.steps += 1
        if step % LOG_EVERY and step != self.last:
            return
        values = {k: v.item() / self.steps for k, v in self.sums.items()}
        self.sums, self.steps = {}, 0
        self.bar.set_postfix(loss=f"{values['loss']:.3f}")
        values |= self._watch(step, feature)
        self.lines.write(json.dumps({"step": step, **{k: float(f"{v:.5g}") for k, v in values.items()}}) + "\n")
        self.lines.flush()
        for key, number in values.items():
            self.board.add_scalar(key, number, step)

    def _watch(self, step: int, feature: Tensor) -> dict[str, float]:
        rank, spread = effective_rank(feature), feature.detach().float().std(0)
        if rank < COLLAPSED and not self.collapsed:
            warning = f"warning: the features collapse: effective rank {rank:.1f} of {feature.shape[1]} at step {step}"
            self.bar.write(f"{warning}; expected at least {COLLAPSED}: lower --rate or look at the loss terms", file=sys.stderr)
        self.collapsed = rank < COLLAPSED
        return {"effective_rank": rank, "spread_mean": spread.mean().item(), "spread_min": spread.min().item()}
