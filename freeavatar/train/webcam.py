"""What people, webcams, codecs and rooms do to a face: the augmentation of training crops.

:func:`bend` and :func:`shift_brows` make another face with the same expression, :func:`fold` wrinkles it; :func:`degrade` puts
things before it (:mod:`freeavatar.train.occluders`), lights it, and films it with a bad camera. ``matrix`` is always the (2, 3)
map from pixels of the ideal crop to those of the crop at hand; None means that the crop is ideal.
"""

import itertools
import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar.train.occluders import drawing, occlude, unit_grid
from freeavatar.types import Image

Floats = NDArray[np.float32]
Matrix = NDArray[np.floating]
Rng = np.random.Generator

_STRAIGHT: Final = np.eye(2, 3)
_GREY: Final = np.array([0.299, 0.587, 0.114], np.float32)
_HAIRLINE, _BROWS, _LID = 0.08, (0.22, 0.29), 0.345
"""Heights in the square that occluders are drawn in: where brows move fully, and where that movement has faded to nothing."""


def degrade(image: Image, rng: Rng, matrix: Matrix | None = None) -> Image:
    """One random chain of occlusion, light, lens, sensor, processing, compression and framing.

    Args:
        image: (S, S, 3) RGB uint8.
        rng: source of chance.
        matrix: where the ideal crop lies in ``image``; glasses sit there.
    """
    image = occlude(image, rng, _STRAIGHT if matrix is None else matrix)
    for step, share in ((_light, 0.45), (_lens, 0.12), (_focus, 0.55), (_sensor, 0.9), (_process, 0.3), (_compress, 0.55), (_frame, 0.12)):
        if rng.random() < share:
            image = step(image, rng)
    return image


def bend(image: Image, rng: Rng, strength: float = 0.008) -> Image:
    """Another face with the same expression: a smooth bend of about ``strength`` times the picture's side.

    Where a brow rests differs from person to person by more than many expressions move it. Bending every picture anew
    keeps a network from learning the resting places of the few people it is trained on.
    """
    size = image.shape[0]
    grid = rng.normal(0, strength * size, (5, 5, 2)).astype(np.float32)
    grid[:, ::-1, 0] -= 0.85 * grid[:, :, 0].copy()  # faces are nearly symmetric, and so is most of the bend
    grid[:, ::-1, 1] += 0.85 * grid[:, :, 1].copy()
    field = np.asarray(cv2.resize(grid / np.float32(1.3), (size, size), interpolation=cv2.INTER_CUBIC), np.float32)
    return _displaced(image, field[..., 0], field[..., 1])


def shift_brows(image: Image, rng: Rng, matrix: Matrix | None = None) -> Image:
    """The same face with brows that rest elsewhere, and sometimes with darker, fainter, thinner or bushier ones.

    The band of the brows moves up or down by about 1.2 % of the side, both sides mostly alike, inner and outer ends a
    little apart. The movement fades to nothing at the upper lid and at the hairline, so lids and their labels stay.

    Args:
        image: (S, S, 3) RGB uint8.
        rng: source of chance.
        matrix: where the ideal crop lies in ``image``.
    """
    size = image.shape[0]
    x, y = unit_grid(size, drawing(size, _STRAIGHT if matrix is None else matrix))
    band = np.minimum(_smooth(y, _HAIRLINE, _BROWS[0]), 1 - _smooth(y, _BROWS[1], _LID))
    both, tilt, apart = rng.normal(0, (0.012, 0.006, 0.004))
    outer = np.clip(np.abs(x - 0.5) / 0.25, 0, 1.2)  # 0 at the bridge of the nose, 1 at the brow's outer end
    # More would fold the skin above the lid over itself.
    shift = np.clip(both + tilt * (outer - 0.5) + apart * np.clip((x - 0.5) / 0.15, -1, 1), -0.034, 0.034)
    if rng.random() < 0.35:
        image = _repaint(image, band, rng)
    return _displaced(image, np.zeros_like(x), (-size * band * shift).astype(np.float32))


def fold(image: Image, rng: Rng, raised: float, lowered: float, matrix: Matrix | None = None) -> Image:
    """Skin that folds with the brows, which rendered heads lack and by which real brows are often read.

    Raised brows lay lines across the forehead, lowered ones lines between the brows; skin differs in how readily it folds,
    and some is lined at rest.

    Args:
        image: (S, S, 3) RGB uint8.
        rng: source of chance.
        raised: how far the brows are raised, 0..1; ``lowered``: how far they are drawn down.
        matrix: where the ideal crop lies in ``image``.
    """
    size, matrix = image.shape[0], _STRAIGHT if matrix is None else matrix
    depth, rest = rng.uniform(0.05, 0.3), 0.3 * rng.random() * (rng.random() < 0.3)
    across, between = np.zeros((2, size, size), np.float32)
    x = np.linspace(-1, 1, 9)
    for y in rng.uniform(0.125, 0.16) - 0.033 * np.arange(rng.integers(2, 5)) * rng.uniform(0.7, 1.2):
        wide, arch, lean = rng.uniform(0.1, 0.2), rng.normal(0.004, 0.006), rng.normal(0, 0.006)
        _crease(across, np.column_stack([0.5 + rng.normal(0, 0.015) + wide * x, y - arch * (1 - x * x) + lean * x]), matrix)
    for side in (-1, 1)[: rng.integers(1, 3)]:
        at, high = 0.5 + side * rng.uniform(0.008, 0.028), rng.uniform(0.03, 0.06)
        _crease(between, np.column_stack([at + side * 0.004 * x * x, 0.225 + 0.5 * high * x]), matrix)
    dark = np.clip(across * max(raised, rest) + between * max(lowered, rest), 0, 1)
    # A fold is a dark line with a bright lip.
    shade = dark - 0.5 * np.roll(dark, max(1, size // 96), axis=0)
    return np.asarray(np.clip(image * (1 - depth * shade[..., None]), 0, 255), np.uint8)


def _crease(field: Floats, points: NDArray[np.float64], matrix: Matrix) -> None:
    """Draw one soft line through (N, 2) points of the unit crop into an (S, S) field; deepest in its middle."""
    size = field.shape[0]
    places = (points * size - 0.5) @ np.asarray(matrix, np.float64)[:, :2].T + np.asarray(matrix, np.float64)[:, 2]
    line = np.zeros((size, size), np.uint8)
    for (a, b), tone in zip(itertools.pairwise(np.round(places * 16).astype(int).tolist()), np.sin(np.linspace(0.3, 2.8, 8)), strict=True):
        cv2.line(line, a, b, (int(255 * tone),), max(1, size // 96), cv2.LINE_AA, 4)
    np.maximum(field, cv2.GaussianBlur(line, (0, 0), size / 160).astype(np.float32) / 160, out=field)


def colourise(image: Image, rng: Rng) -> Image:
    """A grey photograph in colours like those of skin; a picture that has colours already stays as it is.

    Press photographs are grey, webcams are not: what is only ever seen in grey, such as the inside of a real mouth, would be
    foreign in colour. Red is brighter and blue darker than the grey, most of all in shadows.
    """
    if np.ptp(image[::4, ::4].astype(np.int16), axis=2).mean() > 4:
        return image
    depth = rng.uniform(0.5, 1.7)
    curves = np.array([1 - 0.25 * depth, 1 + 0.05 * depth, 1 + 0.2 * depth]) * np.exp(rng.normal(0, 0.04, 3))
    table = np.linspace(0, 1, 256)[:, None] ** curves * 255
    return np.asarray(cv2.LUT(image, table.astype(np.uint8)[None]), np.uint8)


def spoilt_crop(size: int, side: int, rng: Rng) -> NDArray[np.float64]:
    """(2, 3) matrix of a crop that misses the face: far off, much too small or upside down."""
    angle, scale = rng.uniform(-math.pi, math.pi), rng.uniform(0.8, 2.5)
    shift = rng.uniform(0.55, 0.8) * np.array([math.cos(turn := rng.uniform(0, 2 * math.pi)), math.sin(turn)]) * side * scale / 1.25
    if rng.random() < 0.3:
        angle, scale, shift = rng.uniform(0, 0.4), rng.uniform(0.2, 0.4), rng.uniform(-0.2, 0.2, 2) * size
    elif rng.random() < 0.2:
        angle, scale, shift = math.pi + rng.normal(0, 0.4), rng.uniform(0.7, 1.1), np.zeros(2)
    linear = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.column_stack([linear, np.array([size / 2] * 2) + shift - linear @ np.array([side / 2] * 2)])


def _smooth(value: Floats, low: float, high: float) -> Floats:
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _displaced(image: Image, dx: Floats, dy: Floats) -> Image:
    """Every pixel taken from (dx, dy) pixels away."""
    size = image.shape[0]
    y, x = np.mgrid[:size, :size].astype(np.float32)
    return np.asarray(cv2.remap(image, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _repaint(image: Image, band: Floats, rng: Rng) -> Image:
    """What is darker than the skin around it in the band of the brows, made darker, fainter, thinner or bushier."""
    size, draw = image.shape[0], rng.random()
    if draw < 0.5:
        skin = cv2.dilate(cv2.blur(image, (3, 3)), np.ones((size // 12, 3), np.uint8)).astype(np.float32)
        hair = np.minimum(image - skin, 0)
        painted: Floats = skin + hair * np.float32(rng.uniform(0.15, 0.7) if rng.random() < 0.6 else rng.uniform(1.2, 1.8))
    else:
        change = cv2.dilate if draw < 0.8 else cv2.erode
        painted = np.asarray(change(image, np.ones((max(2, size // 50), 1), np.uint8)), np.float32)
    return np.clip(image + band[..., None] * (painted - image), 0, 255).astype(np.uint8)


def _light(image: Image, rng: Rng) -> Image:
    """A smooth change of light across the face, lamps of different colours, and a vignette."""
    size, same = image.shape[0], rng.uniform(0.45, 1.35, (3, 3, 1))
    colour = np.exp(rng.normal(0, 0.1, (3, 3, 3))) if rng.random() < 0.3 else 1.0
    grid = (same * colour * np.ones(3)).astype(np.float32)
    field = np.asarray(cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)
    if rng.random() < 0.3:
        y, x = np.mgrid[-0.5 : 0.5 : size * 1j, -0.5 : 0.5 : size * 1j].astype(np.float32)
        field = field * (1 - np.float32(rng.uniform(0.3, 1.1)) * (x * x + y * y))[..., None]
    return np.asarray(np.clip(image * field, 0, 255), np.uint8)


def _lens(image: Image, rng: Rng) -> Image:
    """Barrel or pincushion distortion that leaves the eyes about where they are."""
    size = image.shape[0]
    y, x = np.mgrid[-0.5 : 0.5 : size * 1j, -0.5 : 0.5 : size * 1j].astype(np.float32)
    pull = np.float32(rng.uniform(-0.25, 0.25)) * (x * x + y * y - np.float32(0.04)) * size
    return _displaced(image, x * pull, y * pull)


def _focus(image: Image, rng: Rng) -> Image:
    """Too few pixels, out of focus, or moved while the shutter was open."""
    size, draw = image.shape[0], rng.random()
    if draw < 0.4:
        small = int(size * rng.uniform(0.3, 0.8))
        return _resized(image, small, size)
    if draw < 0.85:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.6)), np.uint8)
    length, turn = int(rng.integers(3, max(4, size // 16))), rng.uniform(0, math.pi)
    kernel, middle = np.zeros((length, length), np.float32), (length - 1) / 2
    step = np.array([math.cos(turn), math.sin(turn)]) * middle
    ends = [tuple(int(v) for v in np.round(middle + sign * step)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], (1.0,))
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def _resized(image: Image, small: int, size: int) -> Image:
    shrunk = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)


def _sensor(image: Image, rng: Rng) -> Image:
    """Automatic exposure that is off, low light, noise, white balance, saturation and the tone curve."""
    size, dark = image.shape[0], rng.random() < 0.18
    level = float(image[size // 4 : -size // 8 : 3, size // 4 : -size // 4 : 3].mean()) + 1  # of the face
    if dark or rng.random() < 0.45:
        gain = rng.uniform(16, 50) / level if dark else 1.0
        fine = rng.standard_normal((size, size, 1), np.float32) * np.float32(rng.uniform(0.5, 3 if dark else 7))
        blotches = rng.standard_normal((size // 2, size // 2, 3), np.float32) * np.float32(rng.uniform(0, 3 if dark else 6))
        signal = np.float32(gain) * image.astype(np.float32)
        noise = fine + np.asarray(cv2.resize(blotches, (size, size), interpolation=cv2.INTER_LINEAR))
        # Photons arrive by chance: a part of the noise grows with the light.
        image = np.clip(signal + noise * np.sqrt(0.3 + signal[..., 1:2] / 128), 0, 255).astype(np.uint8)
        level *= gain
    if rng.random() < 0.25:
        image = np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)
    elif rng.random() < 0.6:
        saturation = np.float32(rng.uniform(0.4, 1.35))
        image = np.asarray(cv2.transform(image, saturation * np.eye(3, dtype=np.float32) + (1 - saturation) * _GREY), np.uint8)
    wanted = rng.uniform(40, 110) if dark else float(np.clip(rng.normal(118, 30), 50, 190))
    value = np.linspace(0, 1, 256) ** math.exp(rng.normal(0, 0.2))
    if rng.random() < 0.3:
        value = np.interp(value, np.linspace(0, 1, 6), np.cumsum([0, *rng.dirichlet(np.full(5, 4.0))]))
    # The curve is scaled so that a face of this level becomes as bright as is wanted, at a contrast of its own.
    value *= wanted / (255 * value[min(round(level), 255)] + 2)
    value = wanted / 255 + (value - wanted / 255) * rng.uniform(0.65, 1.3)
    warmth, green = rng.normal(0, 0.08), rng.normal(0, 0.03)
    table = value[:, None] * np.exp([warmth, green, -warmth]) * 255
    return np.asarray(cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8)[None]), np.uint8)


def _process(image: Image, rng: Rng) -> Image:
    """What a camera's own processor does: smear noise away, sharpen, or lift local contrast."""
    draw = rng.random()
    if draw < 0.25:
        return np.asarray(cv2.medianBlur(image, 3), np.uint8)
    if draw < 0.45:
        return np.asarray(cv2.bilateralFilter(image, 5, rng.uniform(20, 60), 2), np.uint8)
    if draw < 0.8:
        soft, amount = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 2)), rng.uniform(0.3, 1.5)
        return np.asarray(cv2.addWeighted(image, 1 + amount, soft, -amount, 0), np.uint8)
    planes = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    planes[..., 0] = cv2.createCLAHE(rng.uniform(1, 3), (4, 4)).apply(np.ascontiguousarray(planes[..., 0]))
    return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YCrCb2RGB), np.uint8)


def _compress(image: Image, rng: Rng) -> Image:
    """JPEG, or the coarse blocks of a starved video codec: the same at half the size."""
    size = image.shape[0]
    starved = rng.random() < 0.25
    side, quality = (round(size * rng.uniform(0.45, 0.7)), rng.integers(20, 60)) if starved else (size, rng.integers(25, 90))
    if starved:
        image = np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8) if starved else image


def _frame(image: Image, rng: Rng) -> Image:
    """A tightly framed picture: outside of it, a crop repeats the border (:func:`freeavatar.face.alignment.warp`)."""
    size = image.shape[0]
    shares = rng.uniform(0, (0.12, 0.14, 0.16, 0.16)) * (rng.random(4) < 0.6)
    top, bottom, left, right = (int(size * share) for share in shares)
    inner = image[top : size - bottom, left : size - right]
    return np.asarray(cv2.copyMakeBorder(inner, top, bottom, left, right, cv2.BORDER_REPLICATE), np.uint8)
