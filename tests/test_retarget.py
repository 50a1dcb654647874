"""The main job from a file to files: every frame has a row, times are true, an interrupted job leaves valid files."""

import csv
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from freeavatar import retarget as module
from freeavatar.errors import FreeAvatarError, OutputError, RigError, SourceError
from freeavatar.retarget import perform, retarget
from freeavatar.rig import Rig
from freeavatar.sources import open_source

pytestmark = pytest.mark.usefixtures("tiny_weights", "tracked")


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch, rig: Rig) -> None:
    monkeypatch.setattr("freeavatar.rig.load_rig", lambda name: rig)


def test_every_frame_of_the_input_has_a_row_in_every_file(clip: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / f"out{suffix}" for suffix in (".csv", ".jsonl", ".npz")]
    done = retarget(clip, "tiny", outputs)
    assert (done.frames, done.faces, done.interrupted) == (40, 20, False) and done.outputs == [str(path) for path in outputs]
    assert len(list(csv.DictReader(outputs[0].open(newline="")))) == 40
    assert len(outputs[1].read_text().splitlines()) == 40
    with np.load(outputs[2]) as data:
        assert data["index"].tolist() == list(range(40))
        steps = np.diff(data["time"])
        np.testing.assert_allclose(steps, [1 / 30] * 20 + [2 / 30] * 19, atol=1e-6)
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "out.csv", "out.jsonl", "out.npz"}


def test_rows_without_a_face_hold_ease_and_say_so(clip: Path, tmp_path: Path) -> None:
    retarget(clip, "tiny", [tmp_path / "out.npz"])
    with np.load(tmp_path / "out.npz") as data:
        tracking, controls, confidence = data["tracking"].tolist(), data["controls"], data["confidence"]
    # Lost at 9/30 s: held until 24/30 s (frame 22), easing until the face is back.
    assert tracking == ["tracked"] * 10 + ["held"] * 13 + ["easing"] * 7 + ["tracked"] * 10
    np.testing.assert_array_equal(controls[10:23], np.repeat(controls[9:10], 13, 0))
    assert (np.abs(controls[29]) < np.abs(controls[9])).all() and (confidence[10:30] == 0).all()


def test_the_values_follow_the_picture(clip: Path, tmp_path: Path) -> None:
    retarget(clip, "tiny", [tmp_path / "out.npz"])
    with np.load(tmp_path / "out.npz") as data:
        assert (np.abs(np.diff(data["controls"][:10, :4], axis=0)).max(0) > 0).all()
        np.testing.assert_allclose(data["controls"][:10, 4], 0.2)  # headYaw is the tracker's


def test_several_rigs_share_one_pass(clip: Path, rig: Rig) -> None:
    from dataclasses import replace

    other = replace(rig, name="stranger")
    with open_source(clip) as source:
        rows = [row for _, row in perform(source, [rig, other])]
    assert len(rows) == 40 and [row.rig for row in rows[0]] == ["tiny", "stranger"]
    assert rows[0][0].arkit is rows[0][1].arkit


def test_several_rigs_have_a_file_each(clip: Path, rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setattr("freeavatar.rig.load_rig", lambda name: replace(rig, name=str(name)))
    done = retarget(clip, ["tiny", "stranger"], [tmp_path / "me.npz", tmp_path / "me.csv"])
    assert done.rigs == ("tiny", "stranger")
    assert [Path(path).name for path in done.outputs] == ["me.tiny.npz", "me.stranger.npz", "me.tiny.csv", "me.stranger.csv"]
    retarget(clip, "tiny", [tmp_path / "alone.npz"])
    with np.load(tmp_path / "me.tiny.npz") as one, np.load(tmp_path / "alone.npz") as alone, np.load(tmp_path / "me.stranger.npz") as two:
        np.testing.assert_array_equal(one["controls"], alone["controls"])
        assert np.abs(one["controls"] - two["controls"]).max() > 1e-3
    with pytest.raises(RigError, match="each once"):
        retarget(clip, ["tiny", "tiny"], [tmp_path / "me.csv"])


def test_pictures_hold_nothing_from_one_to_the_next(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, level in (("a", 200), ("b", 0), ("c", 90)):
        Image.new("RGB", (40, 40), (level,) * 3).save(folder / f"{name}.png")
    retarget(folder, "tiny", [tmp_path / "out.npz"])
    with np.load(tmp_path / "out.npz") as data:
        assert data["tracking"].tolist() == ["tracked", "neutral", "tracked"]
        assert not data["controls"][1].any()


def test_ctrl_c_leaves_finished_files_with_the_rows_so_far(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = module.perform

    def interrupted(*args: object) -> object:
        for i, item in enumerate(original(*args)):  # type: ignore[arg-type]
            if i == 6:
                os.kill(os.getpid(), signal.SIGINT)
            yield item

    monkeypatch.setattr(module, "perform", interrupted)
    outputs = [tmp_path / f"out{suffix}" for suffix in (".csv", ".jsonl", ".npz")]
    done = retarget(clip, "tiny", outputs)
    assert done.interrupted and done.frames == 7
    assert len(list(csv.DictReader(outputs[0].open(newline="")))) == 7
    assert json.loads(outputs[1].read_text().splitlines()[-1])["index"] == 6
    with np.load(outputs[2]) as data:
        assert len(data["time"]) == 7


def test_an_error_on_the_way_leaves_no_files(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> object:
        raise SourceError("broken")
        yield

    monkeypatch.setattr(module, "perform", broken)
    with pytest.raises(SourceError, match="broken"):
        retarget(clip, "tiny", [tmp_path / "out.csv"])
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize(("name", "message"), [("out.txt", r"\.csv, \.jsonl, \.npz"), ("no/out.csv", "does not exist"), ("out", "none")])
def test_a_bad_output_is_refused_before_any_work(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.setattr(module, "open_source", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(OutputError, match=message):
        retarget(clip, "tiny", [tmp_path / "good.csv", tmp_path / name])


def test_a_preview_must_be_an_mp4(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.mp4"):
        retarget(clip, "tiny", [], tmp_path / "out.avi")


def test_the_preview_never_replaces_the_input(clip: Path) -> None:
    with pytest.raises(OutputError, match="is the input itself"):
        retarget(clip, "tiny", [], clip)


def test_no_output_at_all_is_an_error(clip: Path) -> None:
    with pytest.raises(OutputError, match="nothing to write"):
        retarget(clip, "tiny", [])


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(FreeAvatarError, match=r"nothing\.mp4"):
        retarget(tmp_path / "nothing.mp4", "tiny", [tmp_path / "out.csv"])
