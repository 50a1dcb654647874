"""What is put before a face sits where it belongs, and a degraded face can still be read."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from freeavatar.face import alignment
from freeavatar.face.alignment import displacement
from freeavatar.train import occluders, webcam
from freeavatar.types import Image

STRAIGHT = np.eye(2, 3)


@pytest.fixture
def as_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crop template that is the square that everything is drawn in."""
    monkeypatch.setattr(alignment, "EYES", occluders.EYES)


def test_what_is_drawn_on_the_eyes_lands_on_those_of_the_template() -> None:
    for size in (96, 128):
        matrix = occluders.drawing(size, STRAIGHT)
        for drawn, wanted in zip(occluders.EYES, alignment.EYES, strict=True):
            np.testing.assert_allclose(moved(matrix, *drawn, size=size), np.array(wanted) * size - 0.5, atol=0.01 * size)


def face(size: int = 128) -> Image:
    """A drawn face in the place of the crop template."""
    picture = np.full((size, size, 3), (90, 110, 130), np.uint8)

    def oval(x: float, y: float, wide: float, high: float, colour: tuple[int, int, int]) -> None:
        cv2.ellipse(picture, (int(x * size), int(y * size)), (int(wide * size), int(high * size)), 0, 0, 360, colour, -1, cv2.LINE_AA)

    oval(0.5, 0.5, 0.38, 0.55, (205, 160, 135))
    for x in (0.36, 0.64):
        oval(x, 0.28, 0.09, 0.018, (60, 40, 30))
        oval(x, 0.3685, 0.06, 0.03, (240, 240, 240))
        oval(x, 0.3685, 0.025, 0.028, (40, 30, 20))
    oval(0.5, 0.71, 0.1, 0.035, (150, 60, 60))
    return picture


def moved(matrix: NDArray[np.floating], x: float, y: float, size: int = 128) -> NDArray[np.floating]:
    """Pixel of a point of the template in a displaced crop."""
    return matrix[:, :2] @ (np.array([x, y]) * size - 0.5) + matrix[:, 2]


@pytest.mark.parametrize("size", [96, 128, 160])
def test_the_same_chance_gives_the_same_picture(size: int) -> None:
    def run(seed: int) -> Image:
        rng = np.random.default_rng(seed)
        return webcam.degrade(webcam.shift_brows(webcam.bend(face(size), rng), rng), rng)

    for seed in range(20):
        picture = run(seed)
        assert picture.shape == (size, size, 3) and picture.dtype == np.uint8
        np.testing.assert_array_equal(picture, run(seed))
    assert (run(0) != run(1)).any()


def test_nearly_every_degraded_face_still_shows_its_eyes_and_mouth() -> None:
    clean = cv2.cvtColor(face(), cv2.COLOR_RGB2GRAY).astype(float)
    inside = (slice(int(0.22 * 128), int(0.8 * 128)), slice(int(0.25 * 128), int(0.75 * 128)))
    likeness = []
    for seed in range(200):
        seen = cv2.cvtColor(webcam.degrade(face(), np.random.default_rng(seed)), cv2.COLOR_RGB2GRAY).astype(float)
        likeness.append(np.corrcoef(clean[inside].ravel(), seen[inside].ravel())[0, 1])
    assert np.quantile(likeness, 0.1) > 0.4
    assert np.quantile(likeness, 0.5) < 0.95  # and it is degraded


def test_a_face_is_hardly_ever_lost_in_the_dark() -> None:
    levels = [webcam.degrade(face(), np.random.default_rng(seed))[32:110, 32:96].mean() for seed in range(200)]
    assert np.quantile(levels, 0.02) > 22 and np.quantile(levels, 0.98) < 225
    assert np.std(levels) > 20


@pytest.mark.parametrize("jitter", [(0, 0, 0, 0), (0.05, -0.05, 0.1, 0.15), (-0.06, 0.04, -0.1, -0.15)])
def test_glasses_sit_on_the_eyes_of_a_jittered_crop(jitter: tuple[float, ...]) -> None:
    matrix = displacement(np.array(jitter), 128)
    plain = np.full((128, 128, 3), 200, np.uint8)
    changed = sum(np.abs(occluders.glasses(plain, np.random.default_rng(seed), matrix).astype(float) - plain).sum(2) for seed in range(60))
    assert isinstance(changed, np.ndarray)
    y, x = np.mgrid[:128, :128]
    middle = np.array([(changed * x).sum(), (changed * y).sum()]) / changed.sum()
    np.testing.assert_allclose(middle, moved(matrix, 0.5, 0.3685 + 0.014), atol=3)
    mouth = moved(matrix, 0.5, 0.71).astype(int)
    assert changed[mouth[1] - 3 : mouth[1] + 4, mouth[0] - 8 : mouth[0] + 9].max() == 0
    for eye in occluders.EYES:  # a rim goes around the pupil, not over it
        at, rim = moved(matrix, *eye).astype(int), moved(matrix, eye[0], eye[1] - 0.075).astype(int)
        assert changed[at[1], at[0]] < changed[rim[1] - 3 : rim[1] + 4, rim[0]].max()


@pytest.mark.parametrize("draw", [occluders.fringe, occluders.strands])
def test_hair_hangs_from_above_and_leaves_the_mouth(draw: Callable[..., Image]) -> None:
    plain = np.full((128, 128, 3), 200, np.uint8)
    changed = np.mean([np.abs(draw(plain, np.random.default_rng(s), STRAIGHT).astype(float) - plain).sum(2) for s in range(40)], axis=0)
    assert changed[:13].mean() > 1.2 * changed[45:64, 32:96].mean()
    assert changed[85:100, 45:83].max() < 1


@pytest.mark.parametrize("draw", [occluders.hand, occluders.microphone, occluders.cup, occluders.mask])
def test_other_things_leave_the_eyes(draw: Callable[..., Image]) -> None:
    plain = np.full((128, 128, 3), 160, np.uint8)
    for seed in range(40):
        changed = np.abs(draw(plain, np.random.default_rng(seed), STRAIGHT).astype(float) - plain).sum(2)
        assert changed[38:50, 38:90].max() < 12
    assert changed.max() > 30


def test_a_hand_has_the_colour_of_its_face() -> None:
    for colour in ((230, 190, 170), (90, 60, 45)):
        plain = np.full((128, 128, 3), colour, np.uint8)
        drawn = occluders.hand(plain, np.random.default_rng(3), STRAIGHT).astype(float)
        hand = drawn[np.abs(drawn - plain).sum(2) > 10]
        assert np.abs(hand.mean(0) / hand.mean() - np.array(colour) / np.mean(colour)).max() < 0.12


def test_shares_of_occluders() -> None:
    plain = np.full((128, 128, 3), 160, np.uint8)
    drawn = [occluders.occlude(plain, np.random.default_rng(seed), STRAIGHT) for seed in range(600)]
    changed = np.array([np.abs(picture.astype(int) - plain).max() > 10 for picture in drawn])
    nothing = (1 - occluders.GLASSES) * (1 - occluders.HAIR) * (1 - occluders.OTHERS)
    assert abs(changed.mean() - (1 - nothing)) < 0.06


def brow_height(picture: Image, x: float) -> float:
    """Row of the centre of what is dark between hairline and lid at a column, in sides of the crop."""
    column = picture[int(0.1 * 128) : int(0.335 * 128), int(x * 128), 0].astype(float)
    dark = np.clip(170 - column, 0, None)
    return float((dark * (np.arange(len(dark)) + int(0.1 * 128))).sum() / dark.sum() / 128)


@pytest.mark.usefixtures("as_drawn")
def test_brows_rest_elsewhere_while_eyes_and_forehead_stay() -> None:
    picture = face()
    rest = brow_height(picture, 0.36)
    moves = []
    for seed in range(200):
        shifted = webcam.shift_brows(picture, np.random.default_rng(seed))
        np.testing.assert_array_equal(shifted[int(0.35 * 128) :], picture[int(0.35 * 128) :])
        np.testing.assert_array_equal(shifted[: int(0.07 * 128)], picture[: int(0.07 * 128)])
        moves.append([brow_height(shifted, 0.36) - rest, brow_height(shifted, 0.64) - rest])
    right, left = np.array(moves).T
    assert abs(right.mean()) < 0.005 and 0.006 < right.std() < 0.02
    assert np.corrcoef(right, left)[0, 1] > 0.7  # both sides mostly alike
    assert np.abs(right - left).max() > 0.003


@pytest.mark.usefixtures("as_drawn")
def test_the_band_of_the_brows_follows_the_crop() -> None:
    matrix = displacement(np.array([0, 0.1, 0, 0]), 128)
    picture = np.asarray(cv2.warpAffine(face(), matrix, (128, 128), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    for seed in range(30):
        shifted = webcam.shift_brows(picture, np.random.default_rng(seed), matrix)
        np.testing.assert_array_equal(shifted[int(0.46 * 128) :], picture[int(0.46 * 128) :])
        assert (shifted[int(0.25 * 128) : int(0.44 * 128)] != picture[int(0.25 * 128) : int(0.44 * 128)]).any()


@pytest.mark.parametrize(("raised", "lowered", "top", "bottom"), [(1.0, 0.0, 0.0, 0.19), (0.0, 1.0, 0.15, 0.28)])
def test_skin_folds_where_the_brows_move_it_and_nowhere_else(raised: float, lowered: float, top: float, bottom: float) -> None:
    plain = np.full((192, 192, 3), 160, np.uint8)
    half, full, within = 0.0, 0.0, 0.0
    for seed in range(60):
        rest, some, all_ = (webcam.fold(plain, np.random.default_rng(seed), k * raised, k * lowered).astype(int) for k in (0.0, 0.5, 1.0))
        changed = np.abs(all_ - rest).sum(2)
        within += changed[int(top * 192) : int(bottom * 192)].sum()
        full, half = full + changed.sum(), half + np.abs(some - rest).sum()
    assert full > 1.4 * half > 0 and within > 0.95 * full


def test_smooth_skin_at_rest_stays_smooth_on_most_people() -> None:
    plain = np.full((128, 128, 3), 160, np.uint8)
    lined = [bool((webcam.fold(plain, np.random.default_rng(seed), 0, 0) != plain).any()) for seed in range(200)]
    assert 0.15 < np.mean(lined) < 0.45


def test_a_grey_photograph_gets_the_colours_of_skin_and_a_coloured_one_stays() -> None:
    grey = np.repeat(face().mean(2, keepdims=True), 3, 2).astype(np.uint8)
    rng = np.random.default_rng(0)
    coloured = [webcam.colourise(grey, rng).astype(int) for _ in range(30)]
    redder = [picture[..., 0].mean() - picture[..., 2].mean() for picture in coloured]
    assert min(redder) > -5 and np.mean(redder) > 15
    assert all(np.corrcoef(picture.mean(2).ravel(), grey[..., 0].ravel())[0, 1] > 0.99 for picture in coloured)
    pink = np.full((64, 64, 3), (200, 140, 130), np.uint8)
    assert webcam.colourise(pink, rng) is pink
