"""Run an iterator in its own thread, a few items ahead: two stages of work share two cores and nothing is dropped."""

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

_END: Final = object()
T = TypeVar("T")


@contextmanager
def ahead(items: Iterable[T], depth: int = 8) -> Iterator[Iterator[T]]:
    """Iterate over ``items`` in a thread that works at most ``depth`` items ahead.

    The iterable is created, advanced and closed in that thread alone. An exception it raises appears where the items
    are consumed. Leaving the block stops the thread after the item in work.
    """
    slots: queue.Queue[object] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: object) -> bool:
        while not stop.is_set():
            try:
                slots.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def run() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not put(item):
                    break
        except BaseException as error:  # handed over, not swallowed
            put(_Failure(error))
        finally:
            if (close := getattr(iterator, "close", None)) is not None:
                close()
            put(_END)

    def consume() -> Iterator[T]:
        while (item := slots.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item  # type: ignore[misc]

    thread = threading.Thread(target=run, name="freeavatar-ahead", daemon=True)
    thread.start()
    try:
        yield consume()
    finally:
        stop.set()
        thread.join()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error
