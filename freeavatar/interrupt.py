"""Ctrl-C as a request: the job ends after the frame in work and leaves finished files."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_ECHO: Final = 0.5
"""Seconds in which a second signal is the first one once more: launchers pass on what the terminal sent to all."""


@contextmanager
def stop_on(*signals: signal.Signals) -> Iterator[threading.Event]:
    """An event that is set when one of the signals arrives; a later one raises ``KeyboardInterrupt`` at once.

    Outside the main thread, where Python takes no signals, the event is simply never set.
    """
    stop = threading.Event()
    first = 0.0

    def request(_number: int, _frame: FrameType | None) -> None:
        nonlocal first
        if not stop.is_set():
            first = time.monotonic()
            stop.set()
        elif time.monotonic() - first > _ECHO:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = {number: signal.signal(number, request) for number in signals}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
