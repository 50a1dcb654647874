"""Open Sound Control over UDP: one address a control, one bundle a frame.

``<prefix>/<control> ,f`` in the range of the control's rig.toml, then ``<prefix>/tracking ,s`` (tracked, held, easing
or neutral). The bundle's time tag is "immediately".
"""

import socket
from typing import Any, Final, Self

from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from freeavatar.errors import OutputError
from freeavatar.types import RigFrame

DEFAULT_PREFIX: Final = "/freeavatar"
_MAX_DATAGRAM: Final = 65_507
"""Largest UDP payload over IPv4."""


def encode(frame: RigFrame, prefix: str = DEFAULT_PREFIX) -> bytes:
    """One OSC bundle with the frame's controls and tracking state."""
    bundle = OscBundleBuilder(IMMEDIATELY)
    for name, value in zip(frame.names, frame.values, strict=True):
        bundle.add_content(_message(f"{prefix}/{name}", OscMessageBuilder.ARG_TYPE_FLOAT, float(value)))  # type: ignore[arg-type]
    bundle.add_content(_message(f"{prefix}/tracking", OscMessageBuilder.ARG_TYPE_STRING, frame.tracking.value))  # type: ignore[arg-type]
    return bundle.build().dgram


class OscSink:
    """Sends frames without ever waiting: what the network does not take at once is dropped and counted.

    Args:
        address: HOST:PORT, e.g. ``127.0.0.1:9000`` or ``[::1]:9000``.
        prefix: start of every address.

    Attributes:
        sent: frames handed to the network.
        dropped: frames it did not take.

    Raises:
        OutputError: the address or the prefix is not one, or the host is unknown.
    """

    def __init__(self, address: str, prefix: str = DEFAULT_PREFIX) -> None:
        self.prefix = check_prefix(prefix)
        host, port = parse_address(address)
        try:
            family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind, protocol)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "no valid host name"
            raise OutputError(f"OSC address {address!r}: cannot be resolved ({reason}); give HOST:PORT") from error
        self._socket.setblocking(False)
        self._target: tuple[Any, ...] = target
        self.sent = 0
        self.dropped = 0

    def write(self, frame: RigFrame) -> None:
        """Send one frame.

        Raises:
            OutputError: the rig has more controls than one datagram carries.
        """
        data = encode(frame, self.prefix)
        if len(data) > _MAX_DATAGRAM:
            raise OutputError(f"rig {frame.rig}: {len(frame.names)} controls do not fit one OSC bundle; shorten the prefix or the names")
        try:
            self._socket.sendto(data, self._target)
        except OSError:  # a full buffer, nobody listening, a network that is down: the next frame is newer anyway
            self.dropped += 1
        else:
            self.sent += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def parse_address(address: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` (an IPv6 host in brackets).

    Raises:
        OutputError: it is not of that form.
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise OutputError(f"OSC address {address!r}: expected HOST:PORT with a port of 1 to 65535, e.g. 127.0.0.1:9000")
    return host, int(port)


def check_prefix(prefix: str) -> str:
    """The prefix, without a slash at its end.

    Raises:
        OutputError: it does not start with a slash or holds characters that OSC reserves.
    """
    if not prefix.startswith("/") or not prefix.isascii() or not prefix.isprintable() or set(prefix) & set(" #*,?[]{}"):
        raise OutputError(f"OSC prefix {prefix!r}: expected a path such as {DEFAULT_PREFIX}, without spaces and #*,?[]{{}}")
    return prefix.rstrip("/")


def _message(address: str, kind: str, value: float | str) -> object:
    builder = OscMessageBuilder(address)
    builder.add_arg(value, kind)
    return builder.build()
