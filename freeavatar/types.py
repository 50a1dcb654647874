"""What one stage hands to the next: frozen, timestamped dataclasses.

source -> Frame -> face -> FaceCrop -> encoder -> Expression -> animator -> RigFrame -> sinks

Conventions (one block, obeyed everywhere)
    Left and right are the subject's. Right-handed axes, metres, Y up, the face looks along +Z, +X is the
    subject's left. Yaw, pitch, roll are in radians, composed as Ry(yaw) Rx(pitch) Rz(roll); +yaw turns to the
    subject's left, +pitch looks down. ``head_pose`` is yaw, pitch, roll, x, y, z with the camera at the origin
    looking along -Z. ``gaze`` is yaw, pitch relative to the head, same signs. Images are RGB uint8 and never
    flipped. ARKit weights are 0..1 in the order of :data:`freeavatar.arkit.NAMES`.
"""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""(H, W, 3) RGB uint8."""
Vector = NDArray[np.float32]


class Tracking(StrEnum):
    """Where the values of a frame come from."""

    TRACKED = "tracked"
    HELD = "held"
    """The face is lost; the last values are held."""
    EASING = "easing"
    """The face stays lost; the values ease to neutral."""
    NEUTRAL = "neutral"
    """No face was seen yet, or the easing is over."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One image from a source.

    ``time`` is in seconds: presentation time from the first frame for files, monotonic capture time for cameras.
    """

    image: Image
    time: float
    index: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """An upright square crop of one face.

    Attributes:
        image: (S, S, 3) RGB uint8, aligned by :func:`freeavatar.face.alignment.align`.
        matrix: (2, 3) similarity transform from frame pixels to crop pixels.
        landmarks: (478, 3) MediaPipe face mesh in frame pixels (z in the same unit, smaller is nearer); None where the crop
            follows from an earlier one (:mod:`freeavatar.follower`).
        head_pose: (6,) yaw, pitch, roll in radians and x, y, z in metres.
        time: the frame's time in seconds.
        index: the frame's index.
        peer: (52,) MediaPipe's own blendshape scores as ARKit weights when the tracker was asked for them
            (benchmarks only; nothing in the product reads them).
    """

    image: Image
    matrix: Vector
    landmarks: Vector | None
    head_pose: Vector
    time: float
    index: int
    peer: Vector | None = None


@dataclass(frozen=True, slots=True)
class Expression:
    """What the encoder reads from a crop.

    Attributes:
        feature: (F,) what the animator consumes.
        embedding: (D,) unit length, the metric space of the expression triplets.
        arkit: (52,) ARKit read-out, 0..1.
        gaze: (2,) yaw, pitch in radians relative to the head.
        head_pose: (6,) yaw, pitch, roll, x, y, z in the frame (from the tracker).
        confidence: 0..1, how sure the encoder is that it sees a face it can read.
        align: (4,) dx, dy, log scale, roll of the crop from the ideal one.
        time: the frame's time in seconds.
        index: the frame's index.
        crop_pose: (6,) head pose as the encoder reads it, in the crop's own camera (:mod:`freeavatar.face.pose`); None where
            the expression does not come straight from an encoder.
    """

    feature: Vector
    embedding: Vector
    arkit: Vector
    gaze: Vector
    head_pose: Vector
    confidence: float
    align: Vector
    time: float
    index: int
    crop_pose: Vector | None = None


@dataclass(frozen=True, slots=True)
class RigFrame:
    """Values of all controls of one rig for one frame.

    Attributes:
        rig: the rig's name.
        names: the control names, in the order of ``values``.
        values: (N,) control values in their rig.toml ranges.
        arkit: (52,) the encoder's ARKit read-out, 0..1.
        head_pose: (6,) yaw, pitch, roll in radians, x, y, z in metres.
        gaze: (2,) yaw, pitch in radians.
        confidence: 0..1; 0 where no face was found.
        time: seconds.
        index: the frame's index in its source.
        tracking: where the values come from.
    """

    rig: str
    names: tuple[str, ...]
    values: Vector
    arkit: Vector
    head_pose: Vector
    gaze: Vector
    confidence: float
    time: float
    index: int
    tracking: Tracking = field(default=Tracking.TRACKED)

    def __getitem__(self, name: str) -> float:
        """The value of one control by name."""
        return float(self.values[self.names.index(name)])
