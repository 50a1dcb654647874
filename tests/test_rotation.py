"""Angles and matrices of a rotation say the same."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freeavatar import rotation

turn = st.floats(-3.1, 3.1)


@given(turn, st.floats(-1.5, 1.5), turn)
def test_angles_undo_the_matrix(yaw: float, pitch: float, roll: float) -> None:
    np.testing.assert_allclose(rotation.angles(rotation.matrix(yaw, pitch, roll)), (yaw, pitch, roll), atol=1e-9)


@given(turn, turn, turn)
def test_the_matrix_is_a_rotation(yaw: float, pitch: float, roll: float) -> None:
    m = rotation.matrix(yaw, pitch, roll)
    np.testing.assert_allclose(m @ m.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(m) > 0


def test_yaw_turns_to_the_subjects_left_and_pitch_looks_down() -> None:
    forward = np.array([0.0, 0.0, 1.0])
    assert (rotation.matrix(0.3, 0, 0) @ forward)[0] > 0
    assert (rotation.matrix(0, 0.3, 0) @ forward)[1] < 0
    assert (rotation.matrix(0, 0, 0.3) @ [1.0, 0.0, 0.0])[1] > 0
