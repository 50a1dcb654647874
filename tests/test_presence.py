"""Every frame has a row: held for half a second, eased for one, then neutral."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from freeavatar.errors import SourceError
from freeavatar.presence import EASE, HOLD, RETURN, Loss, Presence
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
    presence(None, frame(0.1))
    np.testing.assert_allclose(presence(None, frame(5.0)).head_pose, [0, 0, 0, 0.5, 0.5, 0.5])


def test_after_pictures_were_missing_for_long_the_way_to_neutral_starts_at_its_beginning(rig: Rig) -> None:
    presence = Presence(rig)
    presence(face(rig, 0.0), frame(0.0))
    times = (3600.0, 3600.0 + EASE / 2, 3600.0 + EASE)  # a computer that slept, a camera that stalled
    rows = [presence(None, frame(t)) for t in times]
    assert [row.tracking.value for row in rows] == ["held", "easing", "neutral"]
    assert [float(row.values[0]) for row in rows] == pytest.approx([0.5, 0.25, 0.0])


def test_five_minutes_without_a_face_stay_neutral(rig: Rig) -> None:
    presence = Presence(rig)
    presence(face(rig, 0.0), frame(0.0))
    rows = [presence(None, frame(i / 30)) for i in range(1, 300 * 30)]
    assert all(row.tracking is Tracking.NEUTRAL and not row.values.any() for row in rows[round((HOLD + EASE) * 30) + 1 :])


def test_live_a_face_that_returns_is_met_without_a_snap(rig: Rig) -> None:
    presence = Presence(rig, loss=Loss())
    presence(face(rig, 0.0), frame(0.0))
    steps = np.arange(1, 300) / 100
    path = [0.5] + [float(presence(None if t < 2.5 else face(rig, t), frame(t)).values[0]) for t in steps]
    assert max(abs(a - b) for a, b in pairwise(path)) < 0.05
    assert path[249] == 0 and path[round((2.5 + RETURN) * 100)] == 0.5


def test_a_face_missed_for_one_frame_is_followed_at_once(rig: Rig) -> None:
    presence = Presence(rig, loss=Loss())
    for i in range(30):
        presence(face(rig, i / 30), frame(i / 30))
    presence(None, frame(30 / 30))
    blink = replace(face(rig, 31 / 30), values=np.ones(len(rig.names), np.float32))
    assert presence(blink, frame(31 / 30)) is blink


def test_live_the_first_face_comes_from_neutral_with_the_head_in_its_place(rig: Rig) -> None:
    presence = Presence(rig, loss=Loss())
    presence(None, frame(0.0))
    row = presence(face(rig, 0.1), frame(0.1))
    assert 0 < row.values[0] < 0.5 and row.tracking is Tracking.TRACKED
    np.testing.assert_array_equal(row.head_pose[3:], [0.5, 0.5, 0.5])
    assert presence(face(rig, 0.3), frame(0.3)).values[0] == 0.5


def test_the_times_are_the_users(rig: Rig) -> None:
    presence = Presence(rig, loss=Loss(hold=2.0, ease=4.0, back=0.0))
    presence(face(rig, 0.0), frame(0.0))
    rows = [presence(None, frame(t)) for t in (2.0, 4.0, 6.0)]
    assert [float(row.values[0]) for row in rows] == pytest.approx([0.5, 0.25, 0.0])
    assert presence(face(rig, 6.1), frame(6.1)).values[0] == 0.5
    at_once = Presence(rig, loss=Loss(hold=0.0, ease=0.0))
    at_once(face(rig, 0.0), frame(0.0))
    assert at_once(None, frame(0.03)).tracking is Tracking.NEUTRAL


@pytest.mark.parametrize("seconds", [-0.1, float("nan"), float("inf")])
def test_what_is_no_time_is_refused(seconds: float) -> None:
    for name in ("hold", "ease", "back"):
        with pytest.raises(SourceError, match=name):
            Loss(**{name: seconds})


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
