"""Side-by-side video: the input and one or more avatars at the same height, in step with the input's own time."""

from collections.abc import Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from freeavatar.errors import OutputError
from freeavatar.output import replacing
from freeavatar.rig import Rig
from freeavatar.sinks.virtual_camera import fitted
from freeavatar.types import Frame, Image, RigFrame

if TYPE_CHECKING:
    from freeavatar_renderer.raster import AvatarRenderer

PREVIEW_SUFFIXES: Final = (".mp4",)
HEIGHT: Final = 512
_CLOCK: Final = 90_000
"""Ticks a second of the video's time stamps; a variable rate is kept to 1/90 ms."""
_STILL_RATE: Final = 2
"""Pictures a second for inputs without a rate."""


_WIDEST: Final = 4
"""Widest input panel, in panel heights; a wider input is fitted in with borders."""


class Stage:
    """Pictures of the input and the avatars side by side.

    Args:
        rigs: one panel each, right of the input.
        height: pixels; avatar panels are square.

    Raises:
        MissingExtraError: moderngl is not installed.
        RenderError: no OpenGL context can be created.
    """

    def __init__(self, rigs: Sequence[Rig], height: int = HEIGHT) -> None:
        self.height = height
        self._renderers = [_renderer(rig, height) for rig in rigs]
        self._width = 0

    def picture(self, frame: Frame, rows: Sequence[RigFrame]) -> Image:
        """(height, W, 3) RGB: the frame, then one avatar a row; W is even and the same for every frame."""
        avatars = [renderer.render(row.values) for renderer, row in zip(self._renderers, rows, strict=True)]
        return np.concatenate([self._fit(frame.image), *avatars], axis=1)

    def close(self) -> None:
        """Free the renderers."""
        for renderer in self._renderers:
            renderer.release()

    def _fit(self, image: Image) -> Image:
        """The image at the panel's height; the first one decides the width, others are fitted in with borders."""
        height, width = image.shape[:2]
        if not self._width:
            self._width = min(max(round(width * self.height / height / 2) * 2, 2), _WIDEST * self.height)
        return fitted(image, self._width, self.height)


class Preview:
    """An H.264 mp4 of a :class:`Stage`; a context manager.

    Args:
        path: the mp4 to write.
        rigs: the avatars, right of the input.
        rate: average frames a second of the input, 0 for pictures.

    Raises:
        OutputError: the file cannot be written.
        MissingExtraError, RenderError: as for :class:`Stage`.
    """

    def __init__(self, path: Path, rigs: Sequence[Rig], rate: float = 0.0) -> None:
        self.path = path
        self.stage = Stage(rigs)
        self._rate = rate
        self._stack = ExitStack()
        self._stream: Any = None
        self._tick = -1

    def __enter__(self) -> Self:
        import av

        if "libx264" not in av.codecs_available:
            raise OutputError(f"{self.path}: this build of PyAV has no H.264 encoder; install av from its own wheels")
        with ExitStack() as stack:
            stack.callback(self.stage.close)
            temporary = stack.enter_context(replacing(self.path))
            self._container = stack.enter_context(av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}))
            self._stack = stack.pop_all()
        return self

    def write(self, frame: Frame, rows: Sequence[RigFrame]) -> Image:
        """Add one frame; returns its picture."""
        import av

        picture = self.stage.picture(frame, rows)
        if self._stream is None:
            self._open(picture)
        video = av.VideoFrame.from_ndarray(picture, format="rgb24")
        step = _CLOCK / self._rate if self._rate > 0 else _CLOCK / _STILL_RATE
        due = round(frame.time * _CLOCK) if self._rate > 0 else round(frame.index * step)
        self._tick = max(due, self._tick + 1)
        video.pts, video.duration, video.time_base = self._tick, round(step), Fraction(1, _CLOCK)
        self._container.mux(self._stream.encode(video))
        return picture

    def __exit__(self, *exc: Any) -> None:
        if exc[0] is None and self._stream is not None:
            with self._stack:
                self._container.mux(self._stream.encode(None))
        else:
            self._stack.__exit__(*exc)

    def _open(self, picture: Image) -> None:
        rate = Fraction(self._rate or _STILL_RATE).limit_denominator(1001)
        self._stream = self._container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "veryfast"})
        self._stream.height, self._stream.width = picture.shape[:2]
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _CLOCK)


def _renderer(rig: Rig, size: int) -> "AvatarRenderer":
    from freeavatar_renderer.raster import AvatarRenderer

    return AvatarRenderer(rig, size, size)
