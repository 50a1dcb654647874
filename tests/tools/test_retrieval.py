"""A frame finds its own picture where avatars show what people do, and by chance where they do not."""

import numpy as np
import pytest

from measure.retrieval import FRAMES, ranks, spread_frames


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
