"""When a frame's time has come: videos in their own time, cameras as they come, and what to do when one delivers nothing."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from threading import Event
from typing import Final, Protocol, TypeVar

import numpy as np

from freeavatar.errors import SourceError
from freeavatar.sources import Source
from freeavatar.types import Frame

T = TypeVar("T")

_BEHIND: Final = 1.0
"""Seconds off its own time at which a video goes on from where it is: the computer slept, or its clock was set."""
_STALL: Final = 1.0
"""Seconds without a picture after which a camera stalls; for slow ones, three of their frames."""
_FIRST_PICTURE: Final = 10.0
"""Seconds that a camera may take for its first picture."""
_NO_PICTURE: Final = np.zeros((0, 0, 3), np.uint8)


class Clock(Protocol):
    """Monotonic time in seconds, and a way to wait."""

    def now(self) -> float: ...

    def wait(self, seconds: float, stop: Event) -> None:
        """Return after that time, or as soon as ``stop`` is set."""


class SystemClock:
    """The machine's clock, the one cameras stamp their frames with."""

    def now(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float, stop: Event) -> None:
        stop.wait(seconds)


def due(source: Source, clock: Clock, stop: Event) -> Iterator[Frame]:
    """Frames when it is their time, stamped with the clock's time of their capture.

    A camera's frames come as they are. A video's wait for their time; those that are late by more than a frame are
    skipped, so that the rest is on time.
    """
    if source.live:
        yield from source
        return
    origin: float | None = None
    before = 0.0
    for frame in source:
        now = clock.now()
        origin = now - frame.time if origin is None else origin
        late = now - (origin + frame.time)
        if not before - frame.time - _BEHIND <= late <= _BEHIND:
            origin, late = origin + late, 0.0
        before = frame.time
        if source.rate > 0 and late > 1 / source.rate:
            continue
        if late < 0:
            clock.wait(-late, stop)
        if stop.is_set():
            return
        yield replace(frame, time=origin + frame.time)


def until(arriving: Iterable[T], clock: Clock, stop: Event, seconds: float | None) -> Iterator[T]:
    """What arrives until ``stop`` is set or the time is over."""
    start = clock.now()
    for item in arriving:
        if stop.is_set():
            return
        yield item
        if seconds is not None and clock.now() - start >= seconds:
            return


def attended(arriving: Iterable[Frame | None], source: Source, clock: Clock, say: Callable[[str], None]) -> Iterator[Frame]:
    """Frames; and, while a camera delivers none, frames without a picture, so that its rigs find their way to neutral.

    Args:
        arriving: frames, and None where there was none for a while.
        source: where they come from.
        clock: the clock that stamps them.
        say: called with a line when the camera stalls, and when it is back.

    Raises:
        SourceError: a camera never delivered anything.
    """
    last: Frame | None = None
    since, patience = clock.now(), _STALL
    stalls, shown = False, 0.0
    for frame in arriving:
        silent = clock.now() - since
        if frame is not None:
            if stalls:
                say(f"{source.name} is back after {silent:.1f} s")
                frame = replace(frame, time=max(frame.time, shown))  # it may be captured just before the last row went out
            elif last is not None:
                patience = min(max(_STALL, 3 * silent), _FIRST_PICTURE)
            last, since, stalls = frame, clock.now(), False
            yield frame
        elif not source.live:
            continue
        elif last is None:
            if silent > _FIRST_PICTURE:
                raise SourceError(f"{source.name} delivered no picture for {_FIRST_PICTURE:g} s: check that no other program uses it")
        elif silent > patience:
            if not stalls:
                say(f"{source.name} delivers no pictures: it is opened again as soon as it can be")
            stalls, shown = True, clock.now()
            yield Frame(_NO_PICTURE, shown, last.index)
