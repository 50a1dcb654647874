"""A video file, frame by frame, with the presentation times it was recorded with."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from freeavatar.errors import SourceError
from freeavatar.sources.source import NOMINAL_RATE, Recording, check_file, check_size
from freeavatar.types import Frame, Image

_HIGHEST_RATE: Final = 1000.0
"""Frames a second; above it the file's rate is a time base, not a rate, and counts as unknown."""


class Video(Recording):
    """Frames of the first video stream.

    Damage does not end the show: packets that cannot be decoded are passed over, and what decodes is delivered.
    ``warning`` and ``truncated`` then say so. A file of which nothing decodes is refused when it is opened.

    Attributes:
        truncated: the file broke off, or frames could not be decoded (known once an iteration is over).

    Args:
        path: the file.
        loop: start again after the last frame.

    Raises:
        SourceError: missing, damaged, without a video stream, without a frame, or too large.
    """

    def __init__(self, path: Path, loop: bool = False) -> None:
        check_file(path)
        self.name = path.name
        self.loop = loop
        self.truncated = False
        self._path = path
        with self._open() as container:
            stream = self._stream(container)
            check_size(stream.width, stream.height, str(path))
            self.rate = _rate(stream)
            self.count = None if loop else stream.frames or None
            self._total = stream.frames
            if not self._total and container.duration and len(container.streams) == 1:
                # Sound may outlast the picture, so the file's length speaks for the picture only where there is no sound.
                self._total = int(container.duration / av.time_base * self.rate)
            # Only a decoded frame proves that there is anything to see; better told now than after the outputs exist.
            if next(self._decode(container, stream), None) is None:
                raise SourceError(f"{path}: no frame of this video can be decoded; the file is damaged or empty: export it again")
        self.truncated, self.warning = False, None

    def _play(self) -> Iterator[Frame]:
        with self._open() as container:
            clock = _Clock(1 / (self.rate or NOMINAL_RATE))
            stream = self._stream(container)
            for index, frame in enumerate(self._decode(container, stream)):
                check_size(frame.width, frame.height, str(self._path))
                time = clock.time(None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base)
                yield Frame(_upright(frame), time, index)

    def _open(self) -> InputContainer:
        try:
            # An absolute path is never taken for a protocol such as "concat:".
            return av.open(str(self._path.resolve()), mode="r", metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"{self._path}: not a readable video ({_reason(error)}); the file is damaged or of another kind") from error

    def _stream(self, container: InputContainer) -> VideoStream:
        # The cover picture of a song is a video stream, too.
        streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not streams:
            raise SourceError(f"{self._path}: has no video stream; expected a video with pictures")
        stream = streams[0]
        if stream.codec_context is None:
            raise SourceError(f"{self._path}: its video codec is not supported; convert it to H.264")
        stream.thread_type = "AUTO"
        return stream

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """All frames that can be decoded; damage is noted in ``warning`` and ``truncated``."""
        decoded, broken, cut = 0, 0, ""
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                cut = _reason(error)
                break
            if packet is None:
                break
            try:
                for frame in packet.decode():
                    if isinstance(frame, VideoFrame):
                        decoded += 1
                        yield frame
            except (av.error.FFmpegError, OSError):
                broken += 1
        if cut or broken or decoded < self._total * 0.9:
            self.truncated = True
            total = f" of {self._total}" if self._total else ""
            damage = f"reading stopped: {cut}" if cut else f"{broken} packets cannot be decoded" if broken else "the file breaks off"
            self.warning = f"{self._path}: the video is damaged ({damage}); {decoded}{total} frames were read"


class _Clock:
    """Presentation times in seconds from the first frame on, strictly rising."""

    def __init__(self, step: float) -> None:
        self._step = step
        self._first: Fraction | None = None
        self._last: float | None = None

    def time(self, stamp: Fraction | None) -> float:
        """The time of the next frame; a missing or backward stamp is replaced by one frame after the last."""
        if stamp is not None and self._first is None:
            # Frames without stamps may come before the first one that has one.
            self._first = stamp - Fraction(0 if self._last is None else self._last + self._step)
        time = None if stamp is None or self._first is None else float(stamp - self._first)
        if self._last is None:
            time = 0.0
        elif time is None or time <= self._last:
            time = self._last + self._step
        self._last = time
        return time


def _rate(stream: VideoStream) -> float:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate is not None and 0 < rate <= _HIGHEST_RATE:
            return float(rate)
    return 0.0


def _upright(frame: VideoFrame) -> Image:
    """(H, W, 3) RGB, turned as the display matrix says (phones store their videos lying)."""
    image: Image = frame.to_ndarray(format="rgb24")  # type: ignore[assignment]
    quarters = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
