"""Sending never waits: dead, refusing and full receivers are counted and stop nothing."""

import socket
import sys
from collections.abc import Callable

import pytest

from freeavatar.errors import OutputError
from freeavatar.sinks.udp import UdpSink, parse_address
from freeavatar.types import RigFrame


class Echo(UdpSink):
    name = "echo"

    def encode(self, frame: RigFrame) -> list[bytes]:
        return [b"one", b"two"]


def test_nobody_listening_stops_nothing(frame: Callable[..., RigFrame]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Echo(f"127.0.0.1:{port}") as sink:
        for _ in range(5):
            sink.write(frame())
        assert sink.sent + sink.dropped == 5
        assert sink.dropped or sys.platform != "linux"  # elsewhere the system may keep it to itself


def test_a_receiver_that_comes_back_gets_frames_again(frame: Callable[..., RigFrame], address: str, listener: socket.socket) -> None:
    place = listener.getsockname()
    listener.close()
    with Echo(address) as sink, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        sink.write(frame())
        again.bind(place)
        again.settimeout(5)
        for _ in range(3):
            sink.write(frame())
        assert again.recv(100) and sink.sent >= 2


def test_what_the_network_does_not_take_is_dropped_and_counted(frame: Callable[..., RigFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def send(self, data: bytes) -> int:
            raise BlockingIOError

        def close(self) -> None: ...

    with Echo("127.0.0.1:9") as sink:
        sink._socket.close()
        monkeypatch.setattr(sink, "_socket", Full())
        sink.write(frame())
        assert (sink.sent, sink.dropped) == (0, 1)


def test_the_socket_never_waits() -> None:
    with Echo("127.0.0.1:9") as sink:
        assert not sink._socket.getblocking()


def test_all_datagrams_of_a_frame_arrive_in_order(frame: Callable[..., RigFrame], listener: socket.socket, address: str) -> None:
    with Echo(address) as sink:
        sink.write(frame())
        assert [listener.recv(100), listener.recv(100)] == [b"one", b"two"] and (sink.sent, sink.dropped) == (1, 0)


@pytest.mark.parametrize(
    ("text", "address"), [("127.0.0.1:9000", ("127.0.0.1", 9000)), ("studio:1", ("studio", 1)), ("[::1]:65535", ("::1", 65535))]
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "9000", ":9000", "host", "host:", "host:0", "host:65536", "host:-1", "host:9e3", "host:٣"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(OutputError, match="expected HOST:PORT"):
        parse_address(text)
