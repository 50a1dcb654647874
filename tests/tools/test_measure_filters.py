"""The measurement of the filters: a known lag is found, known noise is counted, and the table lands where it belongs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freeavatar.errors import OutputError
from freeavatar.filters import PRESETS
from freeavatar.rig import Rig, load_rig
from freeavatar.types import RigFrame
from tools.measure_filters import HELD, RATE, RIGS, SECONDS, WARM_UP, Readings, figures, lag, markdown, page

CURVE = np.sin(np.arange(120) / 5) + np.sin(np.arange(120) / 13)


@pytest.mark.parametrize("frames", [0, 1, 2.5])
def test_a_known_lag_is_found(frames: float) -> None:
    later = np.interp(np.arange(120) - frames, np.arange(120), CURVE)
    assert lag(CURVE, later) == pytest.approx(frames * 1000 / RATE, abs=4)


def take(rig: Rig, noise: float, count: int, seed: int) -> list[RigFrame]:
    """Every control at the middle of its range and moving by ``noise``, or, without noise, along the curve."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        unit = 0.5 + (rng.normal(0, noise, len(rig.names)) if noise else 0.2 * CURVE[i])
        pose = np.array([0.1 * CURVE[i], 0, 0, 0, 0, -0.5] if not noise else [0, 0, 0, 0, 0, -0.5], np.float32)
        row = RigFrame(rig.name, rig.names, rig.neutral(), np.zeros(52, np.float32), pose, pose[:2], 1.0, i / RATE, i)
        rows.append(replace(row, values=rig.denormalise(np.full(len(rig.names), unit, np.float32))))
    return rows


def test_presets_trade_jitter_for_lag() -> None:
    rigs = [load_rig(name) for name in RIGS]
    count = round((WARM_UP + SECONDS) * RATE)
    holds = [{rig.name: take(rig, 0.02, count, seed) for rig in rigs} for seed in range(2)]
    readings = Readings(holds, {rig.name: take(rig, 0, 120, 0) for rig in rigs})
    table = {name: figures(readings, rigs, PRESETS.get(name)) for name in ("unfiltered", *PRESETS)}
    jitter = [column["jitter, mean"] for column in table.values()]
    assert jitter[0] == pytest.approx(0.025, abs=0.01) and jitter == sorted(jitter, reverse=True)
    for name in ("brows", "mouth", "jaw", "head"):
        lags = [column[f"{name} lag ms"] for column in table.values()]
        assert lags[0] == 0 and lags == sorted(lags) and lags[-1] > 0
    assert all(0.95 <= column["blink reached"] <= 1 for column in table.values())
    lines = markdown(table).splitlines()
    assert lines[0] == "| | unfiltered | responsive | balanced | smooth |" and all(line.count("|") == 6 for line in lines)


def test_the_holds_are_frames_of_the_clip() -> None:
    with np.load(Path(__file__).parents[1] / "data" / "demo_truth.npz", allow_pickle=False) as truth:
        assert max(HELD) < len(truth["time"])


def test_the_table_lands_between_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    for old in ("", "old\n"):
        path.write_text(f"a\n<!-- filters -->\n{old}<!-- end -->\nb\n")
        assert page(path) == ("a\n<!-- filters -->\n", "<!-- end -->\nb\n")
    path.write_text("a\n<!-- filters -->\n")
    with pytest.raises(OutputError, match="has no lines"):
        page(path)
    with pytest.raises(OutputError, match="cannot be read"):
        page(tmp_path / "none.md")
