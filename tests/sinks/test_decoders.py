"""Decoders that others wrote read the packets: python-osc's server always; pylivelinkface and vmcp where they are installed,
as by `make test-full`."""

from collections.abc import Callable
from typing import Any

import pytest
from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_server import BlockingOSCUDPServer

from freeavatar import arkit
from freeavatar.sinks.live_link import DEVICE, LiveLinkSink
from freeavatar.sinks.osc import OscSink
from freeavatar.sinks.udp import UdpSink
from freeavatar.sinks.vmc import VmcSink
from freeavatar.sinks.vrchat import VrchatSink, unified
from freeavatar.types import RigFrame, Tracking

MakeFrame = Callable[..., RigFrame]
SHAPES = {name: (i + 1) / 64 for i, name in enumerate(arkit.NAMES)}


def received(make: Callable[[str], UdpSink], frame: RigFrame) -> list[tuple[Any, ...]]:
    """What python-osc's own server makes of a frame, message by message."""
    messages: list[tuple[Any, ...]] = []
    dispatcher = Dispatcher()
    dispatcher.set_default_handler(lambda address, *values: messages.append((address, *values)))
    with BlockingOSCUDPServer(("127.0.0.1", 0), dispatcher) as server:
        server.timeout = 5
        with make(f"127.0.0.1:{server.server_address[1]}") as sink:
            sink.write(frame)
            for _ in sink.encode(frame) if not isinstance(sink, VrchatSink) else range(_datagrams(frame)):
                server.handle_request()
            assert sink.sent == 1
    return messages


def _datagrams(frame: RigFrame) -> int:
    with VrchatSink("127.0.0.1:9") as sink:  # its second frame would hold what has changed only
        return len(sink.encode(frame))


def test_python_osc_reads_plain_osc(frame: MakeFrame) -> None:
    made = frame()
    row = RigFrame("none", ("a", "b"), made.gaze + 0.5, made.arkit, made.head_pose, made.gaze, 1.0, 0.0, 0, Tracking.HELD)
    assert received(OscSink, row) == [("/freeavatar/a", 0.5), ("/freeavatar/b", 0.5), ("/freeavatar/tracking", "held")]


def test_python_osc_reads_vmc(frame: MakeFrame) -> None:
    messages = received(VmcSink, frame(SHAPES))
    blends = {message[1]: message[2] for message in messages if message[0] == "/VMC/Ext/Blend/Val"}
    assert blends == {
        f"{name[0].upper()}{name[1:]}": 0.0 if name.startswith("eyeLook") else value for name, value in SHAPES.items()
    }  # fmt: skip
    assert [message[0] for message in messages[-3:]] == ["/VMC/Ext/Blend/Apply", "/VMC/Ext/OK", "/VMC/Ext/T"]
    assert [message[1] for message in messages[:4]] == ["Neck", "Head", "LeftEye", "RightEye"]


def test_python_osc_reads_vrchat(frame: MakeFrame) -> None:
    made = frame(SHAPES)
    messages = dict((message[0], message[1:]) for message in received(VrchatSink, made))
    for name, value in unified(made).items():
        assert messages[f"/avatar/parameters/v2/{name}"] == (pytest.approx(value, abs=1e-6),)
    assert messages["/avatar/parameters/EyeTrackingActive"] == (True,)


def test_pylivelinkface_reads_live_link(frame: MakeFrame) -> None:
    library = pytest.importorskip("pylivelinkface")
    with LiveLinkSink("127.0.0.1:9", "Sophie") as sink:
        (packet,) = sink.encode(frame(SHAPES, pose=(0.5, -0.25, 0.125, 0, 0, 0), gaze=(0.75, -0.5), time=2.5))
        (empty,) = sink.encode(frame(tracking=Tracking.NEUTRAL))
    found, face = library.PyLiveLinkFace.decode(packet)
    assert found and (face.name, face.uuid, face.fps) == ("Sophie", f"${DEVICE}", 60)
    values = {shape.name: face.get_blendshape(shape) for shape in library.FaceBlendShape}
    assert {name: values[name[0].upper() + name[1:]] for name in SHAPES} == SHAPES
    assert [values[f"Head{axis}"] for axis in ("Yaw", "Pitch", "Roll")] == [0.5, -0.25, 0.125]
    assert [values[f"{side}Eye{axis}"] for side in ("Left", "Right") for axis in ("Yaw", "Pitch", "Roll")] == [0.75, -0.5, 0] * 2
    assert library.PyLiveLinkFace.decode(empty)[0] is False


def test_vmcp_reads_vmc(frame: MakeFrame) -> None:
    events = pytest.importorskip("vmcp.events")
    names = ("BoneTransformEvent", "BlendShapeEvent", "BlendShapeApplyEvent", "StateEvent", "RelativeTimeEvent")
    kinds = {getattr(events, name).ADDRESS_PATTERN: getattr(events, name) for name in names}
    with VmcSink("127.0.0.1:9") as sink:
        packets = sink.encode(frame(SHAPES, pose=(0.5, 0, 0, 0, 0, 0), time=1.0))
    messages = [message for packet in packets for message in OscBundle(packet)]
    read = [kinds[message.address].from_message_data("c", message.address, tuple(message.params)) for message in messages]
    blends = {event.key: event.value for event in read if isinstance(event, events.BlendShapeEvent)}
    assert blends["JawOpen"] == SHAPES["jawOpen"] and len(blends) == 52
    neck, head = (event.rotation for event in read[:2])
    assert neck.y < 0 and head.y < 0 and (neck.x, neck.z, head.x, head.z) == (0, 0, 0, 0)  # turned to the left
    assert [event.joint.value for event in read[:4]] == ["Neck", "Head", "LeftEye", "RightEye"]
