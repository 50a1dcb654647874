"""The performer's mirror image, made at the output only: sides swap, yaw and roll change sign. Images are never flipped."""

from dataclasses import replace

import numpy as np

from freeavatar import arkit
from freeavatar.rig import Control, Rig
from freeavatar.types import RigFrame, Vector


class Mirror:
    """Mirrors the frames of one rig."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._partner = [rig.names.index(control.mirror or control.name) for control in rig.controls]
        self._sign = np.array([-1 if is_lateral(control) else 1 for control in rig.controls], np.float32)

    def __call__(self, frame: RigFrame) -> RigFrame:
        """The mirrored frame; controls computed from pose and gaze follow the mirrored pose and gaze."""
        head_pose = mirror_pose(frame.head_pose)
        gaze = frame.gaze * np.array([-1, 1], np.float32)
        values = self._rig.pose(frame.values[self._partner] * self._sign, head_pose, gaze)
        return replace(frame, values=values, arkit=frame.arkit[list(arkit.MIRROR)], head_pose=head_pose, gaze=gaze)


def mirror_pose(head_pose: Vector) -> Vector:
    """(6,) head pose seen in a mirror: yaw, roll and x change sign."""
    return head_pose * np.array([-1, 1, -1, -1, 1, 1], np.float32)


def is_lateral(control: Control) -> bool:
    """Whether a central control points to one side (negative is the other), so that a mirror negates it.

    Its ARKit map tells: mirrored, it is its own negative, as in ``{jawLeft = 1, jawRight = -1}``.
    """
    central = control.mirror in ("", control.name)
    turned = {arkit.mirrored(name): -weight for name, weight in control.arkit.items()}
    return central and control.minimum < 0 and bool(turned) and turned == dict(control.arkit)
