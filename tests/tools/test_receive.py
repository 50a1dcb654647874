"""The receiver reads what the sinks send, and survives what others send."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeavatar.sinks.ifacialmocap import IFacialMocapSink
from freeavatar.sinks.live_link import LiveLinkSink
from freeavatar.sinks.vmc import VmcSink
from freeavatar.types import RigFrame, Tracking
from tools.receive import describe


def frame(tracking: Tracking = Tracking.TRACKED) -> RigFrame:
    halves = [np.full(n, 0.5, np.float32) for n in (52, 6, 2)]
    return RigFrame("none", (), np.zeros(0, np.float32), *halves, 1.0, 2.0, 0, tracking)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sink", "words"),
    [(LiveLinkSink, "Live Link Avatar frame 120.00 at 60 a second, 61 values: eyeBlinkLeft 0.500"), (VmcSink, "/VMC/Ext/Bone/Pos Neck"),
     (IFacialMocapSink, "|jawOpen-50|")],
)  # fmt: skip
def test_what_the_sinks_send_is_read(sink: type[LiveLinkSink | VmcSink | IFacialMocapSink], words: str) -> None:
    with sink("127.0.0.1:9") as sender:
        assert words in "\n".join(line for packet in sender.encode(frame()) for line in describe(packet))


def test_no_face_is_named() -> None:
    with LiveLinkSink("127.0.0.1:9") as sender:
        assert "no face" in "".join(describe(sender.encode(frame(Tracking.NEUTRAL))[0]))


@given(st.sampled_from([b"", b"/", b"#bundle\0", b"\x06", b"|=head#"]), st.binary(max_size=80))
def test_any_bytes_make_a_line(start: bytes, rest: bytes) -> None:
    assert all(isinstance(line, str) for line in describe(start + rest))
