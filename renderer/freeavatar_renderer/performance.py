"""Random performances of synthetic people: expression, gaze, head pose, light and background, all drawn from a seed.

Half of the expressions are natural (a mood, speech, blinks, a glance: weights that go together; now and then one shape
alone), half are random combinations, so that no shape is learnt only in company of another.
"""

from collections.abc import Mapping
from typing import Final

import cv2
import numpy as np

from freeavatar import arkit
from freeavatar.types import Image
from freeavatar_renderer.heads import Floats, Head
from freeavatar_renderer.portrait import Scene
from freeavatar_renderer.stylised import STYLISED


def _both(**shapes: float) -> dict[str, float]:
    """Expand ``mouthSmile=0.5`` to both sides; names that end in ``_`` are central."""
    sided = {}
    for name, value in shapes.items():
        if name.endswith("_"):
            sided[name[:-1]] = value
        else:
            sided[f"{name}Left"] = sided[f"{name}Right"] = value
    return sided


MOODS: Final[Mapping[str, Mapping[str, float]]] = {
    "smile": _both(mouthSmile=0.9, cheekSquint=0.5, eyeSquint=0.3, mouthDimple=0.2),
    "laugh": _both(mouthSmile=1.0, jawOpen_=0.45, cheekSquint=0.7, eyeSquint=0.5, mouthUpperUp=0.5, mouthLowerDown=0.3),
    "surprise": _both(browInnerUp_=0.9, browOuterUp=0.9, eyeWide=0.9, jawOpen_=0.5, mouthFunnel_=0.2),
    "anger": _both(browDown=1.0, eyeSquint=0.5, noseSneer=0.4, mouthPress=0.5, mouthShrugLower_=0.3),
    "snarl": _both(browDown=0.9, noseSneer=0.9, mouthUpperUp=0.9, mouthLowerDown=0.6, jawOpen_=0.2),
    "sad": _both(browInnerUp_=0.9, mouthFrown=0.9, mouthShrugLower_=0.5, eyeSquint=0.2),
    "disgust": _both(noseSneer=1.0, mouthUpperUp=0.6, browDown=0.5, mouthFrown=0.4, eyeSquint=0.5),
    "fear": _both(browInnerUp_=1.0, browOuterUp=0.4, eyeWide=0.8, mouthStretch=0.8, jawOpen_=0.25),
    "squeeze": _both(eyeBlink=1.0, eyeSquint=0.8, cheekSquint=0.8, noseSneer=0.6, browDown=0.6),
    "doubt": {"browOuterUpLeft": 1.0, "browDownRight": 0.8, "mouthLeft": 0.5},
    "smirk": {"mouthSmileLeft": 0.9, "mouthDimpleLeft": 0.5, "cheekSquintLeft": 0.3},
    "tongue": {"tongueOut": 1.0, "jawOpen": 0.45, "mouthLowerDownLeft": 0.2, "mouthLowerDownRight": 0.2},
}
MOUTHS: Final[Mapping[str, Mapping[str, float]]] = {
    "puff": _both(cheekPuff_=1.0, mouthPress=0.3),
    "kiss": _both(mouthPucker_=1.0),
    "blow": _both(mouthPucker_=0.9, cheekPuff_=0.7),
    "pout": _both(mouthShrugLower_=0.9, mouthFrown=0.8, mouthRollUpper_=0.2),
    "chin": _both(mouthShrugLower_=0.9, mouthShrugUpper_=0.5, mouthPress=0.5),
    "bite": _both(mouthRollLower_=0.8, mouthRollUpper_=0.3),
    "tuck": _both(mouthRollLower_=0.9, mouthRollUpper_=0.9, mouthPress=0.5),
    "press": _both(mouthPress=1.0, mouthShrugLower_=0.3),
    "aside": {"mouthLeft": 1.0, "mouthDimpleLeft": 0.4, "mouthSmileLeft": 0.3},
    "twist": {"mouthLeft": 0.8, "mouthPucker": 0.7},
}
"""What a closed mouth does, which moves less than an open one and is drawn as often as all :data:`MOODS`."""
SPEECH: Final[tuple[Mapping[str, float], ...]] = (
    _both(jawOpen_=0.7, mouthLowerDown=0.2),
    _both(jawOpen_=0.25, mouthStretch=0.5, mouthSmile=0.2),
    _both(jawOpen_=0.2, mouthFunnel_=0.9),
    _both(jawOpen_=0.1, mouthPucker_=0.8),
    _both(mouthRollLower_=0.6, mouthUpperUp=0.3),
    _both(mouthRollLower_=0.4, mouthRollUpper_=0.5, mouthPress=0.4),
    _both(jawOpen_=0.12, mouthLowerDown=0.5, mouthUpperUp=0.4),
)


SOLO: Final = 0.3
"""Share of natural moments that are one or two shapes alone."""
_SHOWN: Final = tuple(n for n in arkit.NAMES if n not in arkit.EYE_LOOK)
ACCENTED: Final = ("brows", "brows", "eyes", "eyes", "nose", "cheeks", "mouth", "mouth", "mouth", "jaw", "tongue")
"""Regions that :func:`accent` draws from; small movements are drawn as often as large ones."""


def mirrored_shapes(shapes: Mapping[str, float]) -> dict[str, float]:
    """ARKit weights of the mirrored expression."""
    return {arkit.mirrored(name): value for name, value in shapes.items()}


def natural_shapes(rng: np.random.Generator) -> dict[str, float]:
    """ARKit weights of a plausible moment: at most one mood, perhaps speech, a blink or a wink; or a shape or two alone."""
    if rng.random() < SOLO:
        return solo_shapes(rng)
    shapes: dict[str, float] = {}

    def add(part: Mapping[str, float], strength: float) -> None:
        for name, value in part.items():
            shapes[name] = min(1.0, shapes.get(name, 0.0) + value * strength * rng.uniform(0.75, 1.15))

    if rng.random() < 0.65:
        moods = MOODS if rng.random() < 0.5 else MOUTHS
        mood = moods[rng.choice(list(moods))]
        add(mirrored_shapes(mood) if rng.random() < 0.5 else mood, rng.beta(2, 1.3))
    if rng.random() < 0.45:
        add(SPEECH[rng.integers(len(SPEECH))], rng.uniform(0.3, 1.2))
    if rng.random() < 0.35:
        add(_both(browInnerUp_=1.0, browOuterUp=0.8) if rng.random() < 0.5 else _both(browDown=1.0), rng.uniform(0.2, 1))
    if rng.random() < 0.12:
        aside = {"jawLeft": 1.0, "mouthLeft": 0.4}
        add(mirrored_shapes(aside) if rng.random() < 0.5 else aside, rng.uniform(0.4, 1))
    draw = rng.random()
    if draw < 0.22:
        lid = rng.uniform(0.3, 1) if rng.random() < 0.5 else 1.0
        add(_both(eyeBlink=1.0), lid)
    elif draw < 0.32:
        add({"eyeBlinkLeft" if rng.random() < 0.5 else "eyeBlinkRight": 1.0, "eyeSquintLeft": 0.2, "eyeSquintRight": 0.2}, 1.0)
    return shapes


def solo_shapes(rng: np.random.Generator) -> dict[str, float]:
    """One shape of any kind, seldom two, with its partner as often as not; the tongue, which has no partner, more often."""
    shapes: dict[str, float] = {}
    for _ in range(1 if rng.random() < 0.75 else 2):
        name = "tongueOut" if rng.random() < 0.07 else _SHOWN[rng.integers(len(_SHOWN))]
        value = rng.uniform(0.25, 1)
        shapes[name] = value
        if (other := twin(name, arkit.NAMES)) and rng.random() < 0.55:
            shapes[other] = value * rng.uniform(0.85, 1)
    return shapes


def partner(name: str, names: tuple[str, ...]) -> str | None:
    """The weight on the other side in either family's naming, or None for a central one."""
    candidates = [name[:-2] + {"_L": "_R", "_R": "_L"}[name[-2:]]] if name.endswith(("_L", "_R")) else []
    candidates += [arkit.mirrored(name)] if arkit.mirrored(name) != name else []
    candidates += [b * n + name[n:] for a, b in ("RL", "LR") for n in (2, 1) if name.startswith(a * n)]
    return next((c for c in candidates if c in names), None)


_ONE_AT_A_TIME: Final = ("Ljaw", "Rjaw", *(n for pair in arkit.DIRECTIONS for n in pair))
"""Directions, in ARKit's names and VALID's."""


def twin(name: str, names: tuple[str, ...]) -> str | None:
    """The :func:`partner` that a face moves together with this one; None also where both would cancel, as jaws to both sides."""
    return None if name in _ONE_AT_A_TIME else partner(name, names)


def random_weights(head: Head, rng: np.random.Generator) -> Floats:
    """(K,) one to five random weights between 0.2 and 1, often with their partner on the other side."""
    weights = np.zeros(len(head.names), np.float32)
    for _ in range(rng.integers(1, 6)):
        name = head.names[rng.integers(len(head.names))]
        value = rng.uniform(0.2, 1)
        other = twin(name, head.names)
        for each in (name, other) if other and rng.random() < 0.6 else (name,):
            k = head.names.index(each)
            weights[k] = max(weights[k], value * rng.uniform(0.85, 1))
    return weights


def accent(shapes: dict[str, float], rng: np.random.Generator) -> dict[str, float]:
    """The shapes with one or two more of a random region, one-sided as often as not: a small step away."""
    shapes = dict(shapes)
    region = ACCENTED[rng.integers(len(ACCENTED))]
    members = [n for n in arkit.NAMES if arkit.region(n) == region]
    for _ in range(rng.integers(1, 3)):
        name = members[rng.integers(len(members))]
        change = rng.uniform(0.3, 0.9) * (1 if shapes.get(name, 0.0) < 0.4 else -1)
        other = twin(name, arkit.NAMES)
        for each in (name, other) if other and rng.random() < 0.5 else (name,):
            shapes[each] = min(max(shapes.get(each, 0.0) + change, 0.0), 1.0)
    return shapes


def glance(rng: np.random.Generator) -> tuple[float, float]:
    """Random yaw and pitch of the eyes in radians."""
    return _bell(rng, 0.2, 0.6), _bell(rng, 0.18, 0.55)


def lidded(shapes: Mapping[str, float], gaze: tuple[float, float]) -> dict[str, float]:
    """The shapes with lids that follow the eyes down."""
    lid = 0.35 * max(gaze[1], 0) / 0.45
    return {**shapes, **{side: max(shapes.get(side, 0.0), lid) for side in ("eyeBlinkLeft", "eyeBlinkRight")}}


def possible(weights: Floats, names: tuple[str, ...]) -> Floats:
    """The weights without what cannot be: a tongue opens the mouth that it comes out of."""
    jaw = next((n for n in ("MouthOpen", "jawOpen") if n in names), None)
    if "tongueOut" in names and jaw and (tongue := float(weights[names.index("tongueOut")])) > 0:
        weights = weights.copy()
        weights[names.index(jaw)] = max(weights[names.index(jaw)], 0.25 + 0.25 * tongue)
    return weights


def random_expression(head: Head, rng: np.random.Generator) -> tuple[Floats, tuple[float, float]]:
    """Expression weights and gaze: neutral, natural or random."""
    gaze = glance(rng)
    draw = rng.random()
    if draw < 0.06:
        return np.zeros(len(head.names), np.float32), gaze
    if draw < 0.53:
        weights = random_weights(head, rng)
    else:
        weights = head.express(lidded(natural_shapes(rng), gaze))
        if rng.random() < 0.5:
            weights = np.clip(weights * rng.uniform(0.8, 1.2, len(weights)), 0, 1).astype(np.float32)
    return possible(weights, head.names), gaze


def _bell(rng: np.random.Generator, spread: float, limit: float) -> float:
    return min(max(float(rng.normal(0, spread)), -limit), limit)


def _picture(rng: np.random.Generator, size: int) -> Image:
    """A blurred patchwork of random colours: the room behind a webcam."""
    cells = int(rng.integers(2, 9))
    patches = rng.uniform(0, 255, (cells, cells, 3)) * rng.uniform(0.3, 1)
    grey = patches.mean(2, keepdims=True)
    patches = grey + (patches - grey) * rng.uniform(0, 1)
    mode = cv2.INTER_CUBIC if rng.random() < 0.6 else cv2.INTER_NEAREST
    picture = cv2.resize(patches.astype(np.float32), (size, size), interpolation=mode)
    return np.asarray(np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255), np.uint8)


def random_scene(head: Head, rng: np.random.Generator, expression: tuple[Floats, tuple[float, float]] | None = None) -> Scene:
    """A whole scene: an expression (weights and gaze; by default :func:`random_expression`) under random pose, camera and light."""
    weights, gaze = expression or random_expression(head, rng)
    wide = 1.6 if rng.random() < 0.25 else 1.0
    pose = (_bell(rng, 0.25 * wide, 0.9), _bell(rng, 0.15 * wide, 0.6), _bell(rng, 0.1, 0.5))
    key_direction = np.array([rng.normal(0, 0.7), rng.normal(0.35, 0.45), 1.0])
    key_direction /= np.linalg.norm(key_direction)
    strength, warmth = rng.uniform(0.25, 1.15), rng.normal(0, 0.08)
    key = strength * np.array([1 + warmth, 1, 1 - warmth]) * rng.uniform(0.92, 1.06, 3)
    sky = rng.uniform(0.2, 0.6) * rng.uniform(0.9, 1.1, 3)
    background = tuple(rng.uniform(0.03, 0.97, 3)) if rng.random() < 0.35 else _picture(rng, 64)
    return Scene(
        weights=weights,
        gaze=gaze,
        pose=pose,
        offset=(*rng.normal(0, 0.008, 2), 0.0),
        fov=np.radians(rng.uniform(12, 42)),
        height=rng.uniform(0.255, 0.30),
        key_direction=tuple(key_direction),
        key=tuple(key),
        fill=tuple(rng.uniform(0, 0.25) * rng.uniform(0.85, 1.1, 3)),
        sky=tuple(sky),
        ground=tuple(sky * rng.uniform(0.3, 0.9)),
        tint=tuple(rng.uniform(0.85, 1.1) * rng.uniform(0.94, 1.06, 3)),
        shine=float(rng.uniform(0, 0.18)),
        mouth_light=float(rng.uniform(0.15, 0.8)),
        toon=int(rng.integers(2, 5)) if head.name.endswith(STYLISED) and rng.random() < 0.5 else 0,
        background=background,
    )
