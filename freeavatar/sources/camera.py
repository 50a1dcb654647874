"""A camera: its own thread reads it, and only the newest frame is kept."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar.errors import SourceError
from freeavatar.sources.source import Source, check_size
from freeavatar.types import Frame, Image

_FAILURES: Final = 25
"""Reads in a row that may fail before the camera counts as lost."""
_PAUSE: Final = 0.02
"""Seconds between failed reads."""


class Capture(Protocol):
    """The part of ``cv2.VideoCapture`` that is used; tests bring their own."""

    def isOpened(self) -> bool: ...
    def read(self) -> tuple[bool, Any]: ...
    def get(self, prop: int, /) -> float: ...
    def release(self) -> None: ...


class Camera(Source):
    """The newest frame of a camera; frames that nobody took in time are dropped and counted.

    Attributes:
        dropped: frames replaced by a newer one before they were read.

    Args:
        number: 0 for the first camera.
        opener: makes the capture object from the number.
        clock: monotonic seconds.
        timeout: seconds to wait for the first frame, and then for each further one.

    Raises:
        SourceError: there is no such camera, another program uses it, or it delivers nothing.
    """

    live = True

    def __init__(
        self,
        number: int,
        opener: Callable[[int], Capture] | None = None,
        clock: Callable[[], float] = time.monotonic,
        timeout: float = 10.0,
    ) -> None:
        self.name = f"camera {number}"
        self.dropped = 0
        self._clock = clock
        self._timeout = timeout
        self._slot: tuple[NDArray[np.uint8], float] | None = None
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._lost = False
        self._last = float("-inf")
        self._count = 0
        capture = (opener or _open)(number)
        if not capture.isOpened():
            capture.release()
            raise SourceError(f"{self.name} cannot be opened: it is missing or another program uses it; close that or give another number")
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.rate = float(rate) if 0 < rate <= 1000 else 0.0
        self._thread = threading.Thread(target=self._capture, args=(capture,), name=self.name, daemon=True)
        self._thread.start()
        try:
            with self._changed:
                self._wait(timeout)
        except SourceError:
            self.close()
            raise

    def read(self, timeout: float | None = None) -> Frame:
        """The newest frame that was not read yet.

        Args:
            timeout: seconds to wait for one; the camera's own when omitted.

        Raises:
            SourceError: none came in time, or the camera was lost or closed.
        """
        with self._changed:
            picture, seconds = self._wait(self._timeout if timeout is None else timeout)
            self._slot = None
        check_size(picture.shape[1], picture.shape[0], self.name)
        frame = Frame(_rgb(picture), seconds, self._count)
        self._count += 1
        return frame

    def __iter__(self) -> Iterator[Frame]:
        while not self._stop.is_set():
            yield self.read()

    def close(self) -> None:
        """Stop the thread, which releases the camera; may be called twice."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    def _wait(self, timeout: float) -> tuple[NDArray[np.uint8], float]:
        """The slot's content, once there is one; called with the lock held."""
        self._changed.wait_for(lambda: self._slot is not None or self._lost or self._stop.is_set(), timeout)
        if self._slot is not None:
            return self._slot
        if self._stop.is_set():
            raise SourceError(f"{self.name} is closed")
        if self._lost:
            raise SourceError(f"{self.name} stopped delivering pictures: check its cable, or whether another program took it")
        raise SourceError(f"{self.name} delivered no picture for {timeout:g} s: check that no other program uses it")

    def _capture(self, capture: Capture) -> None:
        failures = 0
        try:
            while not self._stop.is_set() and failures < _FAILURES:
                good, picture = capture.read()
                # The closest to the exposure that every system offers.
                now = self._clock()
                if not good or picture is None or not picture.size:
                    failures += 1
                    self._stop.wait(_PAUSE)
                    continue
                failures = 0
                with self._changed:
                    self.dropped += self._slot is not None
                    # A coarse clock may stand still between two frames.
                    self._last = max(now, self._last + 1e-6)
                    self._slot = (picture, self._last)
                    self._changed.notify_all()
        finally:
            # Here and nowhere else: releasing while another thread reads crashes some drivers.
            capture.release()
            with self._changed:
                self._lost = True
                self._changed.notify_all()


def _open(number: int) -> Capture:
    level = cv2.utils.logging.getLogLevel()
    # OpenCV writes several lines about a camera that does not exist; ours is one.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        try:
            capture = cv2.VideoCapture(number)
        except cv2.error as error:
            raise SourceError(f"camera {number} cannot be opened ({error.err}); choose another number") from error
        # Compressed frames leave room on the USB bus for the full rate. Cameras refuse what they cannot do.
        with contextlib.suppress(cv2.error):
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    finally:
        cv2.utils.logging.setLogLevel(level)
    return capture


def _rgb(picture: NDArray[np.uint8]) -> Image:
    code = cv2.COLOR_GRAY2RGB if picture.ndim == 2 or picture.shape[2] == 1 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(picture, code)  # type: ignore[return-value]
