"""Quaternions: a group, its logarithm, and the project's angles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeavatar.quaternion import Quaternion, from_angles, from_vector, inverse, mean, multiply, power, to_angles, to_vector
from freeavatar.rotation import matrix

angle = st.floats(-3.0, 3.0)
quaternions = st.builds(from_angles, angle, st.floats(-1.4, 1.4), angle)


def same(a: Quaternion, b: Quaternion) -> bool:
    return abs(sum(x * y for x, y in zip(a, b, strict=True))) > 1 - 1e-9


@given(st.tuples(angle, st.floats(-1.4, 1.4), angle))
def test_angles_come_back(given: tuple[float, float, float]) -> None:
    np.testing.assert_allclose(matrix(*to_angles(from_angles(*given))), matrix(*given), atol=1e-6)


@given(quaternions, quaternions, quaternions)
def test_they_are_a_group(a: Quaternion, b: Quaternion, c: Quaternion) -> None:
    assert same(multiply(multiply(a, b), c), multiply(a, multiply(b, c)))
    assert same(multiply(a, inverse(a)), (0, 0, 0, 1))


@given(quaternions)
def test_the_logarithm_has_an_inverse_and_takes_the_short_way(q: Quaternion) -> None:
    assert same(from_vector(to_vector(q)), q)
    assert np.linalg.norm(to_vector(q)) <= np.pi + 1e-9


@given(quaternions, st.floats(0, 1))
def test_shares_of_a_turn_make_the_turn(q: Quaternion, share: float) -> None:
    assert same(multiply(power(q, share), power(q, 1 - share)), q)


def test_the_mean_of_a_turn_and_its_negative_is_the_turn() -> None:
    q = from_angles(0.3, -0.2, 0.1)
    assert same(mean([q, tuple(-part for part in q)]), q)  # type: ignore[list-item]
    assert to_angles(mean([from_angles(0.4, 0, 0), from_angles(0.2, 0, 0)]))[0] == pytest.approx(0.3)
