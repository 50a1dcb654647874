"""Avatars take people's places in a dataset and show what those people's labels say."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import show_on_avatars
from freeavatar import arkit
from freeavatar.train.pictures import SIDE
from freeavatar.train.shards import Shards

SHAPES = ["jawOpen", "eyeBlinkLeft", "mouthSmileLeft", "jawOpen"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One comparison of grey pictures."""
    folder = tmp_path / "data"
    folder.mkdir()
    picture = cv2.imencode(".jpg", np.full((SIDE, SIDE, 3), 128, np.uint8))[1].ravel()
    scores = np.zeros((4, 52), np.float32)
    scores[range(4), [arkit.INDEX[name] for name in SHAPES]] = 1
    np.savez(
        folder / "shard_00000.npz", jpeg=np.tile(picture, 4), offsets=np.arange(5) * len(picture), arkit=scores, mask=np.ones((4, 52)),
        movement=np.arange(288, dtype=np.float32).reshape(4, 72), gaze=np.zeros((4, 2), np.float32), pose=np.full((4, 3), 0.3, np.float32),
        centre=np.full((4, 3), 0.2, np.float32), person=np.array(["a", "b", "a", "b"]), family=np.array(["ict"] * 4),
        kind=np.zeros((1, 2), np.int8),
    )  # fmt: skip
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *args: object) -> int:
    monkeypatch.setattr("sys.argv", ["show_on_avatars.py", *map(str, args)])
    return show_on_avatars.main()


def test_an_avatar_shows_the_expression_and_everything_else_stays(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, data, tmp_path / "out", "--rigs", "robot", "--share", 1) == 0
    before, after = Shards([data]), Shards([tmp_path / "out"])
    pictures = np.stack([after.image(i) for i in range(4)]).astype(float)
    assert pictures.shape == (4, SIDE, SIDE, 3)
    top, bottom = pictures[:, : SIDE // 2], pictures[:, SIDE // 2 :]
    assert np.abs(pictures[0] - pictures[3]).max() == 0  # the same weights
    assert np.abs(bottom[0] - bottom[1]).mean() > 5 * np.abs(top[0] - top[2]).mean()  # jaws move below, smiles and jaws not above
    assert np.abs(top[0] - top[1]).mean() > 5 * np.abs(top[0] - top[2]).mean()  # lids move above
    for key in ("movement", "arkit", "mask", "gaze", "kind"):
        np.testing.assert_array_equal(after.labels[key], before.labels[key])
    assert not after.labels["pose"].any()  # seen from the front


def test_who_is_not_replaced_stays_to_the_byte_and_the_share_is_kept(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, data, tmp_path / "out", "--rigs", "pixel", "--share", 0) == 0
    with np.load(data / "shard_00000.npz") as old, np.load(tmp_path / "out" / "shard_00000.npz") as new:
        assert all(np.array_equal(old[key], new[key]) for key in old.files)


def test_a_folder_without_shards_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, tmp_path / "out", "--rigs", "pixel") == 2
    assert "no shards in" in capsys.readouterr().err
    assert run(monkeypatch, tmp_path, tmp_path / "out", "--rigs", "nobody") == 2
    assert "no rig 'nobody'" in capsys.readouterr().err
