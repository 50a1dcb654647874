"""Ctrl-C is a request first and an exception second."""

import os
import signal
import threading

import pytest

from freeavatar.interrupt import stop_on


def test_the_first_signal_sets_the_event_and_a_later_one_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freeavatar.interrupt._ECHO", -1.0)
    with stop_on(signal.SIGINT) as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(5)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(5)


def test_a_signal_that_comes_twice_at_once_is_one() -> None:
    with stop_on(signal.SIGINT) as stop:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(5)


def test_the_former_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stop_on(signal.SIGINT, signal.SIGTERM):
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_other_threads_may_use_it_too() -> None:
    seen: list[bool] = []

    def work() -> None:
        with stop_on(signal.SIGINT) as stop:
            seen.append(stop.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
