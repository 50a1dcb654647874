"""The OpenGL context and the off-screen target that every renderer of this package shares.

EGL on a Linux without a display, the native context elsewhere. One context a process, created on first use.
"""

import contextlib
import ctypes
import functools
import math
import os
import sys
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from freeavatar.errors import MissingExtraError, RenderError
from freeavatar.types import Image

if TYPE_CHECKING:
    import moderngl


@functools.cache
def context() -> "moderngl.Context":
    """The process's off-screen OpenGL 3.3 context.

    Raises:
        MissingExtraError: moderngl is not installed.
        RenderError: no driver gives a context.
    """
    try:
        import moderngl
    except ImportError as error:
        raise MissingExtraError("Rendering", "moderngl", "renderer") from error
    # Freeing this makes the C library keep what is freed later: a frame's memory, which it would give back and fetch again each time.
    np.empty(31 << 20, np.uint8)
    linux = sys.platform.startswith("linux")
    if linux and os.environ.get("DISPLAY"):
        # The variable may name a display that is gone, as in a stale remote session.
        with contextlib.suppress(Exception):
            return moderngl.create_context(standalone=True, require=330)
    settings: dict[str, Any] = {"backend": "egl"} if linux else {}
    try:
        return moderngl.create_context(standalone=True, require=330, **settings)
    except Exception as error:  # moderngl raises bare Exception when no driver answers
        hint = "on Debian or Ubuntu: apt-get install libgl1 libegl1 libgl1-mesa-dri" if linux else "update the graphics driver"
        raise RenderError(f"no OpenGL 3.3 context could be created ({error}); {hint}") from error


def flush() -> None:
    """Let the driver start on what it has been given. Software draws that on other threads while this one prepares what follows."""
    if (library := _library()) is not None:
        library.glFlush()


@functools.cache
def _library() -> ctypes.CDLL | None:
    """OpenGL itself, for what moderngl does not offer; None where drivers are hardware's as a rule."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError):
            return ctypes.CDLL("libGL.so.1")
    return None


class Target:
    """A rectangular off-screen image, drawn larger and shrunk.

    In software this takes half the time of a driver's multi-sampling, and smooths what is painted on surfaces, too.

    Args:
        width: pixels.
        height: pixels.
        samples: points a pixel that are drawn, on average; more make smoother edges. 1 or less switches smoothing off.
    """

    def __init__(self, width: int, height: int, samples: float = 4) -> None:
        ctx = context()
        scale = math.sqrt(max(samples, 1))
        self.size, self.drawn_size = (width, height), (round(width * scale), round(height * scale))
        self._images = ctx.renderbuffer(self.drawn_size, 4), ctx.depth_renderbuffer(self.drawn_size)
        self._drawn = ctx.framebuffer([self._images[0]], self._images[1])
        self._pixels = np.zeros((self.drawn_size[1], self.drawn_size[0], 4), np.uint8)
        whole = self.drawn_size[0] % width == self.drawn_size[1] % height == 0
        self._shrinking = cv2.INTER_AREA if whole else cv2.INTER_LINEAR

    def begin(self, background: tuple[float, float, float]) -> None:
        """Make this the current target and clear it to an sRGB colour in 0..1."""
        self._drawn.use()
        self._drawn.clear(*background, 1.0)

    def read(self) -> Image:
        """The finished image: (height, width, 3) RGB uint8, first row at the top."""
        self._drawn.read_into(self._pixels, components=4, alignment=1)
        pixels: Image = self._pixels
        if self.drawn_size != self.size:
            pixels = np.asarray(cv2.resize(pixels, self.size, interpolation=self._shrinking), np.uint8)
        return np.asarray(cv2.flip(cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB), 0), np.uint8)

    def release(self) -> None:
        """Free the buffers."""
        for resource in (self._drawn, *self._images):
            resource.release()
