"""Steadiness of live rig frames: quiet at rest, quick in movement, true to the time that passed.

A One-Euro filter (Casiez et al. 2012) a channel, balanced by region. Three things are kept from smoothing: lids that blink,
lips that meet, and the gaze, which nobody sees behind closed lids. Recorded jobs are not filtered: their curves keep every
blink, and the user's own tool can smooth them with the future known.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from freeavatar import arkit
from freeavatar.quaternion import Quaternion, from_angles, from_vector, inverse, multiply, to_angles, to_vector
from freeavatar.rig import ANIMATOR, REGIONS, Rig
from freeavatar.toml_file import SettingsError, Table, read_toml
from freeavatar.types import RigFrame, Vector

_SPEED_CUTOFF: Final = 4.0
"""Hertz up to which the speed is believed."""
_GAP: Final = 0.5
"""Seconds without a value after which the past says nothing about the present."""
_LIDS_SEEN, _LIDS_SHUT = 0.3, 0.6
"""Blink weights of the less closed eye up to which the gaze is fully believed, and from which on it is held."""
_GAZE_BACK: Final = 0.15
"""Seconds after a blink until the gaze is fully believed again."""
_GAZE_DOUBTED: Final = 4.0
"""Hertz up to which a gaze that is nearly believed is followed."""
_SEAL, _SLACK = 0.03, 1.5
"""Shown lips are apart by no more than the first, plus so many times what is seen."""
_MAX_TOML: Final = 1 << 20


@dataclass(frozen=True)
class Balance:
    """Calm against lag of one channel.

    Attributes:
        cutoff: hertz at rest. Lower: calmer at rest.
        beta: hertz gained per squared speed, in units of the channel's range a second (the gaze in radians, the head in
            radians, the position in metres a second). Higher: less lag in movement.
    """

    cutoff: float
    beta: float


@dataclass(frozen=True)
class Smoothing:
    """How a face is smoothed; made by :func:`load_smoothing`.

    Attributes:
        regions: a balance for each of :data:`freeavatar.rig.REGIONS` (``head`` is its rotation) and for ``position``.
        controls: for single controls or ARKit shapes, what differs from their region: ``cutoff``, ``beta`` or both.
    """

    regions: Mapping[str, Balance]
    controls: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def balance(self, name: str, region: str) -> Balance:
        """The balance of a control or ARKit shape of a region."""
        return replace(self.regions[region], **self.controls.get(name, {}))

    def check(self, rigs: Iterable[Rig]) -> None:
        """Refuse a setting for a control that no rig has.

        Raises:
            SettingsError: there is one, or the control is computed from pose or gaze.
        """
        controls = {control.name: control for rig in rigs for control in rig.controls}
        for name in self.controls:
            computed = name in arkit.EYE_LOOK or (name in controls and controls[name].source != ANIMATOR)
            if computed:
                raise SettingsError(f"smoothing: {name} is computed from the head or the gaze; set [regions.head] or [regions.gaze]")
            if name not in controls and name not in arkit.INDEX:
                raise SettingsError(f"smoothing: no avatar has a control {name:.80}; expected a control of its rig.toml or an ARKit shape")


def _preset(**regions: tuple[float, float]) -> Smoothing:
    balances = {name: Balance(*values) for name, values in regions.items()}
    return Smoothing({name: balances.get(name, balances["mouth"]) for name in (*REGIONS, "position")})


BALANCED: Final = _preset(
    brows=(0.5, 2), eyes=(0.5, 4), gaze=(0.5, 6), cheeks=(0.3, 0.3), mouth=(0.45, 0.3), jaw=(0.5, 2), head=(1, 25), position=(1, 200)
)  # fmt: skip
PRESETS: Final[Mapping[str, Smoothing]] = {
    "responsive": _preset(
        brows=(2, 8), eyes=(3, 16), gaze=(3, 16), cheeks=(0.6, 1), mouth=(2, 8), jaw=(3, 16), head=(3, 60), position=(3, 500)
    ),
    "balanced": BALANCED,
    "smooth": _preset(
        brows=(0.3, 0.5),
        eyes=(0.3, 2),
        gaze=(0.4, 2),
        cheeks=(0.2, 0.1),
        mouth=(0.35, 0.2),
        jaw=(0.3, 0.6),
        head=(0.5, 8),
        position=(0.5, 60),
    ),
}


def load_smoothing(spec: str | Path) -> Smoothing:
    """The smoothing of a name in :data:`PRESETS`, or of a TOML file that changes one::

        preset = "balanced"
        [regions.mouth]
        cutoff = 1.5        # hertz at rest, 0.01 to 1000
        [controls.jawOpen]
        beta = 8            # hertz per squared speed, 0 to 100000

    Raises:
        SettingsError: unknown name, or a file that is missing, damaged or not understood.
    """
    if spec in PRESETS:
        return PRESETS[str(spec)]
    path = Path(spec)
    if path.suffix != ".toml":
        raise SettingsError(f"smoothing {str(spec)[:80]!r}: expected {', '.join(PRESETS)} or a file that ends in .toml")
    document = Table(str(path), read_toml(path, _MAX_TOML, f"expected {', '.join(PRESETS)} or a TOML file"))
    preset = document.text("preset", "balanced")
    if preset not in PRESETS:
        raise SettingsError(f"{path}: preset is {preset!r:.60}, expected one of {', '.join(PRESETS)}")
    base, regions, controls = PRESETS[preset], document.table("regions"), document.table("controls")
    document.end()
    if unknown := [name for name in regions.names() if name not in base.regions]:
        raise SettingsError(f"{path}: no region {unknown[0]:.60}; expected some of {', '.join(base.regions)}")
    changed = {name: replace(base.regions[name], **_changes(regions.table(name))) for name in regions.names()}
    return Smoothing({**base.regions, **changed}, {name: _changes(controls.table(name)) for name in controls.names()})


def _changes(table: Table) -> dict[str, float]:
    limits = {"cutoff": (0.01, 1000.0), "beta": (0.0, 1e5)}
    changes = {key: table.number(key, 0, *limits[key]) for key in table.names() if key in limits}
    table.end()
    return changes


class OneEuro:
    """Smooths slow movement, lets fast movement through.

    The cutoff rises with the square of the speed, so that the speed of noise, which is low, hardly opens the filter.

    Args:
        cutoff: hertz at rest, a scalar or one value a channel. Higher: less smoothing, less lag.
        beta: hertz gained per squared speed (units of the value a second), a scalar or one value a channel.
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

    def __call__(self, value: ArrayLike, time: float, limit: ArrayLike = math.inf) -> Vector:
        """The filtered value (same shape) at ``time`` in seconds.

        The first value, and one after a gap or a step back in time, passes unchanged; a repeated time keeps the last.

        Args:
            value: what is seen.
            time: seconds.
            limit: highest cutoff in hertz, a scalar or one a channel; at 0 the last value is held.
        """
        value = np.asarray(value, np.float64)
        step = _step(self._time, time)
        if step == math.inf:
            self._value, self._speed = value, np.zeros_like(value)
        elif step > 0:
            # Away from the smoothed value, not from the last one: noise that goes to and fro is no movement.
            speed = (value - self._value) / step
            self._speed = self._speed + _weight(_SPEED_CUTOFF, step) * (speed - self._speed)
            cutoff = np.minimum(self._cutoff + self._beta * self._speed**2, limit)
            self._value = self._value + _weight(cutoff, step) * (value - self._value)
        self._time = time
        return self._value.astype(np.float32)


class RotationOneEuro:
    """:class:`OneEuro` on rotations: one speed and one cutoff for the whole turn, taken the short way round.

    Args:
        balance: cutoff in hertz, beta in hertz per squared radian a second.
    """

    def __init__(self, balance: Balance) -> None:
        self._balance = balance
        self._time: float | None = None
        self._value: Quaternion = (0.0, 0.0, 0.0, 1.0)
        self._speed: NDArray[np.float64] = np.zeros(3)

    def __call__(self, value: Quaternion, time: float) -> Quaternion:
        """The filtered rotation at ``time`` in seconds; gaps, steps back and repeated times as in :class:`OneEuro`."""
        step = _step(self._time, time)
        if step == math.inf:
            self._value, self._speed = value, np.zeros(3)
        elif step > 0:
            way = np.array(to_vector(multiply(inverse(self._value), value)))
            self._speed += _weight(_SPEED_CUTOFF, step) * (way / step - self._speed)
            cutoff = self._balance.cutoff + self._balance.beta * float(self._speed @ self._speed)
            self._value = multiply(self._value, from_vector(way * _weight(cutoff, step)))
            norm = math.sqrt(sum(part * part for part in self._value))  # rounding adds up over hours
            x, y, z, w = self._value
            self._value = (x / norm, y / norm, z / norm, w / norm)
        self._time = time
        return self._value


class RigFilter:
    """Smooths the frames of one rig.

    Args:
        rig: the rig.
        smoothing: a preset, or the user's own.
    """

    def __init__(self, rig: Rig, smoothing: Smoothing = BALANCED) -> None:
        self._rig = rig
        self._values = _one_euro([smoothing.balance(control.name, control.region) for control in rig.controls])
        self._arkit = _one_euro([smoothing.balance(name, arkit.region(name)) for name in arkit.NAMES])
        self._gaze = _one_euro([smoothing.regions["gaze"]])
        self._rotation = RotationOneEuro(smoothing.regions["head"])
        self._position = _one_euro([smoothing.regions["position"]])
        self._gaze_limit = _GazeLimit()
        self._rig_lips = _LipSeal([control.arkit for control in rig.controls])
        self._arkit_lips = _LipSeal([{name: 1.0} for name in arkit.NAMES])

    def __call__(self, frame: RigFrame) -> RigFrame:
        """The smoothed frame; controls computed from pose and gaze follow the smoothed pose and gaze."""
        time, rig = frame.time, self._rig
        limit = self._gaze_limit(frame.arkit, time)
        values = self._rig_lips(rig.denormalise(self._values(rig.normalise(frame.values), time)), frame.values)
        weights = self._arkit_lips(self._arkit(frame.arkit, time, np.where(_LOOKS, limit, math.inf)), frame.arkit)
        gaze = self._gaze(frame.gaze, time, limit)
        yaw, pitch, roll, *place = frame.head_pose.tolist()
        turn = to_angles(self._rotation(from_angles(yaw, pitch, roll), time))
        head_pose = np.array([*turn, *self._position(place, time)], np.float32)
        return replace(frame, values=rig.pose(values, head_pose, gaze), arkit=weights, gaze=gaze, head_pose=head_pose)


_LOOKS: Final = np.array([name in arkit.EYE_LOOK for name in arkit.NAMES])
_BLINKS: Final = [arkit.INDEX["eyeBlinkLeft"], arkit.INDEX["eyeBlinkRight"]]


class _GazeLimit:
    """How fast the gaze is followed: not at all while both eyes are shut, freely only a moment after."""

    def __init__(self) -> None:
        self._time: float | None = None
        self._trust = 1.0

    def __call__(self, weights: Vector, time: float) -> float:
        """Hertz, from the ARKit read-out (52,) at ``time`` in seconds."""
        closed = float(weights[_BLINKS].min())
        seen = min(max((_LIDS_SHUT - closed) / (_LIDS_SHUT - _LIDS_SEEN), 0.0), 1.0)
        self._trust = min(seen, self._trust + _step(self._time, time) / _GAZE_BACK)
        self._time = time
        return _GAZE_DOUBTED * self._trust if self._trust < 1 else math.inf


class _LipSeal:
    """Lips that are seen to meet meet: what smoothing leaves between them beyond a bound is taken back.

    Args:
        maps: of each channel, the ARKit shapes behind it with their weights.
    """

    def __init__(self, maps: Sequence[Mapping[str, float]]) -> None:
        # What opens the jaw parts the lips, what closes the mouth over it joins them.
        self._parts = np.array([min(max(m.get("jawOpen", 0.0) - m.get("mouthClose", 0.0), -1.0), 1.0) for m in maps], np.float32)

    def __call__(self, smooth: Vector, seen: Vector) -> Vector:
        """(N,) the smoothed values, with those of jaw and lips nearer to what is seen where its gap is much smaller."""
        shown, gap = float(self._parts @ smooth), float(self._parts @ seen)
        limit = _SEAL + _SLACK * max(gap, 0.0)
        if shown <= limit:
            return smooth
        share = (shown - limit) / (shown - gap)
        return np.where(self._parts != 0, smooth + share * (seen - smooth), smooth).astype(np.float32)


def _one_euro(balances: Sequence[Balance]) -> OneEuro:
    return OneEuro([b.cutoff for b in balances], [b.beta for b in balances])


def _step(last: float | None, time: float) -> float:
    """Seconds since the last time; infinite where there is none, after a gap and after a step back."""
    step = math.inf if last is None else time - last
    return step if 0 <= step <= _GAP else math.inf


def _weight(cutoff: float | NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Share of the new value in a first-order low-pass of ``cutoff`` hertz after ``step`` seconds."""
    turn = 2 * np.pi * np.asarray(cutoff) * step
    return np.asarray(turn / (turn + 1))
