"""Open Sound Control over UDP: one address a control, one bundle a frame.

``<prefix>/<control> ,f`` in the range of the control's rig.toml, then ``<prefix>/tracking ,s`` (tracked, held, easing
or neutral). The bundle's time tag is "immediately". A name map gives controls other addresses and scales.
"""

from typing import Final

from freeavatar.errors import OutputError
from freeavatar.sinks.names import NameMap
from freeavatar.sinks.osc_packet import bundle, message
from freeavatar.sinks.udp import MAX_DATAGRAM, UdpSink
from freeavatar.types import RigFrame

DEFAULT_PREFIX: Final = "/freeavatar"
TRACKING: Final = "tracking"
"""What the tracking state is sent as."""


class OscSink(UdpSink):
    """Sends the rig's own controls by name.

    Args:
        address: HOST:PORT.
        prefix: start of every address.
        names: other names of controls, or of ``tracking``; one that starts with a slash is a whole address.

    Raises:
        OutputError: the address, the prefix or a name is not one, or the host is unknown.
    """

    name = "OSC"

    def __init__(self, address: str, prefix: str = DEFAULT_PREFIX, names: NameMap = NameMap()) -> None:  # noqa: B008  (frozen)
        self.prefix = check_prefix(prefix)
        self._names = names
        for alias in names.aliases.values():
            if not is_path(alias.name):
                raise OutputError(f"{names.where}: {alias.name!r:.80} is no OSC address; use letters and digits, no spaces and #*,?[]{{}}")
        super().__init__(address)
        self.target += self.prefix

    def encode(self, frame: RigFrame) -> list[bytes]:
        """One OSC bundle with the frame's controls and tracking state."""
        aliases = [self._names[control] for control in frame.names]
        messages = [message(full_address(self.prefix, a.name), a(value)) for a, value in zip(aliases, frame.values.tolist(), strict=True)]
        data = bundle([*messages, message(full_address(self.prefix, self._names[TRACKING].name), frame.tracking.value)])
        if len(data) > MAX_DATAGRAM:
            raise OutputError(f"rig {frame.rig}: {len(frame.names)} controls do not fit one OSC bundle; shorten the prefix or the names")
        return [data]


def full_address(prefix: str, name: str) -> str:
    """Where a name is sent: after the prefix, or there itself where it starts with a slash."""
    return name if name.startswith("/") else f"{prefix.rstrip('/')}/{name}"


def check_prefix(prefix: str) -> str:
    """The prefix, without a slash at its end.

    Raises:
        OutputError: it does not start with a slash or holds characters that OSC reserves.
    """
    if not prefix.startswith("/") or not is_path(prefix):
        raise OutputError(f"OSC prefix {prefix!r}: expected a path such as {DEFAULT_PREFIX}, without spaces and #*,?[]{{}}")
    return prefix.rstrip("/")


def is_path(text: str) -> bool:
    """Whether a text may be part of an OSC address."""
    return text.isascii() and text.isprintable() and not set(text) & set(" #*,?[]{}")
