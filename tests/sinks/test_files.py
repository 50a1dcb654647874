"""Curves in files: every value where its name says, exact times, whole files or none."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from freeavatar import arkit
from freeavatar.rig import Control, Rig
from freeavatar.sinks.files import FILE_SUFFIXES, open_file, timecode
from freeavatar.sinks.shapes import pose_columns, shapes
from freeavatar.types import RigFrame, Tracking


def row(rig: Rig, index: int = 0, **fields: object) -> RigFrame:
    rng = np.random.default_rng(index)
    given: dict[str, object] = {
        "values": rng.random(len(rig.names)).astype(np.float32),
        "arkit": rng.random(52).astype(np.float32),
        "head_pose": np.array([0.1, -0.2, 0.3, 0.01, 0.02, -0.5], np.float32),
        "gaze": np.array([0.05, -0.15], np.float32),
    }
    return RigFrame(rig.name, rig.names, confidence=0.75, time=index / 29.97, index=index, **(given | fields))  # type: ignore[arg-type]


@pytest.fixture
def perfect(rig: Rig) -> Rig:
    """A rig that has all 52 shapes as controls, in an order of its own."""
    return Rig("all", "All", "CC0-1.0", rig.folder, rig.model, tuple(Control(name) for name in sorted(arkit.NAMES)))


def write(path: Path, rig: Rig, rows: list[RigFrame]) -> Path:
    with open_file(path, rig, "clip.mp4", 29.97) as sink:
        for item in rows:
            sink.write(item)
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_csv_header_is_that_of_live_link_face(tmp_path: Path, rig: Rig) -> None:
    header = write(tmp_path / "a.csv", rig, []).read_text().strip().split(",")
    assert header[:3] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft"] and len(header) == 63
    assert header[header.index("JawForward") + 1 : header.index("JawForward") + 4] == ["JawRight", "JawLeft", "JawOpen"]
    assert header[header.index("MouthPucker") + 1 : header.index("MouthPucker") + 3] == ["MouthRight", "MouthLeft"]
    assert header[-10:] == ["TongueOut", *arkit.LIVE_LINK_POSE]


def test_every_csv_value_stands_under_its_own_name(tmp_path: Path, rig: Rig) -> None:
    frame = row(rig)
    (line,) = read_csv(write(tmp_path / "a.csv", rig, [frame]))
    assert line["BlendShapeCount"] == "61"
    for name, value in zip(arkit.NAMES, frame.arkit, strict=True):
        assert float(line[name[0].upper() + name[1:]]) == pytest.approx(float(value), abs=1e-6)


@pytest.mark.parametrize(
    ("field", "index", "columns"),
    [
        ("head_pose", 0, ["HeadYaw"]),
        ("head_pose", 1, ["HeadPitch"]),
        ("head_pose", 2, ["HeadRoll"]),
        ("gaze", 0, ["LeftEyeYaw", "RightEyeYaw"]),
        ("gaze", 1, ["LeftEyePitch", "RightEyePitch"]),
    ],
)
def test_one_axis_moves_its_own_columns_only(rig: Rig, field: str, index: int, columns: list[str]) -> None:
    value = np.zeros(6 if field == "head_pose" else 2, np.float32)
    value[index] = 0.4
    still = {"head_pose": np.zeros(6, np.float32), "gaze": np.zeros(2, np.float32)}
    found = dict(zip(arkit.LIVE_LINK_POSE, pose_columns(row(rig, **(still | {field: value}))), strict=True))
    assert {name: round(v, 6) for name, v in found.items() if v} == dict.fromkeys(columns, 0.4)


def test_a_rig_with_all_52_shapes_gives_its_own(perfect: Rig) -> None:
    frame = row(perfect)
    assert shapes(frame, ("jawOpen", "tongueOut")) == [frame["jawOpen"], frame["tongueOut"]]


def test_another_rig_gives_the_read_out(rig: Rig) -> None:
    frame = row(rig)
    assert shapes(frame, ("jawOpen",)) == [float(frame.arkit[arkit.INDEX["jawOpen"]])]


@pytest.mark.parametrize(
    ("time", "rate", "text"),
    [
        (0.0, 30.0, "00:00:00:00.000"),
        (0.5, 30.0, "00:00:00:15.000"),
        (3661.5, 24.0, "01:01:01:12.000"),
        (1 / 3, 25.0, "00:00:00:08.333"),
        (0.99999, 30.0, "00:00:01:00.000"),
        (59.99999, 25.0, "00:01:00:00.000"),
        (0.5, 0.0, "00:00:00:15.000"),
        (86400.0, 60.0, "24:00:00:00.000"),
    ],
)
def test_timecodes(time: float, rate: float, text: str) -> None:
    assert timecode(time, rate) == text


def test_timecodes_never_go_back() -> None:
    codes = [timecode(i / 29.97, 29.97) for i in range(5000)]
    assert codes == sorted(codes) and len(set(codes)) == len(codes)


def test_json_lines_hold_everything(tmp_path: Path, rig: Rig) -> None:
    frame = row(rig, 3, tracking=Tracking.EASING)
    (line,) = map(json.loads, write(tmp_path / "a.jsonl", rig, [frame]).read_text().splitlines())
    assert line.keys() == {"rig", "time", "index", "tracking", "confidence", "controls", "arkit", "head_pose", "gaze"}
    assert line["rig"] == "tiny"
    assert (line["index"], line["tracking"], line["confidence"]) == (3, "easing", 0.75)
    assert line["time"] == pytest.approx(3 / 29.97, abs=1e-6)
    assert line["controls"] == pytest.approx(dict(zip(rig.names, frame.values.tolist(), strict=True)), abs=1e-6)
    assert line["arkit"] == pytest.approx(dict(zip(arkit.NAMES, frame.arkit.tolist(), strict=True)), abs=1e-6)
    assert line["head_pose"] == pytest.approx(frame.head_pose.tolist(), abs=1e-6)
    assert line["gaze"] == pytest.approx(frame.gaze.tolist(), abs=1e-6)


def test_npz_holds_everything_and_needs_no_pickle(tmp_path: Path, rig: Rig) -> None:
    rows = [row(rig, 0), row(rig, 1, tracking=Tracking.HELD)]
    with np.load(write(tmp_path / "a.npz", rig, rows), allow_pickle=False) as found:
        data = dict(found)
    assert data["tracking"].tolist() == ["tracked", "held"] and data["index"].tolist() == [0, 1]
    assert data["time"].dtype == np.float64 and data["time"][1] == 1 / 29.97
    assert data["control_names"].tolist() == list(rig.names) and data["arkit_names"].tolist() == list(arkit.NAMES)
    for name, field in (("controls", "values"), ("arkit", "arkit"), ("head_pose", "head_pose"), ("gaze", "gaze")):
        np.testing.assert_array_equal(data[name], np.stack([getattr(r, field) for r in rows]))
    assert (str(data["rig"]), str(data["source"]), float(data["rate"])) == ("tiny", "clip.mp4", 29.97)


@pytest.mark.parametrize("suffix", [*FILE_SUFFIXES, ".CSV", ".NPZ"])
def test_no_rows_make_a_valid_file(tmp_path: Path, rig: Rig, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", rig, [])
    assert list(tmp_path.iterdir()) == [path]
    if suffix == ".npz":
        with np.load(path) as data:
            assert data["controls"].shape == (0, len(rig.names)) and data["arkit"].shape == (0, 52)


@pytest.mark.parametrize("suffix", FILE_SUFFIXES)
def test_a_failure_leaves_nothing(tmp_path: Path, rig: Rig, suffix: str) -> None:
    with pytest.raises(ZeroDivisionError), open_file(tmp_path / f"a{suffix}", rig) as sink:
        sink.write(row(rig))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_failure_to_finish_leaves_nothing(tmp_path: Path, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(ZeroDivisionError), open_file(tmp_path / "a.npz", rig) as sink:
        sink.write(row(rig))
    assert list(tmp_path.iterdir()) == []
