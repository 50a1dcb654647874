"""New skins from known ones: variations of a VALID texture atlas.

A few dozen photographed people are few. What a network must not learn by heart is where their brows rest, how dark
they are and what surrounds them; so every invented person gets brows of another height, slant, strength or owner,
other irises, lips, blotches and beard shadow. The atlas is shared by all VALID heads, so places are fixed fractions.
"""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar.types import Image

SIDE: Final = 512
"""Side of a varied atlas in pixels: about 0.9 mm of face a pixel, finer than any crop."""
MILLIMETRE: Final = 1 / 460
"""A millimetre on the face as a fraction of the atlas."""
_MIDDLE: Final = 0.328
"""Horizontal place of the face's middle line."""
_BROWS: Final = 0.182
_LIDS: Final = 0.210
_LIPS: Final = 0.350
_CHIN: Final = 0.43
"""Vertical places."""
_EYES: Final = ((0.507, 0.058), (0.142, 0.058))
"""Centres of the irises."""

Field = NDArray[Any]
"""Floating-point values over the atlas."""


def _bump(place: float, spread: float, at: Field) -> Field:
    return np.asarray(np.exp(-(((at - place) / spread) ** 2) / 2), np.float32)


def vary(body: Image, other: Image, rng: np.random.Generator) -> Image:
    """(SIDE, SIDE, 3) another skin like ``body``, now and then with the brows or the features of ``other``.

    Args:
        body, other: (H, W, 3) RGB uint8 atlases.
        rng: source of chance.
    """
    skin, lender = (_shrunk(a) for a in (body, other))
    axis = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    x, y = axis[None] - _MIDDLE, axis[:, None]
    face = _bump(0, 0.14, x) * (1 / (1 + np.exp((y - 0.5) / 0.02))) * (1 / (1 + np.exp((0.105 - y) / 0.01)))
    draw = rng.random()
    if draw < 0.35:
        skin = _graft(skin, lender, _bump(_BROWS - 0.008, 0.022, y) * (np.abs(x) < 0.16))
    elif draw < 0.5:
        share = rng.uniform(0.25, 0.75)
        skin = skin * (1 - share) + lender * share
    if rng.random() < 0.9:
        skin = _move_brows(skin, x, y, rng)
    skin = _restrengthen(skin, _bump(_BROWS - 0.006, 0.02, y) * (np.abs(x) < 0.15), rng)
    if rng.random() < 0.4:
        skin = skin * (1 + face[..., None] * _blotches(rng, rng.uniform(0.02, 0.09)))
    if rng.random() < 0.3:
        lips = (_bump(_LIPS, 0.012, y) * _bump(0, 0.04, x))[..., None]
        skin = skin * (1 - lips * (1 - rng.uniform((0.75, 0.5, 0.5), (1.15, 1.15, 1.15)).astype(np.float32)))
    if rng.random() < 0.15:
        beard = _bump(_CHIN - 0.02, 0.035, y) * _bump(0, 0.09, x) * (1 - _bump(_LIPS, 0.01, y) * _bump(0, 0.05, x))
        grain = rng.uniform(0.6, 1.4, (SIDE, SIDE)).astype(np.float32)
        skin = skin * (1 - (beard * rng.uniform(0.15, 0.75) * grain).clip(0, 0.9)[..., None])
    if rng.random() < 0.6:
        skin = _colour_irises(skin, rng)
    if rng.random() < 0.5:
        tone = rng.normal(1, (0.04, 0.04, 0.06)).astype(np.float32) * rng.uniform(0.75, 1.2)
        skin = skin * (1 + face[..., None] * (tone - 1))
    return np.ascontiguousarray(skin.clip(0, 255).astype(np.uint8))


def _shrunk(atlas: Image) -> Field:
    return np.asarray(cv2.resize(atlas, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)


def _smooth(skin: Field, spread: float) -> Field:
    """A wide blur (``spread`` in pixels), done on a quarter of the pixels a side."""
    small = cv2.resize(skin, (SIDE // 4, SIDE // 4), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(cv2.GaussianBlur(small, (0, 0), spread / 4), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR))


def _graft(skin: Field, lender: Field, mask: Field) -> Field:
    """The lender's details on the skin's own tone: low frequencies stay."""
    weight = cv2.GaussianBlur(np.asarray(mask, np.float32), (0, 0), 4)[..., None].clip(0, 1)
    own, theirs = _smooth(skin, 28), _smooth(lender, 28)
    return np.asarray(skin * (1 - weight) + (own + lender - theirs) * weight, np.float32)


def _move_brows(skin: Field, x: Field, y: Field, rng: np.random.Generator) -> Field:
    """Brows higher, lower, slanted, closer together: a smooth displacement that leaves the lids where they are."""
    # On top of the 2.5 mm by which these people's own brows differ: with more, a network learns that a brow's height says nothing.
    up = rng.normal(0, 1.0) * MILLIMETRE
    side = np.abs(x) / 0.1
    lift = up + (side - 1) * rng.normal(0, 0.8) * MILLIMETRE + np.sign(x) * rng.normal(0, 0.3) * MILLIMETRE
    # Nothing moves at the lids, whose place is expression; a brow cannot come lower than just above them.
    lift = np.maximum(lift, -7 * MILLIMETRE)
    height = np.where(y < _BROWS, _bump(_BROWS, 0.04, y), _bump(_BROWS, (_LIDS - _BROWS) / 2.6, y))
    inwards = np.sign(x) * rng.normal(0, 1.2) * MILLIMETRE * _bump(0.05, 0.05, np.abs(x)) * height
    column = (np.arange(SIDE, dtype=np.float32) + 0.5)[None]
    row = column.T
    map_x = column + inwards * SIDE
    map_y = row + lift * height * SIDE
    full = np.broadcast_to
    return np.asarray(
        cv2.remap(skin, full(map_x, (SIDE, SIDE)).astype(np.float32), full(map_y, (SIDE, SIDE)).astype(np.float32), cv2.INTER_LINEAR)
    )


def _restrengthen(skin: Field, mask: Field, rng: np.random.Generator) -> Field:
    """Brow hair darker, fainter or dyed: dark details inside the mask are scaled."""
    smooth = _smooth(skin, 16)
    weight = cv2.GaussianBlur(np.asarray(mask, np.float32), (0, 0), 3)[..., None].clip(0, 1)
    strength = rng.uniform(0.05, 0.5) if rng.random() < 0.25 else rng.uniform(0.5, 1.9)
    colour = rng.normal(1, 0.12, 3).astype(np.float32)
    dark = np.minimum(skin - smooth, 0)
    return np.asarray(skin + weight * dark * (strength * colour - 1), np.float32)


def _blotches(rng: np.random.Generator, strength: float) -> Field:
    cells = int(rng.integers(4, 40))
    noise = rng.normal(0, strength, (cells, cells, 3)) * (1, 1.2, 1.2)
    common = noise.mean(2, keepdims=True)
    return np.asarray(cv2.resize((0.6 * common + 0.4 * noise).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))


def _colour_irises(skin: Field, rng: np.random.Generator) -> Field:
    """Irises of any colour and brightness; pupil and white stay."""
    skin = skin.copy()
    colour = rng.uniform((0.6, 0.6, 0.5), (1.3, 1.3, 1.6)).astype(np.float32) * rng.uniform(0.6, 1.9)
    reach = round(0.02 * SIDE)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    away = np.hypot(columns, rows) / SIDE
    ring = ((away < 0.019) & (away > 0.007)).astype(np.float32)[..., None]
    for x, y in _EYES:
        iris = skin[round(y * SIDE) - reach :, round(x * SIDE) - reach :][: 2 * reach + 1, : 2 * reach + 1]
        iris += ring * (iris.mean(2, keepdims=True) * colour - iris)
    return skin
