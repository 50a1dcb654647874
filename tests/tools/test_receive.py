"""The receiver reads what the sinks send, and survives what others send."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeavatar.sinks.ifacialmocap import IFacialMocapSink
from freeavatar.sinks.live_link import LiveLinkSink
from freeavatar.sinks.openseeface import OpenSeeFaceSink
from freeavatar.sinks.vmc import VmcSink
from freeavatar.sinks.vtube_studio import PLUGIN, request, response
from freeavatar.types import RigFrame, Tracking
from tools.receive import describe, studio


def frame(tracking: Tracking = Tracking.TRACKED) -> RigFrame:
    halves = [np.full(n, 0.5, np.float32) for n in (52, 6, 2)]
    return RigFrame("none", (), np.zeros(0, np.float32), *halves, 1.0, 2.0, 0, tracking)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sink", "words"),
    [(LiveLinkSink, "Live Link Avatar frame 120.00 at 60 a second, 61 values: eyeBlinkLeft 0.500"), (VmcSink, "/VMC/Ext/Bone/Pos Neck"),
     (IFacialMocapSink, "|jawOpen-50|"), (OpenSeeFaceSink, "OpenSeeFace eyes open 0.500 (left) 0.500 (right), angles ")],
)  # fmt: skip
def test_what_the_sinks_send_is_read(sink: type[LiveLinkSink | VmcSink | IFacialMocapSink | OpenSeeFaceSink], words: str) -> None:
    with sink("127.0.0.1:9") as sender:
        assert words in "\n".join(line for packet in sender.encode(frame()) for line in describe(packet))


def test_no_face_is_named() -> None:
    with LiveLinkSink("127.0.0.1:9") as sender:
        assert "no face" in "".join(describe(sender.encode(frame(Tracking.NEUTRAL))[0]))


@given(st.sampled_from([b"", b"/", b"#bundle\0", b"\x06", b"|=head#"]), st.binary(max_size=80))
def test_any_bytes_make_a_line(start: bytes, rest: bytes) -> None:
    assert all(isinstance(line, str) for line in describe(start + rest))


def test_it_answers_as_vtube_studio_does() -> None:
    line, answer = studio(request("AuthenticationToken", PLUGIN))
    assert line.startswith("VTube Studio AuthenticationToken") and response(answer, "AuthenticationToken")["authenticationToken"]
    line, answer = studio(request("Authentication", PLUGIN | {"authenticationToken": "receive"}))
    assert response(answer, "Authentication") == {"authenticated": True}
    values = [{"id": "FaceAngleX", "value": 12.5}, {"id": "JawOpen", "value": 0.0}]
    line, answer = studio(request("InjectParameterData", {"faceFound": True, "mode": "set", "parameterValues": values}))
    assert line == "VTube Studio, face found: FaceAngleX 12.500" and response(answer, "InjectParameterData") == {}


@given(st.text(max_size=60) | st.dictionaries(st.sampled_from(["data", "messageType"]), st.text() | st.none()).map(json.dumps))
def test_any_text_to_vtube_studio_is_a_line_and_an_answer(text: str) -> None:
    line, answer = studio(text)
    assert "\n" not in line and isinstance(json.loads(answer), dict)
