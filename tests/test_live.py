"""Whole live sessions: all threads, cameras of any picture, several rigs and programs, and memory that stays flat."""

import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest
from pythonosc.osc_bundle import OscBundle

from freeavatar.arkit import NAMES
from freeavatar.cli import main
from freeavatar.demo import CLIP
from freeavatar.encoder import Encoder
from freeavatar.face import FaceTracker
from freeavatar.follower import Follower
from freeavatar.live import live, run
from freeavatar.mirror import Mirror
from freeavatar.pacing import attended, due
from freeavatar.rig import Rig
from freeavatar.sinks.live_link import LiveLinkSink
from freeavatar.sinks.osc import OscSink
from freeavatar.sinks.outlet import Outlet, running
from freeavatar.sources import camera as camera_module
from freeavatar.sources import open_source
from freeavatar.types import Frame, RigFrame
from made_sessions import FakeClock, FakeSink, FakeSource, Session, performs

pytestmark = pytest.mark.usefixtures("config")  # no profile of whoever runs the tests


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no hanging sink."""
    monkeypatch.setattr("freeavatar.sinks.outlet._PATIENCE", 30.0)


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
