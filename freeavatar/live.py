"""The live job: a camera, or a video played as if it were one, to an avatar in another program."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

from freeavatar.errors import SourceError
from freeavatar.face import FaceTracker
from freeavatar.filters import RigFilter
from freeavatar.interrupt import stop_on
from freeavatar.mirror import Mirror
from freeavatar.pipeline import load_models
from freeavatar.presence import Presence
from freeavatar.rig import Rig, load_rig
from freeavatar.sinks.targets import DEFAULT_TARGETS, Targets, open_targets
from freeavatar.sources import Source, open_source
from freeavatar.stopwatch import Stopwatch
from freeavatar.types import Frame, RigFrame, Tracking

_BEHIND = 1.0
"""Seconds behind its own time at which a video goes on from where it is instead of skipping ahead."""


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


class Sink(Protocol):
    """Takes frames and never waits."""

    name: str
    target: str
    sent: int
    dropped: int

    def write(self, frame: RigFrame) -> None: ...


@dataclass(frozen=True)
class Delivery:
    """What one sink did."""

    name: str
    target: str
    sent: int
    unsent: int
    """Frames that the network did not take."""


@dataclass(frozen=True)
class Summary:
    """What a session did."""

    source: str
    rig: str
    frames: int
    faces: int
    """Frames in which a face was found."""
    skipped: int
    """Frames of the source that were too late to be looked at."""
    unsent: int
    """Frames that a sink did not take, summed over the sinks."""
    sinks: tuple[Delivery, ...]
    seconds: float
    stages: dict[str, dict[str, float]]
    """Median and 95th percentile in milliseconds; ``capture_to_send`` is the whole way."""


def live(
    spec: str | Path,
    rig: str | Path,
    targets: Targets = DEFAULT_TARGETS,
    *,
    loop: bool = False,
    mirror: bool = False,
    frames: int | None = None,
    seconds: float | None = None,
    provider: str | None = None,
    ready: Callable[[str], None] = lambda _: None,
) -> Summary:
    """Drive a rig until the source ends, a limit is reached, or SIGINT or SIGTERM arrives.

    Args:
        spec: camera number, or a video or images to play in their own time.
        rig: a rig's name or folder.
        targets: where to send to; any number of programs at once.
        loop: play a video again and again.
        mirror: send the performer's mirror image.
        frames: stop after so many frames.
        seconds: stop after so many seconds.
        provider: what runs the encoder; None takes the best one that starts.
        ready: called with one line once everything is open and the first frame is awaited.

    Raises:
        FreeAvatarError: the source, the rig, the address or the weights are not usable.
    """
    if (frames is not None and frames < 1) or (seconds is not None and not seconds > 0):
        raise SourceError("the limits must be above 0: leave them out to go on until Ctrl-C")
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on(signal.SIGINT, signal.SIGTERM))
        avatar = load_rig(rig)
        sinks = stack.enter_context(open_targets(targets))
        encoder, animator = load_models(provider=provider)
        source = stack.enter_context(open_source(spec, loop=loop))
        tracker = stack.enter_context(FaceTracker(still=source.still, size=encoder.size))
        presence, smooth, reflect = Presence(avatar, source.still), RigFilter(avatar), Mirror(avatar)
        watch = Stopwatch()

        def drive(frame: Frame) -> RigFrame:
            with watch.measure("face"):
                crop = tracker.track(frame)
            with watch.measure("encoder"):
                expressions = encoder.encode([crop] if crop else [])
            with watch.measure("animator"):
                tracked = animator.animate(expressions[0], avatar) if expressions else None
            with watch.measure("filter"):
                row = smooth(presence(tracked, frame))
                return reflect(row) if mirror else row

        ready(f"{source.name} drives {avatar.name}, {', '.join(f'{sink.name} to {sink.target}' for sink in sinks)}; Ctrl-C ends")
        return run(source, avatar, drive, sinks, watch, SystemClock(), stop, frames, seconds)


def run(
    source: Source,
    rig: Rig,
    drive: Callable[[Frame], RigFrame],
    sinks: Sequence[Sink],
    watch: Stopwatch,
    clock: Clock,
    stop: Event,
    frames: int | None = None,
    seconds: float | None = None,
) -> Summary:
    """The loop itself: frames as they fall due, through ``drive``, to every sink."""
    start = clock.now()
    count = faces = skipped = 0
    expected = 0
    for frame, captured in due(source, clock, stop):
        skipped += frame.index - expected
        expected = frame.index + 1
        row = drive(frame)
        with watch.measure("send"):
            for sink in sinks:
                sink.write(row)
        watch.add("capture_to_send", clock.now() - captured)
        count, faces = count + 1, faces + (row.tracking is Tracking.TRACKED)
        if stop.is_set() or count == frames or (seconds is not None and clock.now() - start >= seconds):
            break
    deliveries = tuple(Delivery(sink.name, sink.target, sink.sent, sink.dropped) for sink in sinks)
    return Summary(
        source=source.name,
        rig=rig.name,
        frames=count,
        faces=faces,
        skipped=skipped + source.dropped,
        unsent=sum(delivery.unsent for delivery in deliveries),
        sinks=deliveries,
        seconds=clock.now() - start,
        stages=watch.summary(),
    )


def due(source: Source, clock: Clock, stop: Event) -> Iterator[tuple[Frame, float]]:
    """Frames when it is their time, with the clock's time of their capture.

    A camera's frames come as they are. A video's wait for their time; those that are late by more than a frame are
    skipped, so that the rest is on time.
    """
    origin: float | None = None
    for frame in source:
        if stop.is_set():
            return
        if source.live:
            yield frame, frame.time
            continue
        origin = clock.now() - frame.time if origin is None else origin
        late = clock.now() - (origin + frame.time)
        if late > _BEHIND:
            origin, late = origin + late, 0.0
        if source.rate > 0 and late > 1 / source.rate:
            continue
        if late < 0:
            clock.wait(-late, stop)
            if stop.is_set():
                return
        yield frame, origin + frame.time
