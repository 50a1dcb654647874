"""VMC: order, names, sizes, and axes one at a time."""

import math
import struct
from collections.abc import Callable

import numpy as np
import pytest
from pythonosc.osc_bundle import OscBundle

from freeavatar import arkit
from freeavatar.errors import OutputError
from freeavatar.quaternion import from_angles, multiply, power
from freeavatar.rotation import matrix
from freeavatar.sinks.vmc import MAX_BUNDLE, VOCABULARIES, VmcSink
from freeavatar.types import RigFrame

MakeFrame = Callable[..., RigFrame]


def read(frame: RigFrame, vocabulary: str = "perfect-sync") -> list[tuple[str, list[object]]]:
    with VmcSink("127.0.0.1:9", vocabulary) as sink:
        packets = sink.encode(frame)
    assert all(len(packet) <= MAX_BUNDLE for packet in packets)
    return [(message.address, message.params) for packet in packets for message in OscBundle(packet)]


def blends(frame: RigFrame, vocabulary: str) -> dict[str, float]:
    return {params[0]: params[1] for address, params in read(frame, vocabulary) if address == "/VMC/Ext/Blend/Val"}  # type: ignore[misc]


def bones(frame: RigFrame) -> dict[str, list[float]]:
    return {params[0]: params[4:] for address, params in read(frame) if address == "/VMC/Ext/Bone/Pos"}  # type: ignore[misc]


def test_a_frame_is_bones_blends_apply_ok_time(frame: MakeFrame) -> None:
    addresses = [address.removeprefix("/VMC/Ext/") for address, _ in read(frame())]
    assert addresses == ["Bone/Pos"] * 4 + ["Blend/Val"] * 52 + ["Blend/Apply", "OK", "T"]


def test_the_bytes(frame: MakeFrame) -> None:
    def item(data: bytes) -> bytes:
        return struct.pack(">i", len(data)) + data

    def bone(name: bytes) -> bytes:
        return item(b"/VMC/Ext/Bone/Pos\0\0\0" + b",sfffffff\0\0\0" + name + struct.pack(">7f", 0, 0, 0, 0, 0, 0, 1))

    def blend(name: bytes, value: float) -> bytes:
        return item(b"/VMC/Ext/Blend/Val\0\0" + b",sf\0" + name + struct.pack(">f", value))

    expected = b"#bundle\0" + struct.pack(">Q", 1)
    expected += bone(b"Neck\0\0\0\0") + bone(b"Head\0\0\0\0") + bone(b"LeftEye\0") + bone(b"RightEye\0\0\0\0")
    expected += b"".join(blend(name + b"\0\0\0", 0) for name in (b"A", b"I")) + blend(b"U\0\0\0", 1) + blend(b"E\0\0\0", 0)
    expected += blend(b"O\0\0\0", 0) + blend(b"Joy\0", 0) + blend(b"Angry\0\0\0", 0) + blend(b"Sorrow\0\0", 0)
    expected += blend(b"Blink_L\0", 0.5) + blend(b"Blink_R\0", 0)
    expected += item(b"/VMC/Ext/Blend/Apply\0\0\0\0" + b",\0\0\0") + item(
        b"/VMC/Ext/OK\0" + b",iiii\0\0\0" + struct.pack(">iiii", 1, 3, 0, 1)
    )
    expected += item(b"/VMC/Ext/T\0\0" + b",f\0\0" + struct.pack(">f", 0))
    with VmcSink("127.0.0.1:9", "vrm0") as sink:
        (packet,) = sink.encode(frame({"mouthPucker": 1.0, "eyeBlinkLeft": 0.5}, time=1e5))
    assert packet == expected


@pytest.mark.parametrize(
    ("pose", "axis", "sign"),
    [((0.4, 0, 0), 1, -1), ((0, 0.4, 0), 0, 1), ((0, 0, 0.4), 2, -1)],
    ids=["left is -y", "down is +x", "to the right shoulder is -z"],
)
def test_one_axis_of_the_head_is_shared_by_neck_and_head(frame: MakeFrame, pose: tuple[float, ...], axis: int, sign: int) -> None:
    found = bones(frame(pose=(*pose, 0, 0, 0)))
    for name, share in (("Neck", 0.4), ("Head", 0.6)):
        expected = [0.0, 0.0, 0.0, math.cos(0.2 * share)]
        expected[axis] = sign * math.sin(0.2 * share)
        assert found[name] == pytest.approx(expected, abs=1e-6)
    assert found["LeftEye"] == [0, 0, 0, 1]


@pytest.mark.parametrize(("gaze", "axis", "sign"), [((0.3, 0), 1, -1), ((0, 0.3), 0, 1)])
def test_one_axis_of_the_gaze_turns_both_eyes_and_no_shape(frame: MakeFrame, gaze: tuple[float, float], axis: int, sign: int) -> None:
    looking = frame(dict.fromkeys(arkit.EYE_LOOK, 1.0), gaze=gaze)
    found = bones(looking)
    expected = [0.0, 0.0, 0.0, math.cos(0.15)]
    expected[axis] = sign * math.sin(0.15)
    assert found["LeftEye"] == found["RightEye"] == pytest.approx(expected, abs=1e-6)
    assert found["Head"] == [0, 0, 0, 1] and set(blends(looking, "perfect-sync").values()) == {0}


def test_a_turn_becomes_the_same_turn_of_mirrored_axes(frame: MakeFrame) -> None:
    pose = (0.5, -0.3, 0.2)
    found = bones(frame(pose=(*pose, 0, 0, 0)))
    whole = multiply(tuple(found["Neck"]), tuple(found["Head"]))  # type: ignore[arg-type]
    x, y, z, w = whole
    turned = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    mirrored = np.diag([-1, 1, 1])
    np.testing.assert_allclose(turned, mirrored @ matrix(*pose) @ mirrored, atol=1e-6)


def test_perfect_sync_has_the_52_names_each_with_its_own_weight(frame: MakeFrame) -> None:
    values = {name: (i + 1) / 64 for i, name in enumerate(arkit.NAMES)}
    found = blends(frame(values), "perfect-sync")
    assert list(found) == [name[0].upper() + name[1:] for name in arkit.NAMES]
    assert found["JawLeft"] == values["jawLeft"] and found["TongueOut"] == values["tongueOut"]


@pytest.mark.parametrize(
    ("shapes", "vrm0", "vrm1"),
    [
        ({"eyeBlinkLeft": 1.0}, "Blink_L", "blinkLeft"),
        ({"eyeBlinkRight": 1.0}, "Blink_R", "blinkRight"),
        ({"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0}, "Joy", "happy"),
        ({"browDownLeft": 1.0, "browDownRight": 1.0}, "Angry", "angry"),
        ({"mouthFrownLeft": 1.0, "mouthFrownRight": 1.0}, "Sorrow", "sad"),
        ({"jawOpen": 1.0}, "A", "aa"),
        ({"mouthPucker": 1.0}, "U", "ou"),
        ({"mouthFunnel": 1.0}, "O", "oh"),
    ],
)
def test_presets(frame: MakeFrame, shapes: dict[str, float], vrm0: str, vrm1: str) -> None:
    for vocabulary, name in (("vrm0", vrm0), ("vrm1", vrm1)):
        assert {key for key, value in blends(frame(shapes), vocabulary).items() if value > 0.5} == {name}


def test_presets_stay_in_range(frame: MakeFrame) -> None:
    for vocabulary in VOCABULARIES:
        assert all(0 <= value <= 1 for value in blends(frame(dict.fromkeys(arkit.NAMES, 1.0)), vocabulary).values())


def test_time_counts_from_the_first_frame(frame: MakeFrame) -> None:
    with VmcSink("127.0.0.1:9") as sink:
        sink.encode(frame(time=12345.0))
        assert [m.params for m in OscBundle(sink.encode(frame(time=12345.25))[-1])][-1] == [0.25]


def test_an_unknown_vocabulary_is_refused() -> None:
    with pytest.raises(OutputError, match="perfect-sync, vrm0, vrm1"):
        VmcSink("127.0.0.1:9", "vrm2")


def test_shares_of_a_turn_make_the_turn() -> None:
    q = from_angles(1.2, -0.4, 0.3)
    assert multiply(power(q, 0.3), power(q, 0.7)) == pytest.approx(q)
    assert power((0.0, 0.0, 0.0, 1.0), 0.5) == (0, 0, 0, 1)
