"""Stylised heads: any ICT or Anny head made over into something nearer to a cartoon, with the same expressions.

Eyes, nose, mouth, ears, jaw and skull grow or shrink by smooth local scalings. An expression's displacements are scaled
with the skin they move, so that lids close on larger eyes, and the truth stays that of the expression weights.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar.types import Image
from freeavatar_renderer import anny, complexion
from freeavatar_renderer.canvas import bake
from freeavatar_renderer.complexion import Colour
from freeavatar_renderer.heads import Floats, Head, Part, load_ict

_SIDE: Final = 512
"""Side of a stylised skin in texels."""
_EYE_FIT: Final = 0.96
"""Size of an eye as a share of what fills its lids: the skin's scaling fades out, so that the lids grow a little less."""
_ODD: Final = (
    (90, 180, 90),
    (80, 140, 210),
    (150, 110, 200),
    (220, 120, 150),
    (240, 200, 70),
    (60, 170, 170),
    (150, 150, 155),
    (220, 90, 70),
)
"""Skins that nobody has: green, blue, violet, pink, yellow, teal, grey, red; sRGB."""


STYLISED: Final = "_stylised"
"""Ends the names of such heads; their scenes may be shaded in steps."""


@dataclass(frozen=True)
class _Bubble:
    """A local scaling: everything near ``centre`` grows by ``factor``, fading out over ``radius`` metres."""

    centre: Floats
    radius: float
    factor: Floats

    def gain(self, points: Floats) -> Floats:
        """(V, 3) local factors at points (V, 3)."""
        squared = (((points - self.centre) / self.radius) ** 2).sum(-1, keepdims=True)
        return np.asarray(1 + (self.factor - 1) * np.exp(-(squared**2)), np.float32)

    def __call__(self, points: Floats) -> Floats:
        return np.asarray(self.centre + (points - self.centre) * self.gain(points), np.float32)


@dataclass(frozen=True)
class _Taper:
    """A wider or narrower face at one height; ``spread`` in metres."""

    height: float
    spread: float
    factor: float

    def gain(self, points: Floats) -> Floats:
        """(V, 3) local factors at points (V, 3)."""
        wide = 1 + (self.factor - 1) * np.exp(-(((points[..., 1] - self.height) / self.spread) ** 2))
        return np.stack([wide, np.ones_like(wide), np.ones_like(wide)], -1).astype(np.float32)

    def __call__(self, points: Floats) -> Floats:
        return np.asarray(points * self.gain(points), np.float32)


def stylise(head: Head, rng: np.random.Generator) -> Head:
    """A cartoon of a head: its shape, skin, brows and eyes made over at random; weights, names and labels stay.

    Args:
        head: of the family ``ict`` or ``anny``; heads of ``valid`` have lid glands that would be left behind.
        rng: source of chance.

    Raises:
        ValueError: the head is of another family.
    """
    if head.family not in ("ict", "anny"):
        raise ValueError(f"a head of the family {head.family!r} cannot be stylised: expected ict or anny")
    growth = float(rng.uniform(1.0, 1.6))
    warps = _draw_warps(head, growth, rng)

    def moved(points: Floats) -> Floats:
        for warp in warps:
            points = warp(points)
        return points

    eyes = moved(head.eyes)
    iris = rng.uniform(20, 230, 3) if rng.random() < 0.6 else np.array(complexion.draw_iris(rng))
    white = (240.0, 238.0, 236.0) if rng.random() < 0.8 else tuple(rng.uniform(150, 255, 3))
    picture = complexion.eye(tuple(iris), float(rng.uniform(0.4, 0.72)), float(rng.uniform(0.3, 0.6)), white)
    parts = []
    for part in head.parts:
        if part.name in ("eye_left", "eye_right"):
            side = 0 if part.name == "eye_left" else 1
            radius = float(np.median(np.linalg.norm(part.vertices - head.eyes[side], axis=1)))
            parts.append(anny.eyeball(part.name, eyes[side] - np.array([0, 0, 0.0004], np.float32), _EYE_FIT * growth * radius))
        else:
            parts.append(_warped(part, warps))
    textures = {**head.textures, "body": _skin(head, rng), "eye": picture}
    if "hair" in textures:
        textures["hair"] = _recoloured(textures["hair"], textures["hair"].reshape(-1, 3).mean(0), tuple(rng.uniform(20, 235, 3)), 1.0)
    return replace(head, name=head.name + STYLISED, parts=tuple(parts), eyes=eyes, textures=textures)


def _draw_warps(head: Head, growth: float, rng: np.random.Generator) -> Sequence[_Bubble | _Taper]:
    skin, unit, middle = head.parts[0].vertices, head.eye_distance, head.eyes.mean(0)
    away = (skin - middle) / unit
    front = np.abs(away[:, 0]) < 0.15
    tip = skin[np.argmax(np.where(front & (away[:, 1] < -0.3) & (away[:, 1] > -1.1), skin[:, 2], -np.inf))]
    ear = skin[np.argmax(np.where((np.abs(away[:, 1] + 0.3) < 0.5), skin[:, 0], -np.inf))]

    def even(factor: float) -> Floats:
        return np.full(3, factor, np.float32)

    warps: list[_Bubble | _Taper] = [_Bubble(eye, 0.5 * unit, even(growth)) for eye in head.eyes]
    nose = float(rng.uniform(0.4, 1.15))
    warps.append(_Bubble(tip - np.array([0, 0, 0.3 * unit], np.float32), 0.5 * unit, even(nose)))
    mouth = middle + np.array([0, -1.15 * unit, 0.15 * unit], np.float32)
    warps.append(_Bubble(mouth, 0.6 * unit, np.array([rng.uniform(0.7, 1.3), rng.uniform(0.85, 1.2), 1], np.float32)))
    size = float(rng.uniform(0.6, 1.7))
    warps += [_Bubble(ear * np.array([side, 1, 1], np.float32), 0.6 * unit, even(size)) for side in (1, -1)]
    # Round: wide cheeks. Angular: a wide jaw or a pointed chin.
    warps.append(_Taper(float(middle[1] - 0.9 * unit), 0.5 * unit, float(rng.uniform(0.85, 1.25))))
    warps.append(_Taper(float(middle[1] - 1.9 * unit), 0.55 * unit, float(rng.uniform(0.6, 1.3))))
    skull = middle + np.array([0, 1.7 * unit, -0.9 * unit], np.float32)
    warps.append(_Bubble(skull, 1.5 * unit, rng.uniform(0.9, 1.3, 3).astype(np.float32)))
    return warps


def _warped(part: Part, warps: Sequence[_Bubble | _Taper]) -> Part:
    points, gain = part.vertices, np.ones_like(part.vertices)
    for warp in warps:
        gain, points = gain * warp.gain(points), warp(points)
    morphs = None if part.morphs is None else (part.morphs * gain.astype(np.float16))
    return replace(part, vertices=points, morphs=morphs)


def _skin(head: Head, rng: np.random.Generator) -> Image:
    """The body texture in a colour of its own, flattened, with painted brows."""
    places = _places(head.family)
    body = cv2.resize(head.textures["body"], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    flat = np.asarray(cv2.medianBlur(np.asarray(body, np.uint8), int(rng.choice([3, 7, 11]))), np.uint8)
    face = (places[..., 2] > 0.06) & (np.abs(places[..., 0]) < 0.05) & (np.abs(places[..., 1] - 0.01) < 0.05)
    own = np.median(flat[face], axis=0)
    colour = own if rng.random() < 0.25 else np.array(_ODD[rng.integers(len(_ODD))]) * rng.uniform(0.75, 1.25, 3)
    skin = _recoloured(flat, own, tuple(np.clip(colour, 0, 255)), float(rng.uniform(0.3, 1.0)))
    if rng.random() < 0.9:
        brows = complexion.Brows(
            tuple(rng.uniform(0, 90, 3)), float(rng.uniform(0.8, 1)), float(rng.uniform(-0.002, 0.007)), float(rng.normal(0, 0.003)),
            float(rng.uniform(0.9, 2.2)), float(rng.uniform(0.006, 0.016)), hairs=0.0,
        )  # fmt: skip
        skin = complexion.draw_brows(skin, places, brows, rng)
    return skin


def _recoloured(picture: Image, own: NDArray[np.floating], colour: Colour, contrast: float) -> Image:
    """A picture whose usual colour ``own`` becomes ``colour``; lighter, darker and redder places stay so, by ``contrast``."""
    ratio = np.clip(picture.astype(np.float32) / np.maximum(own, 8).astype(np.float32), 0.02, 1.8)
    return np.asarray(np.clip(ratio**contrast * np.array(colour, np.float32), 0, 255), np.uint8)


@functools.cache
def _places(family: str) -> Floats:
    """(N, N, 3) what lies under each texel of a family's skin, in metres on the average Anny head."""
    if family == "anny":
        return anny.canvas().places
    head = load_ict(0, 0.0)
    average = anny.average_eyes()
    scale = np.linalg.norm(average[0] - average[1]) / head.eye_distance
    face = head.parts[0]
    points = (face.vertices - head.eyes.mean(0)) * scale + average.mean(0)
    return bake(face.uv, face.faces, points.astype(np.float32), _SIDE)
