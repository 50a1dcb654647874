"""Each sink runs apart: slow, dead, refusing and hanging ones are counted, reported once, and cost the others nothing."""

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from freeavatar.errors import OutputError
from freeavatar.sinks import outlet as module
from freeavatar.sinks.moment import Moment
from freeavatar.sinks.outlet import Outlet, running
from freeavatar.stopwatch import Stopwatch
from freeavatar.types import RigFrame

PICTURE = np.zeros((2, 2, 3), np.uint8)


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeSink:
    """Keeps the times of the rows; fails, takes its time or hangs where it is told to."""

    name, target = "fake", "nowhere"

    def __init__(self) -> None:
        self.sent = self.dropped = 0
        self.times: list[float] = []
        self.act: Callable[[], None] = lambda: None
        self.left = threading.Event()
        self.threads: set[int] = set()

    def write(self, row: RigFrame) -> None:
        self.threads.add(threading.get_ident())
        self.act()
        self.times.append(row.time)
        self.sent += 1

    def __enter__(self) -> "FakeSink":
        return self

    def __exit__(self, *_: object) -> None:
        self.threads.add(threading.get_ident())
        self.left.set()


@pytest.fixture
def make_moment(frame: Callable[..., RigFrame]) -> Callable[..., Moment]:
    def make(time: float, picture: bool = True) -> Moment:
        return Moment(time, 0, PICTURE if picture else None, None, (frame(time=time),))

    return make


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no hanging sink."""
    monkeypatch.setattr(module, "_PATIENCE", 30.0)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def now() -> Time:
    return Time()


def make_outlet(sink: FakeSink, now: Time, said: list[str], rate: float | None = None, depth: int = 1) -> Outlet[RigFrame]:
    return Outlet(sink, lambda moment: moment.rows[0], now, said.append, rate, depth)


def test_a_sink_that_fails_is_reported_once_tried_ever_more_rarely_and_reported_again_when_it_works(
    frame: Callable[..., RigFrame], now: Time, said: list[str]
) -> None:
    sink, tries = FakeSink(), list[float]()

    def refuse() -> None:
        tries.append(now.now - 100)
        if now.now < 130:
            raise OutputError("VTube Studio:\n nobody listens")

    sink.act = refuse
    outlet = make_outlet(sink, now, said)
    for i in range(60 * 60):
        now.now = 100 + i / 60
        outlet.deliver(frame(time=now.now), now.now)
    gaps = np.diff([t for t in tries if t < 30])
    assert tries[0] == 0 and gaps[0] == pytest.approx(0.1, abs=0.02) and gaps[1] == pytest.approx(0.2, abs=0.02)
    assert max(gaps) == pytest.approx(5.0, abs=0.02) and len(gaps) < 12
    assert len(said) == 2 and "VTube Studio: nobody listens" in said[0] and "works again" in said[1]
    assert outlet.sent + outlet.dropped == 60 * 60 and outlet.sent > 1600
    sink.act = lambda: (_ for _ in ()).throw(OSError("unplugged"))  # type: ignore[assignment]
    now.now += 1
    outlet.deliver(frame(), None)
    assert len(said) == 3 and "unplugged" in said[2]


@pytest.mark.parametrize("error", [ValueError("what no sink should raise"), OSError(28, "disk full")])
def test_whatever_a_sink_raises_is_one_line(error: Exception, frame: Callable[..., RigFrame], now: Time, said: list[str]) -> None:
    sink = FakeSink()
    sink.act = lambda: (_ for _ in ()).throw(error)  # type: ignore[assignment]
    make_outlet(sink, now, said).deliver(frame(), 100.0)
    assert len(said) == 1 and "\n" not in said[0] and str(error.args[-1]) in said[0]


def test_times_are_those_of_the_sink_and_of_the_whole_way(frame: Callable[..., RigFrame], now: Time, said: list[str]) -> None:
    sink = FakeSink()
    outlet = make_outlet(sink, now, said)

    def work() -> None:
        now.now += 0.004

    sink.act = work
    for _ in range(10):
        outlet.deliver(frame(), now.now - 0.02)
        outlet.deliver(frame(), None)  # no picture, so no capture
    times = outlet.watch.summary()
    assert times["send"]["p50_ms"] == pytest.approx(4) and times["capture_to_send"]["p95_ms"] == pytest.approx(24)
    pooled = Stopwatch()
    pooled.add("send", 0.004)
    pooled.absorb(outlet.watch)
    assert pooled.summary() == times


@pytest.mark.parametrize(
    ("source", "rate", "expected"), [(60, 30, 30), (240, 60, 60), (30, 60, 30), (59.94, 30, 30), (25, 10, 10), (1, 60, 1)]
)
def test_a_rate_is_kept_whatever_the_source(
    source: float, rate: float, expected: float, make_moment: Callable[..., Moment], now: Time, said: list[str]
) -> None:
    outlet = make_outlet(FakeSink(), now, said, rate, depth=10**6)
    rng = np.random.default_rng(0)
    for i in range(round(20 * source)):
        outlet.write(make_moment(1000 + i / source + float(rng.normal(0, 0.0005))))
    outlet.end()
    times = []
    while (taken := outlet._slot.take()) is not None:
        times.append(taken[0].time)
    assert len(times) == pytest.approx(20 * expected, rel=0.03)
    assert not len(times) > 2 or (np.diff(times).max() < 1.6 / min(expected, source) and outlet.dropped == 0)


def test_a_rate_survives_a_clock_that_jumps(make_moment: Callable[..., Moment], now: Time, said: list[str]) -> None:
    outlet = make_outlet(FakeSink(), now, said, 30.0, depth=100)
    for time in (1000.0, 5000.0, 5000.001, 10.0, 10.001, 10.04):
        outlet.write(make_moment(time))
    outlet.end()
    assert [outlet._slot.take()[0].time for _ in range(4)] == [1000.0, 5000.0, 10.0, 10.04]  # type: ignore[index]
    assert outlet._slot.ended


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    opened = threading.Event()
    yield opened
    opened.set()


def test_a_sink_that_hangs_delays_no_other(
    make_moment: Callable[..., Moment], now: Time, said: list[str], gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    hanging, healthy = FakeSink(), FakeSink()
    hanging.name, entered, done = "hanging", threading.Event(), threading.Semaphore(0)
    hanging.act = lambda: (entered.set(), gate.wait(60))  # type: ignore[assignment, return-value]
    healthy.act = done.release
    outlets = [make_outlet(hanging, now, said), make_outlet(healthy, now, said)]
    with running(outlets):
        outlets[0].write(make_moment(0.0))
        assert entered.wait(60)
        for i in range(1, 51):
            for outlet in outlets:
                outlet.write(make_moment(float(i)))
            assert done.acquire(timeout=60)
    assert healthy.times == [float(i) for i in range(1, 51)] and healthy.left.is_set()
    assert outlets[0].dropped == 49 and len(said) == 1 and "hanging to nowhere hangs" in said[0]


def test_the_last_moment_is_sent_and_the_sink_left_in_the_thread_that_wrote(
    make_moment: Callable[..., Moment], now: Time, said: list[str]
) -> None:
    sinks = [FakeSink() for _ in range(5)]
    outlets = [make_outlet(sink, now, said) for sink in sinks]
    with running(outlets):
        for i in range(100):
            for outlet in outlets:
                outlet.write(make_moment(float(i)))
    for sink, outlet in zip(sinks, outlets, strict=True):
        assert sink.times[-1] == 99.0 and outlet.sent + outlet.dropped == 100 and sink.left.is_set()
        assert len(sink.threads) == 1 and threading.get_ident() not in sink.threads
    assert said == []


def test_a_deeper_outlet_keeps_what_comes_while_its_sink_is_busy(
    make_moment: Callable[..., Moment], now: Time, said: list[str], gate: threading.Event
) -> None:
    sink = FakeSink()
    sink.act = lambda: gate.wait(60)  # type: ignore[assignment, return-value]
    outlet = make_outlet(sink, now, said, depth=120)
    with running([outlet]):
        for i in range(100):
            outlet.write(make_moment(float(i)))
        gate.set()
    assert sink.times == [float(i) for i in range(100)] and outlet.dropped == 0


def test_a_sink_that_cannot_close_is_reported(make_moment: Callable[..., Moment], now: Time, said: list[str]) -> None:
    class Broken(FakeSink):
        def __exit__(self, *_: object) -> None:
            raise OSError(28, "No space left on device")

    with running([make_outlet(Broken(), now, said)]):
        pass
    assert len(said) == 1 and "No space left" in said[0]
