"""OpenSeeFace: offsets, the pose as the tracker itself would send it, and the features."""

import math
import struct
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from freeavatar import arkit
from freeavatar.rotation import matrix
from freeavatar.sinks.openseeface import OpenSeeFaceSink
from freeavatar.types import RigFrame, Tracking

MakeFrame = Callable[..., RigFrame]
SIDES = ("left", "right")
FEATURES = (
    *(f"eye {side}" for side in SIDES),
    *(f"{name} {side}" for side in SIDES for name in ("steep", "height", "arch")),
    *(f"corner {name} {side}" for side in SIDES for name in ("height", "width")),
    *("open", "wide"),
)


def encode(frame: RigFrame) -> bytes:
    with OpenSeeFaceSink("127.0.0.1:9", now=lambda: 1000.0) as sink:
        (packet,) = sink.encode(frame)
    return packet


def floats(packet: bytes, offset: int, count: int) -> list[float]:
    return list(struct.unpack_from(f"<{count}f", packet, offset))


def features(frame: RigFrame) -> dict[str, float]:
    return dict(zip(FEATURES, floats(encode(frame), 1729, 14), strict=True))


def test_the_bytes_up_to_the_points(frame: MakeFrame) -> None:
    packet = encode(frame({"eyeBlinkRight": 0.25, "eyeBlinkLeft": 0.75}, pose=(0, 0, 0, 0.122, 0.244, -0.61)))
    root = math.sqrt(0.5)
    expected = struct.pack("<di", 1000.0, 0) + struct.pack("<4f", 640, 480, 0.75, 0.25) + struct.pack("<Bf", 1, 0)
    assert len(packet) == 1785 and packet[:33] == expected
    assert floats(packet, 33, 4) == pytest.approx([root, root, 0, 0])
    assert [abs(v) for v in floats(packet, 49, 3)] == pytest.approx([180, 0, 90]) and floats(packet, 49, 3)[2] > 0
    assert floats(packet, 61, 3) == pytest.approx([2, -1, -5])
    assert floats(packet, 73, 68) == [0.5] * 68 and set(floats(packet, 345, 136)) == {0.0} and set(floats(packet, 889, 198)) == {0.0}


@pytest.mark.parametrize("pose", [(0, 0, 0), (0.4, 0, 0), (0, 0.4, 0), (0, 0, 0.4), (0.5, -0.3, 0.2)])
def test_the_pose_is_that_of_the_trackers_rotation(frame: MakeFrame, pose: tuple[float, float, float]) -> None:
    """R = B M A, its quaternion conjugated, and R = Rz Ry Rx of its Euler angles."""
    rotation = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, -1]]) @ matrix(*pose) @ np.diag([-1, 1, 1])
    packet = encode(frame(pose=(*pose, 0, 0, 0)))
    x, y, z, w = floats(packet, 33, 4)
    np.testing.assert_allclose(turn((-x, -y, -z), w), rotation, atol=1e-6)
    about_x, about_y, about_z = np.radians(floats(packet, 49, 3))
    about_xs = turn((math.sin(about_x / 2), 0, 0), math.cos(about_x / 2))
    about_ys = turn((0, math.sin(about_y / 2), 0), math.cos(about_y / 2))
    about_zs = turn((0, 0, math.sin(about_z / 2)), math.cos(about_z / 2))
    np.testing.assert_allclose(about_zs @ about_ys @ about_xs, rotation, atol=1e-6)


def turn(v: tuple[float, float, float], w: float) -> NDArray[np.float64]:
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.asarray(np.eye(3) + 2 * w * cross + 2 * cross @ cross)


@pytest.mark.parametrize(
    ("pose", "degrees"), [((0.4, 0, 0), (180, 22.918, 90)), ((0, 0.4, 0), (-157.082, 0, 90)), ((0, 0, 0.4), (180, 0, 112.918))]
)
def test_one_axis_of_the_head_is_one_euler_angle(frame: MakeFrame, pose: tuple[float, ...], degrees: tuple[float, ...]) -> None:
    found = floats(encode(frame(pose=(*pose, 0, 0, 0))), 49, 3)
    assert [(a - b + 180) % 360 - 180 for a, b in zip(found, degrees, strict=True)] == pytest.approx([0, 0, 0], abs=1e-3)


def test_pupils_lie_on_their_eyeballs_where_the_gaze_goes(frame: MakeFrame) -> None:
    pupils_and_balls = np.reshape(floats(encode(frame(gaze=(0.3, 0.2))), 889 + 12 * 66, 12), (4, 3))
    direction = (pupils_and_balls[:2] - pupils_and_balls[2:]) / 0.1
    ours = matrix(0.3, 0.2, 0) @ [0, 0, 1]
    np.testing.assert_allclose(direction, np.tile([-ours[0], -ours[1], -ours[2]], (2, 1)), atol=1e-5)  # (x, -y, -z), x to the right
    assert pupils_and_balls[2][0] > 0 > pupils_and_balls[3][0]  # the subject's right eye comes first


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({"eyeBlinkLeft": 0.5}, {"eye left": -0.5}),
        ({"eyeWideRight": 0.5}, {"eye right": 0.5}),
        ({"jawOpen": 0.5}, {"open": 0.5}),
        ({"browOuterUpLeft": 0.5}, {"steep left": -0.5, "height left": 0.25, "arch left": 0.5}),
        ({"browDownRight": 0.5}, {"steep right": -0.5, "height right": -0.5}),
        ({"mouthSmileLeft": 1.0}, {"corner height left": -1, "corner width left": 0.5, "wide": 0.25}),
        ({"mouthFrownRight": 1.0}, {"corner height right": 1}),
    ],
)
def test_features(frame: MakeFrame, shapes: dict[str, float], expected: dict[str, float]) -> None:
    assert {name: value for name, value in features(frame(shapes)).items() if value} == expected


def test_features_stay_in_range(frame: MakeFrame) -> None:
    assert all(-1 <= value <= 1 for value in features(frame(dict.fromkeys(arkit.NAMES, 1.0))).values())


def test_a_lost_face_is_sent_as_long_as_it_has_values(frame: MakeFrame) -> None:
    with OpenSeeFaceSink("127.0.0.1:9") as sink:
        assert [len(sink.encode(frame(tracking=tracking))) for tracking in Tracking] == [1, 1, 1, 0]


def test_time_is_that_of_the_day(frame: MakeFrame) -> None:
    with OpenSeeFaceSink("127.0.0.1:9", now=lambda: 5000.0) as sink:
        packets = [sink.encode(frame(time=time))[0] for time in (7.0, 7.5)]
    assert [struct.unpack_from("<d", packet)[0] for packet in packets] == [5000.0, 5000.5]
