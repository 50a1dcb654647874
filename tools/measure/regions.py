"""How far each morph of a VALID head moves the skin of six face regions."""

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from freeavatar_renderer.heads import Head

from .metrics import Array, Grams

REGIONS: Final[Mapping[str, tuple[float, float, float, float]]] = {
    "brows": (0.00, 0.84, 0.18, 0.53),
    "lids": (0.32, 0.74, -0.21, 0.19),
    "nose": (0.00, 0.32, -0.78, -0.03),
    "cheeks": (0.50, 1.20, -2.10, 0.05),
    "lips": (0.00, 0.43, -1.60, -0.75),
    "chin": (0.00, 0.44, -1.90, -1.50),
}
"""From and to beside the midline, from and to above the eyes, in distances between the eyeballs; both sides of the face."""
_BEHIND: Final = -0.7
"""The same behind the eyes: ears and nape belong to no region."""


def region_grams(heads: Iterable[Head]) -> Grams:
    """(K, K) mean inner product of the morphs' displacements, by region, over the skin vertices of the heads.

    The squared displacement that weights ``w`` cause in a region is then ``w @ gram @ w``.
    """
    total: dict[str, Array] = {}
    heads = list(heads)
    for head in heads:
        skin = head.parts[0]
        assert skin.morphs is not None
        across, up, forward = ((skin.vertices - head.eyes.mean(0)) / head.eye_distance).T
        across = np.abs(across)
        for region, (inner, outer, low, high) in REGIONS.items():
            inside = (across >= inner) & (across < outer) & (up >= low) & (up < high) & (forward > _BEHIND)
            moves = skin.morphs[:, inside].astype(np.float64).reshape(len(skin.morphs), -1)
            total[region] = total.get(region, 0) + moves @ moves.T / inside.sum() / len(heads)
    return total
