"""Open Sound Control over UDP: one address a control, one bundle a frame.

``<prefix>/<control> ,f`` in the range of the control's rig.toml, then ``<prefix>/tracking ,s`` (tracked, held, easing
or neutral). The bundle's time tag is "immediately".
"""

from typing import Final

from freeavatar.errors import OutputError
from freeavatar.sinks.osc_packet import bundle, message
from freeavatar.sinks.udp import MAX_DATAGRAM, UdpSink
from freeavatar.types import RigFrame

DEFAULT_PREFIX: Final = "/freeavatar"


class OscSink(UdpSink):
    """Sends the rig's own controls by name.

    Args:
        address: HOST:PORT.
        prefix: start of every address.

    Raises:
        OutputError: the address or the prefix is not one, or the host is unknown.
    """

    name = "OSC"

    def __init__(self, address: str, prefix: str = DEFAULT_PREFIX) -> None:
        self.prefix = check_prefix(prefix)
        super().__init__(address)
        self.target += self.prefix

    def encode(self, frame: RigFrame) -> list[bytes]:
        """One OSC bundle with the frame's controls and tracking state."""
        messages = [message(f"{self.prefix}/{name}", float(value)) for name, value in zip(frame.names, frame.values, strict=True)]
        data = bundle([*messages, message(f"{self.prefix}/tracking", frame.tracking.value)])
        if len(data) > MAX_DATAGRAM:
            raise OutputError(f"rig {frame.rig}: {len(frame.names)} controls do not fit one OSC bundle; shorten the prefix or the names")
        return [data]


def check_prefix(prefix: str) -> str:
    """The prefix, without a slash at its end.

    Raises:
        OutputError: it does not start with a slash or holds characters that OSC reserves.
    """
    if not prefix.startswith("/") or not prefix.isascii() or not prefix.isprintable() or set(prefix) & set(" #*,?[]{}"):
        raise OutputError(f"OSC prefix {prefix!r}: expected a path such as {DEFAULT_PREFIX}, without spaces and #*,?[]{{}}")
    return prefix.rstrip("/")
