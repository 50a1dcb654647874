"""A session in one thread and in made-up time: what plays, looks, drives and receives is fake, the rest is real."""

from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import numpy as np

from freeavatar.calibration import Calibrator
from freeavatar.filters import RigFilter
from freeavatar.live import Performer, Tally, run
from freeavatar.mirror import Mirror
from freeavatar.pacing import attended, due, until
from freeavatar.presence import Loss, Presence
from freeavatar.profiles import Profile
from freeavatar.rig import Rig
from freeavatar.sinks.moment import Moment
from freeavatar.sources import Source
from freeavatar.stopwatch import Stopwatch
from freeavatar.types import Expression, Frame, RigFrame

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
