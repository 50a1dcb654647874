"""The calibration job: a person before a camera to a profile."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Final

import numpy as np

from freeavatar import arkit
from freeavatar.animator import Animator
from freeavatar.calibration import CalibrationError, Calibrator, measure_neutral, measure_range, with_gains
from freeavatar.errors import SourceError
from freeavatar.face import FaceTracker
from freeavatar.interrupt import stop_on
from freeavatar.pacing import SystemClock, attended, until
from freeavatar.pipeline import load_models
from freeavatar.profiles import DEFAULT_USER, Neutral, Profile, load_profile, profile_path, save_profile
from freeavatar.rig import Rig, load_rig
from freeavatar.slots import newest
from freeavatar.sources import Source, open_source
from freeavatar.types import Expression, FaceCrop, Frame

FILE: Final = "file"
"""What stands for the camera where a video is played."""
_IDLE: Final = 1 / 30
"""Seconds after which a camera that delivers nothing is looked after."""


@dataclass(frozen=True)
class Summary:
    """What a calibration did."""

    profile: str
    """The file that was written."""
    frames: int
    """Frames of the neutral face."""
    ranges: int
    """Controls and shapes whose range was widened."""
    seconds: float
    interrupted: bool
    """Stopped by Ctrl-C; nothing was written."""


def camera_key(source: Source) -> str:
    """The camera's name in profiles."""
    return source.name if source.live else FILE


def calibrate(
    spec: str | Path,
    rigs: Sequence[str | Path] = ("human",),
    user: str = DEFAULT_USER,
    *,
    range_of_motion: bool = False,
    countdown: float = 3.0,
    seconds: float = 2.0,
    motion: float = 10.0,
    provider: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Summary:
    """Measure a person's neutral face and, if wanted, range of motion, and keep them as a profile.

    All times are the source's own. A camera that is lost in between is waited for, and what it cut short starts anew. What an
    older profile says besides is kept.

    Args:
        spec: camera number or video.
        rigs: rigs whose controls' range is measured.
        user: the profile's name.
        range_of_motion: also measure how far each control goes.
        countdown: seconds to get ready.
        seconds: length of the neutral.
        motion: length of the range of motion.
        provider: what runs the encoder; None takes the best one that starts.
        say: called with a line for the person, such as what to do next.

    Raises:
        CalibrationError: the person was not seen as needed, or the source ended too soon.
        FreeAvatarError: the source, a rig, the weights or the profile is not usable.
    """
    start = time.perf_counter()
    if not (0 <= countdown <= 60 and 0 < seconds <= 60 and 0 < motion <= 120):
        raise SourceError("expected a countdown of 0 to 60 s, a neutral of up to 60 s and a range of motion of up to 120 s")
    avatars = [load_rig(rig) for rig in rigs]
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on(signal.SIGINT, signal.SIGTERM))
        encoder, animator = load_models(provider=provider)
        source = stack.enter_context(open_source(spec))
        if source.still:
            raise SourceError(f"{spec}: is no moving picture; expected a camera or a video")
        path = profile_path(user, camera_key(source))
        old = load_profile(path) if os.path.exists(path) else Profile()
        tracker = stack.enter_context(FaceTracker(size=encoder.size))
        reader = Reader(stack.enter_context(_frames(source, stop, say)), source, tracker.track, encoder.encode, stop, say)
        for left in _seconds(countdown):
            reader.read(left % 1 or 1.0, f"face at rest, eyes on the screen: {left:g}")
        faces = reader.read(seconds, "hold still")
        if stop.is_set():
            return Summary(str(path), 0, 0, time.perf_counter() - start, True)
        neutral = measure_neutral(faces, encoder.sha256)
        profile = replace(old, user=user, camera=camera_key(source), neutral=neutral)
        ranges = 0
        if range_of_motion:
            moves = "blink, raise and lower the brows, smile, frown, pout, open wide, puff"
            seen = reader.read(motion, f"now move all you can for {motion:g} s: {moves}")
            if stop.is_set():
                return Summary(str(path), 0, 0, time.perf_counter() - start, True)
            profile, ranges = widen(profile, neutral, avatars, animator, [face for face in seen if face is not None])
        save_profile(profile)
    return Summary(str(path), len(faces), ranges, time.perf_counter() - start, False)


def widen(profile: Profile, neutral: Neutral, rigs: Sequence[Rig], animator: Animator, faces: Sequence[Expression]) -> tuple[Profile, int]:
    """The profile with the gains that these faces call for, and how many there are."""
    if not faces:
        raise CalibrationError("range of motion refused: no face was seen; stay in the picture, and try again")
    avatars, shapes, count = dict(profile.avatars), profile.arkit, 0
    for number, rig in enumerate(rigs):
        correct = Calibrator(rig, animator, Profile(neutral=neutral))
        rows = [correct(animator.animate(face, rig)) for face in faces]
        if number == 0:
            gains = measure_range([row.arkit for row in rows], arkit.NAMES, np.ones(len(arkit.NAMES), np.float32))
            gains = {name: gain for name, gain in gains.items() if name not in arkit.EYE_LOOK}
            shapes, count = with_gains(shapes, gains), len(gains)
        gains = measure_range([row.values[rig.driven] for row in rows], [rig.names[i] for i in rig.driven], rig.maximum[rig.driven])
        avatars[rig.name] = with_gains(avatars.get(rig.name, {}), gains)
        count += len(gains)
    return replace(profile, arkit=shapes, avatars=avatars), count


class Reader:
    """Reads expressions for a while of the source's own time, one while after the other.

    Args:
        frames: the source's frames until ``stop``; without a picture while a camera delivers none.
        source: where they come from.
        track: finds the face.
        encode: reads it.
        stop: set when the person has had enough.
        say: called with what the person is to do.
    """

    def __init__(
        self,
        frames: Iterator[Frame],
        source: Source,
        track: Callable[[Frame], FaceCrop | None],
        encode: Callable[[list[FaceCrop]], list[Expression]],
        stop: Event,
        say: Callable[[str], None],
    ) -> None:
        self._frames, self._track, self._encode, self._stop, self._say = frames, track, encode, stop, say
        self._name, self._step = source.name, 1 / source.rate if source.rate > 0 else 0.0
        self._end: float | None = None

    def read(self, seconds: float, task: str) -> list[Expression | None]:
        """What is read in that time, frame by frame; less once it is to stop.

        Args:
            seconds: how long. Where a camera was lost in between, that long from when it is back.
            task: what the person is to do.

        Raises:
            CalibrationError: the source ended.
        """
        faces: list[Expression | None] = []
        told = False
        while not self._stop.is_set():
            frame = next(self._frames, None)
            if frame is None:
                break
            if not frame.image.size:
                faces, told, self._end = [], False, None
                continue
            if not told:
                self._say(task)
                self._end = (frame.time if self._end is None else self._end) + seconds
                told = True
            crop = self._track(frame)
            faces.append(self._encode([crop])[0] if crop else None)
            if frame.time + self._step >= (self._end or 0.0):
                return faces
        if self._stop.is_set():
            return faces
        raise CalibrationError(f"{self._name} ended too soon; expected {seconds:g} s more of it")


@contextmanager
def _frames(source: Source, stop: Event, say: Callable[[str], None]) -> Iterator[Iterator[Frame]]:
    """A camera's newest frames, read in a thread of their own as it may hang; every frame of a video."""
    clock = SystemClock()
    if not source.live:
        yield iter(source)
        return
    with newest(source, _IDLE) as pictures:
        yield attended(until(pictures, clock, stop, None), source, clock, say)


def _seconds(countdown: float) -> Iterator[float]:
    """What is left of a countdown, second by second: 2.5, 2, 1."""
    while countdown > 0:
        yield countdown
        countdown -= countdown % 1 or 1.0
