"""Frames in their own time: late ones are skipped, pauses kept, cameras that stall reported, and limits hold."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from freeavatar.errors import SourceError
from freeavatar.live import run
from freeavatar.pacing import attended
from freeavatar.rig import Rig
from freeavatar.sinks.outlet import Outlet, running
from freeavatar.types import Frame, Tracking
from made_sessions import IMAGE, FakeSink, FakeSource, Session, performs


def test_a_video_plays_in_its_own_time(rig: Rig) -> None:
    session = Session(rig, FakeSource([0.0, 0.1, 0.25, 0.3]), work=0.02)
    done = session()
    assert session.seen == [0, 1, 2, 3] and done.skipped == 0
    assert session.clock.waits == pytest.approx([0.08, 0.13, 0.03])
    assert done.seconds == pytest.approx(0.32)


def test_frames_that_come_too_late_are_skipped_and_counted(rig: Rig) -> None:
    session = Session(rig, FakeSource([i / 10 for i in range(20)]), work=0.23)
    done = session()
    assert session.seen == [0, 2, 4, 6, 9, 11, 13, 16, 18]  # never later than one frame
    assert (done.frames, done.skipped) == (9, 10)
    assert done.seconds == pytest.approx(2.07)  # the clip's own time, not that of the work


@pytest.mark.parametrize("jump", [60.0, -60.0, 1e6, -1e6])
def test_after_a_long_pause_or_a_clock_that_was_set_a_video_goes_on_from_where_it_is(rig: Rig, jump: float) -> None:
    def leap(i: int) -> None:
        if i == 3:
            session.clock.time += jump

    session = Session(rig, FakeSource([i / 10 for i in range(6)], on_frame=leap))
    done = session()
    assert session.seen == [0, 1, 2, 3, 4, 5] and done.skipped == 0
    assert sum(session.clock.waits) == pytest.approx(0.4)  # frame 3 is due at once


def test_a_long_pause_within_a_video_is_kept(rig: Rig) -> None:
    session = Session(rig, FakeSource([0.0, 0.1, 30.1, 30.2]))
    session()
    assert session.clock.waits == pytest.approx([0.1, 30.0, 0.1])


@pytest.mark.parametrize(("rate", "work", "frames"), [(1.0, 0.02, 5), (240.0, 0.001, 240), (240.0, 0.02, 50)])
def test_slow_and_fast_sources_are_followed_in_time(rig: Rig, rate: float, work: float, frames: int) -> None:
    session = Session(rig, FakeSource([i / rate for i in range(round(max(rate, 5)))], rate), work=work)
    done = session()
    assert done.frames == pytest.approx(frames, abs=3) and done.frames + done.skipped >= max(rate, 5) - 240 * work
    late = [session.clock.time - moment.time for moment in session.outlet.moments[-1:]]
    assert late[0] <= work + 1 / rate + 1e-6 and session.said == []


def test_the_time_of_a_video_frame_is_the_moment_it_was_due(rig: Rig) -> None:
    session = Session(rig, FakeSource([0.0, 0.1, 0.2]), work=0.03)
    session()
    assert [moment.time for moment in session.outlet.moments] == pytest.approx([1000.0, 1000.1, 1000.2])
    assert [moment.rows[0].time for moment in session.outlet.moments] == pytest.approx([1000.0, 1000.1, 1000.2])


def test_camera_frames_come_as_they_are_and_gaps_are_counted(rig: Rig) -> None:
    class Camera(FakeSource):
        def __iter__(self) -> Iterator[Frame]:
            for index in (0, 1, 4):
                session.clock.time += 0.5
                yield Frame(IMAGE, session.clock.time - 0.01, index)

    session = Session(rig, Camera([], live=True), work=0.02)
    done = session()
    assert (done.frames, done.skipped, session.clock.waits) == (3, 2, [])


def test_limits_end_the_session(rig: Rig) -> None:
    assert Session(rig, FakeSource([i / 10 for i in range(50)]))(frames=7).frames == 7
    assert Session(rig, FakeSource([i / 10 for i in range(50)]))(seconds=1.0).frames == 11


def test_stop_ends_the_session_after_the_frame_in_work(rig: Rig) -> None:
    session = Session(rig, FakeSource([i / 10 for i in range(50)], on_frame=lambda i: session.stop.set() if i == 5 else None))
    assert session().frames == 5


def test_rows_without_a_face_are_sent_too(rig: Rig) -> None:
    session = Session(rig, FakeSource([0.0, 0.1]), found=False)
    done = session()
    assert (done.faces, done.frames, len(session.outlet.moments)) == (0, 2, 2)
    assert all(m.rows[0].tracking is Tracking.NEUTRAL and m.expression is None and m.picture is IMAGE for m in session.outlet.moments)


def ticks(session: Session, seconds: float, step: float = 1 / 30) -> Iterator[None]:
    """Time goes by and nothing comes."""
    for _ in range(round(seconds / step)):
        session.clock.time += step
        yield None


def shots(session: Session, count: int, start: int = 0, rate: float = 30.0) -> Iterator[Frame]:
    for i in range(count):
        session.clock.time += 1 / rate
        yield Frame(IMAGE, session.clock.time, start + i)


def test_a_camera_that_stalls_is_reported_its_rig_eases_and_it_is_reported_again_when_it_returns(rig: Rig) -> None:
    session = Session(rig, FakeSource([], live=True))

    def arriving() -> Iterator[Frame | None]:
        yield from shots(session, 30)
        yield from ticks(session, 5.0)
        yield Frame(IMAGE, session.clock.time - 0.01, 40)  # taken just before the last row was sent
        yield from shots(session, 30, start=41)

    done = session(arriving=arriving())
    assert (done.frames, done.faces, done.skipped) == (61, 61, 10)
    assert len(session.said) == 2 and "no pictures" in session.said[0] and "fake is back after 5.0 s" in session.said[1]
    rows = [moment.rows[0] for moment in session.outlet.moments]
    blind = [moment for moment in session.outlet.moments if moment.picture is None]
    assert len(blind) == pytest.approx(120, abs=2) and blind[-1].rows[0].tracking is Tracking.NEUTRAL
    assert all(b.time >= a.time for a, b in pairwise(rows))
    path = [row["smileLeft"] for row in rows[10:]]
    assert max(abs(a - b) for a, b in pairwise(path)) < 0.2 and path[-1] == pytest.approx(0.5, abs=0.01)


def test_a_camera_of_one_frame_a_second_does_not_stall(rig: Rig) -> None:
    session = Session(rig, FakeSource([], live=True))

    def arriving() -> Iterator[Frame | None]:
        for i in range(20):
            yield from ticks(session, 1.0)
            yield from shots(session, 1, start=i, rate=1000)

    assert session(arriving=arriving()).frames == 20
    assert session.said == []


@pytest.mark.parametrize("rate", [1.0, 5.0, 60.0, 240.0])
def test_a_face_is_met_alike_at_any_rate(rig: Rig, rate: float) -> None:
    session, second = Session(rig, FakeSource([], live=True)), round(rate)

    def arriving() -> Iterator[Frame]:
        session.found = False
        yield from shots(session, second, rate=rate)
        session.found = True
        yield from shots(session, 2 * second, start=second, rate=rate)

    assert session(arriving=arriving()).skipped == 0
    path = [moment.rows[0]["smileLeft"] for moment in session.outlet.moments]
    assert max(path[:second]) == 0 and path == sorted(path) and path[-1] == pytest.approx(0.5, abs=0.01)
    assert path[second + round(0.3 * rate)] > 0.4, "0.2 s for the way back, and the filter's lag"


@pytest.mark.parametrize("jump", [0.0, -0.5, -60.0, 60.0, -1e6, 1e6])
def test_a_camera_whose_clock_jumps_goes_on(rig: Rig, jump: float) -> None:
    """The computer slept, or its clock was set: nothing is lost but the way back to the face, and a rate is kept."""
    session = Session(rig, FakeSource([], live=True))
    sink = FakeSink()
    limited = Outlet(sink, lambda moment: moment.rows[0], session.clock.now, session.said.append, rate=15)

    def arriving() -> Iterator[Frame]:
        yield from shots(session, 60)
        session.clock.time += jump
        yield from shots(session, 30, start=60)

    performer = performs(rig)
    arriving_ = attended(arriving(), session.source, session.clock, session.said.append)
    with running([limited]):
        done = run(arriving_, session.perceive, [performer], [session.outlet, limited], session.clock)  # type: ignore[list-item]
    rows = [moment.rows[0] for moment in session.outlet.moments]
    assert done.frames == done.faces == len(rows) == 90 and session.said == []
    assert all(np.isfinite(row.values).all() for row in rows)
    assert max(abs(a["smileLeft"] - b["smileLeft"]) for a, b in pairwise(rows[10:])) < 0.1 and rows[-1]["smileLeft"] == pytest.approx(0.5)
    assert limited.sent + limited.dropped == pytest.approx(45, abs=2), "half of the frames, before the jump and after"


def test_a_camera_that_never_delivers_is_an_error(rig: Rig) -> None:
    session = Session(rig, FakeSource([], live=True))
    with pytest.raises(SourceError, match="delivered no picture for 10 s"):
        session(arriving=ticks(session, 60))
    assert session.clock.time == pytest.approx(1010, abs=0.1)


def test_a_video_without_a_frame_for_long_does_not_stall(rig: Rig) -> None:
    session = Session(rig, FakeSource([0.0]))
    session(arriving=ticks(session, 60))
    assert session.said == [] and session.outlet.moments == []


def test_limits_hold_while_a_camera_stalls(rig: Rig) -> None:
    session = Session(rig, FakeSource([], live=True))

    def arriving() -> Iterator[Frame | None]:
        yield from shots(session, 1)
        yield from ticks(session, 1000)

    assert session(arriving=arriving(), seconds=7.0).seconds == pytest.approx(7.0, abs=0.1)


def test_five_minutes_without_a_face_are_neutral_and_end_without_a_snap(rig: Rig) -> None:
    session = Session(rig, FakeSource([], live=True))

    def arriving() -> Iterator[Frame]:
        yield from shots(session, 10, rate=10)
        session.found = False
        yield from shots(session, 300 * 10, start=10, rate=10)
        session.found = True
        yield from shots(session, 20, start=3010, rate=30)

    done = session(arriving=arriving())
    rows = [moment.rows[0] for moment in session.outlet.moments]
    assert done.faces == 30 and all(row.tracking is Tracking.NEUTRAL for row in rows[30:3010])
    assert abs(rows[3009].values).max() < 1e-4
    path = [row["smileLeft"] for row in rows[3000:]]
    assert max(abs(a - b) for a, b in pairwise(path)) < 0.2 and path[-1] == pytest.approx(0.5, abs=0.01)
