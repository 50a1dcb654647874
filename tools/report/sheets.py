"""Sheets of captioned pictures."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from freeavatar.output import replacing
from freeavatar.types import Image

PAPER, INK, FAINT = (250, 250, 250), (30, 34, 42), (205, 210, 218)
GOOD, BAD = (46, 160, 90), (214, 96, 60)
Colour = tuple[int, int, int]


def captioned(picture: Image, lines: Sequence[str], side: int, frame: Colour = PAPER) -> Image:
    """A picture, ``side`` pixels wide in a coloured frame, above lines of small text."""
    inner, step = side - 6, 12
    tile = np.full((side + step * len(lines) + 2, side, 3), PAPER, np.uint8)
    tile[:side] = frame
    tile[3 : 3 + inner, 3 : 3 + inner] = cv2.resize(picture, (inner, inner), interpolation=cv2.INTER_AREA)
    canvas = Pillow.fromarray(tile)
    draw = ImageDraw.Draw(canvas)
    for i, line in enumerate(lines):
        draw.text((3, side + step * i), line, fill=INK, font=ImageFont.load_default(11))
    return np.asarray(canvas, np.uint8)


def barred(picture: Image, values: Sequence[tuple[str, float]], side: int, title: str = "") -> Image:
    """A picture beside named bars of values in 0..1."""
    tile = np.full((side, side + 170, 3), PAPER, np.uint8)
    tile[:, :side] = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    canvas = Pillow.fromarray(tile)
    draw = ImageDraw.Draw(canvas)
    rows = [(title, None), *values] if title else list(values)
    for i, (name, value) in enumerate(rows):
        y = 2 + 13 * i
        if value is not None:
            draw.rectangle((side + 122, y + 2, side + 166, y + 9), fill=FAINT)
            draw.rectangle((side + 122, y + 2, side + 122 + 44 * min(max(value, 0.0), 1.0), y + 9), fill=GOOD)
        draw.text((side + 4, y), name, fill=INK, font=ImageFont.load_default(11))
    return np.asarray(canvas, np.uint8)


def grid(tiles: Sequence[Image], columns: int) -> Image:
    """Tiles of one size in rows."""
    blank = np.full_like(tiles[0], PAPER[0])
    full = [*tiles, *[blank] * (-len(tiles) % columns)]
    return np.concatenate([np.concatenate(full[i : i + columns], axis=1) for i in range(0, len(full), columns)])


def save(picture: Image, path: Path) -> None:
    """Write a picture; the suffix says how."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        Pillow.fromarray(picture).save(temporary, quality=84)
