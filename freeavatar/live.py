"""The live job: a camera, or a video played as if it were one, to avatars in other programs."""

import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from freeavatar.animator import Animator
from freeavatar.calibrate import camera_key
from freeavatar.calibration import Calibrator
from freeavatar.encoder import Encoder
from freeavatar.errors import SourceError
from freeavatar.face import FaceTracker
from freeavatar.filters import RigFilter, load_smoothing
from freeavatar.follower import EVERY, Follower
from freeavatar.interrupt import stop_on
from freeavatar.mirror import Mirror
from freeavatar.pacing import Clock, SystemClock, attended, due, until
from freeavatar.pipeline import load_models
from freeavatar.presence import Loss, Presence
from freeavatar.profiles import find_profile
from freeavatar.rig import Rig, load_rigs
from freeavatar.sinks.moment import Moment
from freeavatar.sinks.outlet import Outlet, running
from freeavatar.sinks.recording import RecordingSink
from freeavatar.sinks.targets import DEFAULT_TARGETS, Targets, open_targets
from freeavatar.sinks.virtual_camera import VirtualCameraSink
from freeavatar.slots import newest
from freeavatar.sources import ANY_MODE, NOMINAL_RATE, CameraMode, Source, open_source
from freeavatar.stopwatch import Stopwatch
from freeavatar.types import Expression, Frame, RigFrame

LIVE_LOSS: Final = Loss()
_IDLE: Final = 1 / 30
"""Seconds between rows while a camera delivers nothing."""
_KEPT: Final = 120
"""Moments that wait for a recording whose disk is slow: none may be missing, and they hold no pictures."""


@dataclass(frozen=True)
class Screen:
    """What a virtual camera shows: the first rig.

    Attributes:
        size: width and height in pixels.
        beside: the input to its left.
        device: the camera's name; None takes the first one.
    """

    size: tuple[int, int] = (1280, 720)
    beside: bool = False
    device: str | None = None


@dataclass(frozen=True)
class Delivery:
    """What one sink did.

    Attributes:
        name: its protocol.
        target: where it went.
        sent: frames sent.
        unsent: frames that came too fast for it, that it refused, or that the network did not take.
        stages: median and 95th percentile in milliseconds of ``send`` and ``capture_to_send``.
    """

    name: str
    target: str
    sent: int
    unsent: int
    stages: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Summary:
    """What a session did.

    Attributes:
        source: the source's name.
        rigs: the names of the rigs.
        frames: frames that were looked at.
        faces: frames in which a face was found.
        skipped: frames of the source that were too late to be looked at.
        unsent: summed over the sinks.
        sinks: each sink.
        seconds: how long it lasted.
        stages: median and 95th percentile in milliseconds; ``send`` and ``capture_to_send``, the whole way, over all sinks.
    """

    source: str
    rigs: tuple[str, ...]
    frames: int
    faces: int
    skipped: int
    unsent: int
    sinks: tuple[Delivery, ...]
    seconds: float
    stages: dict[str, dict[str, float]]


def live(
    spec: str | Path,
    rigs: Sequence[str | Path] = ("human",),
    targets: Targets = DEFAULT_TARGETS,
    *,
    loop: bool = False,
    mirror: bool = False,
    mode: CameraMode = ANY_MODE,
    face: int | None = None,
    loss: Loss = LIVE_LOSS,
    smoothing: str | Path = "balanced",
    profile: str | None = None,
    record: Path | None = None,
    screen: Screen | None = None,
    frames: int | None = None,
    seconds: float | None = None,
    provider: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Summary:
    """Drive rigs until the source ends, a limit is reached, or SIGINT or SIGTERM arrives.

    Args:
        spec: camera number, or a video or images to play in their own time.
        rigs: names or folders of the rigs; the encoder runs once for all of them.
        targets: where to send to; any number of programs at once.
        loop: play a video again and again.
        mirror: send the performer's mirror image.
        mode: size and rate to ask of a camera.
        face: of several faces follow the one that is so many from the left when it is first seen; None follows any one.
        loss: what happens when the face is lost.
        smoothing: a preset or a file of the filters, see :func:`freeavatar.filters.load_smoothing`.
        profile: whose calibration to use, see :func:`freeavatar.profiles.find_profile`.
        record: a folder for a take of the session.
        screen: show the first rig in a virtual camera.
        frames: stop after so many frames.
        seconds: stop after so many seconds.
        provider: what runs the encoder; None takes the best one that starts.
        say: called with one line once everything is open, and then for whatever the user should know.

    Raises:
        FreeAvatarError: the source, a rig, an address or the weights are not usable.
    """
    if (frames is not None and frames < 1) or (seconds is not None and not seconds > 0):
        raise SourceError("the limits must be above 0: leave them out to go on until Ctrl-C")
    clock, watch = SystemClock(), Stopwatch()
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on(signal.SIGINT, signal.SIGTERM))
        avatars = load_rigs(rigs)
        filters = load_smoothing(smoothing)
        filters.check(avatars)
        network = stack.enter_context(open_targets(targets, {avatar.name: avatar.names for avatar in avatars}, clock.now, say))
        encoder, animator = load_models(provider=provider)
        source = stack.enter_context(open_source(spec, loop=loop, mode=mode, report=say))
        tracker = stack.enter_context(FaceTracker(still=source.still, size=encoder.size, face=face))
        person = find_profile(profile, camera_key(source), encoder.sha256, say)
        performers = [
            Performer(
                avatar,
                animator,
                watch,
                Calibrator(avatar, animator, person),
                Presence(avatar, source.still, loss),
                RigFilter(avatar, filters),
                Mirror(avatar) if mirror else None,
            )
            for avatar in avatars
        ]
        local = open_local(avatars, encoder, source, record, screen, mirror, clock.now, say)
        stack.enter_context(running(local))
        outlets: list[Outlet[Any]] = [*network, *local]

        # Stills have nothing to follow; of several faces the tracker must see every frame to keep them apart.
        perceive = Follower(tracker, encoder, watch, every=0.0 if source.still or face is not None else EVERY)
        names = [avatar.name for avatar in avatars]
        say(f"{source.name} drives {', '.join(names)}: {', '.join(f'{o.name} to {o.target}' for o in outlets)}; Ctrl-C ends")
        pictures = stack.enter_context(newest(due(source, clock, stop), _IDLE))
        stack.callback(stop.set)  # ends the wait for the next frame
        arriving = attended(until(pictures, clock, stop, seconds), source, clock, say)
        tally = run(arriving, perceive, performers, outlets, clock, frames)
    return _summarise(source.name, names, tally, outlets, watch)


@dataclass(frozen=True)
class Tally:
    """What went through the loop: see :class:`Summary`."""

    frames: int
    faces: int
    skipped: int
    seconds: float


def run(
    arriving: Iterable[Frame],
    perceive: Callable[[Frame], Expression | None],
    performers: "Sequence[Performer]",
    outlets: Sequence[Outlet[Any]],
    clock: Clock,
    limit: int | None = None,
) -> Tally:
    """The loop itself: newest frame, its expression, a row for each rig, and on to every outlet."""
    start = clock.now()
    count = faces = skipped = following = 0
    for frame in arriving:
        seen = frame.image.size > 0
        expression = perceive(frame) if seen else None
        rows = tuple(perform(expression, frame) for perform in performers)
        moment = Moment(frame.time, frame.index, frame.image if seen else None, expression, rows)
        for outlet in outlets:
            outlet.write(moment)
        if seen:
            count, faces = count + 1, faces + (expression is not None)
            skipped, following = skipped + frame.index - following, frame.index + 1
        if count == limit:
            break
    return Tally(count, faces, skipped, clock.now() - start)


class Performer:
    """One rig's part of the loop: an expression in, the row to send out.

    Args:
        rig: the rig.
        animator: drives it.
        watch: takes the times of the stages ``animator`` and ``filter``.
        calibrate: fits the rows to the person.
        presence: gives a row where no face is.
        smooth: the filter.
        reflect: makes the mirror image; None leaves it.
    """

    def __init__(
        self,
        rig: Rig,
        animator: Animator,
        watch: Stopwatch,
        calibrate: Calibrator,
        presence: Presence,
        smooth: RigFilter,
        reflect: Mirror | None = None,
    ) -> None:
        self._rig, self._animator, self._watch = rig, animator, watch
        self._calibrate, self._presence, self._smooth, self._reflect = calibrate, presence, smooth, reflect

    def __call__(self, expression: Expression | None, frame: Frame) -> RigFrame:
        """The row of a frame, with or without a face."""
        with self._watch.measure("animator"):
            tracked = self._calibrate(self._animator.animate(expression, self._rig)) if expression else None
        with self._watch.measure("filter"):
            row = self._smooth(self._presence(tracked, frame))
            return self._reflect(row) if self._reflect else row


def open_local(
    rigs: Sequence[Rig],
    encoder: Encoder,
    source: Source,
    record: Path | None,
    screen: Screen | None,
    mirror: bool,
    now: Callable[[], float],
    say: Callable[[str], None],
) -> list[Outlet[Moment]]:
    """The recording and the virtual camera, where they are wanted.

    Raises:
        FreeAvatarError: the folder cannot be written, or there is no virtual camera.
    """
    outlets = []
    with ExitStack() as stack:
        if screen is not None:
            shown = VirtualCameraSink(rigs[0], screen.size, source.rate or NOMINAL_RATE, screen.beside, screen.device, mirror)
            outlets.append(Outlet(stack.enter_context(shown), lambda moment: moment, now, say))
        if record is not None:
            take = RecordingSink(
                record, rigs, feature_size=encoder.feature_size, embedding_size=encoder.embedding_size,
                encoder_sha256=encoder.sha256, source=source.name, rate=source.rate, mirror=mirror,
            )  # fmt: skip
            outlets.append(Outlet(stack.enter_context(take), lambda moment: replace(moment, picture=None), now, say, depth=_KEPT))
        stack.pop_all()  # from now on each sink is its outlet's
    return outlets


def _summarise(source: str, rigs: Sequence[str], tally: Tally, outlets: Sequence[Outlet[Any]], watch: Stopwatch) -> Summary:
    deliveries = []
    for outlet in outlets:
        deliveries.append(Delivery(outlet.name, outlet.target, outlet.sent, outlet.dropped, outlet.watch.summary()))
        watch.absorb(outlet.watch)
    return Summary(
        source=source,
        rigs=tuple(rigs),
        frames=tally.frames,
        faces=tally.faces,
        skipped=tally.skipped,
        unsent=sum(delivery.unsent for delivery in deliveries),
        sinks=tuple(deliveries),
        seconds=tally.seconds,
        stages=watch.summary(),
    )
