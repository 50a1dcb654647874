"""iFacialMocap: the line as its receivers split it, axes one at a time, and the start word."""

import socket
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeavatar import arkit
from freeavatar.errors import OutputError
from freeavatar.sinks.ifacialmocap import START_WORD, IFacialMocapSink
from freeavatar.types import RigFrame

MakeFrame = Callable[..., RigFrame]


def encode(frame: RigFrame) -> str:
    with IFacialMocapSink("127.0.0.1:9") as sink:
        (packet,) = sink.encode(frame)
    return packet.decode("ascii")


def read(line: str) -> tuple[dict[str, int], dict[str, list[float]]]:
    """As receivers do: one ``=`` parts shapes from rotations, ``|`` ends every item."""
    shapes, rotations = line.split("=")
    assert shapes.endswith("|") and rotations.endswith("|")
    pairs = (item.split("-") for item in shapes[:-1].split("|"))
    parts = (item.split("#") for item in rotations[:-1].split("|"))
    return {name: int(value) for name, value in pairs}, {name: [float(v) for v in text.split(",")] for name, text in parts}


def test_the_bytes(frame: MakeFrame) -> None:
    line = encode(frame({"eyeBlinkLeft": 1.0, "jawLeft": 0.254}, pose=(0, 0, 0, 0.25, -0.125, -0.5)))
    assert line.startswith("eyeBlink_L-100|eyeLookDown_L-0|") and "|jawForward-0|jawLeft-25|jawRight-0|jawOpen-0|" in line
    zero = "0.000000,0.000000,0.000000"
    still = line.partition("=")[2].replace("-0.000000", "0.000000")
    assert still == f"head#{zero},-0.250000,-0.125000,-0.500000|rightEye#{zero}|leftEye#{zero}|"


def test_the_52_names(frame: MakeFrame) -> None:
    given = {name: i / 51 for i, name in enumerate(arkit.NAMES)}
    shapes, _ = read(encode(frame(given)))
    assert list(shapes.values()) == [round(100 * value) for value in given.values()] and len(shapes) == 52
    assert {"mouthSmile_L", "browOuterUp_R", "browInnerUp", "mouthLeft", "jawRight", "tongueOut", "cheekPuff"} <= shapes.keys()
    assert sum(name.endswith("_L") for name in shapes) == sum(name.endswith("_R") for name in shapes) == 18


def test_weights_stay_whole_and_within_0_and_100(frame: MakeFrame) -> None:
    shapes, _ = read(encode(frame({"jawOpen": 1.5, "tongueOut": -0.5})))
    assert (shapes["jawOpen"], shapes["tongueOut"]) == (100, 0)


@pytest.mark.parametrize(
    ("given", "moved"),
    [
        ({"pose": (0.5, 0, 0, 0, 0, 0)}, {"head": (1, -28.6479)}),
        ({"pose": (0, 0.5, 0, 0, 0, 0)}, {"head": (0, 28.6479)}),
        ({"pose": (0, 0, 0.5, 0, 0, 0)}, {"head": (2, -28.6479)}),
        ({"pose": (0, 0, 0, 0.5, 0, 0)}, {"head": (3, -0.5)}),
        ({"pose": (0, 0, 0, 0, 0.5, 0)}, {"head": (4, 0.5)}),
        ({"pose": (0, 0, 0, 0, 0, 0.5)}, {"head": (5, 0.5)}),
        ({"gaze": (0.5, 0)}, {"leftEye": (1, -28.6479), "rightEye": (1, -28.6479)}),
        ({"gaze": (0, 0.5)}, {"leftEye": (0, 28.6479), "rightEye": (0, 28.6479)}),
    ],
)
def test_one_axis_moves_its_own_number_only(
    frame: MakeFrame, given: dict[str, tuple[float, ...]], moved: dict[str, tuple[int, float]]
) -> None:
    _, rotations = read(encode(frame(**given)))
    expected = {"head": [0.0] * 6, "rightEye": [0.0] * 3, "leftEye": [0.0] * 3}
    for name, (place, value) in moved.items():
        expected[name][place] = value
    for name, numbers in expected.items():
        assert rotations[name] == pytest.approx(numbers, abs=1e-3)


def test_frames_are_pushed(frame: MakeFrame, listener: socket.socket, address: str) -> None:
    with IFacialMocapSink(address) as sink:
        sink.write(frame())
    assert listener.recv(65536).startswith(b"eyeBlink_L-0|")


def test_a_start_word_is_awaited_where_asked(frame: MakeFrame, listener: socket.socket, address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        door = free.getsockname()
    with IFacialMocapSink(address, f"127.0.0.1:{door[1]}") as sink:
        sink.write(frame())
        listener.sendto(b"\xff" * 2000, door)  # whatever else knocks
        sink.write(frame())
        assert (sink.sent, sink.dropped) == (0, 0)
        listener.sendto(START_WORD + b"|sendDataVersion=v1", door)
        sink.write(frame())
        sink.write(frame())
        assert (sink.sent, sink.dropped) == (2, 0)
    assert listener.recv(65536)


def test_a_place_that_cannot_be_listened_at_is_refused(listener: socket.socket, address: str) -> None:
    with pytest.raises(OutputError, match=r"cannot be used .*in use"):
        IFacialMocapSink("127.0.0.1:9", address)


@given(st.lists(st.binary(max_size=100) | st.sampled_from([START_WORD[:-1], b"x" + START_WORD, START_WORD.lower(), b""]), max_size=10))
def test_no_other_word_starts_it(words: list[bytes]) -> None:
    class Door:
        def recv(self, size: int) -> bytes:
            if not words:
                raise BlockingIOError
            return words.pop(0)[:size]

        def close(self) -> None: ...

    zeros = [np.zeros(n, np.float32) for n in (0, 52, 6, 2)]
    frame = RigFrame("none", (), *zeros, confidence=0.5, time=0.0, index=0)  # type: ignore[misc]
    with IFacialMocapSink("127.0.0.1:9") as sink:
        sink._listener = Door()  # type: ignore[assignment]
        for _ in range(len(words) + 1):
            sink.write(frame)
        assert (sink.sent, sink.dropped) == (0, 0)
        words.append(START_WORD)
        sink.write(frame)
        assert sink.sent + sink.dropped == 1
