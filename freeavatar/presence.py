"""What a rig shows while no face is found: the last values for a moment, then a slow way to neutral; and the way back."""

from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from freeavatar.arkit import NAMES
from freeavatar.errors import SourceError
from freeavatar.rig import Rig
from freeavatar.types import RigFrame, Tracking, Vector

HOLD: Final = 0.5
"""Seconds for which the last values are held."""
EASE: Final = 1.0
"""Seconds of the way to neutral after that."""
RETURN: Final = 0.2
"""Seconds of the way back, live, once the face is found again."""


@dataclass(frozen=True)
class Loss:
    """How a rig behaves when the face is lost, in seconds, each 0 or more.

    Attributes:
        hold: the last values are held.
        ease: they ease to neutral after that.
        back: when the face returns, the values come back over this time, or over the time of the loss if that was shorter.

    Raises:
        SourceError: a time is below 0 or no number.
    """

    hold: float = HOLD
    ease: float = EASE
    back: float = RETURN

    def __post_init__(self) -> None:
        for name, seconds in (("hold", self.hold), ("ease", self.ease), ("back", self.back)):
            if not 0 <= seconds < float("inf"):
                raise SourceError(f"{name}: {seconds:g} s is no time to do that in; expected 0 or more seconds")


RECORDED: Final = Loss(back=0.0)
"""For recordings: a returning face counts from its first frame on."""


class Stamped(Protocol):
    """Anything with a time in seconds and an index."""

    @property
    def time(self) -> float: ...
    @property
    def index(self) -> int: ...


class Presence:
    """Gives every frame a row, with or without a face.

    Args:
        rig: the rig whose rows they are.
        still: the frames have nothing to do with each other, so nothing is held.
        loss: the times of holding, easing and coming back.
    """

    def __init__(self, rig: Rig, still: bool = False, loss: Loss = RECORDED) -> None:
        self._rig = rig
        self._still = still
        self._loss = loss
        self._shown: RigFrame | None = None
        """The row before this one."""
        self._held: RigFrame | None = None
        """The last row of a face: what is held, at the time of the loss."""
        self._easing = 0.0
        """Time at which the way to neutral starts."""
        self._return: tuple[RigFrame, float] | None = None
        """What was shown before the face came back, and the seconds that the way back takes."""

    def __call__(self, tracked: RigFrame | None, frame: Stamped) -> RigFrame:
        """The frame's row: tracked, or held, easing or neutral values when ``tracked`` is None.

        Neutral is every control at rest with the head upright, straight ahead where it was seen last.
        """
        before, found = self._shown, self._shown is not None and self._shown.tracking is Tracking.TRACKED
        if before is not None and tracked is not None and not found:
            self._return = self._way_back(before, tracked)
        if before is not None and tracked is None and found:
            # Pictures may have been missing for long: the way to neutral still starts here, not within it.
            self._held, self._easing = before, max(before.time + self._loss.hold, frame.time)
        row = self._leave(frame) if tracked is None else self._arrive(tracked)
        self._shown = None if self._still else row
        return row

    def _way_back(self, before: RigFrame, tracked: RigFrame) -> tuple[RigFrame, float]:
        if self._held is not None:
            return before, min(self._loss.back, before.time - self._held.time)
        pose = np.concatenate([before.head_pose[:3], tracked.head_pose[3:]])  # a head that was never seen was nowhere
        return replace(before, head_pose=pose), self._loss.back

    def _arrive(self, tracked: RigFrame) -> RigFrame:
        if self._return is not None:
            start, length = self._return
            if 0 <= tracked.time - start.time < length:
                return _between(start, tracked, (tracked.time - start.time) / length)
            self._return = None
        return tracked

    def _leave(self, frame: Stamped) -> RigFrame:
        rest, held = self._rest(frame), self._held
        if held is None:
            return rest
        past = frame.time - self._easing
        amount = min(max(past / self._loss.ease, 0.0), 1.0) if self._loss.ease > 0 else float(past >= 0)
        state = Tracking.HELD if amount == 0 else Tracking.EASING if amount < 1 else Tracking.NEUTRAL
        upright = np.concatenate([rest.head_pose[:3], held.head_pose[3:]])
        return replace(_between(held, replace(rest, head_pose=upright), amount), tracking=state)

    def _rest(self, frame: Stamped) -> RigFrame:
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


def _between(start: RigFrame, end: RigFrame, amount: float) -> RigFrame:
    """``end``, with values that are a part of the way from those of ``start``."""
    amount = amount * amount * (3 - 2 * amount)  # starts and ends without a jerk

    def mix(a: Vector, b: Vector) -> Vector:
        return (a + amount * (b - a)).astype(np.float32)

    return replace(
        end,
        values=mix(start.values, end.values),
        arkit=mix(start.arkit, end.arkit),
        head_pose=mix(start.head_pose, end.head_pose),
        gaze=mix(start.gaze, end.gaze),
    )
