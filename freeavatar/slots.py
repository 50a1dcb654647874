"""What joins threads that must not wait for each other: a place for the newest item. Old ones are dropped and counted."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_PATIENCE: Final = 0.25
"""Seconds that the thread is given for the item in work when all is to end."""


class Slot(Generic[T]):
    """Holds the newest item until it is taken, once.

    Args:
        depth: how many items it holds; more than one only where all of them count and none is urgent.

    Attributes:
        dropped: items that made room for newer ones before anybody took them.
    """

    def __init__(self, depth: int = 1) -> None:
        self.dropped = 0
        self._items: deque[T] = deque(maxlen=depth)
        self._closed = False
        self._changed = threading.Condition()

    @property
    def ended(self) -> bool:
        """It is closed and what it held was taken."""
        with self._changed:
            return self._closed and not self._items

    def put(self, item: T) -> None:
        """Add an item, in place of the oldest one where there is no room; never waits."""
        with self._changed:
            self.dropped += len(self._items) == self._items.maxlen
            self._items.append(item)
            self._changed.notify_all()

    def take(self, timeout: float | None = None) -> T | None:
        """The oldest item held, as soon as there is one; None after ``timeout`` seconds without one, or when it has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout)
            return self._items.popleft() if self._items else None

    def close(self) -> None:
        """Nothing more will come; what it holds can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


@contextmanager
def newest(items: Iterable[T], idle: float) -> Iterator[Iterator[T | None]]:
    """Iterate over ``items`` in a thread of its own; whoever takes them gets the newest one each time.

    The iterable is created, advanced and closed in that thread alone. An exception it raises appears where the items are
    consumed. Leaving the block ends the thread after the item in work; one that hangs in it is left behind.

    Args:
        items: what comes in its own time.
        idle: seconds after which None is given where nothing new has come.
    """
    slot: Slot[T] = Slot()
    stop = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                slot.put(item)
                if stop.is_set():
                    break
        except BaseException as error:  # handed over, not swallowed
            failures.append(error)
        finally:
            if (close := getattr(iterator, "close", None)) is not None:
                close()
            slot.close()

    def consume() -> Iterator[T | None]:
        while not slot.ended:
            item = slot.take(idle)
            if item is not None or not slot.ended:
                yield item
        if failures:
            raise failures[0]

    thread = threading.Thread(target=run, name="freeavatar-newest", daemon=True)
    thread.start()
    try:
        yield consume()
    finally:
        stop.set()
        thread.join(_PATIENCE)
