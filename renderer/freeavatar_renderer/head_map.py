"""The map between each head family's expression weights and ARKit, fitted by displacement (``tools/fit_head_map``).

Amplitudes differ between families, so a shape is never mapped by name alone: the rows below are non-negative least
squares of skin displacement at corresponding face points, in units of the distance between the eyes. ``docs/heads.md``
plots them.
"""

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("head_map.npz")
"""Keys: ``<family>_names``, ``<family>_to_arkit (K,52)``, ``<family>_from_arkit (52,K)``, ``<family>_mask (52,)``,
``<family>_movement (K,M)``, ``ict_uv (26719,2)``, ``anny_uv (4689,2)``; families: ``valid``, ``ict``, ``anny``;
``movement_regions (R,M,M)``."""
REGIONS = ("brows", "lids", "lips", "nose", "chin", "cheeks")
"""Face regions of skin movement, in the order of :func:`regions`."""


@functools.cache
def _stored() -> dict[str, NDArray[np.generic]]:
    with np.load(FILE, allow_pickle=False) as z:
        return {k: z[k] for k in z.files}


def _aligned(family: str, names: tuple[str, ...], key: str) -> NDArray[np.float32]:
    stored = _stored()
    order = {str(n): i for i, n in enumerate(stored[f"{family}_names"])}
    table = stored[f"{family}_{key}"].astype(np.float32)
    rows = [order[n] for n in names]
    return table[:, rows] if key == "from_arkit" else table[rows]


@functools.cache
def to_arkit(family: str, names: tuple[str, ...]) -> NDArray[np.float32]:
    """(K, 52) ARKit weights caused by each expression weight at 1."""
    return _aligned(family, names, "to_arkit")


@functools.cache
def from_arkit(family: str, names: tuple[str, ...]) -> NDArray[np.float32]:
    """(52, K) expression weights that come closest to each ARKit shape at 1."""
    return _aligned(family, names, "from_arkit")


@functools.cache
def expressible(family: str) -> NDArray[np.float32]:
    """(52,) 1 where the family can express an ARKit shape, 0 where its label must be masked."""
    return _stored()[f"{family}_mask"].astype(np.float32)


@functools.cache
def movement(family: str, names: tuple[str, ...]) -> NDArray[np.float32]:
    """(K, M) skin movement of each expression weight at 1, in the space that all families share.

    Landmark displacements in eye distances, every face region scaled to the same energy, in principal components.
    """
    return _aligned(family, names, "movement")


@functools.cache
def ict_uv() -> NDArray[np.float32]:
    """(26719, 2) coordinates of every ICT vertex in the VALID texture atlas."""
    return _stored()["ict_uv"].astype(np.float32) if FILE.is_file() and "ict_uv" in _stored() else np.zeros((26719, 2), np.float32)


@functools.cache
def anny_uv() -> NDArray[np.float32]:
    """(4689, 2) coordinates of every vertex of an Anny skin in the VALID texture atlas."""
    return _stored()["anny_uv"].astype(np.float32)


@functools.cache
def regions() -> NDArray[np.float32]:
    """(R, M, M) inner products: ``w @ regions()[r] @ w`` is the squared displacement of region r under a movement ``w`` (M,)."""
    return _stored()["movement_regions"].astype(np.float32)
