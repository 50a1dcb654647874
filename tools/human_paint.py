"""Paints what textures people have beside their skin: eyes, hair, teeth; and says what colours a person has.

Everything is computed; no photograph is involved.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from human_base import Points
from human_parts import EYE_EXTENT, IRIS, eye_texture_radius

Colour = tuple[int, int, int]
"""sRGB, 0..255."""
_JPEG_QUALITY = 93


@dataclass(frozen=True)
class Brows:
    """A pair of brows.

    Attributes:
        hairs: on each side.
        lift: metres above the usual height.
        thickness: factor.
        strength: 0..1, of the shadow under the hairs.
        arch: factor on how far the brow's highest point lies above its ends.
    """

    hairs: int = 420
    lift: float = 0.0
    thickness: float = 1.0
    strength: float = 0.42
    arch: float = 1.0


@dataclass(frozen=True)
class Palette:
    """Colours of a person, and marks: strengths are 0..1.

    Attributes:
        skin, blush, light, lips, lid, brow, hair, scalp, iris: colours; `light` is where bone lies near, `scalp` shows under hair.
        white: of the eye.
        brows: their shape.
        lash: `#rrggbb`; lash_length: factor.
        freckles, moles: how many.
        flush: strength of the blush.
        beard: strength; beard_colour: of its hairs.
        wrinkles: strength.
        spots: age spots, how many.
        seed: of all that is random.
    """

    skin: Colour
    blush: Colour
    light: Colour
    lips: Colour
    lid: Colour
    brow: Colour
    hair: Colour
    scalp: Colour
    iris: Colour
    brows: Brows = Brows()
    white: Colour = (240, 236, 232)
    lash: str = "#1c120e"
    lash_length: float = 1.0
    freckles: int = 0
    moles: int = 0
    flush: float = 0.32
    beard: float = 0.0
    beard_colour: Colour = (40, 34, 30)
    wrinkles: float = 0.0
    spots: int = 0
    seed: int = 3


def eyes(palette: Palette) -> bytes:
    """Sclera, iris and pupil around the middle of a square picture, as a JPEG file."""
    size = 512
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    px, py = np.meshgrid(axis, axis)
    rho, turn = np.hypot(px, py), np.arctan2(py, px)
    polar = rho ** (1 / 0.6) * EYE_EXTENT
    assert np.isclose(eye_texture_radius(np.array([EYE_EXTENT]))[0], 1.0)
    rng = np.random.default_rng(8)
    picture = np.empty((size, size, 3))
    picture[:] = palette.white
    redden = np.clip((polar - 0.55) / 0.7, 0, 1)[..., None]
    picture += (np.array([206, 150, 138]) - picture) * 0.55 * redden
    # A few fine veins run in from the corners.
    for _ in range(26):
        angle = rng.choice([0.0, np.pi]) + rng.normal(0.0, 0.5)
        bend = 0.10 * np.sin(7.0 * polar + rng.uniform(0, 6.28)) + 0.05 * np.sin(17.0 * polar + rng.uniform(0, 6.28))
        off = np.abs((turn - angle - bend + np.pi) % (2 * np.pi) - np.pi) * polar
        vein = np.clip(1.0 - off / 0.012, 0, 1) * np.clip((polar - rng.uniform(0.55, 0.8)) / 0.25, 0, 1)
        picture += (np.array([196, 112, 104]) - picture) * (0.30 * vein)[..., None]
    inside = polar / IRIS
    wave = np.zeros_like(turn)
    for count in (23, 37, 61, 89):
        wave += rng.uniform(0.6, 1.0) * np.sin(count * turn + rng.uniform(0, 6.28) + 3 * inside)
    fibre = 1.0 + 0.075 * wave * np.clip(inside * 1.6 - 0.3, 0, 1)
    ring = np.clip((inside - 0.42) / 0.5, 0, 1)[..., None]
    iris = np.array(palette.iris) * (1.25 - 0.45 * ring) * fibre[..., None]
    # A light from above makes the lower iris glow.
    iris *= (1.0 + 0.34 * np.clip(py / np.maximum(rho, 1e-6), -1, 1) * np.clip(inside, 0, 1))[..., None]
    iris *= 1.0 - 0.72 * np.clip((inside - 0.84) / 0.16, 0, 1)[..., None]
    blend = np.clip((1.03 - inside) / 0.08, 0, 1)[..., None]
    picture += (iris - picture) * blend
    pupil = np.clip((0.43 - inside) / 0.06, 0, 1)[..., None]
    picture += (np.array([14, 10, 9]) - picture) * pupil
    return jpeg(picture)


def hair(colour: Colour) -> bytes:
    """Strands running down the picture, as a JPEG file; it wraps from side to side."""
    width, height = 512, 256
    rng = np.random.default_rng(21)
    strands = np.zeros(width)
    for blur, amount in ((0.7, 0.55), (2.0, 0.8), (6.0, 0.8)):
        noise = _wrapped_blur(rng.normal(size=width), blur)
        strands += amount * noise / noise.std()
    along = np.linspace(0.0, 1.0, height)[:, None]
    column = np.arange(width)[None, :] + 5.0 * np.sin(along * 5.0 + 1.0)
    level = np.interp(column.ravel() % width, np.arange(width + 1), np.append(strands, strands[0])).reshape(height, width)
    level += 0.5 * cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), sigmaX=0.6, sigmaY=12.0) / 0.08
    sheen = np.exp(-(((along - 0.42) / 0.20) ** 2))
    tone = 1.0 + 0.13 * level + 0.30 * sheen * np.clip(1.0 + 0.5 * level, 0, 2)
    picture = (
        np.array(colour, dtype=float) * tone[..., None] + 0.16 * np.array(colour, dtype=float) * (sheen * np.ones_like(level))[..., None]
    )
    return jpeg(picture)


def teeth() -> bytes:
    """Teeth side by side across the picture, the gum at its top, as a JPEG file."""
    size = 256
    axis = (np.arange(size) + 0.5) / size
    u, v = np.meshgrid(axis, axis)
    place = (u - 0.5) * 15.0
    gap = 0.5 - np.abs((place % 1.0) - 0.5)
    picture = np.empty((size, size, 3))
    picture[:] = (232, 222, 204)
    picture += (np.array([214, 196, 164]) - picture) * (0.5 * np.clip(1.0 - v / 0.6, 0, 1))[..., None]
    picture *= (1.0 - 0.42 * np.exp(-((gap / 0.055) ** 2)) - 0.10 * np.exp(-((gap / 0.16) ** 2)))[..., None]
    # The gum's edge is a row of arches.
    gum = np.clip((0.30 + 0.10 * (1.0 - 4.0 * gap**2) - v) / 0.03, 0, 1)
    picture += (np.array([168, 92, 88]) - picture) * gum[..., None]
    # The back teeth lie in the dark of the mouth.
    picture *= (1.0 - 0.85 * np.clip(np.abs(u - 0.5) * 3.2 - 0.30, 0, 1))[..., None]
    return jpeg(picture)


def _wrapped_blur(values: Points, sigma: float) -> Points:
    frequency = np.fft.rfftfreq(len(values)) * 2 * np.pi
    return np.fft.irfft(np.fft.rfft(values) * np.exp(-0.5 * (frequency * sigma) ** 2), len(values))


def jpeg(picture: Points) -> bytes:
    """A picture (H, W, 3) of RGB 0..255 as a JPEG file."""
    pixels: NDArray[np.uint8] = np.clip(np.round(picture), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return bytes(data)
