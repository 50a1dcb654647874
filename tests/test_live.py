"""The live loop on a clock that only moves when it is told to: pacing, skipping, limits, latency."""

import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from pythonosc.osc_bundle import OscBundle

from freeavatar.arkit import NAMES
from freeavatar.cli import main
from freeavatar.live import Delivery, Summary, due, run
from freeavatar.rig import Rig
from freeavatar.sources import Source
from freeavatar.stopwatch import Stopwatch
from freeavatar.types import Frame, RigFrame, Tracking

IMAGE = np.zeros((2, 2, 3), np.uint8)


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


class FakeSink:
    name, target = "fake", "nowhere"

    def __init__(self) -> None:
        self.rows: list[RigFrame] = []
        self.sent = self.dropped = 0

    def write(self, frame: RigFrame) -> None:
        self.rows.append(frame)
        self.sent += 1


class Session:
    """A run with a driver that takes a given time."""

    def __init__(self, rig: Rig, source: FakeSource, work: float = 0.0, found: bool = True) -> None:
        self.clock, self.sink, self.stop, self.seen = FakeClock(), FakeSink(), Event(), list[int]()
        self.rig, self.source, self.work, self.found = rig, source, work, found

    def __call__(self, frames: int | None = None, seconds: float | None = None) -> Summary:
        def drive(frame: Frame) -> RigFrame:
            self.clock.time += self.work
            self.seen.append(frame.index)
            zeros = [np.zeros(n, np.float32) for n in (len(self.rig.names), 52, 6, 2)]
            tracking = Tracking.TRACKED if self.found else Tracking.HELD
            return RigFrame(self.rig.name, self.rig.names, *zeros, 1.0, frame.time, frame.index, tracking)  # type: ignore[arg-type]

        watch = Stopwatch(self.clock.now)
        return run(self.source, self.rig, drive, [self.sink], watch, self.clock, self.stop, frames, seconds)


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


def test_after_a_long_pause_a_video_goes_on_from_where_it_is(rig: Rig) -> None:
    clock_owner: list[Session] = []

    def suspend(i: int) -> None:
        if i == 3:
            clock_owner[0].clock.time += 60

    session = Session(rig, FakeSource([i / 10 for i in range(6)], on_frame=suspend))
    clock_owner.append(session)
    done = session()
    assert session.seen == [0, 1, 2, 3, 4, 5] and done.skipped == 0


def test_camera_frames_come_as_they_are_and_gaps_are_counted(rig: Rig) -> None:
    class Camera(FakeSource):
        def __iter__(self) -> Iterator[Frame]:
            for index in (0, 1, 4):
                session.clock.time += 0.5
                yield Frame(IMAGE, session.clock.time - 0.01, index)

    session = Session(rig, Camera([], live=True), work=0.02)
    done = session()
    assert (done.frames, done.skipped, session.clock.waits) == (3, 2, [])
    assert done.stages["capture_to_send"]["p50_ms"] == pytest.approx(30, abs=0.1)


def test_capture_of_a_video_frame_is_the_moment_it_was_due(rig: Rig) -> None:
    done = Session(rig, FakeSource([0.0, 0.1, 0.2]), work=0.03)()
    assert done.stages["capture_to_send"]["p95_ms"] == pytest.approx(30, abs=0.1)


def test_limits_end_the_session(rig: Rig) -> None:
    assert Session(rig, FakeSource([i / 10 for i in range(50)]))(frames=7).frames == 7
    assert Session(rig, FakeSource([i / 10 for i in range(50)]))(seconds=1.0).frames == 11


def test_stop_ends_the_session_after_the_frame_in_work(rig: Rig) -> None:
    session = Session(rig, FakeSource([i / 10 for i in range(50)], on_frame=lambda i: session.stop.set() if i == 5 else None))
    assert session().frames == 5


def test_rows_without_a_face_are_sent_too(rig: Rig) -> None:
    session = Session(rig, FakeSource([0.0, 0.1]), found=False)
    done = session()
    assert (done.faces, done.frames, len(session.sink.rows)) == (0, 2, 2)


def test_what_each_sink_sent_is_counted(rig: Rig) -> None:
    session = Session(rig, FakeSource([0.0, 0.1]))
    session.sink.dropped = 3
    done = session()
    assert done.sinks == (Delivery("fake", "nowhere", 2, 3),) and done.unsent == 3


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
        assert main(["live", "--source", str(clip), "--rig", "human", *options, "--frames", "3", "--json"]) == 0
        packets = [receiver.recv(65536) for receiver in receivers]
    osc = {message.address: message.params[0] for message in OscBundle(packets[0])}
    jaw = struct.unpack_from(">f", packets[2], 312 - 244 + 4 * NAMES.index("jawOpen"))[0]
    assert jaw == osc["/freeavatar/jawOpen"] and f"|jawOpen-{round(100 * jaw)}|".encode() in packets[3]
    assert packets[1].startswith(b"#bundle\0") and len(packets[4]) == 1785
    out, err = capsys.readouterr()
    done = json.loads(out)
    assert [sink["sent"] for sink in done["sinks"]][:-1] == [3] * 5 and done["unsent"] == done["sinks"][-1]["unsent"]
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
