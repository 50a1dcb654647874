"""What every sink over UDP shares: it never waits, and what the network does not take is dropped and counted."""

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Final, Self

from freeavatar.errors import OutputError
from freeavatar.types import RigFrame

MAX_DATAGRAM: Final = 65_507
"""Largest UDP payload over IPv4 in bytes."""


class UdpSink(ABC):
    """Sends frames as datagrams to one receiver.

    Args:
        address: HOST:PORT, e.g. ``127.0.0.1:9000`` or ``[::1]:9000``.

    Attributes:
        name: the protocol's name.
        target: where it goes, for people.
        sent: frames handed to the network.
        dropped: frames of which it did not take a part.

    Raises:
        OutputError: the address is not one, or there is no way to the host.
    """

    name: str

    def __init__(self, address: str) -> None:
        self._socket = open_socket(address, socket.socket.connect)  # connected: the system tells where nobody listens
        self.target = address
        self.sent = self.dropped = 0

    def write(self, frame: RigFrame) -> None:
        """Send one frame, or drop it.

        Raises:
            OutputError: the frame does not fit what the protocol can carry.
        """
        try:
            for data in self.encode(frame):
                self._socket.send(data)
        except OSError:  # a full buffer, nobody listening, a network that is down: the next frame is newer anyway
            self.dropped += 1
        else:
            self.sent += 1

    @abstractmethod
    def encode(self, frame: RigFrame) -> Sequence[bytes]:
        """The datagrams of one frame."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._socket.close()


def open_socket(address: str, attach: Callable[[socket.socket, Any], None]) -> socket.socket:
    """A UDP socket that never waits, attached to ``HOST:PORT`` by ``socket.connect`` or ``socket.bind``.

    Raises:
        OutputError: the address is not one, or cannot be used.
    """
    host, port = parse_address(address)
    with ExitStack() as stack:
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            opened = stack.enter_context(socket.socket(family, kind, protocol))
            opened.setblocking(False)
            attach(opened, place)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "no valid host name"
            raise OutputError(f"address {address!r}: cannot be used ({reason}); give another HOST:PORT") from error
        stack.pop_all()
    return opened


def parse_address(address: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` (an IPv6 host in brackets).

    Raises:
        OutputError: it is not of that form.
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise OutputError(f"address {address!r}: expected HOST:PORT with a port of 1 to 65535, e.g. 127.0.0.1:9000")
    return host, int(port)
