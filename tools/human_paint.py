"""Paints the human's textures: skin, eyes, hair, teeth. Everything is computed; no photograph is involved.

Skin is painted in metres on the surface itself: every texel knows where on the head it lies, so a brow is a curve over an eye.
"""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

import human_hair
from human_base import Indices, Points
from human_parts import EYE_EXTENT, IRIS, eye_texture_radius

SKIN_SIZE = 512
AXIS_Z = 0.005
"""Metres: the vertical axis that the skin's texture is rolled around lies this far in front of the head's origin."""

# sRGB, 0..255.
_SKIN = (224, 174, 146)
_BLUSH = (222, 132, 116)
_LIPS = (196, 112, 104)
_LID = (190, 134, 112)
_BROW = (60, 40, 30)
_HAIR = (70, 46, 34)


def skin_uv(points: Points) -> Points:
    """Texture coordinates (V, 2) of points on the head; the face gets most of the picture.

    The back of the head lies at both ends; the builder splits the mesh there.
    """
    # Rounding must not put a vertex of the middle line on the other side.
    turn = np.arctan2(np.where(np.abs(points[:, 0]) < 1e-7, 0.0, points[:, 0]), points[:, 2] - AXIS_Z)
    share = np.interp(np.abs(turn), [0.0, 1.05, 1.7, np.pi], [0.0, 0.76, 0.93, 0.995])
    rise = np.interp(points[:, 1], [-0.20, -0.085, 0.1, 0.16], [0.005, 0.1, 0.94, 0.995])
    return np.stack([0.5 + 0.5 * np.sign(turn) * share, 1.0 - rise], axis=1)


def skin(points: Points, normals: Points, triangles: Indices, uv: Points, masks: Mapping[str, Points], eye: Points) -> bytes:
    """The skin's picture.

    Args:
        points: (V, 3) metres.
        normals: (V, 3).
        triangles: (F, 3).
        uv: (V, 2).
        masks: `lips`, `lids`, `ears`: (V,) 0..1.
        eye: (3,) centre of the left eye.

    Returns:
        A PNG file.
    """
    names = list(masks)
    layers = np.concatenate([points, normals, np.stack([masks[n] for n in names], axis=1)], axis=1)
    baked = _bake(triangles, uv, layers, SKIN_SIZE)
    x, y, z = baked[..., 0], baked[..., 1], baked[..., 2]
    mask = {n: baked[..., 6 + k] for k, n in enumerate(names)}
    side = np.abs(x)
    rng = np.random.default_rng(3)
    mottle = _noise(rng, SKIN_SIZE, 14.0) * 0.022 + _noise(rng, SKIN_SIZE, 3.0) * 0.012 + _noise(rng, SKIN_SIZE, 1.0) * 0.008
    # The layout stretches below the chin and behind the ears, where noise would turn into stripes.
    mottle *= np.clip((y + 0.075) / 0.03, 0, 1) * np.clip((z + 0.01) / 0.03, 0, 1)
    picture = np.broadcast_to(np.array(_SKIN, dtype=float), (*x.shape, 3)) * (1.0 + mottle[..., None] * [0.7, 1.1, 1.2])

    def tint(colour: tuple[int, int, int], amount: Points) -> None:
        nonlocal picture
        picture = picture + (np.array(colour) - picture) * np.clip(amount, 0.0, 1.0)[..., None]

    def blob(cx: float, cy: float, rx: float, ry: float) -> Points:
        return np.asarray(np.exp(-(((side - cx) / rx) ** 2) - ((y - cy) / ry) ** 2) * (z > 0.02))

    tint(_BLUSH, 0.32 * blob(eye[0] + 0.014, eye[1] - 0.034, 0.019, 0.014))
    tint(_BLUSH, 0.30 * blob(0.0, 0.001, 0.013, 0.010) + 0.12 * blob(0.0, -0.064, 0.016, 0.010) + 0.38 * mask["ears"])
    tint((236, 192, 166), 0.35 * blob(0.0, 0.085, 0.040, 0.018) + 0.30 * blob(0.0, 0.025, 0.006, 0.018))
    tint(_LID, 0.30 * mask["lids"] + 0.24 * blob(eye[0], eye[1] - 0.004, 0.019, 0.012))
    tint(_LID, 0.2 * blob(eye[0] - 0.008, eye[1] - 0.015, 0.012, 0.006))
    lips = np.clip((mask["lips"] - 0.40) / 0.34, 0.0, 1.0)
    tint(_LIPS, 0.86 * lips * (1.0 + 4.0 * mottle))
    tint((205, 150, 128), 0.35 * np.clip(-(baked[..., 4]), 0, 1) * (y < 0.0))
    edge = human_hair.inside_hairline(baked[..., :3].reshape(-1, 3) + 1e-9).reshape(x.shape)
    tint(_HAIR, np.clip((edge + 0.0045 + 0.0018 * _noise(rng, SKIN_SIZE, 1.2)) / 0.008, 0.0, 1.0) * (mask["ears"] < 0.02))
    tint(_BROW, _brow(rng, side, y, eye) * (z > 0.03))
    return _png(picture)


def eyes() -> bytes:
    """Sclera, iris and pupil around the middle of a square picture, as a PNG file."""
    size = 256
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    px, py = np.meshgrid(axis, axis)
    rho, turn = np.hypot(px, py), np.arctan2(py, px)
    polar = rho ** (1 / 0.6) * EYE_EXTENT
    assert np.isclose(eye_texture_radius(np.array([EYE_EXTENT]))[0], 1.0)
    rng = np.random.default_rng(8)
    picture = np.empty((size, size, 3))
    picture[:] = (240, 236, 232)
    redden = np.clip((polar - 0.55) / 0.7, 0, 1)[..., None]
    picture += (np.array([214, 170, 160]) - picture) * 0.55 * redden
    inside = polar / IRIS
    wave = np.zeros_like(turn)
    for count in (23, 37, 61, 89):
        wave += rng.uniform(0.6, 1.0) * np.sin(count * turn + rng.uniform(0, 6.28) + 3 * inside)
    fibre = 1.0 + 0.075 * wave * np.clip(inside * 1.6 - 0.3, 0, 1)
    ring = np.clip((inside - 0.42) / 0.5, 0, 1)[..., None]
    iris = (np.array([150, 98, 52]) * (1 - ring) + np.array([92, 62, 40]) * ring) * fibre[..., None]
    # A light from above makes the lower iris glow.
    iris *= (1.0 + 0.34 * np.clip(py / np.maximum(rho, 1e-6), -1, 1) * np.clip(inside, 0, 1))[..., None]
    iris *= 1.0 - 0.72 * np.clip((inside - 0.84) / 0.16, 0, 1)[..., None]
    blend = np.clip((1.03 - inside) / 0.08, 0, 1)[..., None]
    picture += (iris - picture) * blend
    pupil = np.clip((0.43 - inside) / 0.06, 0, 1)[..., None]
    picture += (np.array([14, 10, 9]) - picture) * pupil
    return _png(picture)


def hair() -> bytes:
    """Strands running down the picture, as a PNG file; it wraps from side to side."""
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
    sheen = np.exp(-(((along - 0.52) / 0.13) ** 2)) + 0.5 * np.exp(-(((along - 0.9) / 0.08) ** 2))
    tone = 1.0 + 0.13 * level + 0.30 * sheen * np.clip(1.0 + 0.5 * level, 0, 2)
    picture = np.array(_HAIR, dtype=float) * tone[..., None] + np.array([16.0, 8.0, 2.0]) * (sheen * np.ones_like(level))[..., None]
    return _png(picture)


def teeth() -> bytes:
    """Teeth side by side across the picture, as a PNG file."""
    size = 128
    u = np.tile((np.arange(size) + 0.5) / size, (size, 1))
    picture = np.empty((size, size, 3))
    picture[:] = (240, 232, 218)
    gap = np.abs(((u - 0.5) * 15.0) % 1.0)
    gap = np.minimum(gap, 1.0 - gap)
    picture *= (1.0 - 0.30 * np.exp(-((gap / 0.09) ** 2)))[..., None]
    # The back teeth lie in the dark of the mouth.
    picture *= (1.0 - 0.75 * np.clip(np.abs(u - 0.5) * 3.0 - 0.3, 0, 1))[..., None]
    return _png(picture)


def _brow(rng: np.random.Generator, side: Points, y: Points, eye: Points) -> Points:
    """Strength 0..1 of the brows at texels with distance `side` from the middle and height `y`, metres."""
    start, end = 0.0105, 0.0535
    s = (side - start) / (end - start)
    arch = np.interp(s, [-0.1, 0.0, 0.3, 0.62, 0.8, 1.0, 1.1], [0.0172, 0.0180, 0.0212, 0.0240, 0.0230, 0.0190, 0.0165]) + eye[1]
    arch = cv2.GaussianBlur(arch, (0, 0), 3.0)
    half = np.interp(s, [-0.06, 0.02, 0.35, 0.7, 1.0], [0.0010, 0.0040, 0.0039, 0.0027, 0.0004])
    across = (y - arch) / half
    # Hairs lean outwards and up; noise smeared along their direction gives strokes.
    strokes = _noise(rng, SKIN_SIZE, 0.6)
    kernel = np.zeros((9, 9), np.float32)
    cv2.line(kernel, (1, 8), (7, 0), 1.0, 1)
    left, right = (cv2.filter2D(strokes, -1, k / k.sum()) for k in (kernel, kernel[:, ::-1]))
    lean = np.where(np.arange(SKIN_SIZE)[None, :] > SKIN_SIZE // 2, left, right)
    lean = lean / lean.std()
    body = np.clip(1.25 - np.abs(across) ** 2.2, 0, 1) * np.clip((s + 0.05) / 0.12, 0, 1) * np.clip((1.03 - s) / 0.1, 0, 1)
    return np.asarray(np.clip(body * (0.78 + 0.16 * lean), 0, 0.9))


def _bake(triangles: Indices, uv: Points, layers: Points, size: int) -> Points:
    """Spread vertex layers (V, C) over a square picture (size, size, C); texels outside take the nearest one inside."""
    canvas, filled = np.zeros((size, size, layers.shape[1])), np.zeros((size, size), np.uint8)
    corners = uv * size - 0.5
    for triangle in triangles:
        (ax, ay), (bx, by), (cx, cy) = corners[triangle]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
            continue
        x0, x1 = max(int(np.floor(min(ax, bx, cx))), 0), min(int(np.ceil(max(ax, bx, cx))), size - 1)
        y0, y1 = max(int(np.floor(min(ay, by, cy))), 0), min(int(np.ceil(max(ay, by, cy))), size - 1)
        px, py = np.meshgrid(np.arange(x0, x1 + 1), np.arange(y0, y1 + 1))
        b = ((px - ax) * (cy - ay) - (py - ay) * (cx - ax)) / area
        c = ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) / area
        inside = (b >= -1e-3) & (c >= -1e-3) & (b + c <= 1.001)
        if inside.any():
            value = np.stack([1 - b - c, b, c], axis=-1)[inside] @ layers[triangle]
            # Where the layout folds over (under the nose, in the ears) the outermost surface wins.
            rows, columns = py[inside], px[inside]
            there = canvas[rows, columns]
            outer = (filled[rows, columns] == 0) | (np.hypot(value[:, 0], value[:, 2]) > np.hypot(there[:, 0], there[:, 2]))
            canvas[rows[outer], columns[outer]] = value[outer]
            filled[rows, columns] = 1
    _, labels = cv2.distanceTransformWithLabels(1 - filled, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    source = np.zeros(labels.max() + 1, dtype=np.int64)
    source[labels[filled == 1]] = np.flatnonzero(filled.ravel())
    return np.asarray(canvas.reshape(size * size, -1)[source[labels]])


def _noise(rng: np.random.Generator, size: int, blur: float) -> Points:
    noise = cv2.GaussianBlur(rng.normal(size=(size, size)), (0, 0), blur)
    return np.asarray(noise / noise.std())


def _wrapped_blur(values: Points, sigma: float) -> Points:
    frequency = np.fft.rfftfreq(len(values)) * 2 * np.pi
    return np.fft.irfft(np.fft.rfft(values) * np.exp(-0.5 * (frequency * sigma) ** 2), len(values))


def _png(picture: Points) -> bytes:
    pixels: NDArray[np.uint8] = np.clip(np.round(picture), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".png", pixels[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return bytes(data)
