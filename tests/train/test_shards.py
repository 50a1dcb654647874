"""Jitter moves the crop and its labels together."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freeavatar.face.alignment import displacement
from freeavatar.face.pose import CROP_FIELD_OF_VIEW
from freeavatar.train import webcam
from freeavatar.train.shards import jittered_pose, numbered

small = st.floats(-0.2, 0.2)


@given(small, small, small, small)
def test_jitter_moves_the_middle_by_dx_dy_and_scales_by_its_logarithm(dx: float, dy: float, log_scale: float, roll: float) -> None:
    matrix = displacement(np.array([dx, dy, log_scale, roll]), 128)
    middle = np.array([63.5, 63.5])
    np.testing.assert_allclose(matrix[:, :2] @ middle + matrix[:, 2], middle + 128 * np.array([dx, dy]), atol=1e-9)
    assert math.isclose(math.hypot(matrix[0, 0], matrix[1, 0]), math.exp(log_scale))


@given(small, small, small, st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))
def test_without_jitter_the_pose_stays(yaw: float, pitch: float, roll: float, x: float, y: float) -> None:
    pose = jittered_pose(np.array([yaw, pitch, roll]), np.array([0.5 + x, 0.5 + y, 0.2]), np.zeros(4))
    depth = 0.1 / math.tan(CROP_FIELD_OF_VIEW / 2)
    np.testing.assert_allclose(pose, [yaw, pitch, roll, 0.2 * x, -0.2 * y, -depth], atol=1e-6)


@given(small)
def test_a_crop_turned_clockwise_sees_a_head_rolled_the_other_way(roll: float) -> None:
    pose = jittered_pose(np.zeros(3), np.array([0.5, 0.5, 0.2]), np.array([0, 0, 0, roll]))
    np.testing.assert_allclose(pose[:3], [0, 0, -roll], atol=1e-6)


def test_a_larger_face_is_nearer() -> None:
    near, far = (jittered_pose(np.zeros(3), np.array([0.5, 0.5, 0.2]), np.array([0, 0, s, 0]))[5] for s in (0.1, -0.1))
    assert far < near < 0


def test_a_bent_picture_is_nearly_the_same_and_symmetric_bends_prevail() -> None:
    y, x = np.mgrid[:128, :128]
    picture = np.stack([x * 2, y * 2, 0 * x], axis=2).astype(np.uint8)
    moves = []
    for seed in range(20):
        bent = webcam.bend(picture, np.random.default_rng(seed)).astype(float) / 2
        moves.append(bent[16:112, 16:112, :2] - picture[16:112, 16:112, :2] / 2)
    field = np.array(moves)
    assert 0.3 < np.abs(field).mean() < 3  # pixels
    down = field[..., 1]
    assert np.abs(down + down[:, :, ::-1]).mean() > 2 * np.abs(down - down[:, :, ::-1]).mean()


def test_a_known_face_is_somebody_else_in_every_pair_of_people() -> None:
    a, b, c = "ann", "bob", "cid"
    names = np.array([a, b, a, b, b, a, b, b, a, c, a, a])
    numbers = numbered(names)
    assert numbers[0] == numbers[2] == numbers[5]  # the same pair, changing places
    assert numbers[1] == numbers[3] == numbers[4]
    assert numbers[8] not in numbers[:8]  # another pair: an Ann invented anew
    assert len(set(numbers.tolist())) == 4
