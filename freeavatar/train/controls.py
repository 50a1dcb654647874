"""What the controls of an avatar should be, and the losses that say how far they are from it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from freeavatar.arkit import INDEX, weights
from freeavatar.rig import Rig

BETA: Final = 0.1
"""Where a control's loss turns from squares to absolute values: with less, what is seen dimly stays at rest; with more, rest trembles."""
REST: Final = 0.05
"""A control that is nearer to its rest counts as resting, in shares of its range."""
ACTIVE: Final = 6.0
"""How much more a control counts that does not rest."""
SHUT: Final = 0.8
"""Blink from which an eye is closed."""
MET: Final = 0.06
"""Jaw opening, less what the lips close of it, below which lips meet."""
_CLOSURES: Final = (({"eyeBlinkLeft": 1.0}, 1.0), ({"eyeBlinkRight": 1.0}, 1.0), ({"jawOpen": 1.0, "mouthClose": -1.0}, -1.0))
"""What closes as ARKit weights, and the direction in which it does."""
_TELLING: Final = ("eyeBlinkLeft", "eyeBlinkRight", "jawOpen")
"""The weights that must be known to tell; lips that no weight closes part with the jaw."""


def maps(rig: Rig) -> NDArray[np.float32]:
    """(N, 52) by how much ARKit weights move the driven controls, in shares of their ranges."""
    columns = rig.driven
    ranges = (rig.maximum - rig.minimum)[columns, None]
    return np.asarray(np.stack([weights(rig.controls[i].arkit) for i in columns]) / ranges, np.float32)


def truth(rig: Rig, arkit: NDArray[np.floating], mask: NDArray[np.floating]) -> tuple[Tensor, Tensor]:
    """Normalised values (B, N) of the driven controls and what of them is known (B, N), from ARKit truth (B, 52).

    A control is known from a person if the head family can express every shape behind it; one with no shape behind it rests.
    """
    values = rig.normalise(rig.from_arkit(arkit))[:, rig.driven]
    known = (1 - mask) @ (maps(rig) != 0).T == 0  # no missing shape behind the control
    return torch.from_numpy(values), torch.from_numpy(known)


@dataclass(frozen=True)
class Goal:
    """What the N driven controls of one avatar should be on M crops; values are normalised to 0..1.

    Attributes:
        wanted: (M, N).
        known: (M, N) bool, what of it is known.
        rest: (N,) the controls at rest.
        pairs: (P, 2) columns of left and right.
        closures: (3, N) how far the controls close left eye, right eye and lips.
        closed, open: (M, 3) bool, where those are closed and where not.
    """

    wanted: Tensor
    known: Tensor
    rest: Tensor
    pairs: Tensor
    closures: Tensor
    closed: Tensor
    open: Tensor

    def losses(self, values: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """The loss terms of values (B, N) predicted for the given rows (B,).

        ``control``: smooth L1 where the truth is known, moving controls weighted. ``asymmetry``: the same of left minus
        right. ``closure``: error of how far eyes and lips close, those that are closed and the others counting the same.
        ``sparsity``: how far resting controls move.
        """
        wanted, known = self.wanted[rows], self.known[rows]
        resting = (wanted - self.rest).abs() <= REST
        error = F.smooth_l1_loss(values, wanted, beta=BETA, reduction="none")
        gaps = ((values - wanted) @ self.closures.T).abs()
        left, right = self.pairs.T
        sides = F.smooth_l1_loss(values[:, left] - values[:, right], wanted[:, left] - wanted[:, right], beta=BETA, reduction="none")
        sided = known[:, left] & known[:, right] & ~(resting[:, left] & resting[:, right])
        return {
            "control": _mean(error, known * torch.where(resting, 1.0, ACTIVE)),
            "asymmetry": _mean(sides, sided),
            "closure": _mean(gaps, self.closed[rows]) + _mean(gaps, self.open[rows]),
            "sparsity": _mean((values - self.rest).abs(), known & resting),
        }


def goal(rig: Rig, arkit: NDArray[np.float32], mask: NDArray[np.float32]) -> Goal:
    """The goal of one avatar.

    Args:
        rig: the avatar.
        arkit: (M, 52) true ARKit weights.
        mask: (M, 52) 1 where they are known.
    """
    columns, place = rig.driven, {rig.controls[i].name: n for n, i in enumerate(rig.driven)}
    pairs = [(n, place[m]) for name, n in place.items() if (m := rig.controls[columns[n]].mirror) in place and n < place[m]]
    rest = rig.normalise(rig.neutral())
    back = np.linalg.pinv(maps(rig).T)  # (N, 52): what controls show in terms of ARKit
    wanted, known = truth(rig, arkit, mask)
    shut, told = closed(arkit), mask[:, [INDEX[name] for name in _TELLING]] > 0
    return Goal(
        wanted, known, torch.from_numpy(rest[columns]), torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2),
        torch.from_numpy(np.stack([sign * (back @ weights(shapes)) for shapes, sign in _CLOSURES]).astype(np.float32)),
        torch.from_numpy(shut & told), torch.from_numpy(~shut & told),
    )  # fmt: skip


def closed(arkit: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(M, 3) whether left eye, right eye and lips are closed, from ARKit weights (M, 52)."""
    lids = arkit[:, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]] > SHUT
    return np.column_stack([lids, arkit[:, INDEX["jawOpen"]] - arkit[:, INDEX["mouthClose"]] < MET])


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1)


def total(terms: dict[str, Tensor], shares: dict[str, float]) -> Tensor:
    """The weighted sum of loss terms."""
    return torch.stack([share * terms[name] for name, share in shares.items()]).sum()
