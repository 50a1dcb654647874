"""How well avatars are driven: the figures as pure functions of arrays, and what gives them their arrays.

Three ways to the same controls are compared: the animator; the encoder's ARKit read-out through the rig's own map; and
MediaPipe's blendshape scores taken as ARKit weights, through the same map.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from freeavatar import arkit
from freeavatar.animator import Animator
from freeavatar.calibration import Calibrator
from freeavatar.profiles import Neutral, Profile
from freeavatar.rig import Rig
from freeavatar.train import controls
from freeavatar.types import Expression

from . import metrics
from .metrics import Array

ACTIVE: Final = 0.05
"""Share of its range from which on a control is away from its rest."""
VARIED: Final = 0.05
"""Deviation of the truth, as a share of the range, from which a correlation is worth asking for."""
WAYS: Final = ("animator", "read-out", "MediaPipe")
LIDS: Final = (0.8, 0.4, 0.6)
"""Blink from which an eye is closed in truth, below which it is open, and from which a control counts as closed."""
LIPS: Final = (0.05, 0.15, 0.1)
"""Jaw opening less what the lips close of it: up to which lips meet in truth, above which they part, and the same for controls."""
_WINK: Final = ("eyeBlinkLeft", "eyeBlinkRight")


@dataclass(frozen=True)
class Faces:
    """N pictures of people with the truth, and what was read of them; pictures without a face are left out.

    Attributes:
        feature: (N, F); ``read`` (N, 52) the ARKit read-out.
        peer: (N, 52) MediaPipe's scores.
        arkit, mask: (N, 52) truth, and 1 where it is known.
        person: (N,) names.
        calm: (N,) bool, faces at rest.
    """

    feature: Array
    read: Array
    peer: Array
    arkit: Array
    mask: Array
    person: NDArray[Any]
    calm: NDArray[np.bool_]

    def __getitem__(self, rows: NDArray[Any]) -> "Faces":
        return Faces(**{name: value[rows] for name, value in vars(self).items()})


def faces(*sets: Mapping[str, NDArray[Any]]) -> Faces:
    """The pictures of some of the benchmark's sets (:mod:`.pictures`) on which a face was found."""
    keys = {"feature": "our_feature", "read": "our_arkit", "peer": "peer", "arkit": "arkit", "mask": "mask", "person": "person"}
    joined = {name: np.concatenate([rows[key] for rows in sets]) for name, key in keys.items()}
    calm = np.concatenate([rows["place"][:, 0] == 1 for rows in sets])
    seen = metrics.found(joined["peer"]) & metrics.found(joined["feature"])
    return Faces(**joined, calm=calm)[seen]


def expressions(people: Faces) -> Iterator[Expression]:
    """What the encoder read, as the animator takes it."""
    none, pose = np.zeros(2, np.float32), np.zeros(6, np.float32)
    for feature, read in zip(people.feature, people.read, strict=True):
        yield Expression(feature.astype(np.float32), none, read.astype(np.float32), none, pose, 1.0, np.zeros(4, np.float32), 0.0, 0)


def columns(rig: Rig) -> list[int]:
    """Indices of the controls that the animator drives and whose truth ARKit weights can tell."""
    return [i for i in rig.driven if rig.controls[i].arkit]


def driven(people: Faces, rig: Rig, animator: Animator) -> dict[str, Array]:
    """(N, K) normalised controls by way."""
    ours = np.stack([animator.animate(expression, rig).values for expression in expressions(people)])
    values = dict(zip(WAYS, (ours, rig.from_arkit(people.read), rig.from_arkit(people.peer)), strict=True))
    return {way: np.asarray(rig.normalise(value)[:, columns(rig)], np.float64) for way, value in values.items()}


def calibrated(people: Faces, rig: Rig, animator: Animator, sha256: str) -> dict[str, Array]:
    """(N, K) normalised controls by way, fitted to each person by pictures at rest.

    Ours as ``live`` does it; from the others the person's mean at rest is taken off.
    """
    n, own = len(people.person), columns(rig)
    values = {way: np.zeros((n, len(own))) for way in WAYS}
    for person in np.unique(people.person):
        rows = np.flatnonzero(people.person == person)
        one, calm = people[rows], people[rows[people.calm[rows]]]
        zeros = np.zeros(2, np.float32), np.zeros(6, np.float32)
        rest = Neutral(sha256, calm.feature.mean(0).astype(np.float32), calm.read.mean(0).astype(np.float32), *zeros)
        correct = Calibrator(rig, animator, Profile(neutral=rest))
        ours = np.stack([correct(animator.animate(expression, rig)).values for expression in expressions(one)])
        others = [(a - b.mean(0)).clip(0, 1) for a, b in ((one.read, calm.read), (one.peer, calm.peer))]
        for way, value in zip(WAYS, (ours, *(rig.from_arkit(other) for other in others)), strict=True):
            values[way][rows] = rig.normalise(value)[:, own]
    return values


@dataclass(frozen=True)
class Truth:
    """What K controls should be on N pictures.

    Attributes:
        values: (N, K) normalised.
        known: (N, K) where they are known.
        rest: (K,) the controls at rest.
    """

    values: Array
    known: NDArray[np.bool_]
    rest: Array

    def __getitem__(self, rows: NDArray[Any]) -> "Truth":
        return Truth(self.values[rows], self.known[rows], self.rest)


def wanted(people: Faces, rig: Rig) -> Truth:
    """The truth of a rig's :func:`columns`, as the animator learns it."""
    own = columns(rig)
    values, known = (table.numpy()[:, np.isin(rig.driven, own)] for table in controls.truth(rig, people.arkit, people.mask))
    return Truth(values.astype(np.float64), known, rig.normalise(rig.neutral())[own].astype(np.float64))


def figures(values: Array, truth: Truth) -> dict[str, float]:
    """Errors of normalised controls (N, K).

    Returns:
        ``active``: mean absolute error where the truth is away from rest; ``rest``: the same where it is not;
        ``correlation``: mean over the controls whose truth varies.
    """
    real, known = truth.values, truth.known
    error, active = np.abs(values - real), known & (np.abs(real - truth.rest) > ACTIVE)
    varied = [i for i in range(real.shape[1]) if known[:, i].sum() > 2 and real[known[:, i], i].std() > VARIED]
    each = [metrics.correlation(values[known[:, i], i], real[known[:, i], i]) or 0.0 for i in varied]
    return {"active": float(error[active].mean()), "rest": float(error[known & ~active].mean()), "correlation": float(np.mean(each))}


def f1(guess: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float | None:
    """Harmonic mean of precision and recall (van Rijsbergen 1979); None where nothing is true."""
    return float(2 * (guess & truth).sum() / (guess.sum() + truth.sum())) if truth.any() else None


def closures(weights: Array, truth: Array, mask: Array) -> dict[str, float | None]:
    """F1 of closed eyes (both, left alone, right alone) and of lips that meet, from ARKit weights (N, 52); doubtful truth is left out."""

    def of(table: Array, names: Sequence[str]) -> Array:
        return np.asarray(table[:, [arkit.INDEX[name] for name in names]])

    shut, part, line = LIDS
    lids, real = of(weights, _WINK) > line, of(truth, _WINK)
    plain = ((real > shut) | (real < part)).all(1) & of(mask, _WINK).all(1)
    result = {
        name: f1((lids == state)[plain].all(1), ((real > shut) == state)[plain].all(1))
        for name, state in (("both eyes", (True, True)), ("left alone", (True, False)), ("right alone", (False, True)))
    }
    meet, apart, line = LIPS
    gap, guess = (of(table, ("jawOpen",))[:, 0] - of(table, ("mouthClose",))[:, 0] for table in (truth, weights))
    plain = ((gap < meet) | (gap > apart)) & of(mask, ("jawOpen",)).all(1)
    return result | {"lips meet": f1((guess < line)[plain], (gap < meet)[plain])}


def as_arkit(values: Array, rig: Rig) -> Array:
    """(N, 52) ARKit weights of the normalised controls (N, K) of a rig whose controls are ARKit's; 0 where it has none."""
    weights = np.zeros((len(values), len(arkit.NAMES)))
    weights[:, [arkit.INDEX[rig.controls[i].name] for i in columns(rig)]] = values
    return weights
