"""The bytes of OSC, also as an independent decoder reads them."""

import struct

import pytest
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage

from freeavatar.sinks.osc_packet import bundle, bundles, message


@pytest.mark.parametrize(
    ("packet", "size"),
    [
        (message("/VMC/Ext/Blend/Val", "A", 0.5), 32),
        (message("/VMC/Ext/Blend/Apply"), 28),
        (message("/VMC/Ext/OK", 1), 20),
        (message("/VMC/Ext/T", 0.5), 20),
        (message("/VMC/Ext/Bone/Pos", "Head", *[0.0] * 7), 68),
        (bundle([message("/VMC/Ext/Blend/Val", "A", 0.5), message("/VMC/Ext/Blend/Apply")]), 84),
        (message("/avatar/parameters/v2/JawOpen", 0.5), 40),
    ],
)
def test_sizes(packet: bytes, size: int) -> None:
    assert len(packet) == size


def test_the_bytes_of_every_type() -> None:
    expected = b"/a\0\0" + b",fisTF\0\0" + struct.pack(">fi", -0.25, -7) + b"four\0\0\0\0"
    assert message("/a", -0.25, -7, "four", True, False) == expected


def test_an_independent_decoder_reads_every_type() -> None:
    read = OscMessage(message("/a/bc", -0.25, -7, "four", True, False))
    assert (read.address, read.params) == ("/a/bc", [-0.25, -7, "four", True, False])


def test_bundles_stay_within_the_limit_and_in_order() -> None:
    items = [message("/a", i) for i in range(100)]
    packed = bundles(items, 200)
    assert all(len(data) <= 200 for data in packed) and len(packed) == 10  # 16 bytes of head, 16 a message
    assert [content.params[0] for data in packed for content in OscBundle(data)] == list(range(100))


def test_a_message_beyond_the_limit_goes_alone_and_none_make_none() -> None:
    assert len(bundles([message("/" + "a" * 300), message("/b")], 200)) == 2 and bundles([], 200) == []
