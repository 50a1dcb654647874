"""The 52 ARKit face shapes: names, mirror partners, regions, and the orders that other formats use.

Apple, ``ARFaceAnchor.BlendShapeLocation``. Always map by name: the orders below differ.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from freeavatar.types import Vector

LIVE_LINK_ORDER: Final[tuple[str, ...]] = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft", "eyeWideLeft",
    "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight", "eyeSquintRight", "eyeWideRight",
    "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight",
    "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight",
    "mouthStretchLeft", "mouthStretchRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""Order of the Live Link Face UDP packet; also the project's own order."""

NAMES: Final = LIVE_LINK_ORDER
INDEX: Final[dict[str, int]] = {name: i for i, name in enumerate(NAMES)}


def _swapped(order: tuple[str, ...], *pairs: tuple[str, str]) -> tuple[str, ...]:
    swap = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    return tuple(swap.get(name, name) for name in order)


LIVE_LINK_CSV_ORDER: Final = _swapped(NAMES, ("jawLeft", "jawRight"), ("mouthLeft", "mouthRight"))
"""Order of the Live Link Face CSV: as the packet, with left and right of jaw and mouth swapped."""

LIVE_LINK_POSE: Final = (
    "HeadYaw", "HeadPitch", "HeadRoll", "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll",
)  # fmt: skip
"""The nine pose columns that follow the 52 shapes in Live Link formats, in radians."""


def mirrored(name: str) -> str:
    """The shape on the other side, or the name itself for a central shape."""
    if "Left" in name:
        return name.replace("Left", "Right")
    return name.replace("Right", "Left")


MIRROR: Final[tuple[int, ...]] = tuple(INDEX[mirrored(n)] for n in NAMES)
"""Index of each shape's mirror partner: ``arkit[..., MIRROR]`` is the mirrored face."""

DIRECTIONS: Final = (("jawLeft", "jawRight"), ("mouthLeft", "mouthRight"))
"""Shapes that undo each other: they name a direction, not a side of the face."""

EYE_LOOK: Final = tuple(n for n in NAMES if n.startswith("eyeLook"))

EYE_LOOK_FULL_YAW: Final = 0.60
"""Radians of eye yaw at which eyeLookIn/Out reach 1."""
EYE_LOOK_FULL_PITCH: Final = 0.45
"""Radians of eye pitch at which eyeLookUp/Down reach 1."""


def weights(shapes: Mapping[str, float]) -> Vector:
    """(52,) the weights of some shapes, all others at 0.

    Raises:
        KeyError: ARKit does not have one of them.
    """
    values = np.zeros(len(NAMES), np.float32)
    for name, value in shapes.items():
        values[INDEX[name]] = value
    return values


def both(name: str, weight: float = 0.5) -> dict[str, float]:
    """The same weight for a shape's left and right half."""
    return {f"{name}Left": weight, f"{name}Right": weight}


def region(name: str) -> str:
    """Face region of a shape: brows, eyes, gaze, nose, cheeks, mouth, jaw or tongue."""
    if name.startswith("eyeLook"):
        return "gaze"
    for prefix, part in (("brow", "brows"), ("eye", "eyes"), ("nose", "nose"), ("cheek", "cheeks"), ("jaw", "jaw"), ("tongue", "tongue")):
        if name.startswith(prefix):
            return part
    return "mouth"


def eye_look(gaze_yaw: float, gaze_pitch: float) -> dict[str, float]:
    """The eight eyeLook weights for one gaze direction (radians, +yaw to the subject's left, +pitch down).

    Both eyes turn together: a look to the subject's left is ``Out`` for the left eye and ``In`` for the right.
    """

    def clamp(v: float) -> float:
        return min(max(v, 0.0), 1.0)

    left, right = clamp(gaze_yaw / EYE_LOOK_FULL_YAW), clamp(-gaze_yaw / EYE_LOOK_FULL_YAW)
    down, up = clamp(gaze_pitch / EYE_LOOK_FULL_PITCH), clamp(-gaze_pitch / EYE_LOOK_FULL_PITCH)
    return {
        "eyeLookOutLeft": left, "eyeLookInRight": left, "eyeLookInLeft": right, "eyeLookOutRight": right,
        "eyeLookDownLeft": down, "eyeLookDownRight": down, "eyeLookUpLeft": up, "eyeLookUpRight": up,
    }  # fmt: skip
