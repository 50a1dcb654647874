"""The live loop on a clock that only moves when it is told to: pacing, skipping, stalls, limits; and whole sessions of fakes."""

import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from threading import Event
from typing import Any

import cv2
import numpy as np
import pytest
from pythonosc.osc_bundle import OscBundle

from freeavatar.arkit import NAMES
from freeavatar.calibration import Calibrator
from freeavatar.cli import main
from freeavatar.demo import CLIP
from freeavatar.encoder import Encoder
from freeavatar.errors import RigError, SourceError
from freeavatar.face import FaceTracker
from freeavatar.filters import RigFilter
from freeavatar.follower import Follower
from freeavatar.live import Performer, Tally, live, load_rigs, run
from freeavatar.mirror import Mirror
from freeavatar.pacing import attended, due, until
from freeavatar.presence import Loss, Presence
from freeavatar.profiles import Profile
from freeavatar.rig import Rig
from freeavatar.sinks.live_link import LiveLinkSink
from freeavatar.sinks.moment import Moment
from freeavatar.sinks.osc import OscSink
from freeavatar.sinks.outlet import Outlet, running
from freeavatar.sources import Source, open_source
from freeavatar.sources import camera as camera_module
from freeavatar.stopwatch import Stopwatch
from freeavatar.types import Expression, Frame, RigFrame, Tracking

IMAGE = np.zeros((2, 2, 3), np.uint8)


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No profile of whoever runs the tests."""
    monkeypatch.setenv("FREEAVATAR_CONFIG", str(tmp_path / "config"))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no hanging sink."""
    monkeypatch.setattr("freeavatar.sinks.outlet._PATIENCE", 30.0)


class FakeClock:
    def __init__(self) -> None:
        self.time = 1000.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float, stop: Event) -> None:
        self.waits.append(seconds)
        self.time += seconds


class FakeSource(Source):
    name = "fake"

    def __init__(self, times: list[float], rate: float = 10.0, live: bool = False, on_frame: Callable[[int], None] | None = None) -> None:
        self.times, self.rate, self.live, self.on_frame = times, rate, live, on_frame

    def __iter__(self) -> Iterator[Frame]:
        for i, time in enumerate(self.times):
            if self.on_frame:
                self.on_frame(i)
            yield Frame(IMAGE, time, i)


class FakeOutlet:
    def __init__(self) -> None:
        self.moments: list[Moment] = []

    def write(self, moment: Moment) -> None:
        self.moments.append(moment)


class FakeSink:
    name, target, sent, dropped = "fake", "nowhere", 0, 0

    def write(self, row: RigFrame) -> None:
        self.sent += 1

    def __enter__(self) -> "FakeSink":
        return self

    def __exit__(self, *_: object) -> None: ...


class FakeAnimator:
    """Shows half of every control."""

    def animate(self, expression: Expression, rig: Rig) -> RigFrame:
        values = np.full(len(rig.names), 0.5, np.float32)
        arrays = expression.arkit, expression.head_pose, expression.gaze
        return RigFrame(rig.name, rig.names, values, *arrays, 0.9, expression.time, expression.index)


def expression(frame: Frame) -> Expression:
    zeros = [np.zeros(n, np.float32) for n in (8, 4, 52, 2, 6)]
    return Expression(*zeros, 1.0, np.zeros(4, np.float32), frame.time, frame.index)


def performs(rig: Rig, reflect: Mirror | None = None) -> Performer:
    """A rig's part with everything real but the network."""
    animator: Any = FakeAnimator()
    return Performer(rig, animator, Stopwatch(), Calibrator(rig, animator, Profile()), Presence(rig, loss=Loss()), RigFilter(rig), reflect)


class Session:
    """A run in one thread, whose face and encoder take a given time."""

    def __init__(self, rig: Rig, source: FakeSource, work: float = 0.0, found: bool = True) -> None:
        self.clock, self.outlet, self.stop, self.said = FakeClock(), FakeOutlet(), Event(), list[str]()
        self.rig, self.source, self.work, self.found = rig, source, work, found

    def perceive(self, frame: Frame) -> Expression | None:
        self.clock.time += self.work
        return expression(frame) if self.found else None

    def __call__(self, frames: int | None = None, seconds: float | None = None, arriving: Any = None) -> Tally:
        performer = performs(self.rig)
        arriving = due(self.source, self.clock, self.stop) if arriving is None else arriving
        arriving = attended(until(arriving, self.clock, self.stop, seconds), self.source, self.clock, self.said.append)
        return run(arriving, self.perceive, [performer], [self.outlet], self.clock, frames)  # type: ignore[list-item]

    @property
    def seen(self) -> list[int]:
        return [moment.index for moment in self.outlet.moments]


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


def test_rigs_are_loaded_once_each() -> None:
    assert [rig.name for rig in load_rigs(["human", "robot"])] == ["human", "robot"]
    for names in ([], ["human", "human"]):
        with pytest.raises(RigError, match="each once"):
            load_rigs(names)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory in use from /proc")
def test_two_hundred_thousand_frames_leave_memory_flat(rig: Rig) -> None:
    class Failing(FakeSink):
        def write(self, row: RigFrame) -> None:
            super().write(row)
            if self.sent % 1000 == 0:
                raise OSError("now and then it fails")

    def used() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    session = Session(rig, FakeSource([], live=True))
    marks: list[float] = []

    def arriving() -> Iterator[Frame | None]:
        for i in range(200_000):
            session.clock.time += 1 / 60
            session.found = i // 600 % 3 > 0
            if i % 18_000 == 17_999:
                marks.append(used())
            yield Frame(np.zeros((120, 160, 3), np.uint8), session.clock.time, i) if i % 5000 < 4900 else None

    sinks = [Failing(), OscSink("127.0.0.1:9"), LiveLinkSink("127.0.0.1:9")]
    outlets = [Outlet(sink, lambda moment: moment.rows[0], session.clock.now, session.said.append) for sink in sinks]
    performers = [performs(rig, Mirror(rig))]
    with running(outlets):
        tally = run(
            attended(arriving(), session.source, session.clock, session.said.append), session.perceive, performers, outlets, session.clock
        )
    assert tally.frames == 196_000 and max(marks[2:]) - marks[1] < 20
    assert all(outlet.sent + outlet.dropped >= 190_000 for outlet in outlets)


class FakeCapture:
    """A camera that gives bright pictures as fast as they are read, and then stops answering or fails."""

    def __init__(self, picture: np.ndarray, count: int = 10**9) -> None:
        self.picture, self.left, self.released = picture, count, Event()

    def isOpened(self) -> bool:
        return True

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        return self.left >= 0, self.picture

    def get(self, prop: int, /) -> float:
        return 0.0

    def release(self) -> None:
        self.released.set()


@pytest.mark.usefixtures("tiny_weights", "tracked")
@pytest.mark.parametrize("size", [(120, 160), (2160, 3840)])
def test_a_camera_drives_several_rigs_through_all_threads(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    capture, said = FakeCapture(np.full((*size, 3), 200, np.uint8)), list[str]()
    monkeypatch.setattr(camera_module, "_open", lambda number, mode: capture)
    done = live("0", ["human", "robot"], frames=5, say=said.append)
    assert (done.source, done.rigs, done.frames, done.faces) == ("camera 0", ("human", "robot"), 5, 5)
    assert [sink.target for sink in done.sinks] == ["127.0.0.1:9000/freeavatar/human", "127.0.0.1:9000/freeavatar/robot"]
    # More than 5 where a busy machine looks like a camera that stalls.
    assert all(sink.sent + sink.unsent >= 5 for sink in done.sinks)
    assert {"face", "encoder", "animator", "filter", "send", "capture_to_send"} <= done.stages.keys()
    assert capture.released.wait(60) and "camera 0 drives human, robot: OSC to" in said[0]


@pytest.mark.parametrize("size", [(160, 120), (3840, 2160)])
def test_small_and_huge_pictures_are_read_alike(size: tuple[int, int]) -> None:
    """By the shipped encoder, found by MediaPipe and then followed."""
    encoder = Encoder.load(threads=1)
    with open_source(CLIP) as source:
        frames = list(islice(source, 4))

    def read(width: int, height: int) -> np.ndarray:
        side = min(width, height)
        with FaceTracker(size=encoder.size) as tracker:
            follow, seen = Follower(tracker, encoder), []
            for frame in frames:
                picture = np.zeros((height, width, 3), np.uint8)
                picture[:, (width - side) // 2 :][:, :side] = cv2.resize(frame.image, (side, side), interpolation=cv2.INTER_AREA)
                found = follow(replace(frame, image=picture))
                assert found is not None
                seen.append(found.arkit)
        return np.stack(seen)

    assert np.abs(read(*size) - read(512, 512)).max() < 0.1


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_a_camera_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Event()

    class Hanging(FakeCapture):
        def read(self) -> tuple[bool, np.ndarray | None]:
            if self.left < 10**9 - 3:
                gate.wait(60)
            return super().read()

    monkeypatch.setattr(camera_module, "_open", lambda number, mode: Hanging(np.full((48, 64, 3), 200, np.uint8)))
    said: list[str] = []

    def interrupt(line: str) -> None:
        said.append(line)
        if "no pictures" in line:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("freeavatar.pacing._STALL", 0.0)
    done = live("0", say=interrupt)
    gate.set()
    assert 1 <= done.frames <= 4 and len(said) == 2 and done.seconds < 30


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_all_programs_get_the_same_frames_and_a_dead_one_stops_none(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("osc", "vmc", "live-link", "ifacialmocap", "openseeface", "vrchat")
    with ExitStack() as stack:
        receivers = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in names]
        for receiver in receivers:
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(5)
        options = [f"--{name}=127.0.0.1:{receiver.getsockname()[1]}" for name, receiver in zip(names, receivers, strict=True)]
        receivers.pop().close()  # a program that was closed
        assert main(["live", "--source", str(clip), "--rig", "human", *options, "--loop", "--frames", "3", "--json"]) == 0
        packets = [receiver.recv(65536) for receiver in receivers]
    osc = {message.address: message.params[0] for message in OscBundle(packets[0])}
    jaw = struct.unpack_from(">f", packets[2], 312 - 244 + 4 * NAMES.index("jawOpen"))[0]
    assert jaw == osc["/freeavatar/jawOpen"] and f"|jawOpen-{round(100 * jaw)}|".encode() in packets[3]
    assert packets[1].startswith(b"#bundle\0") and len(packets[4]) == 1785
    out, err = capsys.readouterr()
    done = json.loads(out)
    assert all(sink["sent"] + sink["unsent"] == 3 and sink["sent"] >= 1 for sink in done["sinks"][:-1]), done
    assert "VMC to 127.0.0.1:" in err


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_plain_osc_is_sent_only_where_nothing_else_is_named(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, expected in (
        ([], ["OSC"]),
        (["--vmc", "127.0.0.1:9"], ["VMC"]),
        (["--vmc", "127.0.0.1:9", "--osc", "127.0.0.1:9"], ["OSC", "VMC"]),
    ):
        assert main(["live", "--source", str(clip), "--rig", "human", *options, "--frames", "1", "--json"]) == 0
        assert [sink["name"] for sink in json.loads(capsys.readouterr().out)["sinks"]] == expected


def test_an_endless_source_is_not_read_ahead() -> None:
    read: list[int] = []
    frames = due(FakeSource([i / 10 for i in range(10**6)], on_frame=read.append), FakeClock(), Event())
    for _ in range(3):
        next(frames)
    assert read == [0, 1, 2]
