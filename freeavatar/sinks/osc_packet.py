"""Open Sound Control 1.0 packets: big-endian, everything padded to four bytes (https://opensoundcontrol.stanford.edu/spec-1_0.html)."""

import struct
from collections.abc import Iterable
from typing import Final

from pythonosc.osc_message_builder import OscMessageBuilder

_HEAD: Final = b"#bundle\0" + struct.pack(">Q", 1)
"""Start of a bundle whose time tag says "immediately"."""


def message(address: str, *arguments: float | int | bool | str) -> bytes:
    """One message; each argument goes out as its Python type says: ``f``, ``i``, ``T`` or ``F``, ``s``."""
    builder = OscMessageBuilder(address)
    for value in arguments:
        builder.add_arg(value)
    return builder.build().dgram


def bundle(messages: Iterable[bytes]) -> bytes:
    """One bundle of messages, to be executed at once."""
    return _HEAD + b"".join(struct.pack(">i", len(item)) + item for item in messages)


def bundles(messages: Iterable[bytes], limit: int) -> list[bytes]:
    """As few bundles of at most ``limit`` bytes as keep the messages in order."""
    packed: list[bytes] = []
    items: list[bytes] = []
    size = len(_HEAD)
    for item in messages:
        if items and size + 4 + len(item) > limit:
            packed.append(bundle(items))
            items, size = [], len(_HEAD)
        items.append(item)
        size += 4 + len(item)
    return [*packed, bundle(items)] if items else packed
