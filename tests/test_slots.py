"""One place for the newest item between two threads: nobody waits for the other, what is dropped is counted."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeavatar import slots
from freeavatar.slots import Slot, newest


def test_the_newest_item_is_taken_once_and_the_others_are_counted() -> None:
    slot: Slot[int] = Slot()
    for i in range(5):
        slot.put(i)
    assert (slot.take(), slot.take(timeout=0), slot.dropped) == (4, None, 4)


def test_a_closed_slot_still_gives_what_it_holds() -> None:
    slot: Slot[str] = Slot()
    slot.put("last")
    slot.close()
    assert not slot.ended
    assert (slot.take(), slot.ended, slot.take(), slot.dropped) == ("last", True, None, 0)


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=60))
def test_every_item_is_taken_in_order_dropped_or_still_there(depth: int, puts: list[bool]) -> None:
    slot: Slot[int] = Slot(depth)
    count, taken = 0, list[int]()
    for put in puts:
        if put:
            slot.put(count)
            count += 1
        elif (item := slot.take(timeout=0)) is not None:
            taken.append(item)
    slot.close()
    while (item := slot.take()) is not None:
        taken.append(item)
    assert taken == sorted(set(taken)) and len(taken) + slot.dropped == count
    assert taken[-1:] == ([count - 1] if count else [])


def test_whoever_waits_is_woken() -> None:
    slot: Slot[int] = Slot()
    got: list[int | None] = []
    waiting = threading.Thread(target=lambda: got.extend([slot.take(), slot.take()]))
    waiting.start()
    slot.put(1)
    slot.close()
    waiting.join(60)
    assert got == [1, None]


def test_a_slow_taker_gets_the_newest_and_the_last() -> None:
    shown = threading.Semaphore(0)

    def frames() -> Iterator[int]:
        yield 0
        assert shown.acquire(timeout=60)
        yield from range(1, 100)

    with newest(frames(), idle=60) as items:
        assert next(items) == 0
        shown.release()
        rest = [item for item in items if item is not None]
    assert rest == sorted(rest) and rest[-1] == 99


def test_where_nothing_comes_none_is_given() -> None:
    gate = threading.Event()

    def frames() -> Iterator[int]:
        gate.wait(60)
        yield 7

    with newest(frames(), idle=0) as items:
        assert next(items) is None and next(items) is None
        gate.set()
        assert [item for item in items if item is not None] == [7]


def test_what_fails_in_the_thread_is_raised_where_it_is_taken() -> None:
    def frames() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with newest(frames(), idle=60) as items, pytest.raises(ValueError, match="broken"):
        list(items)


def test_leaving_early_closes_the_iterator_in_its_own_thread() -> None:
    closed: list[threading.Thread] = []

    def frames() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(threading.current_thread())

    with newest(frames(), idle=60) as items:
        next(items)
    assert len(closed) == 1 and closed[0] is not threading.current_thread()


def test_one_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_PATIENCE", 0.0)
    gate = threading.Event()

    def frames() -> Iterator[int]:
        yield 1
        gate.wait(60)  # a camera whose driver does not answer

    with newest(frames(), idle=60) as items:
        assert next(items) == 1
    gate.set()
