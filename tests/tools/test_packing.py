"""The tools that pack real pictures for training."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from freeavatar import arkit
from freeavatar.demo import CLIP
from freeavatar.errors import SourceError
from freeavatar.sources import open_source
from freeavatar.train import pictures
from freeavatar.train.fec import TripletCrops
from freeavatar.train.real_faces import for_selection
from freeavatar.train.shards import decode
from tools import pack_triplets, weak_labels

HEADER = "file,label,person\n"


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """A picture with a face: the first frame of the shipped clip."""
    with open_source(CLIP) as source:
        return next(iter(source)).image


def test_a_box_picks_its_face_and_missing_images_cost_their_triplets(face: np.ndarray, tmp_path: Path) -> None:
    height, width = face.shape[:2]
    images = tmp_path / "images"
    images.mkdir()
    # Two faces side by side, the right one much brighter, and a picture without any.
    Image.fromarray(np.concatenate([face // 3, face], axis=1)).save(images / "two.png")
    Image.fromarray(np.full((height, width, 3), 128, np.uint8)).save(images / "nobody.png")
    left, right = "http://x.org/1/two.png,0.05,0.45,0.1,0.9", "http://x.org/1/two.png,0.55,0.95,0.1,0.9"
    lines = [
        f"{left},{right},{left},ONE_CLASS_TRIPLET,a,2,b,2",
        f"{left},{right},http://x.org/1/gone.png,0.1,0.9,0.1,0.9,TWO_CLASS_TRIPLET,a,1",
        f"{left},{right},http://x.org/1/nobody.png,0.1,0.9,0.1,0.9,TWO_CLASS_TRIPLET,a,1",
    ]
    table, out = tmp_path / "fec.csv", tmp_path / "out.npz"
    table.write_text("\n".join(lines))
    summary = pack_triplets.pack(table, images, out)
    assert summary.startswith("1 of 3 triplets packed") and "2 of 3 images are there, 2 faces were found" in summary
    crops = TripletCrops(out, 128, 2, 0)
    assert crops.triplets.tolist() == [[0, 0, 1]] and crops.classes.tolist() == [1]
    dark, bright = (decode(crop).mean() for crop in crops.jpegs)
    assert bright > 2 * dark
    (images / "two.png").write_bytes(b"not an image")
    with pytest.raises(SourceError, match="over 1% of 2 pictures are broken"):
        pack_triplets.pack(table, images, out)


def test_real_faces_are_packed_with_label_person_and_all_scores(
    face: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(face).save(tmp_path / "a.png")
    rows = [{"file": "a.png", "label": "happiness", "person": "x"}] * 2
    out = tmp_path / "real.npz"
    assert weak_labels.label_faces(tmp_path, rows, out) == 2
    with np.load(out) as z:
        assert z["label"].tolist() == ["happiness"] * 2 and z["person"].tolist() == ["x"] * 2 and z["files"].tolist() == ["a.png"] * 2
        assert z["arkit"].shape == (2, 52) and (z["arkit"] > 0).sum() > 60
        assert {arkit.NAMES[i] for i in np.flatnonzero(z["mask"][0])} == set(weak_labels.TAUGHT)
    missing = [{"file": "b.png", "label": "happiness", "person": "x"}]
    with pytest.raises(SourceError, match="over 1% of 3 pictures are broken"):
        weak_labels.label_faces(tmp_path, rows + missing, out)
    monkeypatch.setattr(pictures, "MOST_BROKEN", 0.5)
    assert weak_labels.label_faces(tmp_path, rows + missing, out) == 2
    assert "1 of 3 pictures are broken" in capsys.readouterr().err


@pytest.mark.parametrize("bad", ["a.jpg,bored,x", "../a.jpg,fear,x", "a.jpg,fear,", "a.jpg,fear"])
def test_a_table_with_a_bad_line_is_refused_with_its_number(tmp_path: Path, bad: str) -> None:
    (tmp_path / "t.csv").write_text(HEADER + "a.jpg,fear,x\n" + bad + "\n")
    with pytest.raises(SourceError, match=r"t.csv: line 3 is "):
        weak_labels.read_table(tmp_path / "t.csv")


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEADER)
    with pytest.raises(SourceError, match="has no rows"):
        weak_labels.read_table(tmp_path / "t.csv")


@pytest.mark.data
def test_the_people_for_selection_have_many_faces_of_each_judged_emotion(data_root: Path) -> None:
    rows = weak_labels.read_table(data_root / "faces_wild" / "train.csv")
    chosen = [row for row in rows if for_selection(row["person"])]
    assert 0.07 < len(chosen) / len(rows) < 0.11
    for emotion in ("neutral", "happiness", "surprise", "anger", "sadness"):
        assert len({row["person"] for row in chosen if row["label"] == emotion}) >= 10
