"""A take that is replayed gives the packets that were sent live, byte for byte, and the files that retarget writes."""

import csv
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from freeavatar import arkit
from freeavatar.errors import OutputError, SourceError
from freeavatar.replay import due, export, replay
from freeavatar.rig import Control, Rig
from freeavatar.sinks.live_link import LiveLinkSink
from freeavatar.sinks.moment import Moment
from freeavatar.sinks.osc import OscSink
from freeavatar.sinks.recording import RecordingSink
from freeavatar.sinks.targets import Targets
from freeavatar.sinks.udp import UdpSink
from freeavatar.sinks.vmc import VmcSink
from freeavatar.sinks.vrchat import VrchatSink
from freeavatar.types import RigFrame, Tracking

COUNT = 100
START = 4321.25


def make_moment(index: int, rigs: list[Rig]) -> Moment:
    rng = np.random.default_rng(index)
    time = START + index / 30
    tracking = Tracking.TRACKED if index < 60 else Tracking.HELD if index < 70 else Tracking.EASING if index < 80 else Tracking.NEUTRAL

    def some(count: int) -> Any:
        return rng.random(count).astype(np.float32)

    rows = tuple(
        RigFrame(rig.name, rig.names, some(len(rig.names)), some(52), some(6), some(2), rng.random(), time, index, tracking) for rig in rigs
    )
    return Moment(time, index, None, None, rows)


@pytest.fixture
def rigs(rig: Rig) -> list[Rig]:
    """A small rig, and one whose own controls are the 52 shapes."""
    return [rig, replace(rig, name="perfect", controls=tuple(map(Control, arkit.NAMES)))]


@pytest.fixture
def moments(rigs: list[Rig]) -> list[Moment]:
    return [make_moment(i, rigs) for i in range(COUNT)]


@pytest.fixture
def take(tmp_path: Path, rigs: list[Rig], moments: list[Moment]) -> Path:
    with RecordingSink(tmp_path / "take", rigs, feature_size=4, embedding_size=2, source="camera 0", rate=30.0) as sink:
        for moment in moments:
            sink.write(moment)
    return tmp_path / "take"


class Wire:
    """A network that keeps what it is given, and a clock that lets no time pass before every sink has sent."""

    def __init__(self, sinks: int) -> None:
        self.packets: dict[str, list[bytes]] = {}
        self.time, self.waits = 100.0, list[float]()
        self._sinks, self._given, self._sent = sinks, 0, Counter[int]()
        self._changed = threading.Condition()

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float, stop: Event) -> None:
        self.waits.append(seconds)
        self.time += seconds
        with self._changed:
            self._given += 1
            assert self._changed.wait_for(lambda: all(n >= self._given for n in self._all()), timeout=20)

    def wrote(self, sink: UdpSink) -> None:
        with self._changed:
            self._sent[id(sink)] += 1
            self._changed.notify_all()

    def _all(self) -> list[int]:
        return [*self._sent.values(), *[0] * (self._sinks - len(self._sent))]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Wire]:
    """Stands in for the sockets of all UDP sinks."""
    wire = Wire(request.param)

    class Socket:
        def __init__(self, address: str) -> None:
            self._kept = wire.packets.setdefault(address, [])

        def send(self, data: bytes) -> int:
            self._kept.append(data)
            return len(data)

        def close(self) -> None: ...

    original = UdpSink.write

    def write(self: UdpSink, frame: RigFrame) -> None:
        original(self, frame)
        wire.wrote(self)

    monkeypatch.setattr("freeavatar.sinks.udp.open_socket", lambda address, _: Socket(address))
    monkeypatch.setattr(UdpSink, "write", write)
    yield wire


def encoded(sink: UdpSink, rows: list[RigFrame]) -> list[bytes]:
    with sink:
        return [packet for row in rows for packet in sink.encode(row)]


@pytest.mark.parametrize("wire", [5], indirect=True)
def test_a_replayed_take_gives_the_same_packets(take: Path, moments: list[Moment], wire: Wire) -> None:
    ports = {"osc": "a:1", "vmc": "a:2", "live_link": "a:3", "vrchat": "a:4"}
    done = replay(take, Targets(**ports, vmc_names="vrm1", vrchat_bits=4), clock=wire)
    first, second = ([moment.rows[i] for moment in moments] for i in range(2))
    # Both rigs go to the one OSC address, each under its name; the order between them is the threads'.
    both = sorted(encoded(OscSink("a:9", "/freeavatar/tiny"), first) + encoded(OscSink("a:9", "/freeavatar/perfect"), second))
    assert sorted(wire.packets["a:1"]) == both and len(both) == 2 * COUNT
    assert wire.packets["a:2"] == encoded(VmcSink("a:9", "vrm1"), first)
    assert wire.packets["a:3"] == encoded(LiveLinkSink("a:9"), first)
    assert wire.packets["a:4"] == encoded(VrchatSink("a:9", bits=4), first)
    assert (done.moments, done.rigs, done.complete, done.unsent) == (COUNT, ("tiny", "perfect"), True, 0)
    assert {sink.name: sink.sent for sink in done.sinks} == {"OSC": COUNT, "VMC": COUNT, "Live Link": COUNT, "VRChat": COUNT}


@pytest.mark.parametrize("wire", [1], indirect=True)
def test_moments_come_in_their_own_time(take: Path, wire: Wire) -> None:
    replay(take, Targets(live_link="a:3"), clock=wire)
    np.testing.assert_allclose(wire.waits, [1 / 30] * (COUNT - 1), rtol=1e-6)


@pytest.mark.parametrize("wire", [2], indirect=True)
def test_one_rig_goes_under_the_plain_prefix(take: Path, moments: list[Moment], wire: Wire) -> None:
    done = replay(take, Targets(osc="a:1", live_link="a:3"), "perfect", clock=wire)
    rows = [moment.rows[1] for moment in moments]
    assert wire.packets["a:1"] == encoded(OscSink("a:9"), rows) and wire.packets["a:3"] == encoded(LiveLinkSink("a:9"), rows)
    assert done.rigs == ("perfect",)


def test_a_stop_ends_it(moments: list[Moment]) -> None:
    stop = Event()

    class Clock:
        def now(self) -> float:
            return 0.0

        def wait(self, seconds: float, stop: Event) -> None:
            stop.set()

    assert [moment.index for moment in due(moments, Clock(), stop)] == [0]


def test_a_moment_that_is_late_delays_the_rest(moments: list[Moment]) -> None:
    class Clock:
        time = 0.0

        def now(self) -> float:
            return self.time

        def wait(self, seconds: float, stop: Event) -> None:
            self.time += seconds

    clock = Clock()
    shown = []
    for moment in due(moments[:6], clock, Event()):
        shown.append(clock.time)
        clock.time += 1.0 if moment.index == 2 else 0.01
    np.testing.assert_allclose(np.diff(shown), [1 / 30, 1 / 30, 1.0, 1 / 30, 1 / 30], atol=1e-6)


def test_a_late_clock_skips_nothing(moments: list[Moment]) -> None:
    times = iter(range(0, 1000, 7))

    class Clock:
        def now(self) -> float:
            return float(next(times))

        def wait(self, seconds: float, stop: Event) -> None:
            raise AssertionError("there is no time to wait")

    assert len(list(due(moments, Clock(), Event()))) == COUNT


def test_a_take_becomes_files(take: Path, moments: list[Moment], tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.csv", "a.jsonl", "a.npz")]
    done = export(take, paths)
    assert (done.moments, done.rigs, done.outputs) == (COUNT, ("tiny",), tuple(map(str, paths)))
    with np.load(paths[2]) as data:
        np.testing.assert_array_equal(data["controls"], [moment.rows[0].values for moment in moments])
        np.testing.assert_allclose(data["time"], np.arange(COUNT) / 30, atol=1e-9)
        assert data["tracking"][[0, 65, 75, 99]].tolist() == ["tracked", "held", "easing", "neutral"]
        assert (str(data["rig"]), str(data["source"]), float(data["rate"])) == ("tiny", "camera 0", 30.0)
        assert data["control_names"].tolist() == list(moments[0].rows[0].names)
    lines = [json.loads(line) for line in paths[1].read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(COUNT)) and lines[0]["time"] == 0
    with paths[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == COUNT and rows[45]["Timecode"] == "00:00:01:15.000"


def test_another_rig_of_the_take_is_written_by_name(take: Path, moments: list[Moment], tmp_path: Path) -> None:
    export(take, [tmp_path / "a.npz"], "perfect")
    with np.load(tmp_path / "a.npz") as data:
        np.testing.assert_array_equal(data["controls"], [moment.rows[1].values for moment in moments])


def test_what_cannot_be_done_is_one_line(take: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="has no rig 'robot'; expected one of tiny, perfect"):
        export(take, [tmp_path / "a.csv"], "robot")
    with pytest.raises(OutputError, match="unknown output format"):
        export(take, [tmp_path / "a.fbx"])
    with pytest.raises(SourceError, match=r"take\.json"):
        replay(tmp_path, Targets(live_link="127.0.0.1:9"))
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == ["take"]


def test_a_damaged_take_leaves_no_half_file(take: Path, tmp_path: Path) -> None:
    data = bytearray((take / "take.bin").read_bytes())
    data[-8:] = b"\xff" * 8  # NaN in the last control
    (take / "take.bin").write_bytes(data)
    with pytest.raises(SourceError, match="record 99 is damaged"):
        export(take, [tmp_path / "a.csv"])
    assert not (tmp_path / "a.csv").exists()
