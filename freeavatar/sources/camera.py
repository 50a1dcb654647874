"""A camera: pictures as they come, in the mode that was asked for where the driver agrees; opened again when it was lost."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar.errors import SourceError
from freeavatar.sources.source import ANY_MODE, CameraMode, Source, check_size
from freeavatar.types import Frame, Image

_FAILURES: Final = 25
"""Reads in a row that may fail before the camera counts as lost."""
_PAUSE: Final = 0.02
"""Seconds between failed reads."""
_HANGING: Final = 2.0
"""Seconds after which a read that fails means that the camera is lost: drivers wait long for one that is gone."""
_FIRST_RETRY: Final = 0.5
_LAST_RETRY: Final = 5.0
"""Seconds before the camera is opened again, doubled after each failure up to the last."""
_WARM: Final = 15
"""Pictures after which its rate is measured, while it finds its exposure."""
_SAMPLE: Final = 60
"""Pictures over which its rate is measured."""
_TOLERANCE: Final = 0.8
"""Part of the promised rate below which the user is told."""


class Capture(Protocol):
    """The part of ``cv2.VideoCapture`` that is used; tests bring their own."""

    def isOpened(self) -> bool: ...
    def read(self) -> tuple[bool, Any]: ...
    def get(self, prop: int, /) -> float: ...
    def release(self) -> None: ...


class Camera(Source):
    """Every picture of a camera. To take only the newest, iterate in a thread: see :func:`freeavatar.slots.newest`.

    A camera that fails is closed and opened again, at growing intervals, until it returns. An iteration belongs to one
    thread, which also releases the camera.

    Args:
        number: 0 for the first camera.
        mode: size and rate to ask for.
        report: called with one line if the camera gives something else than was asked for or promised.
        opener: makes the capture object.
        clock: monotonic seconds.
        wait: waits so many seconds, or until the camera is closed; tells whether it is.

    Raises:
        SourceError: there is no such camera, or another program uses it.
    """

    live = True

    def __init__(
        self,
        number: int,
        mode: CameraMode = ANY_MODE,
        report: Callable[[str], None] = lambda _: None,
        opener: Callable[[int, CameraMode], Capture] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.name = f"camera {number}"
        self._number = number
        self._mode = mode
        self._report = report
        self._opener = opener or _open
        self._clock = clock
        self._stop = threading.Event()
        self._wait = wait or self._stop.wait
        self._capture: Capture | None = self._open()
        if self._capture is None:
            raise SourceError(
                f"{self.name} cannot be opened: it is missing or another program uses it; close that, or choose one that "
                "`freeavatar cameras` lists"
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = float(rate) if 0 < rate <= 1000 else 0.0

    def __iter__(self) -> Iterator[Frame]:
        """Pictures with the time at which they came, until the camera is closed."""
        count = fresh = 0
        began, last = 0.0, float("-inf")
        try:
            for picture, now in self._pictures():
                fresh = 0 if picture is None else fresh + 1
                if picture is None:  # it was opened again, so its rate is measured anew
                    continue
                check_size(picture.shape[1], picture.shape[0], self.name)
                if count == 0:
                    self._check_mode(picture.shape[1], picture.shape[0])
                last = max(now, last + 1e-6)  # a coarse clock may stand still between two pictures
                yield Frame(_rgb(picture), last, count)
                count += 1
                if fresh == _WARM:
                    began = last
                elif fresh == _WARM + _SAMPLE:
                    self._check_rate(_SAMPLE / (last - began))
        finally:
            self._release()

    def close(self) -> None:
        """End the iteration, which releases the camera; may be called twice."""
        self._stop.set()

    def _pictures(self) -> Iterator[tuple[NDArray[np.uint8] | None, float]]:
        """Each picture with its time; None where the camera was lost and is open again."""
        failures = 0
        while not self._stop.is_set():
            if self._capture is None:
                self._reopen()
                yield None, 0.0
                failures = 0
                continue
            before = self._clock()
            good, picture = self._capture.read()
            now = self._clock()  # the closest to the exposure that every system offers
            if good and picture is not None and picture.size:
                failures = 0
                yield picture, now
                continue
            failures += 1
            if failures >= _FAILURES or now - before > _HANGING:
                self._release()
            else:
                self._wait(_PAUSE)

    def _reopen(self) -> None:
        pause = _FIRST_RETRY
        while self._capture is None and not self._wait(pause):
            self._capture = self._open()
            pause = min(2 * pause, _LAST_RETRY)

    def _open(self) -> Capture | None:
        capture = self._opener(self._number, self._mode)
        if capture.isOpened():
            return capture
        capture.release()
        return None

    def _release(self) -> None:
        # In the iterating thread and nowhere else: releasing while another thread reads crashes some drivers.
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _check_mode(self, width: int, height: int) -> None:
        asked, given = [], []
        if self._mode.size is not None and self._mode.size != (width, height):
            asked.append("{} x {} pixels".format(*self._mode.size))
            given.append(f"{width} x {height} pixels")
        if self._mode.rate is not None and self.rate and abs(self._mode.rate - self.rate) > 0.5:
            asked.append(f"{self._mode.rate:g} frames a second")
            given.append(f"{self.rate:g} frames a second")
        if asked:
            self._report(f"{self.name} gives {' at '.join(given)} instead of {' at '.join(asked)}; `freeavatar cameras` lists what it can")

    def _check_rate(self, measured: float) -> None:
        promised = self.rate or self._mode.rate or 0.0
        if measured < _TOLERANCE * promised:
            self._report(
                f"{self.name} delivers {measured:.0f} frames a second instead of {promised:g}: more light or a smaller --size may help"
            )


def _open(number: int, mode: CameraMode) -> Capture:
    level = cv2.utils.logging.getLogLevel()
    # OpenCV writes several lines about a camera that does not exist; ours is one.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        try:
            capture = cv2.VideoCapture(number)
        except cv2.error:
            return cv2.VideoCapture()
        settings: list[tuple[int, float]] = [(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))]
        if mode.size is not None:
            settings += [(cv2.CAP_PROP_FRAME_WIDTH, mode.size[0]), (cv2.CAP_PROP_FRAME_HEIGHT, mode.size[1])]
        if mode.rate is not None:
            settings.append((cv2.CAP_PROP_FPS, mode.rate))
        # Compressed pictures leave room on the USB bus for the full rate. Cameras refuse what they cannot do.
        for name, value in (*settings, (cv2.CAP_PROP_BUFFERSIZE, 1)):
            with contextlib.suppress(cv2.error):
                capture.set(name, value)
    finally:
        cv2.utils.logging.setLogLevel(level)
    return capture


def _rgb(picture: NDArray[np.uint8]) -> Image:
    code = cv2.COLOR_GRAY2RGB if picture.ndim == 2 or picture.shape[2] == 1 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(picture, code)  # type: ignore[return-value]
