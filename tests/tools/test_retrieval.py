"""A frame finds its own picture where avatars show what people do, and by chance where they do not."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar
from unittest.mock import ANY

import cv2
import numpy as np
import pytest

import retrieval
from freeavatar.demo import CLIP
from freeavatar.errors import FreeAvatarError
from freeavatar.rig import Rig, load_rig
from freeavatar.types import FaceCrop
from measure import retrieval as measured
from measure.retrieval import FRAMES, faces_of, nearest, ranks, read_truth, spread_frames


def test_an_avatar_of_its_own_place_and_size_is_found_all_the_same() -> None:
    rng = np.random.default_rng(0)
    person = rng.normal(size=(50, 16))
    np.testing.assert_array_equal(ranks(person, 0.3 * person + rng.normal(size=16)), 1)
    assert ranks(person, 0.3 * person + 0.3 * rng.normal(size=(50, 16))).mean() < 6


def test_an_avatar_that_shows_something_else_or_nothing_is_found_by_chance() -> None:
    rng = np.random.default_rng(0)
    person = rng.normal(size=(50, 16))
    assert ranks(rng.normal(size=(400, 16)), rng.normal(size=(400, 16))).mean() == pytest.approx(200.5, abs=18)
    np.testing.assert_array_equal(ranks(person, np.ones((50, 16))), 25.5)
    assert ranks(person, -person).mean() > 40


def test_a_long_clip_is_judged_on_frames_from_start_to_end() -> None:
    np.testing.assert_array_equal(spread_frames(3), [0, 1, 2])
    frames = spread_frames(1000)
    assert len(frames) == FRAMES and frames[0] == 0 and frames[-1] == 999 and np.ptp(np.diff(frames)) <= 1


class Judge:
    """Reads from a picture its mean colour."""

    def __init__(self, name: str, size: int) -> None:
        self.name, self.size, self.sha256 = name, size, f"{name} {size}"

    def encode(self, crops: list[FaceCrop]) -> list[SimpleNamespace]:
        assert all(crop.image.shape == (self.size, self.size, 3) for crop in crops)
        return [SimpleNamespace(embedding=crop.image.mean((0, 1))) for crop in crops]


class Album:
    """Pictures of an avatar as bright as its values."""

    def __init__(self, rig: SimpleNamespace) -> None: ...

    def paint(self, values: np.ndarray, sizes: set[int]) -> dict[int, list[np.ndarray]]:
        return {size: [np.broadcast_to(row.astype(np.uint8), (size, size, 3)) for row in values] for size in sizes}


def picture(size: int, colour: np.ndarray) -> FaceCrop:
    image = np.broadcast_to(colour.astype(np.uint8), (size, size, 3))
    return FaceCrop(image, np.eye(2, 3, dtype=np.float32), None, np.zeros(6, np.float32), 0.0, 0, peer=255 - colour)


def test_every_judge_looks_at_pictures_of_its_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (50, 3)).astype(np.float32)
    monkeypatch.setattr(retrieval, "faces_of", lambda video, sizes: [{size: picture(size, row) for size in sizes} for row in colours])
    monkeypatch.setattr(retrieval, "Portraits", Album)
    rig = SimpleNamespace(name="mask", from_arkit=lambda weights: weights)
    copy = SimpleNamespace(animate=lambda read, rig: SimpleNamespace(values=read.embedding))
    judges = [Judge("own", 8), Judge("other", 4)]
    found = retrieval.measure([Path("a"), Path("b")], [rig], judges, Judge("own", 8), {"copy": copy})
    assert found["mask, copy"] == {name: {"place": 1.0, "first": 1.0} for name in ("own", "other")}
    assert found["mask, MediaPipe"]["other"]["place"] > 40


def test_the_truth_judges_by_what_the_avatar_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = np.random.default_rng(0).uniform(0, 255, (50, 52))
    faces = [{8: replace(picture(8, row[:3]), index=i, peer=truth[49 - i])} for i, row in enumerate(truth)]
    monkeypatch.setattr(retrieval, "faces_of", lambda video, sizes: faces)
    monkeypatch.setattr(retrieval, "Portraits", Album)
    rig = SimpleNamespace(name="mask", from_arkit=lambda weights: weights[..., :3])
    good = SimpleNamespace(animate=lambda read, rig: SimpleNamespace(values=0.9 * read.embedding + 10))
    own = Judge("own", 8)
    found = retrieval.measure([Path("a")], [rig], [own], own, {"good": good}, [truth])
    assert found["mask, good"]["truth"]["place"] < 2
    assert found["mask, MediaPipe"]["truth"]["place"] > 15
    with pytest.raises(FreeAvatarError, match="truth of the same clip"):
        retrieval.measure([Path("a")], [rig], [own], own, {"good": good}, [truth[:40]])
    assert "truth" not in retrieval.measure([Path("a")], [rig], [own], own, {"good": good})["mask, good"]


def test_pictures_alike_share_their_places() -> None:
    grey = [np.full((4, 4, 3), level, np.uint8) for level in (10, 20, 30, 40, 50)]
    np.testing.assert_array_equal(nearest(grey, grey), 1)
    np.testing.assert_array_equal(nearest(grey, [grey[2]] * 5), 3)
    np.testing.assert_array_equal(nearest(grey, grey[::-1]), [5, 4, 1, 4, 5])


@pytest.mark.parametrize("arkit", [np.zeros((5, 51)), np.full((5, 52), np.nan), np.zeros(52)])
def test_a_truth_that_is_none_is_refused(tmp_path: Path, arkit: np.ndarray) -> None:
    np.savez(tmp_path / "truth.npz", arkit=arkit)
    with pytest.raises(FreeAvatarError, match="52 finite weights a frame"):
        read_truth(tmp_path / "truth.npz")
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(FreeAvatarError, match="no truth of a clip"):
        read_truth(tmp_path / "text.npz")


def test_judges_of_one_name_must_be_one() -> None:
    own = Judge("own", 8)
    assert retrieval._by_name([own, Judge("other", 4), own]) == [own, ANY]
    with pytest.raises(FreeAvatarError, match="two judges are called own"):
        retrieval._by_name([own, Judge("own", 4)])


def test_crops_of_every_size_show_the_same_face() -> None:
    crops = faces_of(CLIP, (96, 48))
    assert len(crops) == FRAMES and all(crop[96].peer is not None for crop in crops)
    for crop in crops[::10]:
        assert crop[48].image.shape == (48, 48, 3)
        halved = cv2.resize(crop[96].image, (48, 48), interpolation=cv2.INTER_AREA).astype(float)
        assert np.abs(halved - crop[48].image).mean() < 6


class Brush:
    """A raster that paints every other row of the picture as bright as the lid is shut, and remembers the head."""

    lid = 0
    seen: ClassVar[list[np.ndarray]] = []

    def __init__(self, rig: Rig, size: int, view: np.ndarray) -> None:
        self.size = size

    def __enter__(self) -> "Brush":
        return self

    def __exit__(self, *_: object) -> None: ...

    def paint(self, values: np.ndarray) -> np.ndarray:
        self.seen.append(values)
        image = np.zeros((self.size, self.size, 3), np.uint8)
        image[::2] = round(200 * float(values[self.lid]))
        return image


def test_pictures_are_painted_once_with_the_head_at_rest_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "find_face", lambda config, rig: np.eye(2, 3, dtype=np.float32))
    monkeypatch.setattr(measured, "Painter", Brush)
    rig = load_rig("pixel")
    Brush.lid = rig.driven[0]
    head = next(i for i, control in enumerate(rig.controls) if control.source.startswith("head."))
    pictures = measured.Portraits(rig).paint(rig.denormalise(np.ones((2, len(rig.controls)), np.float32)), {8, 4})
    assert len(Brush.seen) == 2 and Brush.seen[0][head] == rig.normalise(rig.neutral())[head]
    assert [p.shape for p in pictures[4]] == [(4, 4, 3)] * 2 and pictures[8][0].max() == 200
    np.testing.assert_array_equal(pictures[4][0], 100)  # rows in between are averaged, not skipped
