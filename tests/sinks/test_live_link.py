"""Live Link Face: the packet byte by byte."""

import struct
from collections.abc import Callable

import pytest

from freeavatar import arkit
from freeavatar.errors import OutputError
from freeavatar.sinks.live_link import DEVICE, LiveLinkSink
from freeavatar.types import RigFrame, Tracking

MakeFrame = Callable[..., RigFrame]
ORDER = """
EyeBlinkLeft EyeLookDownLeft EyeLookInLeft EyeLookOutLeft EyeLookUpLeft EyeSquintLeft EyeWideLeft
EyeBlinkRight EyeLookDownRight EyeLookInRight EyeLookOutRight EyeLookUpRight EyeSquintRight EyeWideRight
JawForward JawLeft JawRight JawOpen MouthClose MouthFunnel MouthPucker MouthLeft MouthRight MouthSmileLeft
MouthSmileRight MouthFrownLeft MouthFrownRight MouthDimpleLeft MouthDimpleRight MouthStretchLeft
MouthStretchRight MouthRollLower MouthRollUpper MouthShrugLower MouthShrugUpper MouthPressLeft MouthPressRight
MouthLowerDownLeft MouthLowerDownRight MouthUpperUpLeft MouthUpperUpRight BrowDownLeft BrowDownRight
BrowInnerUp BrowOuterUpLeft BrowOuterUpRight CheekPuff CheekSquintLeft CheekSquintRight NoseSneerLeft
NoseSneerRight TongueOut HeadYaw HeadPitch HeadRoll LeftEyeYaw LeftEyePitch LeftEyeRoll RightEyeYaw
RightEyePitch RightEyeRoll
""".split()  # noqa: SIM905  (a column of names reads worse)
"""Of the packet; written out here because every other format has another."""


def encode(frame: RigFrame, subject: str = "Avatar") -> bytes:
    with LiveLinkSink("127.0.0.1:9", subject) as sink:
        (packet,) = sink.encode(frame)
    return packet


def values(packet: bytes) -> dict[str, float]:
    return dict(zip(ORDER, struct.unpack(">61f", packet[-244:]), strict=True))


def test_the_bytes(frame: MakeFrame) -> None:
    packet = encode(frame({"jawLeft": 0.25}, pose=(0.5, -0.25, 0.125, 0, 0, 0), gaze=(0.75, -0.5), time=2.5078125), "Söphie")
    expected = b"\x06" + struct.pack(">i", 36) + DEVICE.encode() + struct.pack(">i", 7) + "Söphie".encode()
    expected += struct.pack(">ifii", 150, 0.46875, 60, 1) + b"\x3d"
    numbers = [0.0] * 61
    numbers[15], numbers[52:] = 0.25, [0.5, -0.25, 0.125, 0.75, -0.5, 0.0, 0.75, -0.5, 0.0]
    assert packet == expected + struct.pack(">61f", *numbers)


def test_the_size_is_that_of_an_iphone(frame: MakeFrame) -> None:
    assert len(DEVICE) == 36 and len(encode(frame())) == 312
    assert len(encode(frame(), "Somebody else")) == 270 + 36 + 13


def test_every_shape_stands_in_its_place(frame: MakeFrame) -> None:
    given = {name: (i + 1) / 64 for i, name in enumerate(arkit.NAMES)}
    found = values(encode(frame(given)))
    assert {name: found[name[0].upper() + name[1:]] for name in given} == given


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"pose": (0.5, 0, 0, 0, 0, 0)}, ("HeadYaw",)),
        ({"pose": (0, 0.5, 0, 0, 0, 0)}, ("HeadPitch",)),
        ({"pose": (0, 0, 0.5, 0, 0, 0)}, ("HeadRoll",)),
        ({"gaze": (0.5, 0)}, ("LeftEyeYaw", "RightEyeYaw")),
        ({"gaze": (0, 0.5)}, ("LeftEyePitch", "RightEyePitch")),
    ],
)
def test_one_axis_moves_its_own_values_only(frame: MakeFrame, given: dict[str, tuple[float, ...]], names: tuple[str, ...]) -> None:
    assert {name: value for name, value in values(encode(frame(**given))).items() if value} == dict.fromkeys(names, 0.5)


@pytest.mark.parametrize("tracking", Tracking)
def test_without_a_face_the_values_are_left_out(frame: MakeFrame, tracking: Tracking) -> None:
    assert len(encode(frame(tracking=tracking))) == (67 if tracking is Tracking.NEUTRAL else 312)


def test_frames_start_again_every_day(frame: MakeFrame) -> None:
    assert struct.unpack_from(">i", encode(frame(time=86_400 * 1000 + 1.0)), 51)[0] == 60


@pytest.mark.parametrize("subject", ["", "x" * 65, "a\nb"])
def test_bad_subjects_are_refused(subject: str) -> None:
    with pytest.raises(OutputError, match="subject"):
        LiveLinkSink("127.0.0.1:9", subject)
