"""The loop goes on exactly where it stopped, alone and among many processes, and says when something is wrong."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from freeavatar.errors import FreeAvatarError, WeightsError
from freeavatar.train import loop
from freeavatar.train.journal import effective_rank
from freeavatar.train.loop import Batch, Outcome, Recipe, fit
from freeavatar.train.place import Place, place

HERE = Place(torch.device("cpu"))


@dataclass(frozen=True)
class Settings:
    """What ``config.json`` keeps."""

    name: str = "test"


class Points:
    """Random points; asked for the batch of the step ``interrupt`` it presses Ctrl-C."""

    def __init__(self, rank: int = 0, interrupt: int = -1) -> None:
        self.rank, self.interrupt = rank, interrupt

    def batch(self, step: int) -> Batch:
        if step == self.interrupt:
            os.kill(os.getpid(), signal.SIGINT)
        return {"x": torch.from_numpy(np.random.default_rng([self.rank, step]).normal(size=(8, 6)).astype(np.float32))}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.Linear(16, 6))


def step(network: Callable[..., Any], batch: Batch, number: int) -> Outcome:
    """A step that uses every kind of chance there is."""
    noise = torch.randn(8, 6) + torch.from_numpy(np.random.normal(size=(8, 6)).astype(np.float32))
    found = network(batch["x"] + 0.1 * noise).float()
    loss = (found - batch["x"]).square().mean()
    return Outcome(loss, {"error": loss}, found)


def run(out: Path, source: Any = None, step: Any = step, **changes: Any) -> Path:
    recipe = replace(Recipe(out, steps=7, rate=1e-2), **changes)
    return fit(network(), step, source or Points(), recipe, HERE, {"width": 6}, Settings())


def tensors(value: Any) -> list[torch.Tensor]:
    """All tensors of a checkpoint, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    return [t for v in value.values() for t in tensors(v)] if isinstance(value, dict) else []


def test_an_interrupted_run_ends_with_the_bits_of_an_uninterrupted_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = torch.load(run(tmp_path / "whole"), weights_only=True)
    for place_to_stop in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts", Points(interrupt=place_to_stop))
        assert torch.load(tmp_path / "parts" / "last.pt", weights_only=True)["step"] == place_to_stop + 1
    assert "stopped at step 3 of 7" in capsys.readouterr().err
    parts = torch.load(run(tmp_path / "parts"), weights_only=True)
    assert len(tensors(whole)) > 30  # weights and statistics, their averages, the optimiser's moments
    assert all(torch.equal(a, b) for a, b in zip(tensors(whole), tensors(parts), strict=True))


def test_a_step_has_chance_of_its_own(tmp_path: Path) -> None:
    draws: list[float] = []

    def watched(network: Callable[..., Any], batch: Batch, number: int) -> Outcome:
        draws.append(torch.rand(()).item())
        return step(network, batch, number)

    run(tmp_path, step=watched)
    assert len(set(draws)) == 7


def test_another_process_prepares_the_same_batches_in_order() -> None:
    alone, helped = (list(loop.batches(Points(), 3, 10, workers)) for workers in (0, 2))
    assert len(alone) == len(helped) == 7
    assert all(torch.equal(a["x"], b["x"]) for a, b in zip(alone, helped, strict=True))


@pytest.mark.parametrize(
    ("able", "half"), [({}, False), ({"avx512_f": True}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)]
)
def test_a_cpu_that_would_emulate_bf16_keeps_to_float32(monkeypatch: pytest.MonkeyPatch, able: dict[str, bool], half: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    model = nn.Linear(2, 2)
    run = loop._network(model, Place(torch.device("cpu"), 0, 1))
    assert run(torch.zeros(1, 2)).dtype == (torch.bfloat16 if half else torch.float32)


def test_the_rate_rises_then_falls_to_a_hundredth(tmp_path: Path) -> None:
    recipe = Recipe(tmp_path, steps=1000, rate=1.0)
    rates = [loop.rate_at(i, recipe) for i in range(1000)]
    assert rates[0] == pytest.approx(1 / 30) and max(rates) == rates[30] == 1 and rates[-1] == pytest.approx(0.01, abs=1e-4)
    assert all(a > b for a, b in pairwise(rates[30:]))


def test_the_log_and_the_config_lie_beside_the_weights(tmp_path: Path) -> None:
    run(tmp_path)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 9, "loss": 0}\n{"st')  # of a run that was killed after its last checkpoint
    run(tmp_path, steps=8)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [7, 8]
    assert {"loss", "error", "rate", "gradient", "effective_rank", "spread_mean", "spread_min"} < lines[0].keys()
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["name"] == "test" and config["environment"]["processes"] == 1 and config["environment"]["torch"] == torch.__version__
    assert list((tmp_path / "events").glob("events.out.tfevents.*"))
    assert not list(tmp_path.glob(".*"))  # nothing temporary stays


def test_a_loss_that_is_no_number_ends_the_run_and_spares_the_checkpoint(tmp_path: Path) -> None:
    def broken(network: Callable[..., Any], batch: Batch, number: int) -> Outcome:
        outcome = step(network, batch, number)
        return outcome._replace(loss=outcome.loss * (float("nan") if number == 7 else 1))

    run(tmp_path)
    with pytest.raises(FreeAvatarError, match=r"loss is nan.*at step 7.*lower --rate"):
        run(tmp_path, step=broken, steps=9)
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 7


def test_a_constant_feature_is_called_a_collapse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def constant(network: Callable[..., Any], batch: Batch, number: int) -> Outcome:
        outcome = step(network, batch, number)
        return outcome._replace(feature=outcome.feature * 0 + torch.linspace(1, 2, 6))

    run(tmp_path / "well")
    assert "collapse" not in capsys.readouterr().err
    run(tmp_path / "ill", step=constant)
    assert "warning: the features collapse: effective rank 1.0 of 6 at step 7" in capsys.readouterr().err


def test_the_effective_rank_counts_the_dimensions_in_use() -> None:
    torch.manual_seed(0)
    white = torch.linalg.qr(torch.randn(100, 8) - 0.0)[0]
    white = white - white.mean(0)
    assert effective_rank(white) == pytest.approx(8, abs=0.1)
    assert effective_rank(white[:, :3] @ torch.randn(3, 8)) < 3.01
    assert effective_rank(torch.full((10, 8), 0.3)) == 1


def test_damaged_and_foreign_checkpoints_are_refused(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="cannot be read as a checkpoint"):
        run(tmp_path)
    torch.save({"model": {}}, tmp_path / "last.pt")
    with pytest.raises(WeightsError, match="has no architecture, average"):
        run(tmp_path)
    run(tmp_path / "other")
    with pytest.raises(WeightsError, match=r"not of .'width': 7"):
        fit(network(), step, Points(), Recipe(tmp_path / "other", 7, 1e-2), HERE, {"width": 7}, Settings())


def test_two_processes_share_one_model(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", __file__, str(tmp_path)],
        capture_output=True, text=True, timeout=120, env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    a, b = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    names = dict(network().named_parameters())
    assert all(torch.isfinite(a["weights"][k]).all() and torch.equal(a["weights"][k], b["weights"][k]) for k in names)
    assert a["chance"] != b["chance"] and not torch.equal(a["x"], b["x"])
    assert not torch.equal(a["weights"]["0.weight"], network().state_dict()["0.weight"])
    assert json.loads((tmp_path / "run" / "config.json").read_text())["environment"]["processes"] == 2
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == 1


def _one_of_two(folder: Path) -> None:
    """What each process of the test above runs; its last layer is left out of every second step."""
    seen: dict[str, Any] = {}

    class Sometimes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = network(), nn.Linear(6, 1)

        def forward(self, x: torch.Tensor, headed: bool) -> torch.Tensor:
            y: torch.Tensor = self.body(x)
            return y + self.head(y) if headed else y

    with place(threads=1) as where:

        def watched(run: Callable[..., Any], batch: Batch, number: int) -> Outcome:
            seen.setdefault("chance", torch.rand(()).item())
            seen.setdefault("x", batch["x"])
            return step(lambda x: run(x, number % 2 == 0), batch, number)

        model = Sometimes()
        fit(model, watched, Points(where.rank), Recipe(folder / "run", 6, 1e-2), where, {}, Settings())
        torch.save({**seen, "weights": model.body.state_dict()}, folder / f"rank{where.rank}.pt")


if __name__ == "__main__":
    _one_of_two(Path(sys.argv[1]))
