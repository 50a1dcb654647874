"""Comparisons by human raters: the CSV format of FEC, and batches of what was packed from it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from freeavatar.errors import SourceError
from freeavatar.train import real_faces
from freeavatar.train.fec import TripletCrops, read_comparisons

BOX = "0.2,0.6,0.1,0.7"


def line(votes: str, kind: str = "TWO_CLASS_TRIPLET", box: str = BOX, names: str = "abc") -> str:
    """A line whose images are a.jpg, b.jpg, c.jpg and whose raters voted as given, a digit each."""
    faces = ",".join(f"http://farm9.staticflickr.com/84/{name}.jpg?zz=1,{box}" for name in names)
    return f"{faces},{kind}," + ",".join(f"rater{i},{v}" for i, v in enumerate(votes))


def read(tmp_path: Path, *lines: str):
    path = tmp_path / "fec.csv"
    path.write_text("\n".join(lines) + "\n")
    return read_comparisons(path)


def test_the_odd_one_out_is_the_negative_and_boxes_are_left_right_top_bottom(tmp_path: Path) -> None:
    found = read(tmp_path, line("333312"), line("111111", "ONE_CLASS_TRIPLET"), "", line("2", "THREE_CLASS_TRIPLET"))
    assert [(t.anchor.file, t.positive.file, t.negative.file, t.classes) for t in found.triplets] == [
        ("a.jpg", "b.jpg", "c.jpg", 2),
        ("b.jpg", "c.jpg", "a.jpg", 1),
        ("a.jpg", "c.jpg", "b.jpg", 3),
    ]
    assert found.triplets[0].anchor.box == (0.2, 0.6, 0.1, 0.7)


def test_two_thirds_of_the_raters_must_agree(tmp_path: Path) -> None:
    found = read(tmp_path, line("111122"), line("111222"), line("112233"), line("1112"), line("112"), line("11"), line("12"))
    assert len(found.triplets) == 4 and found.undecided == 3


def test_padded_lines_and_boxes_beyond_the_image_are_accepted(tmp_path: Path) -> None:
    (triplet,) = read(tmp_path, line("111") + ",,,", line("123")).triplets
    assert triplet.negative.file == "a.jpg"
    (triplet,) = read(tmp_path, line("1", box="-0.1,0.5,0.2,1.02")).triplets
    assert triplet.anchor.box == (0.0, 0.5, 0.2, 1.0)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("http://x/a.jpg,0.1", "expected 3 times url"),
        (line("1").split(",TWO")[0], "15 columns"),
        (line("1" * 40), "96 columns"),
        (line("1", "FOUR_CLASS_TRIPLET"), "type 'FOUR_CLASS_TRIPLET' is unknown"),
        (line("4"), "not 1, 2 or 3"),
        (line("x"), "not 1, 2 or 3"),
        (line("1", box="0.6,0.2,0.1,0.7"), "left < right"),
        (line("1", box="nan,0.2,0.1,0.7"), "left < right"),
        (line("1", box="0.1,1e9,0.1,0.7"), "left < right"),
        (line("1", box="0.1,b,0.1,0.7"), "could not convert"),
        (line("1").replace("84/b.jpg", "84/.."), "plain file name"),
        (line("1").replace("84/b.jpg", "84/"), "plain file name"),
        (line("1").replace("84/b.jpg", "84/.b.jpg"), "plain file name"),
        (line("1").replace("84/b.jpg", "84\\..\\b.jpg"), "plain file name"),
        (line("1").replace("84/b.jpg", f"84/{'b' * 300}.jpg"), "plain file name"),
    ],
)
def test_a_line_that_is_not_in_the_format_is_named(tmp_path: Path, bad: str, message: str) -> None:
    with pytest.raises(SourceError, match=rf"fec.csv: line 2: .*{message}") as caught:
        read(tmp_path, line("1"), bad)
    assert "\n" not in str(caught.value)


def test_unreadable_and_empty_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read as CSV"):
        read_comparisons(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    with pytest.raises(SourceError, match="cannot be read as CSV"):
        read_comparisons(tmp_path / "binary.csv")
    with pytest.raises(SourceError, match="has no triplet"):
        read(tmp_path, line("12"))


def packed(path: Path, triplets: list[list[int]], classes: list[int]) -> Path:
    """Five pictures, each of one brightness."""
    jpegs = [cv2.imencode(".jpg", np.full((160, 160, 3), 40 * i + 20, np.uint8))[1].ravel() for i in range(5)]
    arrays = {"jpeg": np.concatenate(jpegs), "offsets": np.cumsum([0, *map(len, jpegs)])}
    np.savez(path, **arrays, triplets=np.array(triplets, np.int32), classes=np.array(classes, np.int8))
    return path


def test_batches_hold_the_three_faces_and_their_margin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_faces, "augment", lambda crop, rng, jitter: crop)
    monkeypatch.setattr(real_faces, "COLOURED", 0.0)
    path = packed(tmp_path / "fec.npz", [[0, 1, 4], [3, 2, 0]], [1, 3])
    crops = TripletCrops(path, 128, 8, 0)
    assert len(crops) == 2
    batch = crops.batch(3)
    assert {k: tuple(v.shape) for k, v in batch.items()} == {
        "anchor": (8, 3, 128, 128), "positive": (8, 3, 128, 128), "negative": (8, 3, 128, 128), "margin": (8,), "classes": (8,),
    }  # fmt: skip
    one = batch["classes"] == 1
    torch.testing.assert_close(batch["margin"], torch.where(one, 0.1, 0.2))
    assert one.any() and not one.all()
    levels = torch.stack([batch[k].float().mean((1, 2, 3)) for k in ("anchor", "positive", "negative")], dim=1)
    expected = torch.tensor([[20.0, 60.0, 180.0], [140.0, 100.0, 20.0]])[(~one).long()]
    torch.testing.assert_close(levels, expected, atol=2, rtol=0)
    again = TripletCrops(path, 128, 8, 0).batch(3)
    assert all(torch.equal(batch[k], again[k]) for k in batch)
    assert not torch.equal(batch["anchor"], TripletCrops(path, 128, 8, 0, rank=1).batch(3)["anchor"])


@pytest.mark.parametrize(
    ("triplets", "classes", "message"),
    [([[0, 1, 5]], [1], "not there"), ([[0, -1, 2]], [1], "not there"), ([[0, 1, 2]], [4], "1 to 3"), ([[0, 1, 2]], [1, 2], "1 to 3")],
)
def test_packed_triplets_that_point_nowhere_are_refused(
    tmp_path: Path, triplets: list[list[int]], classes: list[int], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        TripletCrops(packed(tmp_path / "fec.npz", triplets, classes), 128, 2, 0)
