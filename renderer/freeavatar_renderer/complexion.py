"""Painted skins and eyes: everything is computed from a seed, in metres on the face, and no photograph is involved.

Whatever is painted lies where it lies on the average head, and moves with the shape of whoever wears it.
"""

import functools
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar.types import Image
from freeavatar_renderer import hair
from freeavatar_renderer.canvas import Canvas

Floats = NDArray[np.float32]
Colour = tuple[float, float, float]
"""sRGB 0..255."""

_TONES: Final = np.array(
    [(248, 220, 204), (238, 200, 178), (224, 178, 148), (202, 152, 116), (172, 122, 86), (134, 90, 62), (98, 64, 46), (66, 44, 34)], float
)
"""Skin from light to dark."""
_IRISES: Final = (
    (58, 36, 22), (84, 54, 30), (112, 76, 40), (120, 104, 58), (92, 110, 78), (88, 124, 150), (120, 150, 176), (110, 116, 122),
)  # fmt: skip
EYE: Final = (0.0287, 0.036)
"""Metres: x and y of the average head's left eye, from the skull's joint."""
EYE_EXTENT: Final = 2.0
"""Radians from the front of the eye to the rim of its mesh and its texture."""


@dataclass(frozen=True)
class Brows:
    """A pair of brows.

    Attributes:
        colour: sRGB 0..255.
        strength: 0 (none) .. 1.
        lift: metres above the usual height.
        slant: metres that the outer end lies higher than usual.
        thickness: factor.
        inner: metres of the inner end from the middle line.
        hairs: 0 (one flat stroke) .. 1 (single hairs).
    """

    colour: Colour
    strength: float = 0.85
    lift: float = 0.0
    slant: float = 0.0
    thickness: float = 1.0
    inner: float = 0.0105
    hairs: float = 1.0


@dataclass(frozen=True)
class Look:
    """How a skin is painted; strengths are 0..1.

    Attributes:
        skin, lips, lids: sRGB 0..255.
        make_up: strength of ``lids``; lipstick: of ``lips``.
        mottle: unevenness of the skin.
        shirt: sRGB 0..255.
        beard: strength; ``stubble`` 0 (long, closed) .. 1 (single hairs).
        seed: of noise.
    """

    skin: Colour
    lips: Colour
    lids: Colour
    brows: Brows
    shirt: Colour
    lipstick: float = 0.8
    make_up: float = 0.3
    blush: float = 0.3
    freckles: float = 0.0
    mottle: float = 1.0
    beard: float = 0.0
    stubble: float = 1.0
    seed: int = 0


def draw_look(rng: np.random.Generator, age: float, female: float, african: float, hair_colour: Colour) -> Look:
    """A random look of a real person: any skin colour, dark ones likelier the larger the share ``african``."""
    tone = float(np.clip(rng.normal(2 + 3.2 * african, 1.3), 0, len(_TONES) - 1))
    skin = np.array([np.interp(tone, range(len(_TONES)), _TONES[:, k]) for k in range(3)])
    skin *= rng.normal(1, (0.02, 0.025, 0.04)) * rng.uniform(0.92, 1.06)
    man, adult = female < 0.5, age > 18
    painted = adult and not man and rng.random() < 0.4
    lips = skin * rng.uniform((0.82, 0.58, 0.58), (0.98, 0.76, 0.8))
    if painted:
        lips = np.array([rng.uniform(110, 220), rng.uniform(20, 110), rng.uniform(40, 120)])
    lids = rng.uniform(20, 200, 3) if painted and rng.random() < 0.6 else skin * (0.88, 0.78, 0.78)
    dye = np.array(hair_colour) if rng.random() < 0.8 else np.array([50, 38, 30]) * rng.uniform(0.5, 2.5)
    brows = Brows(
        tuple(np.minimum(dye * rng.uniform(0.6, 1.05), skin * 0.85)),
        0.0 if rng.random() < 0.04 else float(rng.uniform(0.25, 1)),
        float(np.clip(rng.normal(0, 0.0028), -0.005, 0.008)),
        float(rng.normal(0, 0.0022)),
        float(np.exp(rng.normal(0.1 if man else -0.1, 0.33))),
        float(rng.uniform(0.006, 0.015)),
        float(rng.uniform(0.3, 1)),
    )
    bearded = age > 22 and man and rng.random() < 0.55
    return Look(
        tuple(skin), tuple(lips), tuple(lids), brows, tuple(rng.uniform(15, 240, 3)),
        lipstick=float(rng.uniform(0.7, 1)) if painted else float(rng.uniform(0.3, 0.9)),
        make_up=float(rng.uniform(0.15, 0.6)),
        blush=float(rng.uniform(0, 0.55)),
        freckles=float(rng.uniform(0.2, 0.8)) if rng.random() < 0.15 else 0.0,
        mottle=float(rng.uniform(0.4, 2.2)),
        beard=float(rng.uniform(0.15, 0.9)) if bearded else 0.0,
        stubble=float(rng.uniform(0, 1)),
        seed=int(rng.integers(2**31)),
    )  # fmt: skip


def paint(canvas: Canvas, look: Look) -> Image:
    """(N, N, 3) the texture of a bare skin: tone, blush, freckles, lids, lips, brows."""
    rng = np.random.default_rng(look.seed)
    x, y, z = canvas.places[..., 0], canvas.places[..., 1], canvas.places[..., 2]
    side = np.abs(x)
    mottle = 0.02 * _noise(rng, 14) + 0.012 * _noise(rng, 3) + 0.008 * _noise(rng, 1)
    skin = np.array(look.skin)
    picture = np.stack([c * (1 + k * look.mottle * mottle) for c, k in zip(look.skin, (0.7, 1.1, 1.2), strict=True)], -1).astype(np.float32)
    red, dark = tuple(skin * (1.0, 0.74, 0.72)), tuple(skin * (0.45, 0.36, 0.34))

    def blob(cx: float, cy: float, rx: float, ry: float) -> Floats:
        return np.asarray(np.exp(-(((side - cx) / rx) ** 2) - ((y - cy) / ry) ** 2) * (z > 0.02), np.float32)

    _tint(picture, red, look.blush * (blob(EYE[0] + 0.014, EYE[1] - 0.034, 0.019, 0.014) + 0.8 * blob(0, EYE[1] - 0.03, 0.013, 0.010)))
    _tint(picture, red, 0.4 * canvas.masks["ears"])
    if look.freckles:
        spots = np.clip(_noise(rng, 1.2) - 1.3, 0, 1) * (blob(0.03, EYE[1] - 0.026, 0.03, 0.02) + blob(0, EYE[1] - 0.02, 0.02, 0.02))
        _tint(picture, tuple(skin * (0.75, 0.6, 0.5)), look.freckles * spots)
    _tint(picture, look.lids, look.make_up * (canvas.masks["lids"] + 0.6 * blob(EYE[0], EYE[1] + 0.002, 0.017, 0.011)))
    _tint(picture, dark, 0.12 * blob(EYE[0] - 0.004, EYE[1] - 0.016, 0.014, 0.006))
    _tint(picture, look.lips, look.lipstick * np.clip((canvas.masks["lips"] - 0.4) / 0.3, 0, 1) * (1 + 4 * mottle))
    _tint(picture, dark, 0.85 * canvas.masks["hollow"])
    return draw_brows(np.asarray(np.clip(picture, 0, 255), np.uint8), canvas.places, look.brows, rng)


def draw_brows(skin: Image, places: Floats, brows: Brows, rng: np.random.Generator) -> Image:
    """(N, N, 3) a skin with brows; ``places`` (N, N, 3) is the point of the average head under each texel."""
    picture = skin.astype(np.float32)
    _tint(picture, brows.colour, _brow(rng, np.abs(places[..., 0]), places[..., 1], brows) * (places[..., 2] > 0.03))
    return np.asarray(picture, np.uint8)


def comb(canvas: Canvas, skin: Image, look: Look, cut: hair.Cut) -> Image:
    """(N, N, 3) a skin's texture with what covers it: beard, hair and shirt."""
    rng = np.random.default_rng(look.seed + 1)
    picture = skin.astype(np.float32)
    x, y, z = canvas.places[..., 0], canvas.places[..., 1], canvas.places[..., 2]
    if look.beard:
        field = look.beard * _beard(rng, np.abs(x), y, z, look.stubble) * (canvas.masks["lips"] < 0.4)
        _tint(picture, tuple(np.array(cut.colour) * 0.8), field)
    if cut.thickness:
        edge = hair.inside(canvas.places, cut.recede) + 1.2 * _noise(rng, 1.2)
        streaks = (hair.streaks(rng, canvas.size) - 1) * np.clip(edge / 6, 0, 1)
        _tint(picture, cut.colour, np.clip((edge + 2) / 4, 0, 1) * (canvas.masks["ears"] < 0.02))
        picture *= (1 + streaks)[..., None]
    _tint(picture, look.shirt, (y + 0.5 * (z + 0.03) + 0.107 < 0).astype(np.float32))
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def _tint(picture: Floats, colour: Colour, amount: NDArray[np.floating]) -> None:
    """Blend a colour over a picture (N, N, 3) in place, where ``amount`` (N, N) is above nothing."""
    rows = np.flatnonzero((amount > 0.003).any(1))
    if len(rows):
        part = slice(rows[0], rows[-1] + 1)
        picture[part] += (np.array(colour, np.float32) - picture[part]) * np.clip(amount[part], 0, 1)[..., None]


def _beard(rng: np.random.Generator, side: Floats, y: Floats, z: Floats, stubble: float) -> Floats:
    """(N, N) 0..1: moustache, chin and jaw, up to the ears."""
    below = np.interp(side, [0, 0.02, 0.035, 0.05, 0.065, 0.08], [-0.012, -0.017, -0.03, -0.032, -0.015, 0.03])
    field = np.clip((below - y) / 0.006, 0, 1) * np.clip((y + 0.115) / 0.012, 0, 1) * np.clip((z + 0.01) / 0.02, 0, 1)
    hairs = np.clip(0.6 + 0.5 * _noise(rng, 0.7), 0, 1)
    return np.asarray(field * ((1 - stubble) * np.clip(0.75 + 0.5 * hairs, 0, 1) + stubble * 0.8 * hairs), np.float32)


def _brow(rng: np.random.Generator, side: Floats, y: Floats, brows: Brows) -> Floats:
    """(N, N) strength 0..1 of the brows at distance ``side`` from the middle line and height ``y``, metres."""
    s = (side - brows.inner) / (0.0535 - brows.inner)
    arch = np.interp(s, [-0.1, 0, 0.3, 0.62, 0.8, 1, 1.1], [0.0172, 0.018, 0.0212, 0.024, 0.023, 0.019, 0.0165])
    arch += EYE[1] + brows.lift + brows.slant * s
    half = brows.thickness * np.interp(s, [-0.06, 0.02, 0.35, 0.7, 1], [0.001, 0.004, 0.0039, 0.0027, 0.0004])
    body = np.clip(1.25 - np.abs((y - arch) / half) ** 2.2, 0, 1) * np.clip((s + 0.05) / 0.12, 0, 1) * np.clip((1.03 - s) / 0.1, 0, 1)
    return np.asarray(brows.strength * body * (1 - brows.hairs * (0.22 - 0.16 * _noise(rng, 0.7))).clip(0, 1), np.float32)


_NOISE = 512


@functools.cache
def _field(blur: float) -> Floats:
    noise = np.random.default_rng(7).normal(size=(_NOISE, _NOISE)).astype(np.float32)
    smooth = cv2.GaussianBlur(np.tile(noise, (2, 2)), (0, 0), blur)[_NOISE // 2 : -_NOISE // 2, _NOISE // 2 : -_NOISE // 2]
    return np.asarray(smooth / smooth.std(), np.float32)


def _noise(rng: np.random.Generator, blur: float) -> Floats:
    """(N, N) noise of unit spread, smooth over ``blur`` texels; it repeats at the edges, so a random roll makes it another."""
    return np.roll(_field(blur), tuple(rng.integers(0, _NOISE, 2)), (0, 1))


def draw_iris(rng: np.random.Generator) -> Colour:
    """A natural eye colour; brown is the likeliest."""
    index = int(rng.integers(3)) if rng.random() < 0.55 else int(rng.integers(len(_IRISES)))
    red, green, blue = np.array(_IRISES[index]) * rng.uniform(0.75, 1.3)
    return float(red), float(green), float(blue)


def eye(iris: Colour, radius: float = 0.405, pupil: float = 0.43, white: Colour = (238, 234, 230), size: int = 192) -> Image:
    """(size, size, 3) sclera, iris and pupil around the middle of a square picture.

    Args:
        iris, white: sRGB 0..255.
        radius: radians from the middle of the pupil to the edge of the iris.
        pupil: share of the iris.
        size: side in texels.
    """
    axis = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    px, py = np.meshgrid(axis, axis)
    rho, turn = np.hypot(px, py), np.arctan2(py, px)
    polar = eye_angle(rho)
    picture = np.broadcast_to(np.array(white, np.float32), (size, size, 3)).copy()
    picture += (np.array((214, 170, 160)) - picture) * 0.4 * np.clip((polar - 1.3 * radius) / 0.8, 0, 1)[..., None]
    inside = polar / radius
    wave = sum(np.sin(n * turn + n + 3 * inside) for n in (23, 37, 61))
    tone = (1 + 0.09 * wave) * (1 - 0.35 * np.clip((inside - 0.42) / 0.5, 0, 1)) * (1 - 0.6 * np.clip((inside - 0.84) / 0.16, 0, 1))
    picture += (np.array(iris) * 1.25 * tone[..., None] - picture) * np.clip((1.03 - inside) / 0.08, 0, 1)[..., None]
    picture += (np.array((14, 10, 9)) - picture) * np.clip((pupil - inside) / 0.06, 0, 1)[..., None]
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def eye_angle(radius: NDArray[np.floating]) -> NDArray[np.floating]:
    """Radius in the eye's texture, 0..1 -> radians from the front of the eye; the iris gets a large share."""
    return radius ** (1 / 0.6) * EYE_EXTENT


def teeth() -> Image:
    """(32, 128, 3) teeth side by side; the back ones lie in the dark of the mouth."""
    u = (np.arange(128) + 0.5) / 128
    gap = np.abs((u - 0.5) * 15 % 1)
    gap = np.minimum(gap, 1 - gap)
    tone = (1 - 0.3 * np.exp(-((gap / 0.09) ** 2))) * (1 - 0.6 * np.clip(np.abs(u - 0.5) * 3 - 0.3, 0, 1))
    return np.broadcast_to(tone[None, :, None] * (240, 232, 218), (32, 128, 3)).astype(np.uint8).copy()
