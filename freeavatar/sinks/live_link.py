"""Live Link Face over UDP, as Unreal Engine's source of that name receives it (port 11111), version 6, big-endian.

=========  ==========================================================
u8         version, 6
i32, text  device id: UTF-8, 36 characters as in a UUID
i32, text  subject: UTF-8, the name that Unreal lists
i32, f32   frame and part of a frame, counted from midnight of day 0
i32, i32   frames a second as numerator and denominator
u8         61, the number of values
61 x f32   52 shapes in the packet's own order, nine pose columns
=========  ==========================================================

Radians, with the signs of :func:`freeavatar.sinks.shapes.pose_columns`. The last two lines are left out where no face is.
"""

import struct
from typing import Final

from freeavatar.arkit import LIVE_LINK_ORDER
from freeavatar.errors import OutputError
from freeavatar.sinks.shapes import pose_columns, shapes
from freeavatar.sinks.udp import UdpSink
from freeavatar.types import RigFrame, Tracking

DEFAULT_SUBJECT: Final = "Avatar"
"""Six characters: some receivers know a packet by its 312 bytes, which are those of an "iPhone"."""
DEVICE: Final = "66726565-6176-4174-8172-000000000001"
"""A device id of our own; the same in every session, so that receivers recognise it."""
_VERSION: Final = 6
_RATE: Final = 60
_DAY: Final = 86_400
_MAX_SUBJECT: Final = 64


class LiveLinkSink(UdpSink):
    """Sends the 52 shapes and the pose.

    Args:
        address: HOST:PORT.
        subject: name of the subject, 1 to 64 characters.

    Raises:
        OutputError: the address or the subject is not one, or the host is unknown.
    """

    name = "Live Link"

    def __init__(self, address: str, subject: str = DEFAULT_SUBJECT) -> None:
        if not 0 < len(subject) <= _MAX_SUBJECT or not subject.isprintable():
            raise OutputError(f"Live Link subject {subject!r}: expected 1 to {_MAX_SUBJECT} printable characters")
        super().__init__(address)
        self._head = struct.pack(">B", _VERSION) + _text(DEVICE) + _text(subject)

    def encode(self, frame: RigFrame) -> list[bytes]:
        """The frame's packet."""
        whole, part = divmod(frame.time % _DAY * _RATE, 1.0)
        data = self._head + struct.pack(">ifii", int(whole), part, _RATE, 1)
        if frame.tracking is not Tracking.NEUTRAL:
            values = (*shapes(frame, LIVE_LINK_ORDER), *pose_columns(frame))
            data += struct.pack(f">B{len(values)}f", len(values), *values)
        return [data]


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">i", len(data)) + data
