"""OpenSeeFace over UDP (https://github.com/emilianavt/OpenSeeFace), port 11573: 1,785 bytes a face, little-endian.

Receivers find here the eyes' openness, the head's pose, the gaze and the fourteen features. A rig frame has no
landmarks: the 68 points of the picture and the 66 of the face are 0, so receivers that read the mouth from points and not
from features need another protocol. Where no face is, nothing is sent.

Axes of the pose are the tracker's own. Its camera counts rows, columns, depth; its model is (subject's right, up, front).
It solves for the pose that lies behind the camera, which has the same picture (rows, columns and depth change their
signs, hence the first two rows of the rotation do). So the rotation R from model to camera is B M A, with M ours,
A = diag(-1, 1, 1) and B = ((0, 1, 0), (-1, 0, 0), (0, 0, -1)). Sent are the conjugate of R's quaternion, R's Euler angles
(R = Rz Ry Rx; 180, 0 and 90 degrees for a face that looks into the camera, more with pitch, yaw and roll) and the
translation (y, -x, z) in units of its model.
"""

import math
import struct
import time
from collections.abc import Callable, Mapping
from typing import Final

from freeavatar.quaternion import Quaternion, from_angles, multiply
from freeavatar.sinks.shapes import mix, weights
from freeavatar.sinks.udp import UdpSink
from freeavatar.types import RigFrame, Tracking

_PACKET: Final = struct.Struct(f"<di4fBf4f3f3f{68}f{2 * 68}f{3 * 70}f14f")
_SIZE: Final = (640.0, 480.0)
"""Width and height of a picture that the frame no longer knows."""
_METRES: Final = 0.122
"""Metres a unit of the tracker's model, whose pupils are 0.516 units apart (63 mm in an adult)."""
_REST: Final[Quaternion] = (-math.sqrt(0.5), -math.sqrt(0.5), 0.0, 0.0)
"""R's quaternion for a face that looks into the camera."""
_EYES: Final = ((0.26, 0.28, -0.32), (-0.26, 0.28, -0.32))
"""Centres of the right and the left eyeball in the model's axes."""
_EYE_RADIUS: Final = 0.1


def _brow(side: str) -> tuple[dict[str, float], ...]:
    """Steepness (+ where the inner end is the higher one), height and arch of a brow."""
    inner, outer, down = "browInnerUp", f"browOuterUp{side}", f"browDown{side}"
    return {inner: 1.0, outer: -1.0, down: -1.0}, {inner: 0.5, outer: 0.5, down: -1.0}, {outer: 1.0}


def _corner(side: str) -> tuple[dict[str, float], ...]:
    """Height (+ is down, as the tracker measures it) and width of a corner of the mouth."""
    return (
        {f"mouthFrown{side}": 1.0, f"mouthSmile{side}": -1.0},
        {f"mouthSmile{side}": 0.5, f"mouthStretch{side}": 0.5, "mouthPucker": -1.0},
    )


FEATURES: Final[tuple[Mapping[str, float], ...]] = (
    *({f"eyeWide{side}": 1.0, f"eyeBlink{side}": -1.0} for side in ("Left", "Right")),
    *_brow("Left"),
    *_brow("Right"),
    *_corner("Left"),
    *_corner("Right"),
    {"jawOpen": 1.0, "mouthClose": -1.0},
    {**{f"mouth{part}{side}": 0.25 for part in ("Smile", "Stretch") for side in ("Left", "Right")}, "mouthPucker": -1.0},
)
"""The fourteen features from ARKit weights, -1..1 about the resting face: eyes left and right (0 open, -1 closed), three of
each brow, two of each corner of the mouth, mouth open, mouth wide."""


class OpenSeeFaceSink(UdpSink):
    """Sends as the tracker does.

    Args:
        address: HOST:PORT.
        now: seconds since 1970; the first frame is given this time, so that a receiver takes a new session for newer.

    Raises:
        OutputError: the address is not one, or the host is unknown.
    """

    name = "OpenSeeFace"

    def __init__(self, address: str, now: Callable[[], float] = time.time) -> None:
        super().__init__(address)
        self._now = now
        self._offset: float | None = None

    def encode(self, frame: RigFrame) -> list[bytes]:
        """The frame's packet, none where no face is."""
        if self._offset is None:
            self._offset = self._now() - frame.time
        if frame.tracking is Tracking.NEUTRAL:
            return []
        yaw, pitch, roll, x, y, z = map(float, frame.head_pose)
        rotation = _to_camera(from_angles(yaw, pitch, roll))
        found = weights(frame)
        lids = [1 - mix(found, {f"eyeBlink{side}": 1.0}) for side in ("Right", "Left")]
        packet = _PACKET.pack(
            *(frame.time + self._offset, 0, *_SIZE, *lids, 1, 0.0),
            *(-rotation[0], -rotation[1], -rotation[2], rotation[3]),
            *_euler(rotation),
            *(y / _METRES, -x / _METRES, z / _METRES),
            *[frame.confidence] * 68,
            *[0.0] * (2 * 68 + 3 * 66),
            *_gaze_points(float(frame.gaze[0]), float(frame.gaze[1])),
            *(mix(found, parts, -1.0) for parts in FEATURES),
        )
        return [packet]


def _to_camera(q: Quaternion) -> Quaternion:
    """R's quaternion from M's: B M B^-1 turned by the rest. A change to mirrored axes turns a quaternion's vector v to -B v."""
    x, y, z, w = q
    return multiply((-y, x, z, w), _REST)


def _euler(q: Quaternion) -> tuple[float, float, float]:
    """Degrees about x, y, z with R = Rz Ry Rx, the way OpenCV's ``RQDecomp3x3`` writes it."""
    x, y, z, w = q
    about_y = math.asin(min(max(2 * (w * y - x * z), -1.0), 1.0))
    about_x = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    about_z = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return math.degrees(about_x), math.degrees(about_y), math.degrees(about_z)


def _gaze_points(yaw: float, pitch: float) -> list[float]:
    """Right and left pupil, right and left eyeball, as the packet has them: (x, -y, -z) of the model's axes."""
    direction = (-math.sin(yaw) * math.cos(pitch), -math.sin(pitch), math.cos(yaw) * math.cos(pitch))
    pupils = [tuple(c + _EYE_RADIUS * d for c, d in zip(centre, direction, strict=True)) for centre in _EYES]
    return [value for px, py, pz in (*pupils, *_EYES) for value in (px, -py, -pz)]
