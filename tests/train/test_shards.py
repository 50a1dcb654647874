"""Jitter moves the crop and its labels together."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freeavatar.train.shards import CROP_FIELD_OF_VIEW, jitter_matrix, jittered_pose

small = st.floats(-0.2, 0.2)


@given(small, small, small, small)
def test_jitter_moves_the_middle_by_dx_dy_and_scales_by_its_logarithm(dx: float, dy: float, log_scale: float, roll: float) -> None:
    matrix = jitter_matrix(np.array([dx, dy, log_scale, roll]), 128)
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
