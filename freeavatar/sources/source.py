"""What all sources share, and the choice of one from what a user typed."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final

from freeavatar.errors import SourceError
from freeavatar.types import Frame

LARGEST_SIDE: Final = 8192
"""Pixels; a larger frame is refused before it is decoded."""
NOMINAL_RATE: Final = 30.0
"""Frames a second where a source does not tell: images, streams without a rate."""
IMAGE_SUFFIXES: Final = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""File name endings, in small letters, that count as images."""

_UNREAD_SUFFIXES: Final = frozenset({".heic", ".heif", ".jxl"})
"""Pictures that no decoder at hand reads well, if at all."""


class Source(ABC):
    """Frames in order, as a context manager and an iterable.

    Attributes:
        name: what to call it in messages and summaries.
        rate: average frames a second; 0 for images and where it is unknown.
        count: number of frames, if it is known and not endless.
        live: frames come in real time, whether anybody takes them or not.
        still: frames are unrelated pictures.
        warning: one line about damage met on the way (frames that could not be decoded), or None. Complete once
            the iteration is over.
    """

    name: str
    rate: float = 0.0
    count: int | None = None
    live: bool = False
    still: bool = False
    warning: str | None = None

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:  # noqa: B027  (files have nothing to release between iterations)
        """Release what the source holds; may be called twice."""

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Recording(Source):
    """A source that can be played from its start, once or in a loop with time and index running on."""

    loop: bool = False

    @abstractmethod
    def _play(self) -> Iterator[Frame]:
        """One pass; time starts at 0 and rises strictly, the index counts from 0."""

    def __iter__(self) -> Iterator[Frame]:
        start, count = 0.0, 0
        while True:
            last: Frame | None = None
            for frame in self._play():
                last = replace(frame, time=start + frame.time, index=count + frame.index)
                yield last
            if not self.loop or last is None:
                return
            start, count = last.time + 1 / (self.rate or NOMINAL_RATE), last.index + 1


_HIGHEST_CAMERA_RATE: Final = 1000


@dataclass(frozen=True)
class CameraMode:
    """What a camera is asked for; None leaves it the choice.

    Attributes:
        size: width and height in pixels.
        rate: frames a second.

    Raises:
        SourceError: a value no camera can have.
    """

    size: tuple[int, int] | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.size is not None:
            check_size(*self.size, "--size")
        if self.rate is not None and not 0 < self.rate <= _HIGHEST_CAMERA_RATE:
            raise SourceError(f"--rate: a camera cannot give {self.rate:g} frames a second; expected up to {_HIGHEST_CAMERA_RATE}")


ANY_MODE: Final = CameraMode()
_CAMERA_DIGITS: Final = 4
"""A longer number is a file's name."""


def open_source(
    spec: str | Path,
    *,
    loop: bool = False,
    mode: CameraMode = ANY_MODE,
    report: Callable[[str], None] = lambda _: None,
) -> Source:
    """The source that ``spec`` names.

    Args:
        spec: a camera's number ("0"), a folder of images, an image, or a video file.
        loop: play files again and again; cameras ignore it.
        mode: what a camera is asked for; files ignore it.
        report: called with one line if a camera gives something else.

    Raises:
        SourceError: missing, unreadable, empty, too large, or the camera cannot be opened.
    """
    if str(spec).isdecimal() and len(str(spec)) <= _CAMERA_DIGITS:
        from freeavatar.sources.camera import Camera

        return Camera(int(str(spec)), mode, report)
    if not str(spec):
        raise SourceError("the input has no name; expected a video, an image, a folder of images or a camera number")
    path = Path(spec)
    try:
        folder = path.is_dir()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the name and the permissions") from error
    if folder or path.suffix.lower() in IMAGE_SUFFIXES:
        from freeavatar.sources.images import Images

        return Images(path, loop=loop)
    check_file(path)
    if path.suffix.lower() in _UNREAD_SUFFIXES:
        raise SourceError(f"{path}: pictures of this kind are not read; save it as one of {', '.join(sorted(IMAGE_SUFFIXES))}")
    from freeavatar.sources.video import Video

    return Video(path, loop=loop)


def check_size(width: int, height: int, name: str) -> None:
    """Refuse frames without pixels, and absurd ones.

    Raises:
        SourceError: a side is 0 or above :data:`LARGEST_SIDE`.
    """
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise SourceError(f"{name}: {width} x {height} pixels are not accepted, the limit is {LARGEST_SIDE} a side: scale it down")


def check_file(path: Path) -> None:
    """Refuse what is not a readable, non-empty file.

    Raises:
        SourceError: missing, a folder or device, empty, or not permitted.
    """
    try:
        if not path.exists():
            raise SourceError(f"{path}: no such file; expected a video, an image, a folder of images or a camera number")
        if not path.is_file():
            raise SourceError(f"{path}: not a file; expected a video, an image, a folder of images or a camera number")
        if path.stat().st_size == 0:
            raise SourceError(f"{path}: the file is empty; check that its download or copy was finished")
        with path.open("rb"):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"{path}: cannot be read ({reason}); check the name and the permissions") from error
