"""What the true surface of a face tells: the bound of reading skin movement from one picture of a stranger."""

from collections.abc import Mapping
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar_renderer.heads import Head

from .metrics import Array

POINTS: Final = 250
"""Skin points that are looked at, spread over where morphs move the skin."""
_MOVES: Final = 0.005
"""A point moves with the face if some morph moves it this far, in distances between the eyes."""


def surfaces(heads: Mapping[str, Head], people: NDArray[np.str_], weights: Array) -> Array:
    """(N, 3 * POINTS) where the skin's points are, between the eyes' centres and in distances between them: no pixels, no noise.

    Args:
        heads: VALID people by name; their meshes differ, but share the layout of the texture.
        people: (N,) who is seen.
        weights: (N, K) morph weights.
    """
    morphs = weights.shape[1]
    first = next(iter(heads.values()))
    skin = first.parts[0]
    assert skin.morphs is not None
    moving = np.flatnonzero(np.linalg.norm(skin.morphs[:morphs], axis=2).max(0) > _MOVES * first.eye_distance)
    spots = skin.uv[moving[np.linspace(0, len(moving) - 1, POINTS).astype(int)]]
    found = np.empty((len(people), 3 * len(spots)))
    for name in np.unique(people):
        head, own = heads[str(name)], people == name
        skin = head.parts[0]
        assert skin.morphs is not None
        index = cv2.flann.Index(np.ascontiguousarray(skin.uv, np.float32), {"algorithm": 0})  # 0: exact search
        at = index.knnSearch(np.ascontiguousarray(spots, np.float32), 1)[0].ravel()
        rest = (skin.vertices[at] - head.eyes.mean(0)) / head.eye_distance
        moved = np.tensordot(weights[own], skin.morphs[:morphs, at].astype(np.float64), 1) / head.eye_distance
        found[own] = (rest + moved).reshape(own.sum(), -1)
    return found
