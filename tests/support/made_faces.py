"""Faces as an encoder would read them, and avatars that they move, made up by tests of calibration."""

import numpy as np

from freeavatar.animator import Animator
from freeavatar.arkit import INDEX
from freeavatar.calibration import Calibrator
from freeavatar.profiles import Adjustment, Profile
from freeavatar.rig import Rig
from freeavatar.types import Expression, RigFrame

SHA = "ab" * 32
"""The encoder that they are read by."""


def face(i: int = 0, pose: tuple[float, ...] = (0, 0, 0, 0, 0, -0.5), gaze: tuple[float, float] = (0, 0), confidence: float = 1.0,
         feature: float = 0.2, **weights: float) -> Expression:  # fmt: skip
    shapes = np.zeros(52, np.float32)
    for name, weight in weights.items():
        shapes[INDEX[name]] = weight
    return Expression(np.full(8, feature, np.float32), np.zeros(4, np.float32), shapes, np.array(gaze, np.float32),
                      np.array(pose, np.float32), confidence, np.zeros(4, np.float32), i / 30, i)  # fmt: skip


def row(rig: Rig, values: dict[str, float] | None = None, expression: Expression | None = None) -> RigFrame:
    expression = expression or face()
    numbers = rig.neutral()
    for name, value in (values or {}).items():
        numbers[rig.names.index(name)] = value
    return RigFrame(rig.name, rig.names, rig.pose(numbers, expression.head_pose, expression.gaze), expression.arkit,
                    expression.head_pose, expression.gaze, 1.0, 0.0, 0)  # fmt: skip


def adjusted(rig: Rig, animator: Animator, **controls: Adjustment) -> Calibrator:
    return Calibrator(rig, animator, Profile(avatars={rig.name: controls}))
