"""Features: one row an image or frame, in order, NaN where no face was found."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from freeavatar import arkit
from freeavatar.embed import embed
from freeavatar.errors import OutputError, SourceError

pytestmark = pytest.mark.usefixtures("tiny_weights", "tracked")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, level in (("b", 0), ("c", 90), ("a", 200)):
        Image.new("RGB", (40, 40), (level,) * 3).save(folder / f"{name}.png")
    return folder


def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as data:
        return dict(data)


def test_the_file_has_the_keys_and_types_of_the_contract(folder: Path, tmp_path: Path) -> None:
    done = embed([folder], tmp_path / "f.npz")
    data = load(tmp_path / "f.npz")
    assert (done.rows, done.faces) == (3, 2)
    shapes = {"feature": (3, 8), "embedding": (3, 4), "arkit": (3, 52), "gaze": (3, 2), "head_pose": (3, 6), "confidence": (3,)}
    assert {name: data[name].shape for name in shapes} == shapes
    assert all(data[name].dtype == np.float32 for name in shapes)
    assert data.keys() == {*shapes, "files", "arkit_names"} and data["arkit_names"].tolist() == list(arkit.NAMES)


def test_folders_are_read_in_name_order_and_a_missing_face_is_nan(folder: Path, tmp_path: Path) -> None:
    embed([folder], tmp_path / "f.npz")
    data = load(tmp_path / "f.npz")
    assert data["files"].tolist() == ["a.png", "b.png", "c.png"]
    for name in ("feature", "embedding", "arkit", "gaze", "head_pose", "confidence"):
        assert np.isnan(data[name][1]).all() and np.isfinite(data[name][[0, 2]]).all()
    assert np.linalg.norm(data["embedding"][0]) == pytest.approx(1, abs=1e-5)


def test_inputs_keep_their_order_and_video_frames_are_numbered(folder: Path, clip: Path, tmp_path: Path) -> None:
    embed([folder / "c.png", clip, folder / "a.png"], tmp_path / "f.npz")
    files = load(tmp_path / "f.npz")["files"].tolist()
    assert files == ["c.png", *(f"clip.mp4#{i}" for i in range(40)), "a.png"]


def test_the_same_picture_gives_the_same_row_wherever_it_comes_from(folder: Path, tmp_path: Path) -> None:
    embed([folder, folder / "c.png"], tmp_path / "f.npz")
    feature = load(tmp_path / "f.npz")["feature"]
    np.testing.assert_array_equal(feature[2], feature[3])


def test_only_npz_is_written(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"use one of \.npz"):
        embed([folder], tmp_path / "f.csv")


def test_an_unreadable_input_leaves_no_file(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nothing\.png"):
        embed([folder, tmp_path / "nothing.png"], tmp_path / "f.npz")
    assert not list(tmp_path.glob("*.npz"))


def test_no_input_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no input"):
        embed([], tmp_path / "f.npz")
