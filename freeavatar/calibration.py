"""Calibration to one person: the face at rest becomes the avatar's rest, and what the person can do becomes all it can do."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freeavatar import arkit
from freeavatar.animator import Animator
from freeavatar.errors import FreeAvatarError
from freeavatar.profiles import Adjustment, Adjustments, Neutral, Profile
from freeavatar.quaternion import from_angles, inverse, mean, multiply, to_angles, to_vector
from freeavatar.rig import ANIMATOR, Rig
from freeavatar.toml_file import SettingsError
from freeavatar.types import Expression, RigFrame, Vector

_FEWEST: Final = 8
"""Frames that a neutral needs."""
_BLINK: Final = 0.2
"""Frames whose lids are closed by so much more than usual are blinks, and left out."""
_MOST_REST: Final = 0.6
"""Share of a control's way that a resting face may take up; more would leave too little to move in."""
_MOST_GAZE: Final = 0.35
"""Radians that a resting gaze may be off."""
_MOVED: Final = 0.3
"""Share of its way that a control must go for its range to be believed; less may be what others leak into it. Brows and lips that
are drawn to the utmost are read at little more."""
_SUSTAINED: Final = 3
"""Frames in which a control is seen as far out: one frame may be a mistake."""
_WINK: Final = (0.25, 0.5)
"""Difference of the lids, in shares of their way, from which and up to which a wink keeps its sides apart."""
_DIRECTIONS: Final = tuple(name for pair in arkit.DIRECTIONS for name in pair)
"""Shapes whose left and right are directions, not sides: their mean would stand still."""
_EYES: Final = [arkit.INDEX["eyeBlinkLeft"], arkit.INDEX["eyeBlinkRight"]]
_FACE: Final = [i for i, name in enumerate(arkit.NAMES) if name not in arkit.EYE_LOOK]


class CalibrationError(FreeAvatarError):
    """What was seen does not do for a calibration; the message says why."""


def measure_neutral(samples: Sequence[Expression | None], encoder_sha256: str) -> Neutral:
    """The mean of a person's face at rest.

    Blinks are left out.

    Args:
        samples: what was read, frame by frame; None where no face was found.
        encoder_sha256: the encoder that read it.

    Raises:
        CalibrationError: no face, lost too often, hard to read, turned away, looking aside, moving, eyes closed or mouth open.
    """
    faces = [sample for sample in samples if sample is not None]
    if not faces:
        raise CalibrationError("neutral refused: no face was seen; sit before the camera, in the light, and try again")
    if len(faces) < max(_FEWEST, 0.8 * len(samples)):
        raise CalibrationError(
            f"neutral refused: the face was seen in only {len(faces)} of {len(samples)} frames, expected at least {_FEWEST} "
            "and four in five; stay in the picture, and try again"
        )
    closed = np.array([face.arkit[_EYES].mean() for face in faces])
    still = [face for face, lids in zip(faces, closed, strict=True) if lids <= np.median(closed) + _BLINK]
    shapes, places = np.stack([f.arkit for f in still]), np.stack([f.head_pose[3:] for f in still])
    turns = [from_angles(*f.head_pose[:3].tolist()) for f in still]
    turn, rest, gaze = mean(turns), shapes.mean(0), np.mean([f.gaze for f in still], axis=0)
    sway = max(float(np.linalg.norm(to_vector(multiply(inverse(turn), other)))) for other in turns)
    yaw, pitch, roll = to_angles(turn)
    weight = dict(zip(arkit.NAMES, rest.tolist(), strict=True))
    reasons = {
        "the face is hard to read; more light, and nothing before it": np.median([f.confidence for f in faces]) < 0.5,
        "the head is turned away; face the screen": abs(yaw) > 0.35 or abs(pitch) > 0.45 or abs(roll) > 0.3,
        "the eyes are closed; open them": float(np.median(closed)) > 0.6,
        "the eyes look aside; look at the screen": np.abs(gaze).max() > 0.4,
        "the mouth is open; close it": weight["jawOpen"] - weight["mouthClose"] > 0.3,
        "the head moves too much; hold it still": sway > 0.1 or float(np.ptp(places, axis=0).max()) > 0.06,
        "the face moves too much; hold it at rest": float(shapes[:, _FACE].std(0).max()) > 0.12,
    }
    if found := [reason for reason, bad in reasons.items() if bad]:
        raise CalibrationError(f"neutral refused: {found[0]}, and try again")
    return Neutral(
        encoder_sha256=encoder_sha256,
        feature=np.mean([f.feature for f in still], axis=0, dtype=np.float32),
        arkit=rest,
        gaze=gaze.astype(np.float32),
        head_pose=np.array([yaw, pitch, roll, *places.mean(0)], np.float32),
    )


def measure_range(rows: Sequence[Vector], names: Sequence[str], maximum: Vector) -> dict[str, float]:
    """The gain with which each control that moved reaches its end.

    Args:
        rows: values (N,), frame by frame, neutral already taken off, not adjusted.
        names: their names.
        maximum: (N,) where the controls end.

    Returns:
        Gains of 1 to 3.3 by name, without the controls that hardly moved or that reach their end anyway.
    """
    if len(rows) < _SUSTAINED:
        return {}
    reached = np.sort(np.stack(rows), axis=0)[-_SUSTAINED] / np.where(maximum > 0, maximum, np.inf)
    gains = {name: round(1 / float(share), 3) for name, share in zip(names, reached, strict=True) if share > _MOVED}
    return {name: gain for name, gain in gains.items() if gain > 1}


def with_gains(adjustments: Adjustments, gains: Mapping[str, float]) -> dict[str, Adjustment]:
    """The adjustments with new gains, all else as it was."""
    return {**adjustments, **{name: replace(adjustments.get(name, Adjustment()), gain=gain) for name, gain in gains.items()}}


class Calibrator:
    """Corrects the frames of one rig for one person.

    The animator drives the neutral feature as it drives any other; what it makes of it is taken off, so that a neutral
    suits every avatar.

    Args:
        rig: the rig.
        animator: what drives it.
        profile: the person's; an empty one changes nothing.

    Raises:
        SettingsError: the profile does not suit the rig or the animator.
    """

    def __init__(self, rig: Rig, animator: Animator, profile: Profile) -> None:
        self._rig, self._empty = rig, profile.empty
        neutral = profile.neutral
        rest, weights = rig.neutral(), np.zeros(len(arkit.NAMES), np.float32)
        self._turn, self._place, self._gaze = from_angles(0, 0, 0), np.zeros(3, np.float32), np.zeros(2, np.float32)
        if neutral is not None:
            if neutral.feature.shape != (animator.feature_size,):
                found = len(neutral.feature)
                raise SettingsError(f"profile {profile.user}: [neutral] feature has {found} numbers, expected {animator.feature_size}")
            rest, weights = animator.animate(_as_expression(neutral), rig).values, neutral.arkit
            self._turn = inverse(from_angles(*neutral.head_pose[:3].tolist()))
            # Across the picture from the resting place; the distance stays that from the camera.
            self._place = neutral.head_pose[3:] * np.array([1, 1, 0], np.float32)
            self._gaze = neutral.gaze.clip(-_MOST_GAZE, _MOST_GAZE)
        where = f"profile {profile.user}: [avatars.{rig.name}]"
        own = profile.avatars.get(rig.name, {})
        for name in own:
            if name not in rig.names or rig.controls[rig.names.index(name)].source != ANIMATOR:
                raise SettingsError(f"{where} names {name:.80}, which is no control of it that can be adjusted")
        self._values = _Correction(
            rest, rig.minimum, rig.maximum, [own.get(name, Adjustment()) for name in rig.names],
            partner=[rig.names.index(control.mirror or control.name) for control in rig.controls],
            amount=[profile.symmetry * _has_sides(control.arkit) for control in rig.controls],
            lids=[control.region == "eyes" for control in rig.controls],
        )  # fmt: skip
        self._arkit = _Correction(
            weights, np.zeros_like(weights), np.ones_like(weights), [profile.arkit.get(name, Adjustment()) for name in arkit.NAMES],
            partner=arkit.MIRROR,
            amount=[profile.symmetry * (name in _SIDED) for name in arkit.NAMES],
            lids=[arkit.region(name) == "eyes" for name in arkit.NAMES],
        )  # fmt: skip

    def __call__(self, row: RigFrame) -> RigFrame:
        """The corrected frame; controls computed from pose and gaze follow the corrected pose and gaze."""
        if self._empty:
            return row
        turn = to_angles(multiply(self._turn, from_angles(*row.head_pose[:3].tolist())))
        head_pose = np.array([*turn, *(row.head_pose[3:] - self._place)], np.float32)
        gaze = (row.gaze - self._gaze).astype(np.float32)
        values = self._rig.pose(self._values(row.values), head_pose, gaze)
        return replace(row, values=values, arkit=self._arkit(row.arkit), head_pose=head_pose, gaze=gaze)


class _Correction:
    """Takes the rest off a vector of controls, adjusts each, and draws left and right together.

    Args:
        rest: (N,) values of the face at rest.
        minimum, maximum: (N,) ranges around 0.
        adjustments: N of them.
        partner: index of each control's mirror partner, its own where it has none.
        amount: 0..1 for each, how far it goes to the mean of the two.
        lids: whether each is of the eyes, where winks stay.
    """

    def __init__(
        self, rest: Vector, minimum: Vector, maximum: Vector, adjustments: Sequence[Adjustment],
        partner: Sequence[int], amount: Sequence[float], lids: Sequence[bool],
    ) -> None:  # fmt: skip
        self._rest = rest.clip(_MOST_REST * minimum, _MOST_REST * maximum)
        # Both ends stay where they are: a blink that closed the eyes still does.
        self._up = np.divide(maximum, maximum - self._rest, out=np.zeros_like(maximum), where=maximum > 0)
        self._down = np.divide(minimum, minimum - self._rest, out=np.zeros_like(minimum), where=minimum < 0)
        self._minimum, self._maximum = minimum, maximum
        self._gain = np.array([a.gain for a in adjustments], np.float32)
        self._offset = np.array([a.offset for a in adjustments], np.float32)
        self._curves = [(i, a.curve) for i, a in enumerate(adjustments) if a.curve != 1.0]
        ranges = [a.range or (low, high) for a, low, high in zip(adjustments, minimum, maximum, strict=True)]
        self._low, self._high = np.array(ranges, np.float32).T.clip(minimum, maximum)
        self._partner, self._amount = list(partner), np.array(amount, np.float32)
        self._lids = np.array(lids)

    def __call__(self, values: Vector) -> Vector:
        """(N,) corrected values."""
        moved = values - self._rest
        moved = np.where(moved > 0, moved * self._up, moved * self._down)
        moved = (moved * self._gain + self._offset).clip(self._minimum, self._maximum)
        for i, curve in self._curves:
            end = self._maximum[i] if moved[i] > 0 else self._minimum[i]
            if end:
                moved[i] = end * _bend(float(moved[i] / end), curve)
        apart = moved[self._partner] - moved
        low, high = _WINK
        wink = np.where(self._lids, (np.abs(apart) / (self._maximum - self._minimum) - low) / (high - low), 0).clip(0, 1)
        moved = moved + self._amount * (1 - wink) / 2 * apart
        return np.asarray(moved.clip(self._low, self._high), np.float32)


def _bend(share: float, curve: float | tuple[tuple[float, float], ...]) -> float:
    if isinstance(curve, tuple):
        points: NDArray[np.float64] = np.array(curve)
        return float(np.interp(share, points[:, 0], points[:, 1]))
    return float(share**curve)


def _has_sides(shapes: Mapping[str, float]) -> bool:
    return not any(name in _DIRECTIONS for name in shapes)


_SIDED: Final = [name for name in arkit.NAMES if name not in _DIRECTIONS and name not in arkit.EYE_LOOK]


def _as_expression(neutral: Neutral) -> Expression:
    return Expression(
        feature=neutral.feature, embedding=np.zeros(0, np.float32), arkit=neutral.arkit, gaze=neutral.gaze,
        head_pose=neutral.head_pose, confidence=1.0, align=np.zeros(4, np.float32), time=0.0, index=0,
    )  # fmt: skip
