"""What comes between a camera and a face: glasses, hair, hands, microphones, cups and masks, drawn over aligned crops.

Everything is drawn in a unit square of its own, where the eyes lie at :data:`EYES`, brows near y = 0.28, the mouth near
0.71 and the chin near 0.88; x grows to the right, y down. :func:`drawing` lays that square on the eyes of the crop
template (:mod:`freeavatar.face.alignment`), and on those of a jittered crop.
"""

import itertools
import math
from collections.abc import Callable
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from freeavatar.face import alignment
from freeavatar.types import Image

Floats = NDArray[np.float32]
Matrix = NDArray[np.floating]
Rng = np.random.Generator

EYES: Final = ((0.36, 0.3685), (0.64, 0.3685))
"""Centres of the eyes in the unit square that everything is drawn in; :func:`drawing` lays it on the crop template."""
GLASSES, HAIR, OTHERS = 0.15, 0.10, 0.10
"""Shares of crops with glasses, with hair over the forehead, and with something else."""
_HAIR_COLOURS: Final = ((18, 15, 14), (40, 28, 20), (74, 50, 33), (120, 86, 52), (186, 150, 96), (150, 72, 38), (170, 170, 168))
_RIM_COLOURS: Final = ((14, 14, 16), (58, 36, 22), (120, 122, 128), (168, 138, 78), (150, 28, 36), (34, 52, 120), (206, 200, 190))
_UP, _BITS = 2, 4  # drawn at twice the size, with four fractional bits


def drawing(size: int, matrix: Matrix) -> Matrix:
    """(2, 3) map from pixels of the square that is drawn in to those of a crop; ``matrix`` is that of the ideal crop."""
    scale = (alignment.EYES[1][0] - alignment.EYES[0][0]) / (EYES[1][0] - EYES[0][0])
    # u -> scale * (u - eye) + eye' in units; a pixel's coordinate is that of its centre.
    shift = size * (np.array(alignment.EYES[0]) - scale * np.array(EYES[0])) + 0.5 * (scale - 1)
    return np.column_stack([scale * matrix[:, :2], matrix[:, :2] @ shift + matrix[:, 2]])


def occlude(image: Image, rng: Rng, matrix: Matrix) -> Image:
    """The crop with what chance puts before it; most crops come back as they are.

    Args:
        image: (S, S, 3) RGB uint8.
        rng: source of chance.
        matrix: (2, 3) from pixels of the ideal crop to pixels of ``image``.
    """
    matrix = drawing(image.shape[0], matrix)
    if rng.random() < HAIR:
        image = (fringe if rng.random() < 0.7 else strands)(image, rng, matrix)
    if rng.random() < GLASSES:
        image = glasses(image, rng, matrix)
    if rng.random() < OTHERS:
        others: tuple[Callable[[Image, Rng, Matrix], Image], ...] = (hand, microphone, cup, mask)
        image = others[rng.choice(4, p=(0.45, 0.3, 0.17, 0.08))](image, rng, matrix)
    return image


class Layer:
    """Shapes of one colour with tones, drawn in the unit square of the template and laid over a crop."""

    def __init__(self, size: int, matrix: Matrix) -> None:
        self._size, self._matrix = size, matrix
        self._scale = _UP * size * math.hypot(matrix[0, 0], matrix[1, 0])
        self._cover, self._tone = np.zeros((2, _UP * size, _UP * size), np.uint8)

    def fill(self, outline: ArrayLike, tone: float = 1.0) -> Self:
        """A filled polygon of (N, 2) points; ``tone`` scales the colour, 0 to 1.25."""
        for canvas, value in ((self._cover, 255), (self._tone, int(204 * tone))):
            cv2.fillPoly(canvas, [self._pixels(outline)], (value,), cv2.LINE_AA, _BITS)
        return self

    def line(self, path: ArrayLike, width: float, tone: float = 1.0) -> Self:
        """A round-ended line through (N, 2) points, ``width`` in sides of the crop."""
        thick = max(1, round(width * self._scale))
        for canvas, value in ((self._cover, 255), (self._tone, int(204 * tone))):
            cv2.polylines(canvas, [self._pixels(path)], False, (value,), thick, cv2.LINE_AA, _BITS)
        return self

    def cover(self) -> Floats:
        """(S, S, 1) share of each pixel that is covered, 0 to 1."""
        return (_halved(self._cover) / np.float32(255))[..., None]

    def over(self, image: Image, colour: ArrayLike, opacity: float = 1.0, soft: float = 0.0, shadow: float = 0.0) -> Image:
        """The layer laid over a crop.

        Args:
            image: (S, S, 3) RGB uint8.
            colour: (3,) RGB, 0 to 255.
            opacity: 0 to 1.
            soft: blur of tones in pixels, which rounds them.
            shadow: darkness of the soft shadow that the layer throws, 0 to 1.
        """
        cover = opacity * self.cover()
        tone = _halved(self._tone)
        if soft:
            tone = np.asarray(cv2.GaussianBlur(tone, (0, 0), soft), np.float32)
        under = image.astype(np.float32)
        if shadow:
            shade = cv2.GaussianBlur(np.roll(cover[..., 0], self._size // 50, axis=0), (0, 0), self._size / 60)
            under *= 1 - shadow * np.asarray(shade)[..., None]
        paint = tone[..., None] * (np.asarray(colour, np.float32) / 204)
        return np.clip(under + cover * (paint - under), 0, 255).astype(np.uint8)

    def _pixels(self, points: ArrayLike) -> NDArray[np.int32]:
        ideal = np.asarray(points, np.float64) * self._size - 0.5
        at = ideal @ self._matrix[:, :2].T + self._matrix[:, 2]
        return np.round(((at + 0.5) * _UP - 0.5) * (1 << _BITS)).astype(np.int32)


def _halved(canvas: Image) -> Floats:
    return np.asarray(cv2.resize(canvas, None, fx=1 / _UP, fy=1 / _UP, interpolation=cv2.INTER_AREA), np.float32)


def unit_grid(size: int, matrix: Matrix) -> tuple[Floats, Floats]:
    """(S, S) x and y in the unit square of the template of every pixel of a crop."""
    linear = np.linalg.inv(matrix[:, :2])
    y, x = np.mgrid[:size, :size].astype(np.float32)
    x, y = x - np.float32(matrix[0, 2]), y - np.float32(matrix[1, 2])
    a, b, c, d = (np.float32(v) for v in linear.ravel())
    return (a * x + b * y + np.float32(0.5)) / size, (c * x + d * y + np.float32(0.5)) / size


def glasses(image: Image, rng: Rng, matrix: Matrix) -> Image:
    """Rims of any shape with bridge, temples, tint, reflections and shadow, or sunglasses."""
    size = image.shape[0]
    wide = rng.uniform(0.085, 0.125)
    high = wide * rng.uniform(0.6, 1.0)
    outline = _rim(rng)
    drop = rng.normal(0.014, 0.008)
    sides = [(np.array([x + sign * rng.normal(0.002, 0.004), y + drop]), sign) for (x, y), sign in zip(EYES, (-1, 1), strict=True)]
    lenses = [centre + outline * (sign * wide, high) for centre, sign in sides]
    lens = Layer(size, matrix)
    for points in lenses:
        lens.fill(points)
    inside = lens.cover()
    tint = rng.uniform(0.88, 1.0, 3) if rng.random() < 0.93 else rng.uniform(0.12, 0.5) * rng.uniform(0.8, 1.2, 3)
    pixels = image * (1 + inside * (tint - 1).astype(np.float32))
    if rng.random() < 0.5:
        light = rng.uniform(0.5, 1) * np.array([(255, 255, 255), (150, 190, 255), (190, 255, 200)][rng.integers(3)], np.float32)
        shine = _reflection(rng, size, matrix, [centre for centre, _ in sides], wide) * inside
        pixels = pixels + shine * (light - pixels)
    image = np.clip(pixels, 0, 255).astype(np.uint8)
    thick, style = rng.uniform(0.004, 0.026), rng.random()
    turn, rise, frame = rng.normal(0, 0.06), rng.normal(-0.005, 0.008), Layer(size, matrix)
    for points, (centre, sign) in zip(lenses, sides, strict=True):
        if style < 0.75:
            frame.line(np.concatenate([points, points[:1]]), thick)
        elif style < 0.93:  # only the upper half has a rim
            frame.line(points[points[:, 1] < centre[1] + 0.2 * high], thick)
        hinge, length = centre + np.array([sign * wide, -0.35 * high]), 0.1 + sign * turn
        if length > 0:  # of a turned head, only the near temple is seen
            frame.line([hinge, hinge + np.array([sign * length, rise])], max(thick, 0.008), 0.8)
    (right, _), (left, _) = sides
    a, b = right + np.array([wide, -0.3 * high]), left - np.array([wide, 0.3 * high])
    frame.line([a, (a + b) / 2 - (0, rng.uniform(0.004, 0.02)), b], max(0.7 * thick, 0.006))
    colour = np.clip(np.array(_RIM_COLOURS[min(rng.integers(10), rng.integers(7))]) + rng.normal(0, 8, 3), 0, 255)
    return frame.over(image, colour, rng.uniform(0.8, 1), soft=0.6, shadow=rng.uniform(0, 0.35))


def _rim(rng: Rng) -> Floats:
    """(40, 2) outline of a lens in -1..1 whose +x is the outer side: a superellipse, tapered below, lifted at the outer corner."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    power = 2 / rng.uniform(1.9, 5)
    x = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power
    y = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power
    x = x * (1 - rng.uniform(0, 0.3) * np.maximum(y, 0))
    lift = rng.uniform(0.15, 0.4) if rng.random() < 0.2 else 0.0
    return np.column_stack([x, y - lift * np.maximum(x, 0) * (y < 0)]).astype(np.float32)


def _reflection(rng: Rng, size: int, matrix: Matrix, centres: list[NDArray[np.float64]], wide: float) -> Floats:
    """(S, S, 1) strength of a window, a screen or a slanted band in both lenses, at the same place in each."""
    layer, at = Layer(size, matrix), rng.uniform(-0.6, 0.6, 2) * wide
    across, down, slant = rng.uniform(0.2, 0.8) * wide, rng.uniform(0.2, 1.6) * wide, rng.normal(0, 0.5)
    box = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (across, down) / 2
    for centre in centres:
        layer.fill(centre + at + box + np.column_stack([slant * box[:, 1], np.zeros(4)]))
    return np.float32(rng.uniform(0.1, 0.65)) * np.asarray(cv2.GaussianBlur(layer.cover(), (0, 0), rng.uniform(0.4, 2)))[..., None]


def _hair_colour(image: Image, rng: Rng) -> Floats:
    colour = np.array(_HAIR_COLOURS[rng.integers(len(_HAIR_COLOURS))]) if rng.random() < 0.95 else rng.integers(0, 255, 3)
    return _lit(image, np.clip(colour * rng.uniform(0.7, 1.2) + rng.normal(0, 4, 3), 2, 255))


def _lit(image: Image, colour: ArrayLike) -> Floats:
    """A colour in the light of the picture."""
    return np.asarray(colour, np.float32) * np.float32(np.clip(image[::4, ::4].mean() / 110, 0.35, 1.15))


def fringe(image: Image, rng: Rng, matrix: Matrix) -> Image:
    """Combed hair from the top of the crop over the forehead, down to the brows and sometimes beyond."""
    x, y = unit_grid(image.shape[0], matrix)
    lean, curl = rng.normal(0, 0.5), rng.normal(0, 0.8)
    root = x + lean * (y - 0.2) + curl * (y - 0.2) ** 2  # constant along a strand
    strand = np.linspace(-1, 2, 400)

    def rough(count: int, spread: float) -> Floats:
        return np.interp(strand, np.linspace(-1, 2, count), rng.normal(0, spread, count)).astype(np.float32)

    # The cut is straight, swept to a side or parted; its tips are ragged in locks and in single strands.
    tip = rng.uniform(0.17, 0.33) + rng.uniform(-0.25, 0.25) * (strand - 0.5)
    if rng.random() < 0.5:
        tip = tip - 0.1 + rng.uniform(0.2, 1.2) * np.abs(strand - rng.normal(0.5, 0.15))
    tip = tip + rough(int(rng.integers(15, 60)), rng.uniform(0.005, 0.03)) + rough(400, rng.uniform(0.002, 0.015))
    tone = 1 + rough(50, 0.08) + rough(400, 0.08)
    # Few cuts hide the eyes or the middle of the face.
    most = (0.36 if rng.random() < 0.85 else 0.44) + 4 * np.maximum(np.abs(x - np.float32(0.5)) - np.float32(0.22), 0)
    end = np.minimum(np.interp(root, strand, tip).astype(np.float32), most)
    cover = np.clip((end - y) / np.float32(rng.uniform(0.01, 0.05)), 0, 1)[..., None] * np.float32(rng.uniform(0.85, 1))
    paint = _hair_colour(image, rng) * np.interp(root, strand, tone).astype(np.float32)[..., None]
    under: Floats = image * (1 - np.float32(rng.uniform(0, 0.4)) * np.clip(1 - (y - end) / np.float32(0.04), 0, 1)[..., None])
    return np.asarray(np.clip(under + cover * (paint - under), 0, 255), np.uint8)


def strands(image: Image, rng: Rng, matrix: Matrix) -> Image:
    """A few loose strands and locks that hang into the face."""
    layer, start = Layer(image.shape[0], matrix), rng.uniform(0.1, 0.9)
    for _ in range(rng.integers(2, 12)):
        root = np.array([start + rng.normal(0, 0.15), -0.3])
        end = np.array([root[0] + rng.normal(0, 0.15), rng.uniform(0.2, 0.6)])
        layer.line(_curve(root, end, rng.normal(0, 0.12)), rng.choice((0.004, 0.008, 0.016), p=(0.5, 0.35, 0.15)), rng.uniform(0.7, 1.2))
    return layer.over(image, _hair_colour(image, rng), rng.uniform(0.7, 1), shadow=rng.uniform(0, 0.3))


def _curve(start: Floats, end: Floats, bow: float) -> Floats:
    """(9, 2) quadratic curve that bows to one side by ``bow`` times its length."""
    t = np.linspace(0, 1, 9)[:, None]
    across = np.array([start[1] - end[1], end[0] - start[0]])
    return np.asarray(start + (end - start) * t + across * (bow * 4 * t * (1 - t)), np.float32)


def _skin(image: Image, rng: Rng, matrix: Matrix) -> Floats:
    """The face's own colour at the nose, so that a hand has the skin and the light of the face."""
    size = image.shape[0]
    x, y = np.clip((matrix[:, :2] @ np.array([0.5, 0.5]) * size + matrix[:, 2]).astype(int), 4, size - 5)
    return np.asarray(image[y - 4 : y + 5, x - 4 : x + 5].mean((0, 1)) * rng.uniform(0.8, 1.2) * rng.uniform(0.95, 1.05, 3), np.float32)


def hand(image: Image, rng: Rng, matrix: Matrix) -> Image:
    """A hand from below or the side: two to five fingers on a palm, in the colour of the face."""
    side, below = rng.choice((-1, 1)), rng.random() < 0.6
    wrist = np.array([0.5 + side * rng.uniform(0.15, 0.5), 1.25]) if below else np.array([0.5 + side * 0.75, rng.uniform(0.5, 1.1)])
    target = np.array([0.5 + side * rng.uniform(0, 0.28), rng.uniform(0.62, 0.9)])
    reach = target - wrist
    reach /= np.linalg.norm(reach)
    across, width = np.array([-reach[1], reach[0]]), rng.uniform(0.06, 0.085)
    length, spread = rng.uniform(0.18, 0.32), rng.uniform(1, 1.35)
    knuckles = target - length * reach
    layer = Layer(image.shape[0], matrix)
    count, bow = int(rng.integers(2, 6)), rng.normal(0, 0.12)
    layer.line([wrist, knuckles - 0.06 * reach], 2.6 * width, 0.9)
    for i in range(count):
        place = i - (count - 1) / 2
        foot = knuckles + 0.95 * width * place * across
        tip = foot + reach * length * (1 - 0.07 * place**2 + rng.normal(0, 0.04)) + across * width * place * (spread - 0.95)
        path = _curve(foot - 0.1 * reach, tip, bow)
        layer.line(path, width, 0.72).line(path, 0.8 * width, 0.92).line(path, 0.4 * width, 1.05)
    return layer.over(image, _skin(image, rng, matrix), soft=image.shape[0] / 90, shadow=rng.uniform(0.1, 0.5))


def microphone(image: Image, rng: Rng, matrix: Matrix) -> Image:
    """A dark ball on a stand or arm before the chin, or the boom of a headset at the corner of the mouth."""
    layer, side = Layer(image.shape[0], matrix), rng.choice((-1, 1))
    if rng.random() < 0.4:
        at, radius = np.array([0.5 + side * rng.uniform(0.1, 0.2), rng.uniform(0.74, 0.84)]), rng.uniform(0.025, 0.045)
        layer.line(_curve(np.array([0.5 + side * 0.45, rng.uniform(0.45, 0.6)]), at, -side * rng.uniform(0.05, 0.25)), 0.014)
    else:
        at, radius = np.array([0.5 + side * rng.uniform(0, 0.3), rng.uniform(0.86, 1.05)]), rng.uniform(0.08, 0.15)
        layer.line([at, at + np.array([side * rng.uniform(-0.1, 0.6), 0.6])], rng.uniform(0.3, 0.9) * radius, 0.8)
    turn = np.linspace(0, 2 * np.pi, 24)[:, None]
    ring = np.concatenate([np.cos(turn), np.sin(turn) * rng.uniform(1, 1.4)], axis=1)
    for share, tone in ((1.0, 0.7), (0.75, 0.9), (0.45, 1.1)):
        layer.fill(at + radius * (share * ring - (1 - share) * np.array([0.4, 0.4])), tone)
    return layer.over(image, rng.uniform(8, 70) * rng.uniform(0.9, 1.1, 3), soft=radius * image.shape[0] / 6, shadow=rng.uniform(0, 0.3))


def cup(image: Image, rng: Rng, matrix: Matrix) -> Image:
    """A cup or a glass at the mouth or below it."""
    layer, top, middle = Layer(image.shape[0], matrix), rng.uniform(0.68, 0.92), rng.normal(0.5, 0.08)
    wide, narrow, lean = rng.uniform(0.13, 0.22), rng.uniform(0.7, 1), rng.normal(0, 0.06)
    foot, edges = top + 2.2 * wide, np.linspace(-1, 1, 9)
    for a, b in itertools.pairwise(edges):
        left, right = middle + wide * a, middle + wide * b
        low = [(middle + lean + narrow * wide * b, foot), (middle + lean + narrow * wide * a, foot)]
        layer.fill([(left, top), (right, top), *low], 0.55 + 0.6 * math.cos(1.2 * (a - 0.35)))
    turn = np.linspace(0, 2 * np.pi, 24)
    rim = np.column_stack([middle + wide * np.cos(turn), top + 0.22 * wide * np.sin(turn)])
    layer.fill(rim, 0.6).line(rim, 0.012, 1.2)
    return layer.over(image, _lit(image, rng.uniform(20, 235, 3)), rng.uniform(0.8, 1), soft=1, shadow=0.2)


def mask(image: Image, rng: Rng, matrix: Matrix) -> Image:
    """A cloth mask over nose and mouth, with folds and ear loops."""
    layer, top, wide = Layer(image.shape[0], matrix), rng.uniform(0.45, 0.52), rng.uniform(0.25, 0.3)
    for side in (-1, 1):
        layer.line([(0.5 + side * wide, 0.58), (0.5 + side * 0.42, 0.42)], 0.012)
    right = np.array([(0, top), (0.1, top + 0.04), (wide, 0.56), (wide, 0.75), (0.15, 0.93), (0, 0.96)])
    layer.fill(np.array([0.5, 0]) + np.concatenate([right, right[::-1] * (-1, 1)]))
    for y in np.linspace(0.6, 0.73, int(rng.integers(1, 5))):
        layer.line(_curve(np.array([0.5 - 0.9 * wide, y]), np.array([0.5 + 0.9 * wide, y]), rng.uniform(0, 0.08)), 0.01, 0.8)
    colour = np.array([(225, 228, 230), (130, 175, 205), (24, 24, 28), rng.integers(0, 255, 3)][rng.integers(4)])
    return layer.over(image, _lit(image, colour), soft=1, shadow=0.3)
