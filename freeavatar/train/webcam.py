"""What webcams, codecs and rooms do to a face: the photometric augmentation of training crops."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar.types import Image


def degrade(image: Image, rng: np.random.Generator) -> Image:
    """One random chain of blur, exposure, colour cast, grey, noise, compression and occlusion.

    Args:
        image: (S, S, 3) RGB uint8.
        rng: source of chance.
    """
    size = image.shape[0]
    if rng.random() < 0.35:
        image = _shadow(image, rng)
    if rng.random() < 0.25:
        image = _occlude(image, rng)
    draw = rng.random()
    if draw < 0.2:
        small = int(size * rng.uniform(0.3, 0.8))
        image = cv2.resize(cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA), (size, size), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    elif draw < 0.45:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.6))  # type: ignore[assignment]
    elif draw < 0.52:
        image = cv2.blur(image, (int(rng.integers(2, 6)), 1) if rng.random() < 0.5 else (1, int(rng.integers(2, 6))))  # type: ignore[assignment]
    pixels: NDArray[np.float32] = image.astype(np.float32)
    if rng.random() < 0.8:
        gamma, contrast, level = math.exp(rng.normal(0, 0.25)), rng.uniform(0.6, 1.35), rng.normal(127, 22)
        pixels = np.asarray((255 * (pixels / 255) ** gamma - 127) * contrast + level, np.float32)
        pixels *= (1 + rng.normal(0, 0.06, 3)).astype(np.float32)
    saturation = np.float32(0 if rng.random() < 0.3 else rng.uniform(0.4, 1.3))
    grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    pixels = grey[..., None] + saturation * (pixels - grey[..., None])
    if rng.random() < 0.5:
        channels = 3 if rng.random() < 0.5 else 1
        pixels = pixels + rng.standard_normal((size, size, channels), np.float32) * np.float32(rng.uniform(1, 14))
    image = np.clip(pixels, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])[1]
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)  # type: ignore[assignment]
    return image


def bend(image: Image, rng: np.random.Generator, strength: float = 0.008) -> Image:
    """Another face with the same expression: a smooth bend of about ``strength`` times the picture's side.

    Where a brow rests differs from person to person by more than many expressions move it. Bending every picture anew
    keeps a network from learning the resting places of the few people it is trained on.
    """
    size = image.shape[0]
    grid = rng.normal(0, strength * size, (5, 5, 2)).astype(np.float32)
    grid[:, ::-1, 0] -= 0.85 * grid[:, :, 0].copy()  # faces are nearly symmetric, and so is most of the bend
    grid[:, ::-1, 1] += 0.85 * grid[:, :, 1].copy()
    field = np.asarray(cv2.resize(grid / np.float32(1.3), (size, size), interpolation=cv2.INTER_CUBIC))
    y, x = np.mgrid[:size, :size].astype(np.float32)
    bent = cv2.remap(image, x + field[..., 0], y + field[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(bent, np.uint8)


def _shadow(image: Image, rng: np.random.Generator) -> Image:
    """A smooth change of light across the face."""
    field = cv2.resize(rng.uniform(0.45, 1.35, (3, 3)).astype(np.float32), image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(image * np.asarray(field)[..., None], 0, 255), np.uint8)


def _occlude(image: Image, rng: np.random.Generator) -> Image:
    """Glasses, or a flat patch such as a hand, a microphone or a strand of hair."""
    image, size = image.copy(), image.shape[0]
    colour = tuple(int(c) for c in rng.integers(0, 255, 3))
    if rng.random() < 0.5:
        y, dark = size * (0.37 + rng.normal(0, 0.012)), tuple(int(c) for c in rng.integers(0, 90, 3))
        thick = int(rng.integers(1, 4))
        wide, high = size * rng.uniform(0.10, 0.15), size * rng.uniform(0.07, 0.12)
        for x in (0.36, 0.64):
            cv2.ellipse(image, (int(size * x), int(y)), (int(wide), int(high)), 0, 0, 360, dark, thick, cv2.LINE_AA)
        cv2.line(image, (int(size * 0.36 + wide), int(y)), (int(size * 0.64 - wide), int(y)), dark, thick, cv2.LINE_AA)
        return image
    centre = tuple(int(v) for v in rng.uniform(0, size, 2))
    axes = tuple(int(v) for v in rng.uniform(0.04, 0.2, 2) * size)
    cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    return image


def spoilt_crop(size: int, side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(2, 3) matrix of a crop that misses the face: far off, much too small or upside down."""
    angle, scale = rng.uniform(-math.pi, math.pi), rng.uniform(0.8, 2.5)
    shift = rng.uniform(0.55, 0.8) * np.array([math.cos(turn := rng.uniform(0, 2 * math.pi)), math.sin(turn)]) * side * scale / 1.25
    if rng.random() < 0.3:
        angle, scale, shift = rng.uniform(0, 0.4), rng.uniform(0.2, 0.4), rng.uniform(-0.2, 0.2, 2) * size
    elif rng.random() < 0.2:
        angle, scale, shift = math.pi + rng.normal(0, 0.4), rng.uniform(0.7, 1.1), np.zeros(2)
    linear = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.column_stack([linear, np.array([size / 2] * 2) + shift - linear @ np.array([side / 2] * 2)])
