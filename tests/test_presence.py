"""Every frame has a row: held for half a second, eased for one, then neutral."""

from itertools import pairwise

import numpy as np
import pytest

from freeavatar.presence import EASE, HOLD, Presence
from freeavatar.rig import Rig
from freeavatar.types import Frame, RigFrame, Tracking


def frame(time: float) -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), time, round(time * 100))


def face(rig: Rig, time: float) -> RigFrame:
    ones = [np.full(n, 0.5, np.float32) for n in (len(rig.names), 52, 6, 2)]
    return RigFrame(rig.name, rig.names, *ones, 0.9, time, round(time * 100))  # type: ignore[arg-type]


def test_a_tracked_row_passes_unchanged(rig: Rig) -> None:
    tracked = face(rig, 1.0)
    assert Presence(rig)(tracked, frame(1.0)) is tracked


def test_before_any_face_the_rig_is_neutral(rig: Rig) -> None:
    row = Presence(rig)(None, frame(3.0))
    assert (row.tracking, row.time, row.index, row.confidence) == (Tracking.NEUTRAL, 3.0, 300, 0.0)
    np.testing.assert_array_equal(row.values, rig.neutral())


def test_values_hold_then_ease_then_rest(rig: Rig) -> None:
    presence = Presence(rig)
    presence(face(rig, 10.0), frame(10.0))
    rows = {t: presence(None, frame(10 + t)) for t in (0.1, HOLD, HOLD + EASE / 4, HOLD + EASE / 2, HOLD + EASE, 20.0)}
    states = [row.tracking.value for row in rows.values()]
    assert states == ["held", "held", "easing", "easing", "neutral", "neutral"]
    sizes = [float(row.values[0]) for row in rows.values()]
    assert sizes[:2] == [0.5, 0.5] and 0.5 > sizes[2] > sizes[3] > 0 and sizes[3] == pytest.approx(0.25) and sizes[4:] == [0, 0]
    assert all(row.confidence == 0 for row in rows.values())
    assert rows[0.1].time == pytest.approx(10.1) and rows[0.1].index == 1010


def test_the_way_to_neutral_has_no_jerk(rig: Rig) -> None:
    presence = Presence(rig)
    presence(face(rig, 0.0), frame(0.0))
    path = [float(presence(None, frame(t)).values[0]) for t in np.arange(0, 2, 0.01)]
    assert max(abs(a - b) for a, b in pairwise(path)) < 0.01
    assert path[-1] == 0


def test_the_head_comes_upright_where_it_was(rig: Rig) -> None:
    presence = Presence(rig)
    presence(face(rig, 0.0), frame(0.0))
    np.testing.assert_allclose(presence(None, frame(5.0)).head_pose, [0, 0, 0, 0.5, 0.5, 0.5])


def test_a_face_that_returns_is_tracked_at_once_and_held_anew(rig: Rig) -> None:
    presence = Presence(rig)
    presence(face(rig, 0.0), frame(0.0))
    presence(None, frame(1.0))
    assert presence(face(rig, 1.1), frame(1.1)).tracking is Tracking.TRACKED
    assert presence(None, frame(1.2)).tracking is Tracking.HELD


def test_unrelated_pictures_hold_nothing(rig: Rig) -> None:
    presence = Presence(rig, still=True)
    presence(face(rig, 0.0), frame(0.0))
    row = presence(None, frame(0.03))
    assert row.tracking is Tracking.NEUTRAL and not row.values.any()
