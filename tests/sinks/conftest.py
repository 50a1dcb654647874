"""Frames and receivers for the tests of sinks."""

import socket
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from freeavatar import arkit
from freeavatar.types import RigFrame, Tracking

MakeFrame = Callable[..., RigFrame]


@pytest.fixture
def frame() -> MakeFrame:
    """Makes a frame of a rig without controls: the named ARKit weights, a pose and a gaze, all else 0."""

    def make(
        shapes: dict[str, float] | None = None,
        pose: tuple[float, ...] = (0.0,) * 6,
        gaze: tuple[float, float] = (0.0, 0.0),
        time: float = 0.0,
        tracking: Tracking = Tracking.TRACKED,
    ) -> RigFrame:
        values, weights = np.zeros(0, np.float32), arkit.weights(shapes or {})
        return RigFrame("none", (), values, weights, np.array(pose, np.float32), np.array(gaze, np.float32), 0.5, time, 0, tracking)

    return make


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A receiver on a free port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        yield receiver


@pytest.fixture
def address(listener: socket.socket) -> str:
    """The receiver's HOST:PORT."""
    return f"127.0.0.1:{listener.getsockname()[1]}"
