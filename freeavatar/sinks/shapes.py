"""What every ARKit-shaped sink carries: 52 weights and the pose of Live Link formats."""

from collections.abc import Mapping
from typing import Final

from freeavatar.arkit import LIVE_LINK_POSE, NAMES
from freeavatar.types import RigFrame

_POSE_SIGNS: Final = dict.fromkeys(LIVE_LINK_POSE, 1.0)
"""Live Link's axes are those of ARKit's face anchor, which are ours: the table stands here because every format owns one."""


def weights(frame: RigFrame) -> dict[str, float]:
    """The 52 ARKit weights by name: the rig's own controls if it has all of them, else the encoder's read-out."""
    own = dict(zip(frame.names, frame.values.tolist(), strict=True))
    if own.keys() >= set(NAMES):
        return {name: own[name] for name in NAMES}
    return dict(zip(NAMES, frame.arkit.tolist(), strict=True))


def shapes(frame: RigFrame, order: tuple[str, ...]) -> list[float]:
    """The 52 ARKit weights in any order."""
    found = weights(frame)
    return [found[name] for name in order]


def pose_columns(frame: RigFrame) -> list[float]:
    """The nine pose columns of Live Link formats in radians. Both eyes turn together and do not roll."""
    yaw, pitch, roll = map(float, frame.head_pose[:3])
    eye = {"Yaw": float(frame.gaze[0]), "Pitch": float(frame.gaze[1]), "Roll": 0.0}
    columns = {"HeadYaw": yaw, "HeadPitch": pitch, "HeadRoll": roll}
    columns |= {f"{side}Eye{axis}": value for side in ("Left", "Right") for axis, value in eye.items()}
    return [_POSE_SIGNS[name] * columns[name] for name in LIVE_LINK_POSE]


def pascal(name: str) -> str:
    """An ARKit shape as Unreal and Perfect Sync write it: ``jawOpen`` is ``JawOpen``."""
    return name[0].upper() + name[1:]


def mix(found: Mapping[str, float], parts: Mapping[str, float], low: float = 0.0) -> float:
    """A weighted sum of ARKit weights, clamped to ``low``..1."""
    return min(max(sum(weight * found[name] for name, weight in parts.items()), low), 1.0)
