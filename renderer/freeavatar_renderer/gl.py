"""The OpenGL context and the off-screen target that every renderer of this package shares.

EGL on a Linux without a display, the native context elsewhere. One context a process, created on first use.
"""

import contextlib
import functools
import os
import sys
from typing import TYPE_CHECKING, Any

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


class Target:
    """A multi-sampled square or rectangular off-screen image.

    Args:
        width: pixels.
        height: pixels.
        samples: samples a pixel for anti-aliasing; 0 switches it off.
    """

    def __init__(self, width: int, height: int, samples: int = 4) -> None:
        ctx = context()
        self.size = (width, height)
        samples = min(samples, ctx.max_samples)
        self._resolved = ctx.framebuffer([ctx.renderbuffer((width, height), 4)])
        many: dict[str, Any] = {"samples": samples} if samples else {}
        self._drawn = ctx.framebuffer([ctx.renderbuffer((width, height), 4, **many)], ctx.depth_renderbuffer((width, height), **many))

    def begin(self, background: tuple[float, float, float]) -> None:
        """Make this the current target and clear it to an sRGB colour in 0..1."""
        self._drawn.use()
        self._drawn.clear(*background, 1.0)

    def read(self) -> Image:
        """The finished image: (height, width, 3) RGB uint8, first row at the top."""
        context().copy_framebuffer(self._resolved, self._drawn)
        width, height = self.size
        pixels = np.frombuffer(self._resolved.read(components=3, alignment=1), np.uint8)
        return np.ascontiguousarray(pixels.reshape(height, width, 3)[::-1])

    def release(self) -> None:
        """Free the buffers."""
        self._drawn.release()
        self._resolved.release()
