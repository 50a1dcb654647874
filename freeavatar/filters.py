"""One-Euro filtering with the true time step (Casiez et al. 2012), vectorised, and the balance used for live rig frames.

Recorded jobs are not filtered: their curves keep every blink and the user's own tool can smooth them with the future
known. Live frames are.
"""

import math
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from freeavatar.arkit import NAMES
from freeavatar.rig import Rig
from freeavatar.rotation import angles, matrix
from freeavatar.types import RigFrame, Vector

_DERIVATIVE_CUTOFF: Final = 1.0
_GAP: Final = 0.5
"""Seconds without a value after which the past says nothing about the present."""


class OneEuro:
    """Smooths slow movement, lets fast movement through.

    Args:
        cutoff: hertz at rest, a scalar or one value a channel. Higher: less smoothing, less lag.
        beta: hertz gained per unit of speed (units of the value a second), a scalar or one value a channel.
    """

    def __init__(self, cutoff: ArrayLike, beta: ArrayLike) -> None:
        self._cutoff = np.asarray(cutoff, np.float64)
        self._beta = np.asarray(beta, np.float64)
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._time: float | None = None
        self._value: NDArray[np.float64] = np.zeros(0)
        self._speed: NDArray[np.float64] = np.zeros(0)

    def __call__(self, value: ArrayLike, time: float) -> Vector:
        """The filtered value (same shape) at ``time`` in seconds.

        The first value, and one after a gap or a step back in time, passes unchanged; a repeated time keeps the last.
        """
        value = np.asarray(value, np.float64)
        step = math.inf if self._time is None else time - self._time
        if step < 0 or step > _GAP:
            self._value, self._speed = value, np.zeros_like(value)
        elif step > 0:
            speed = (value - self._value) / step
            self._speed = self._speed + _weight(_DERIVATIVE_CUTOFF, step) * (speed - self._speed)
            cutoff = self._cutoff + self._beta * np.abs(self._speed)
            self._value = self._value + _weight(cutoff, step) * (value - self._value)
        self._time = time
        return self._value.astype(np.float32)


class RigFilter:
    """The balance used live: quiet at rest, quick in movement, lids nearly untouched, head turned as a rotation."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        # A blink lasts 100 ms and must reach its end: lids get a cutoff near the camera's own rate.
        lids = np.array([control.region == "eyes" for control in rig.controls])
        self._values = OneEuro(np.where(lids, 12.0, 3.0), np.where(lids, 12.0, 5.0))
        self._arkit = OneEuro(np.where([name.startswith("eyeBlink") for name in NAMES], 12.0, 3.0), 5.0)
        self._gaze = OneEuro(3.0, 10.0)
        self._rotation = OneEuro(2.0, 12.0)
        self._position = OneEuro(1.5, 20.0)

    def __call__(self, frame: RigFrame) -> RigFrame:
        """The smoothed frame; controls computed from pose and gaze follow the smoothed pose and gaze."""
        time, rig = frame.time, self._rig
        values = rig.denormalise(self._values(rig.normalise(frame.values), time))
        gaze = self._gaze(frame.gaze, time)
        # Six numbers of the matrix, not three angles: near a half turn angles jump, rotations do not.
        rotation = self._rotation(_two_columns(frame.head_pose[:3]), time)
        head_pose = np.concatenate([_angles(rotation), self._position(frame.head_pose[3:], time)]).astype(np.float32)
        return replace(
            frame, values=rig.pose(values, head_pose, gaze), arkit=self._arkit(frame.arkit, time), gaze=gaze, head_pose=head_pose
        )


def _weight(cutoff: float | NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Share of the new value in a first-order low-pass of ``cutoff`` hertz after ``step`` seconds."""
    turn = 2 * np.pi * np.asarray(cutoff) * step
    return np.asarray(turn / (turn + 1))


def _two_columns(turn: NDArray[np.floating]) -> NDArray[np.float64]:
    """(6,) first and third column of the rotation of yaw, pitch, roll."""
    return matrix(*turn)[:, [0, 2]].T.ravel()


def _angles(columns: NDArray[np.floating]) -> tuple[float, float, float]:
    """Yaw, pitch, roll of the rotation nearest to two columns that were filtered one by one."""
    z = columns[3:] / np.linalg.norm(columns[3:])
    x = columns[:3] - z * (z @ columns[:3])
    y = np.cross(z, x / np.linalg.norm(x))
    return angles(np.stack([np.cross(y, z), y, z], axis=1))
