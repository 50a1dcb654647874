"""Expressions made for one head carried to another of the same mesh."""

from typing import Final

import numpy as np

from freeavatar_renderer import makehuman
from freeavatar_renderer.makehuman import Floats, Indices

_REACH: Final = 0.009
"""Metres: spread of the neighbourhood in which a warp counts as linear."""
_PRIOR: Final = 0.03
"""Weight of an even scaling in the warp's local linear part."""
_OVERLAP: Final = 0.0006
"""Metres that the upper lid's rim passes the lower one's when the eye is closed; MakeHuman's pass by four millimetres."""


class Carry:
    """Local linear parts of a warp of the average head, by weighted least squares around control points.

    Both steps are linear in the warped points, so they are prepared once.
    """

    def __init__(self, points: Floats, controls: Indices) -> None:
        squared = ((points[controls, None] - points) ** 2).sum(-1)
        near = np.exp(-squared / (2 * _REACH**2))
        near /= near.sum(1, keepdims=True)
        away = points - (near @ points)[:, None]
        weighted = (away * near[..., None]).transpose(0, 2, 1)
        spread = weighted @ away
        # Across a nearly flat piece of skin nothing is measured: there the warp is taken to scale evenly.
        inverse = np.linalg.inv(spread + _PRIOR * _REACH**2 * np.eye(3))
        self._rows = (inverse @ weighted).reshape(-1, len(points)).astype(np.float32)
        self._rest = (np.eye(3) - inverse @ spread).astype(np.float32)
        share = np.exp(-squared / (2 * (0.6 * _REACH) ** 2)).T + 1e-12 / (squared.T + 1e-6)
        self._share = (share / share.sum(1, keepdims=True)).astype(np.float32)

    def maps(self, warped: Floats, scale: float) -> Floats:
        """(V, 3, 3) what a displacement row vector of the average is multiplied with; ``scale`` is that of the whole head."""
        local = (self._rows @ warped).reshape(-1, 3, 3) + np.float32(scale) * self._rest
        return np.asarray((self._share @ local.reshape(len(local), 9)).reshape(-1, 3, 3))


class Lids:
    """The rims of one eye's lids, where the lashes grow."""

    def __init__(self, points: Floats, side: str) -> None:
        self._upper, self._lower = makehuman.lash_roots(points, side, 2), makehuman.lash_roots(points, side, 1)
        away = np.linalg.norm(points[:, None] - points[self._upper], axis=2)
        share = np.exp(-np.clip(away - away.min(1, keepdims=True), 0, None) / 0.002)
        self._share = (share / share.sum(1, keepdims=True)).astype(np.float32)

    def closing(self, points: Floats, blink: Floats) -> Floats:
        """(V,) factors on a blink's displacements (V, 3) at which the upper rim just meets the lower one."""
        upper = points[self._upper]
        order = np.argsort(points[self._lower, 0])
        lower = points[self._lower[order]]
        gap = upper[:, 1] - np.interp(upper[:, 0] + blink[self._upper, 0], lower[:, 0], lower[:, 1]) + _OVERLAP
        return np.asarray(self._share @ np.clip(gap / np.maximum(-blink[self._upper, 1], 1e-4), 0.2, 2.5), np.float32)
