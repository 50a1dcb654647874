"""Of several faces the chosen one is followed: through noise, gaps and crossings."""

from collections.abc import Callable

import numpy as np
import pytest

from freeavatar.errors import SourceError
from freeavatar.face import FaceTracker, tracker
from freeavatar.face.crowd import MOST, Crowd
from freeavatar.face.landmarks import Detection
from freeavatar.types import Frame

Walk = Callable[[float], tuple[float, float, float] | None]


def still(x: float, y: float = 300.0, width: float = 100.0) -> Walk:
    return lambda t: (x, y, width)


def walking(x: float, speed: float, width: float = 100.0) -> Walk:
    return lambda t: (x + speed * t, 300.0, width)


def follow(crowd: Crowd, paths: list[Walk], seconds: float, rate: float = 30.0, noise: float = 1.0, start: float = 0.0) -> list[int | None]:
    """Which person was chosen in each frame; faces come in a random order and hide those behind them (later ones in the list)."""
    rng = np.random.default_rng(0)
    chosen: list[int | None] = []
    for time in start + np.arange(0, seconds, 1 / rate):
        seen: list[tuple[int, np.ndarray]] = []
        for person, path in enumerate(paths):
            place = path(time)
            if place is None or any(np.hypot(place[0] - other[0], place[1] - other[1]) < 0.6 * place[2] for _, other in seen):
                continue
            seen.append((person, np.array(place) + rng.normal(0, noise, 3)))
        order = rng.permutation(len(seen))
        index = crowd.choose(np.array([seen[i][1] for i in order]).reshape(-1, 3), float(time))
        chosen.append(None if index is None else seen[order[index]][0])
    return chosen


@pytest.mark.parametrize("face", [1, 2, 3])
def test_faces_are_counted_from_the_left(face: int) -> None:
    people = [still(500), still(100), still(900)]
    assert set(follow(Crowd(face), people, 1.0)) == {[1, 0, 2][face - 1]}


@pytest.mark.parametrize("face", [1, 2])
@pytest.mark.parametrize("speed", [60.0, 200.0, 500.0, 900.0])
@pytest.mark.parametrize("in_front", [0, 1])
def test_two_faces_that_cross_do_not_swap(face: int, speed: float, in_front: int) -> None:
    """Each walks past the other; the one behind is hidden while they overlap."""
    left, right = walking(200, speed), walking(1000, -speed)
    people = [left, right] if in_front == 0 else [right, left]
    mine = [0, 1][face - 1] if in_front == 0 else [1, 0][face - 1]
    chosen = follow(Crowd(face), people, 1200 / speed)
    assert set(chosen) <= {mine, None} and chosen[-1] == mine
    assert sum(who is None for who in chosen) < 0.35 * len(chosen)


def test_one_that_walks_past_another_who_sits_is_followed() -> None:
    for face, mine in ((1, 0), (2, 1)):
        for people in ([walking(100, 150), still(600)], [walking(100, 150, width=180), still(600)]):
            chosen = follow(Crowd(face), people, 6.0)
            assert set(chosen) <= {mine, None} and chosen[-1] == mine


def test_somebody_who_joins_on_the_left_changes_nothing() -> None:
    people: list[Walk] = [still(600), lambda t: (200.0, 300.0, 100.0) if t > 1 else None]
    assert set(follow(Crowd(1), people, 3.0)) == {0}


def test_a_face_that_is_missed_for_a_second_is_found_again_and_nobody_takes_its_place() -> None:
    people: list[Walk] = [lambda t: (300.0, 300.0, 100.0) if not 1 < t < 2 else None, still(700)]
    chosen = follow(Crowd(1), people, 4.0)
    assert set(chosen[:30]) == {0} and set(chosen[33:58]) == {None} and set(chosen[62:]) == {0}


def test_after_the_chosen_one_has_left_another_is_chosen() -> None:
    people: list[Walk] = [lambda t: (300.0, 300.0, 100.0) if t < 1 else None, still(700)]
    chosen = follow(Crowd(1), people, 6.0)
    assert set(chosen[:29]) == {0} and set(chosen[33:110]) == {None} and set(chosen[130:]) == {1}


def test_with_fewer_faces_than_asked_for_none_is_chosen() -> None:
    assert set(follow(Crowd(2), [still(300)], 1.0)) == {None}
    assert Crowd(1).choose(np.zeros((0, 3)), 0.0) is None


def test_a_face_found_twice_counts_once() -> None:
    crowd = Crowd(2)
    faces = np.array([[300.0, 300, 100], [305.0, 302, 98], [700.0, 300, 100]])
    assert crowd.choose(faces, 0.0) == 2


def test_more_faces_than_it_can_follow_are_survived() -> None:
    chosen = follow(Crowd(1), [still(100 + 150 * i) for i in range(10)], 1.0)
    assert set(chosen) <= {*range(10), None}


@pytest.mark.parametrize("face", [0, -1, MOST + 1])
def test_a_face_out_of_range_is_refused(face: int) -> None:
    with pytest.raises(SourceError, match="--face"):
        Crowd(face)


def test_the_tracker_follows_the_chosen_face_in_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, object]] = []

    class Landmarker:
        """Sees two faces, the right one first, that move apart."""

        def __init__(self, **options: object) -> None:
            made.append(options)
            self.step = 0

        def detect_all(self, image: np.ndarray, milliseconds: int) -> list[Detection]:
            self.step += 1
            return [self.face(0.7 + 0.01 * self.step), self.face(0.2)]

        def face(self, x: float) -> Detection:
            points = np.random.default_rng(0).uniform(-0.05, 0.05, (478, 3)).astype(np.float32) + np.array([x, 0.5, 0], np.float32)
            return Detection(points, np.eye(4, dtype=np.float32), None)

        def close(self) -> None: ...

    monkeypatch.setattr(tracker, "Landmarker", Landmarker)
    image = np.zeros((200, 400, 3), np.uint8)
    for face, x in ((1, 80), (2, 292)):
        with FaceTracker(face=face) as followed:
            crops = [followed.track(Frame(image, i / 30, i)) for i in range(5)]
            assert all(crop is not None and abs(float(crop.landmarks[:, 0].mean()) - x) < 12 for crop in crops)
    assert all(options["faces"] == MOST for options in made)
    with pytest.raises(SourceError, match="unrelated pictures"):
        FaceTracker(still=True, face=1)
