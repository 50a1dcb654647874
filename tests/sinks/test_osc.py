"""OSC: the bytes, the addresses, and a network that does not answer."""

import socket
import struct

import numpy as np
import pytest
from pythonosc.osc_bundle import OscBundle

from freeavatar.errors import OutputError
from freeavatar.sinks.osc import OscSink, check_prefix
from freeavatar.types import RigFrame, Tracking


def row(names: tuple[str, ...] = ("smileLeft", "jawSide"), tracking: Tracking = Tracking.TRACKED) -> RigFrame:
    values = np.linspace(-0.25, 1, len(names), dtype=np.float32)
    zeros = [np.zeros(n, np.float32) for n in (52, 6, 2)]
    return RigFrame("tiny", names, values, *zeros, 1.0, 0.0, 0, tracking)  # type: ignore[arg-type]


def encode(frame: RigFrame, prefix: str) -> bytes:
    with OscSink("127.0.0.1:9", prefix) as sink:
        (data,) = sink.encode(frame)
    return data


def read(data: bytes) -> dict[str, tuple[str, object]]:
    """A decoder of its own, written from the OSC 1.0 text: one bundle of messages with one argument each."""

    def text(at: int) -> tuple[str, int]:
        end = data.index(b"\0", at)
        return data[at:end].decode("ascii"), (end // 4 + 1) * 4

    assert data[:8] == b"#bundle\0" and data[8:16] == b"\0\0\0\0\0\0\0\1"
    messages: dict[str, tuple[str, object]] = {}
    at = 16
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        assert size % 4 == 0
        start, at = at + 4, at + 4 + size
        address, place = text(start)
        kind, place = text(place)
        value: object = struct.unpack_from(">f", data, place)[0] if kind == ",f" else text(place)[0]
        messages[address] = (kind, value)
    return messages


def test_a_frame_is_one_bundle_with_one_address_a_control() -> None:
    assert read(encode(row(), "/me")) == {
        "/me/smileLeft": (",f", -0.25),
        "/me/jawSide": (",f", 1.0),
        "/me/tracking": (",s", "tracked"),
    }


def test_an_independent_decoder_reads_it() -> None:
    bundle = OscBundle(encode(row(), "/freeavatar"))
    assert [message.address for message in bundle] == ["/freeavatar/smileLeft", "/freeavatar/jawSide", "/freeavatar/tracking"]


def test_the_bytes_are_those_of_the_specification() -> None:
    message = b"/a/b\0\0\0\0" + b",f\0\0" + struct.pack(">f", -0.25)
    tracking = b"/a/tracking\0" + b",s\0\0" + b"held\0\0\0\0"
    expected = b"#bundle\0" + struct.pack(">Q", 1) + struct.pack(">i", len(message)) + message + struct.pack(">i", len(tracking)) + tracking
    assert encode(row(("b",), Tracking.HELD), "/a") == expected


def test_frames_arrive(listener: socket.socket) -> None:
    with OscSink(f"127.0.0.1:{listener.getsockname()[1]}", "/x/") as sink:
        sink.write(row())
        assert read(listener.recv(65536)).keys() == {"/x/smileLeft", "/x/jawSide", "/x/tracking"}
        assert (sink.sent, sink.dropped) == (1, 0)


def test_a_rig_too_large_for_a_datagram_is_an_error() -> None:
    with OscSink("127.0.0.1:9") as sink, pytest.raises(OutputError, match="do not fit one OSC bundle"):
        sink.write(row(tuple(f"control{i:060d}" for i in range(800))))


@pytest.mark.parametrize("prefix", ["", "freeavatar", "/a b", "/a*", "/ä", "/a\n", "/{a}"])
def test_what_is_no_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(OutputError, match="OSC prefix"):
        check_prefix(prefix)


def test_a_prefix_may_end_with_a_slash_or_be_one() -> None:
    assert check_prefix("/a/") == "/a" and check_prefix("/") == ""
