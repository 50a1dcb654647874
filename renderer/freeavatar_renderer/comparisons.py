"""Four pictures to compare: the synthetic counterpart of a human rater's triplet.

Picture 1 shows what picture 0 shows, on another person under another pose and light; pictures 2 and 3 do not, though
picture 2 shares the person, the pose and the light of picture 0. So (0, 1, 2) and (0, 1, 3) are triplets of anchor,
positive and negative, in three kinds: a small *step* away, *mirrored* (a left wink is no right wink), and *intensity*
(1 is a little weaker than 0, the negatives are much weaker).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from freeavatar_renderer.heads import Floats, Head
from freeavatar_renderer.performance import (
    accent,
    glance,
    lidded,
    mirrored_shapes,
    natural_shapes,
    partner,
    possible,
    random_scene,
    random_weights,
    twin,
)
from freeavatar_renderer.portrait import Scene

KINDS: Final = ("step", "mirrored", "intensity")
TRIPLETS: Final = ((0, 1, 2), (0, 1, 3))
"""Pictures of a comparison that form its two triplets."""
_LEAST_ASYMMETRY: Final = 0.5
"""Sum of left-right differences from which an expression and its mirror image are worth telling apart."""

Shapes = dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """Four pictures.

    Attributes:
        heads: who is seen.
        scenes: how.
        kinds: index into :data:`KINDS` of each of :data:`TRIPLETS`.
    """

    heads: tuple[Head, Head, Head, Head]
    scenes: tuple[Scene, Scene, Scene, Scene]
    kinds: tuple[int, int]


def compare(a: Head, b: Head, rng: np.random.Generator) -> Comparison:
    """A comparison with ``a`` as its anchor and ``b`` as the other person."""
    # People of one family can share their family's own weights; others meet in ARKit shapes.
    own = a.names == b.names and rng.random() < 0.6
    gaze = glance(rng)
    shapes = _own_shapes(a, rng) if own else (accent if rng.random() < 0.5 else _unchanged)(natural_shapes(rng), rng)

    def weights(head: Head, wanted: Shapes) -> Floats:
        if not own:
            return possible(head.express(lidded(wanted, gaze)), head.names)
        return possible(np.array([wanted.get(n, 0.0) for n in head.names], np.float32), head.names)

    step: Callable[[Shapes], Shapes] = (lambda s: _own_step(s, a, rng)) if own else (lambda s: accent(s, rng))
    mirror = {n: shapes.get(partner(n, a.names) or n, 0.0) for n in a.names} if own else mirrored_shapes(shapes)
    asymmetry = sum(abs(mirror.get(n, 0.0) - shapes.get(n, 0.0)) for n in {*mirror, *shapes})
    if rng.random() < 0.25 and sum(shapes.values()) > 1:
        wanted = [shapes, _scaled(shapes, 0.68), _scaled(shapes, 0.25), _scaled(shapes, 0.05)]
        kinds = (2, 2)
    elif asymmetry > _LEAST_ASYMMETRY and rng.random() < 0.6:
        wanted, kinds = [shapes, shapes, step(shapes), mirror], (0, 1)
    else:
        wanted, kinds = [shapes, shapes, step(shapes), step(shapes)], (0, 0)
    heads = (a, b, a, a if rng.random() < 0.5 else b)
    # Where the eyes look is no part of the comparison.
    first = random_scene(a, rng, (weights(a, wanted[0]), gaze))
    scenes = (
        first,
        random_scene(b, rng, (weights(b, wanted[1]), _near(gaze, rng))),
        replace(first, weights=weights(a, wanted[2])),
        random_scene(heads[3], rng, (weights(heads[3], wanted[3]), _near(gaze, rng))),
    )
    return Comparison(heads, scenes, kinds)


def _unchanged(shapes: Shapes, _: np.random.Generator) -> Shapes:
    return shapes


def _scaled(shapes: Shapes, factor: float) -> Shapes:
    return {name: value * factor for name, value in shapes.items()}


def _near(gaze: tuple[float, float], rng: np.random.Generator) -> tuple[float, float]:
    return float(np.clip(gaze[0] + rng.normal(0, 0.12), -0.6, 0.6)), float(np.clip(gaze[1] + rng.normal(0, 0.05), -0.55, 0.55))


def _own_shapes(head: Head, rng: np.random.Generator) -> Shapes:
    return {n: float(w) for n, w in zip(head.names, random_weights(head, rng), strict=True) if w > 0}


def _own_step(shapes: Shapes, head: Head, rng: np.random.Generator) -> Shapes:
    """One or two of the family's own weights changed, with their partners as often as not."""
    shapes = dict(shapes)
    for _ in range(rng.integers(1, 3)):
        # Brows and lids, which move least, are drawn more often than their number would have it.
        small = [n for n in head.names if any(w in n.lower() for w in ("brow", "eye", "squint", "lid", "sad", "pity"))]
        names = small if small and rng.random() < 0.35 else head.names
        name = names[rng.integers(len(names))]
        change = rng.uniform(0.35, 0.9) * (1 if shapes.get(name, 0.0) < 0.4 else -1)
        other = twin(name, head.names)
        for each in (name, other) if other and rng.random() < 0.5 else (name,):
            shapes[each] = float(np.clip(shapes.get(each, 0.0) + change, 0, 1))
    return shapes
