"""Where the encoder looks: occlusion sensitivity (Zeiler and Fergus 2014, section 4.2) of the read-outs, by face region.

A soft patch of the blurred picture wanders over the crop; how far the read-outs of a region change is drawn where the
patch lay. It needs no gradients, so it works on any encoder that runs.
"""

from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar import arkit
from freeavatar.types import FaceCrop, Image
from freeavatar_renderer.performance import random_scene
from measure.tables import Table

from . import sheets
from .subjects import Desk, Floats, Reader, Reading

PEOPLE: Final = {"valid": 6, "ict": 3, "anny": 3}
SHOWN: Final = 4
PLACES: Final = {
    "brows": [(0.18, 0.18, 0.82, 0.34)],
    "eyes": [(0.26, 0.30, 0.47, 0.43), (0.53, 0.30, 0.74, 0.43)],
    "gaze": [(0.26, 0.30, 0.47, 0.43), (0.53, 0.30, 0.74, 0.43)],
    "nose": [(0.38, 0.38, 0.62, 0.64)],
    "cheeks": [(0.18, 0.42, 0.40, 0.72), (0.60, 0.42, 0.82, 0.72)],
    "mouth": [(0.32, 0.62, 0.68, 0.82)],
    "jaw": [(0.28, 0.62, 0.72, 1.0)],
}
"""Where each region lies in the unit crop: left, top, right, bottom."""
_STEPS: Final = 16
_SPREAD: Final = 0.06
"""Standard deviation of the patch in sides of the crop."""


def make(desk: Desk) -> Table:
    """The sheet ``encoder_saliency`` and its table."""
    people = list(desk.people({kind: desk.count(count) for kind, count in PEOPLE.items()}, 51))
    rng = np.random.default_rng(52)
    portraits = (desk.studio.person(head, kind, replace(random_scene(head, rng), pose=(0.0, 0.0, 0.0))) for kind, head in people)
    readings = desk.reader.read(portraits, len(people), "saliency")
    maps = np.stack([sensitivity(desk.reader, reading) for reading in readings])
    mean = np.mean([r.crop for r in readings], axis=0).astype(np.uint8)
    some = np.unique(np.linspace(0, len(readings) - 1, SHOWN).astype(int))
    rows = [("mean of all", mean, maps.mean(0)), *((readings[i].portrait.who, readings[i].crop, maps[i]) for i in some)]
    tiles = []
    for name, crop, each in rows:
        tiles.append(sheets.captioned(crop, [name], 128))
        tiles += [sheets.captioned(overlay(crop, m), [region], 128) for region, m in zip(PLACES, each, strict=True)]
    sheets.save(sheets.grid(tiles, 1 + len(PLACES)), desk.images / "encoder_saliency.webp")
    shares = {}
    for region, each in zip(PLACES, maps.mean(0), strict=True):
        inside = _inside(region, len(each))
        shares[region] = {"of the effect": float((each * inside).sum() / max(each.sum(), 1e-9)), "of the area": float(inside.mean())}
    protocol = f"How much of the effect of covering a spot comes from the region itself, over {len(readings)} faces seen from the front."
    return Table("Effect inside the own region", protocol, shares, digits=2)


def sensitivity(reader: Reader, reading: Reading) -> Floats:
    """(R, N, N) mean change of the read-outs of each region of :data:`PLACES` as a patch covers each spot of the crop."""
    crop, size = reading.crop, len(reading.crop)
    blurred, spots = cv2.blur(crop, (size // 3, size // 3)).astype(np.float32), (np.arange(_STEPS) + 0.5) / _STEPS
    axis = (np.arange(size) + 0.5) / size
    bump = np.exp(-(((axis - spots[:, None]) / _SPREAD) ** 2) / 2).astype(np.float32)  # (N, S)
    crops = []
    for y in bump:
        for x in bump:
            cover = np.minimum(1.5 * y[:, None] * x, 1)[..., None]
            crops.append(_as_crop((crop + cover * (blurred - crop)).astype(np.uint8)))
    change = np.abs(np.stack([e.arkit for e in reader.encode(crops)]) - reading.read.arkit)
    columns = [[i for i, n in enumerate(arkit.NAMES) if arkit.region(n) == region] for region in PLACES]
    return np.stack([change[:, c].mean(1).reshape(_STEPS, _STEPS) for c in columns]).astype(np.float32)


def overlay(crop: Image, strength: Floats) -> Image:
    """The crop in grey under a map that glows where it is strong."""
    size = len(crop)
    glow = cv2.resize(strength / max(float(strength.max()), 1e-6), (size, size), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    colour = cv2.applyColorMap((255 * glow).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[..., None]
    share = 0.15 + 0.7 * np.asarray(glow)[..., None]
    return np.asarray(grey * (1 - share) + colour * share, np.uint8)


def _as_crop(image: Image) -> FaceCrop:
    nothing = np.zeros(6, np.float32)
    return FaceCrop(image, np.eye(2, 3, dtype=np.float32), np.zeros((0, 3), np.float32), nothing, 0.0, 0)


def _inside(region: str, steps: int) -> NDArray[np.bool_]:
    spots = (np.arange(steps) + 0.5) / steps
    y, x = spots[:, None], spots
    return np.asarray(np.any([(x >= a) & (x < c) & (y >= b) & (y < d) for a, b, c, d in PLACES[region]], axis=0))
