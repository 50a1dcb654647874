"""The follower against faces whose place is known: it follows, looks after them, and finds them again."""

from dataclasses import replace

import numpy as np
import pytest

from freeavatar.face import alignment
from freeavatar.face.pose import CROP_FIELD_OF_VIEW, FIELD_OF_VIEW, pose_in_frame
from freeavatar.follower import EVERY, FAR, NEAR, STILL, Follower
from freeavatar.rotation import angles, matrix
from freeavatar.types import Expression, FaceCrop, Frame

SIZE, WIDTH, HEIGHT = 128, 640, 480


class World:
    """A face somewhere in the frame, and the tracker and the encoder that see it as exactly as wanted.

    ``place`` is the ideal crop matrix. The encoder knows which matrix it was given, and reads off the difference.
    """

    size = SIZE

    def __init__(self, bias: tuple[float, ...] = (0, 0, 0, 0)) -> None:
        self.place: np.ndarray | None = at(320, 240)
        self.bias, self.confidence = np.array(bias), 1.0
        self.searches, self.reads, self.offs, self.crops = 0, 0, list[np.ndarray](), list[np.ndarray]()

    def track(self, frame: Frame) -> FaceCrop | None:
        self.searches += 1
        if self.place is None:
            return None
        pose = np.array([0.2, 0, 0, 0.01, 0.02, -0.6], np.float32)
        return FaceCrop(frame.image, self.place.astype(np.float32), None, pose, frame.time, frame.index)

    def encode(self, crops: list[FaceCrop]) -> list[Expression]:
        self.reads += 1
        off = np.ones(4) if self.place is None else difference(crops[0].matrix, self.place)
        self.offs.append(off)
        self.crops.append(crops[0].matrix)
        zero = np.zeros(2, np.float32)
        sure = self.confidence if self.place is not None and np.abs(off).max() < 0.5 else 0.0
        pose = np.array([0.1, 0, 0, 0, 0, -0.5], np.float32)
        return [Expression(zero, zero, zero, zero, crops[0].head_pose, sure, off + self.bias, crops[0].time, crops[0].index, pose)]


def at(x: float, y: float, scale: float = 0.5, roll: float = 0.0) -> np.ndarray:
    linear = scale * matrix(0, 0, roll)[:2, :2]
    return np.column_stack([linear, np.array([(SIZE - 1) / 2] * 2) - linear @ [x, y]])


def difference(used: np.ndarray, ideal: np.ndarray) -> np.ndarray:
    whole = np.vstack([used, [0, 0, 1]]) @ np.linalg.inv(np.vstack([ideal, [0, 0, 1]]))
    centre = np.array([(SIZE - 1) / 2] * 2)
    shift = whole[:2, :2] @ centre + whole[:2, 2] - centre
    return np.array([*shift / SIZE, np.log(np.hypot(whole[0, 0], whole[1, 0])), np.arctan2(whole[1, 0], whole[0, 0])])


@pytest.fixture(autouse=True)
def no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignment, "warp", lambda image, matrix, size: np.zeros((size, size, 3), np.uint8))


def frame(index: int, rate: float = 30.0) -> Frame:
    return Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), index / rate, index)


def test_a_moving_face_is_followed_and_the_tracker_looks_after_it_once_a_second() -> None:
    world = World()
    follower = Follower(world, world)
    for i in range(90):
        world.place = at(320 + 80 * np.sin(i / 8), 240 + i / 3, 0.5 * 1.004**i, 0.3 * np.sin(i / 15))
        assert follower(frame(i)) is not None
    assert world.searches == 3 / EVERY
    assert np.abs(world.offs).max(0) == pytest.approx(0, abs=0.12) and np.abs(world.offs[-1]).max() < 0.05


def test_the_crop_of_a_face_that_only_trembles_stays_where_it_is() -> None:
    """Else it would tremble, too, and all that is read from it."""
    world, rng = World(), np.random.default_rng(1)
    follower = Follower(world, world)
    for i in range(25):
        world.place = at(*(320, 240) + rng.uniform(-0.4, 0.4, 2) * STILL * np.array(NEAR[:2]) * SIZE / 0.5)
        follower(frame(i))
    assert world.searches == 1 and all((matrix == world.crops[0]).all() for matrix in world.crops)
    world.place = at(320 + 2 * STILL * NEAR[0] * SIZE / 0.5, 240)
    follower(frame(25))
    follower(frame(26))
    assert np.abs(world.offs[-1]).max() < 1e-6, "one that moves is followed"


def test_the_crop_stays_when_the_tracker_looks_after_the_face_unless_it_was_off() -> None:
    """The tracker trembles, too: a crop that it moved a little once a second would show."""
    world = World()
    follower = Follower(world, world)
    for i in range(60):
        world.place = at(320 + (0.9 if i == 30 else 0) * STILL * NEAR[0] * SIZE / 0.5, 240)
        follower(frame(i))
    assert world.searches == 2 and all((matrix == world.crops[0]).all() for i, matrix in enumerate(world.crops) if i != 31)
    world.confidence = 0.0  # the encoder has lost its way
    world.place = at(330, 240)
    follower(frame(60))
    np.testing.assert_allclose(world.crops[-1], world.place, rtol=1e-6)


def test_a_sudden_move_is_read_again_from_a_corrected_crop() -> None:
    world = World()
    follower = Follower(world, world)
    follower(frame(0))
    world.place = at(320 + 0.08 * SIZE / 0.5, 240)  # 8 % of the crop, more than NEAR
    reads = world.reads
    assert follower(frame(1)) is not None and world.searches == 1
    assert world.reads == reads + 2 and np.abs(world.offs[-1]).max() < 1e-6


def test_what_the_encoder_always_says_of_an_ideal_crop_moves_nothing() -> None:
    world = World(bias=(0.03, -0.02, 0.05, 0.04))
    follower = Follower(world, world)
    for i in range(25):
        follower(frame(i))
    assert world.searches == 1 and np.abs(world.offs).max() < 1e-5


@pytest.mark.parametrize("jump", [2 * FAR[0], 1.0])
def test_a_jump_too_far_asks_the_tracker(jump: float) -> None:
    world = World()
    follower = Follower(world, world)
    follower(frame(0))
    world.place = at(320 + jump * SIZE / 0.5, 240)
    assert follower(frame(1)) is not None
    assert world.searches == 2 and np.abs(world.offs[-1]).max() < 1e-6


def test_a_face_that_goes_is_gone_at_once_and_one_that_returns_is_found() -> None:
    world = World()
    follower = Follower(world, world)
    follower(frame(0))
    world.place = None
    assert follower(frame(1)) is None and follower(frame(2)) is None and world.searches == 3
    world.place = at(100, 100)
    assert follower(frame(3)) is not None and follower(frame(4)) is not None and world.searches == 4


def test_an_unsure_encoder_leaves_every_frame_to_the_tracker() -> None:
    world = World()
    world.confidence = 0.5
    follower = Follower(world, world)
    for i in range(5):
        assert follower(frame(i)) is not None
    assert world.searches == 5


@pytest.mark.parametrize("times", [(0.0, 30.0), (10.0, 9.0)])
def test_after_a_gap_or_a_step_back_in_time_the_tracker_is_asked(times: tuple[float, float]) -> None:
    world = World()
    follower = Follower(world, world)
    for i, time in enumerate(times):
        follower(replace(frame(i), time=time))
    assert world.searches == 2


def test_followed_poses_go_on_from_the_trackers() -> None:
    world = World()
    follower = Follower(world, world)
    first, second = follower(frame(0)), follower(frame(1))
    assert first is not None and second is not None
    np.testing.assert_allclose(second.head_pose, first.head_pose, atol=1e-5)
    world.place = at(320, 240, roll=0.08)  # clockwise in the crop: the head itself rolls the other way
    for i in range(2, 9):
        third = follower(frame(i))
    assert third is not None and abs(third.head_pose[2] - first.head_pose[2]) == pytest.approx(0.08, abs=0.005)


def test_a_pose_in_a_crop_is_the_pose_of_the_same_head_in_the_frame() -> None:
    # A head on the axis of the crop's camera, whose crop is rolled by 0.2 and lies right of and above the frame's middle.
    crop, side = at(500, 100, 0.4, 0.2), 0.3
    pose = np.array([0.3, -0.1, 0.05, 0, 0, -side / 2 / np.tan(CROP_FIELD_OF_VIEW / 2)])
    found = pose_in_frame(pose, crop, SIZE, WIDTH, HEIGHT)
    np.testing.assert_allclose(found[:3], angles(matrix(0, 0, 0.2) @ matrix(0.3, -0.1, 0.05)), atol=1e-6)
    focal = HEIGHT / 2 / np.tan(FIELD_OF_VIEW / 2)
    x, y, z = found[3:]
    np.testing.assert_allclose([x / -z * focal + (WIDTH - 1) / 2, -y / -z * focal + (HEIGHT - 1) / 2], [500, 100], atol=1e-3)
    assert side / -z * focal == pytest.approx(SIZE / 0.4, rel=1e-4)  # the crop is as wide as 0.3 m at that distance


def test_limits_are_in_order() -> None:
    assert all(near < far for near, far in zip(NEAR, FAR, strict=True))
