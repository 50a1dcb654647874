"""Reads every frame of a clip, but searches the face in few of them.

The encoder says how far a crop lies from the ideal one, where the head turns, and whether it sees a face at all. So the
next crop follows from the last, and MediaPipe, which costs several times as much as the encoder, only finds the face,
looks after it from time to time, and recovers it.
"""

import math
from dataclasses import replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from freeavatar.encoder import Encoder
from freeavatar.face import alignment
from freeavatar.face.pose import pose_in_frame
from freeavatar.rotation import angles, matrix
from freeavatar.stopwatch import Stopwatch
from freeavatar.types import Expression, FaceCrop, Frame, Vector

EVERY: Final = 1.0
"""Seconds after which MediaPipe looks after the face."""
SURE: Final = 0.8
"""Confidence that a followed crop needs; a crop that missed the face has next to none."""
NEAR: Final = (0.05, 0.05, 0.1, 0.12)
"""dx, dy, log scale and roll up to which a crop is read as it is; a crop further off is cut and read again."""
FAR: Final = (0.12, 0.12, 0.25, 0.4)
"""The same beyond which the estimate itself is not trusted, and MediaPipe is asked."""
STILL: Final = 0.2
"""Share of NEAR up to which the next crop stays where this one is: a crop that trembles with the estimate makes features tremble."""
LEARNT: Final = 0.25
"""Share of what MediaPipe's look at the face changes in the encoder's own ideas of place and pose."""
_EASE: Final = 1.0
"""Seconds in which such a change of the head's pose is made, so that nothing jumps."""


class Tracker(Protocol):
    """Finds the face in a frame."""

    def track(self, frame: Frame) -> FaceCrop | None: ...


class Follower:
    """Frames of one clip in, the face's expression out.

    Args:
        tracker: finds the face.
        encoder: reads crops.
        watch: gets the times of ``face`` (search, crop) and ``encoder``.
        every: seconds after which the tracker looks after the face; 0 lets it look at every frame.

    Attributes:
        watch: where the times go.
    """

    def __init__(self, tracker: Tracker, encoder: Encoder, watch: Stopwatch | None = None, every: float = EVERY) -> None:
        self._tracker, self._encoder, self._every = tracker, encoder, every
        self.watch = watch or Stopwatch()
        self._matrix: NDArray[np.float64] | None = None  # frame pixels to the pixels of the next crop
        self._seen = -math.inf  # when the tracker last saw the face
        self._time = -math.inf
        self._bias = np.zeros(4)  # what the encoder says of a crop that is ideal
        self._offset: NDArray[np.float64] | None = None  # yaw, pitch, roll, x, y, z: from the encoder's head pose to the tracker's
        self._wanted = np.zeros(6)  # where that offset is on its way to

    def __call__(self, frame: Frame) -> Expression | None:
        """The expression in a frame, or None where there is no face; frames come in the order of time."""
        fresh = 0 <= frame.time - self._seen < self._every
        joins = self._matrix is not None and self._time <= frame.time <= self._time + self._every / 2
        step, self._time = frame.time - self._time, frame.time
        if self._offset is not None:
            self._offset = self._offset + (1 - math.exp(-max(step, 0.0) / _EASE)) * (self._wanted - self._offset)
        found = self._followed(frame) if joins else None
        return found if found and fresh else self._searched(frame, found)

    def _searched(self, frame: Frame, found: Expression | None) -> Expression | None:
        """The expression where the tracker sees the face, or what was found by following if that is near there."""
        with self.watch.measure("face"):
            crop = self._tracker.track(frame)
        if crop is None:
            self._matrix, self._seen = None, -math.inf
            return None
        with self.watch.measure("encoder"):
            expression = self._encoder.encode([crop])[0]
        if not self._every:
            return expression
        known = self._matrix is not None and self._offset is not None
        share = LEARNT if known else 1.0
        self._bias += share * (np.clip(expression.align, -np.array(NEAR), NEAR) - self._bias)
        own = self._pose(expression, crop.matrix, frame)
        apart = np.array([*angles(matrix(*crop.head_pose[:3]) @ matrix(*own[:3]).T), *(crop.head_pose[3:] - own[3:])])
        self._wanted = self._wanted + share * (apart - self._wanted)
        if not known:
            self._offset = self._wanted
        self._seen = frame.time
        ideal = np.asarray(crop.matrix, np.float64)
        if found and self._matrix is not None and (np.abs(_apart(self._matrix, ideal, self._encoder.size)) <= NEAR).all():
            return found  # the crop stays: a small jump once a second would show
        self._matrix = ideal
        return self._turned(expression, own)

    def _followed(self, frame: Frame) -> Expression | None:
        """The expression in the crop that follows from the last one, or None if it is not to be trusted."""
        assert self._matrix is not None
        for _ in range(2):
            with self.watch.measure("face"):
                image = alignment.warp(frame.image, self._matrix, self._encoder.size)
            used = self._matrix.astype(np.float32)
            crop = FaceCrop(image, used, None, np.zeros(6, np.float32), frame.time, frame.index)
            with self.watch.measure("encoder"):
                expression = self._encoder.encode([crop])[0]
            off = expression.align - self._bias
            if expression.confidence < SURE or (np.abs(off) > FAR).any():
                return None
            share = float((np.abs(off) / NEAR).max())
            if share > STILL:
                back = alignment.displacement(off, self._encoder.size)
                self._matrix = _product(alignment.inverse(back).astype(np.float64), self._matrix)
            if share <= 1:
                break
        return self._turned(expression, self._pose(expression, used, frame))

    def _turned(self, expression: Expression, own: Vector) -> Expression:
        """The expression with the encoder's own head pose, moved to where the tracker sees the head.

        The encoder's, in every frame: the tracker's, seen once a second, differs by a few degrees and would make the head jump.
        """
        assert self._offset is not None
        turn = angles(matrix(*self._offset[:3]) @ matrix(*own[:3]))
        return replace(expression, head_pose=np.array([*turn, *(own[3:] + self._offset[3:])], np.float32))

    def _pose(self, expression: Expression, crop: Vector, frame: Frame) -> Vector:
        assert expression.crop_pose is not None
        height, width = frame.image.shape[:2]
        return pose_in_frame(expression.crop_pose, crop, self._encoder.size, width, height)


def _product(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 3) first ``b``, then ``a``."""
    return np.column_stack([a[:, :2] @ b[:, :2], a[:, :2] @ b[:, 2] + a[:, 2]])


def _apart(used: NDArray[np.float64], ideal: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """(4,) dx, dy, log scale, roll of one crop from another, as :func:`freeavatar.face.alignment.displacement` has them."""
    whole = _product(used, alignment.inverse(ideal).astype(np.float64))
    middle = np.full(2, (size - 1) / 2)
    shift = (whole[:, :2] @ middle + whole[:, 2] - middle) / size
    return np.array([*shift, math.log(math.hypot(whole[0, 0], whole[1, 0])), math.atan2(whole[1, 0], whole[0, 0])])
