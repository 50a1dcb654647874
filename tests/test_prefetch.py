"""An iterator in its own thread: nothing lost, nothing reordered, errors and ends handed over."""

import threading
from collections.abc import Iterator

import pytest

from freeavatar.prefetch import ahead


def test_all_items_come_in_order() -> None:
    with ahead(range(1000), depth=3) as items:
        assert list(items) == list(range(1000))


def test_the_work_happens_in_another_thread() -> None:
    def work() -> Iterator[int]:
        yield threading.get_ident()

    with ahead(work()) as items:
        assert next(items) != threading.get_ident()


def test_an_exception_appears_where_the_items_are_used() -> None:
    def work() -> Iterator[int]:
        yield 1
        raise ValueError("in the thread")

    with ahead(work()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="in the thread"):
            next(items)


def test_it_runs_no_further_ahead_than_asked_and_stops_when_left() -> None:
    made: list[int] = []
    closed = threading.Event()

    def work() -> Iterator[int]:
        try:
            for i in range(100_000):
                made.append(i)
                yield i
        finally:
            closed.set()

    with ahead(work(), depth=4) as items:
        assert next(items) == 0
    assert closed.is_set() and len(made) <= 1 + 4 + 1
    assert not [t for t in threading.enumerate() if t.name == "freeavatar-ahead"]


def test_no_items_are_no_items() -> None:
    with ahead(()) as items:
        assert list(items) == []
