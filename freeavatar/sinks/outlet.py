"""A sink in a thread of its own: however slow, dead or refusing it is, nobody waits for it."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Final, Generic, Protocol, Self, TypeVar

from freeavatar.errors import FreeAvatarError
from freeavatar.sinks.moment import Moment
from freeavatar.slots import Slot
from freeavatar.stopwatch import Stopwatch

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
"""Seconds without an attempt after the first failure, doubled after each further one up to the longest."""
_PATIENCE: Final = 0.5
"""Seconds for all sinks together to send what waits when all is to end."""
_FINISH: Final = 5.0
"""Seconds for a sink's own end: the files of a recording."""

Taken = TypeVar("Taken", contravariant=True)


class Sink(Protocol[Taken]):
    """Takes what it sends; made and entered in the main thread, used and left in its own.

    Attributes:
        name: the protocol's name.
        target: where it goes, for people.
        sent: how many it sent.
        dropped: how many it could not.
    """

    name: str
    target: str
    sent: int
    dropped: int

    def write(self, item: Taken, /) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /) -> bool | None: ...


T = TypeVar("T")


class Outlet(Generic[T]):
    """Hands moments to one sink: the newest, as soon as it is done with the one before.

    A sink that fails is reported once, then tried again at growing intervals, and reported once more when it works.

    Args:
        sink: an entered sink; its thread leaves it.
        pick: what the sink takes of a moment.
        now: the clock of the moments' times, in seconds.
        report: called with one line when the sink starts to fail, works again, or hangs at the end.
        rate: moments a second at most; None takes all.
        depth: how many moments wait for the sink; more than one where each counts.

    Attributes:
        name: the sink's.
        target: the sink's.
        watch: times of the stages ``send`` and ``capture_to_send``.
    """

    def __init__(
        self,
        sink: Sink[T],
        pick: Callable[[Moment], T],
        now: Callable[[], float],
        report: Callable[[str], None],
        rate: float | None = None,
        depth: int = 1,
    ) -> None:
        self.name, self.target = sink.name, sink.target
        self.watch = Stopwatch(now)
        self._sink = sink
        self._pick = pick
        self._now = now
        self._report = report
        self._period = 1 / rate if rate else 0.0
        self._due = float("-inf")
        self._failed = 0
        self._pause = 0.0
        self._retry = float("-inf")
        self._slot: Slot[tuple[T, float | None]] = Slot(depth)
        self._wrote = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"freeavatar-{self.name}", daemon=True)

    @property
    def sent(self) -> int:
        """Moments that the sink sent."""
        return self._sink.sent

    @property
    def dropped(self) -> int:
        """Moments that came too fast for it, that it refused, or that the network did not take."""
        return self._sink.dropped + self._slot.dropped + self._failed

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def write(self, moment: Moment) -> None:
        """Leave a moment for the sink, unless its rate says to wait for a later one; never waits."""
        if self._is_due(moment.time):
            self._slot.put((self._pick(moment), None if moment.picture is None else moment.time))

    def deliver(self, item: T, captured: float | None) -> None:
        """Give the sink what it takes, now; the thread does this with each item.

        Args:
            item: what was picked of the moment.
            captured: the moment's time; None where no picture was.
        """
        start = self._now()
        if start < self._retry:
            self._failed += 1
            return
        try:
            self._sink.write(item)
        except Exception as error:  # whatever one sink does, the others go on
            self._failed += 1
            if not self._pause:
                self._report(f"{self.name} to {self.target} fails ({_reason(error)}); it is tried again, all else goes on")
            self._pause = min(2 * self._pause or _FIRST_PAUSE, _LONGEST_PAUSE)
            self._retry = self._now() + self._pause
            return
        if self._pause:
            self._pause = 0.0
            self._report(f"{self.name} to {self.target} works again")
        end = self._now()
        self.watch.add("send", end - start)
        if captured is not None:
            self.watch.add("capture_to_send", end - captured)

    def end(self) -> None:
        """Nothing more will come: the sink is to send what waits, and to close. Does not wait."""
        self._slot.close()

    def join(self, patience: float) -> None:
        """Wait until the sink has closed, or leave it behind where it hangs: for ``patience`` seconds in its work."""
        if not self._wrote.wait(patience):
            self._report(f"{self.name} to {self.target} hangs and was left behind")
            return
        self._thread.join(_FINISH)
        if self._thread.is_alive():
            self._report(f"{self.name} to {self.target} did not close within {_FINISH:g} s and was left behind")

    def _is_due(self, moment: float) -> bool:
        if not self._period:
            return True
        early = self._due - moment
        # A quarter of tolerance: of 60 frames a second every other one shall pass a rate of 30, even if it comes a little early.
        if self._period / 4 < early <= self._period:
            return False
        self._due = self._period + (self._due if abs(early) <= self._period else moment)
        return True

    def _run(self) -> None:
        try:
            with ExitStack() as stack:
                stack.push(self._sink)
                stack.callback(self._wrote.set)
                while (taken := self._slot.take()) is not None:
                    self.deliver(*taken)
        except Exception as error:
            self._report(f"{self.name} to {self.target} did not close well ({_reason(error)})")


@contextmanager
def running(outlets: Sequence[Outlet[Any]]) -> Iterator[None]:
    """Outlets whose threads run within the block; at its end the sinks close, or are left behind where they hang."""
    for outlet in outlets:
        outlet.start()
    try:
        yield
    finally:
        for outlet in outlets:
            outlet.end()
        deadline = time.monotonic() + _PATIENCE
        for outlet in outlets:
            outlet.join(max(deadline - time.monotonic(), 0.0))


def _reason(error: Exception) -> str:
    """One line."""
    return " ".join((str(error) if isinstance(error, FreeAvatarError | OSError) else repr(error)).split())
