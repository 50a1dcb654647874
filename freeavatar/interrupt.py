"""Ctrl-C as a request: the job ends after the frame in work and leaves finished files."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_on(*signals: signal.Signals) -> Iterator[threading.Event]:
    """An event that is set when one of the signals arrives; a second one raises ``KeyboardInterrupt`` at once.

    Outside the main thread, where Python takes no signals, the event is simply never set.
    """
    stop = threading.Event()

    def request(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = {number: signal.signal(number, request) for number in signals}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
