"""How long the stages take."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np

_KEPT: Final = 20_000
"""Newest times kept a stage, so that a session of days does not grow."""


class Stopwatch:
    """Collects times by stage name.

    Args:
        now: a clock in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._times: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_KEPT))

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time of the block."""
        start = self._now()
        yield
        self.add(stage, self._now() - start)

    def add(self, stage: str, seconds: float) -> None:
        """Add one time."""
        self._times[stage].append(seconds)

    def absorb(self, other: "Stopwatch") -> None:
        """Add all times of another one."""
        for stage, times in other._times.items():
            self._times[stage].extend(times)

    def summary(self) -> dict[str, dict[str, float]]:
        """Median and 95th percentile in milliseconds of every stage, in order of first use."""
        return {
            stage: {name: round(float(np.percentile(times, q)) * 1000, 3) for name, q in (("p50_ms", 50), ("p95_ms", 95))}
            for stage, times in self._times.items()
        }


def lines(summary: dict[str, dict[str, float]]) -> list[str]:
    """The summary as an aligned table."""
    return [f"  {stage:<18} p50 {times['p50_ms']:8.2f} ms   p95 {times['p95_ms']:8.2f} ms" for stage, times in summary.items()]
