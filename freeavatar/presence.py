"""What a rig shows while no face is found: the last values for a moment, then a slow way to neutral."""

from dataclasses import replace
from typing import Final

import numpy as np

from freeavatar.arkit import NAMES
from freeavatar.rig import Rig
from freeavatar.types import Frame, RigFrame, Tracking, Vector

HOLD: Final = 0.5
"""Seconds for which the last values are held."""
EASE: Final = 1.0
"""Seconds of the way to neutral after that."""


class Presence:
    """Gives every frame a row, with or without a face.

    Args:
        rig: the rig whose rows they are.
        still: the frames have nothing to do with each other, so nothing is held.
    """

    def __init__(self, rig: Rig, still: bool = False) -> None:
        self._rig = rig
        self._still = still
        self._last: RigFrame | None = None

    def __call__(self, tracked: RigFrame | None, frame: Frame) -> RigFrame:
        """The frame's row: ``tracked`` itself, or held, easing or neutral values when it is None.

        Neutral is every control at rest with the head upright, straight ahead where it was seen last.
        """
        if tracked is not None:
            self._last = None if self._still else tracked
            return tracked
        last = self._last or self._rest(frame)
        lost = frame.time - last.time
        amount = float(np.clip((lost - HOLD) / EASE, 0, 1)) if self._last else 1.0
        amount = amount * amount * (3 - 2 * amount)  # starts and ends without a jerk
        state = Tracking.HELD if amount == 0 else Tracking.EASING if amount < 1 else Tracking.NEUTRAL

        def ease(value: Vector, rest: Vector) -> Vector:
            return (value + amount * (rest - value)).astype(np.float32)

        rest = self._rest(frame)
        upright = np.concatenate([rest.head_pose[:3], last.head_pose[3:]])
        return replace(
            last,
            values=ease(last.values, rest.values),
            arkit=ease(last.arkit, rest.arkit),
            head_pose=ease(last.head_pose, upright),
            gaze=ease(last.gaze, rest.gaze),
            confidence=0.0,
            time=frame.time,
            index=frame.index,
            tracking=state,
        )

    def _rest(self, frame: Frame) -> RigFrame:
        return RigFrame(
            rig=self._rig.name,
            names=self._rig.names,
            values=self._rig.neutral(),
            arkit=np.zeros(len(NAMES), np.float32),
            head_pose=np.zeros(6, np.float32),
            gaze=np.zeros(2, np.float32),
            confidence=0.0,
            time=frame.time,
            index=frame.index,
            tracking=Tracking.NEUTRAL,
        )
