"""What the stage ``expression`` minimises on synthetic people, whose truth is known."""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from freeavatar.models.expression import Readings
from freeavatar.train.shards import JITTER
from freeavatar.train.triplets import MARGIN, MARGIN_ONE_CLASS, triplet_loss
from freeavatar_renderer import comparisons, head_map

WEIGHTS: Final = {
    "movement": 2.0, "change": 2.0, "arkit": 0.35, "gaze": 0.6, "pose": 0.5, "align": 0.15, "confidence": 0.1, "metric": 0.8,
    "triplet": 0.6,
}  # fmt: skip
"""Weight of each loss term. What a term does to the weights it shares with others is its gradient, most of which is the chance of
a batch: late in training, before weights, those of movement, change, arkit, gaze, metric and triplet are 0.8, 0.6, 4.5, 1.3, 1 and
4.2. So a triplet that weighs as much as movement drowns it."""
KINDS: Final = (*comparisons.KINDS, "other")
"""Kinds of triplets; ``other``: the negative shows an unrelated expression."""
_BETA: Final = 0.1
"""Where the error of an ARKit weight turns from squares to absolute values. With less, what is seen dimly is read as rest, the
commonest value; with more, as its mean, and a face at rest is read as moving a little everywhere."""
_MOVING: Final = 5.0
"""How much more the error of a shape at its utmost weighs than that of one at rest, where most shapes are most of the time."""
_CLEAR: Final = 0.7
"""A triplet takes part if by its labels the positive is nearer than this share of the distance to the negative, ..."""
_VISIBLE: Final = 0.5
"""... and if the negative is so far away at least, where 1 is the deviation of all expressions: less is hardly seen."""
_MARGINS: Final = {"step": MARGIN_ONE_CLASS, "mirrored": MARGIN, "intensity": MARGIN_ONE_CLASS, "other": MARGIN}
"""A comparison of small steps is what a rater would call a one-class triplet."""


class MovementSpace:
    """Skin movement as it is judged: every face region counts the same, relative to how much it moves at all.

    Args:
        movement: (N, M) labels of the training set.
    """

    def __init__(self, movement: Tensor) -> None:
        grams = torch.from_numpy(head_map.regions())  # (R, M, M): squared norm of a region's displacement
        centred = movement - movement.mean(0)
        spread = torch.einsum("ni,rij,nj->r", centred, grams, centred) / len(movement)
        self.grams = grams / spread[:, None, None] / len(grams)
        values, vectors = torch.linalg.eigh(self.grams.sum(0))
        self.root = vectors * values.clamp(min=0).sqrt()  # (M, M)

    def to(self, device: torch.device) -> "MovementSpace":
        """The same space on another device."""
        self.grams, self.root = self.grams.to(device), self.root.to(device)
        return self

    def squared(self, difference: Tensor) -> Tensor:
        """(...,) squared length of (..., M) differences; the mean over a data set is 1 around its mean."""
        length: Tensor = (difference @ self.root).square().sum(-1)
        return length

    def by_region(self, difference: Tensor) -> Tensor:
        """(B, R) the parts of :meth:`squared`, each with mean 1 over a data set."""
        return torch.einsum("bi,rij,bj->br", difference, self.grams, difference) * len(self.grams)


def losses(read: Readings, batch: dict[str, Tensor], space: MovementSpace) -> dict[str, Tensor]:
    """The loss terms of a batch of comparisons.

    Args:
        read: outputs for the batch.
        batch: labels as :class:`freeavatar.train.shards.Crops` yields them.
        space: the judged space of skin movement.
    """
    good = batch["confidence"]
    count = good.sum().clamp(min=1)

    def mean(per_sample: Tensor) -> Tensor:
        return (per_sample * good).sum() / count

    shape_weight = batch["mask"] * (1 + _MOVING * batch["arkit"])
    shape_error = F.smooth_l1_loss(read.arkit, batch["arkit"], beta=_BETA, reduction="none") * shape_weight
    pose_error = ((read.head_pose - batch["head_pose"]) / read.head_pose.new_tensor([0.25, 0.2, 0.1, 0.01, 0.01, 0.06])).square()
    align_error = ((read.align - batch["align"]) / read.align.new_tensor(JITTER)).square()
    return {
        "movement": mean(space.squared(read.movement - batch["movement"])),
        "change": change(read.change - batch["movement"], batch["person"], good > 0, space),
        "arkit": mean(shape_error.sum(1) / batch["mask"].sum(1)) * 40,
        "gaze": mean(((read.gaze - batch["gaze"]) / 0.18).square().mean(1)),
        "pose": mean(pose_error.mean(1)),
        "align": mean(align_error.mean(1)),
        "confidence": F.binary_cross_entropy(read.confidence.float().clamp(1e-4, 1 - 1e-4), good),
        "metric": metric(read.embedding, batch["movement"] @ space.root, good > 0),
        "triplet": _triplets(read.embedding, batch, space),
    }


def change(error: Tensor, person: Tensor, good: Tensor, space: MovementSpace) -> Tensor:
    """Squared error of skin movement once each person's mean error is taken away.

    Brows rest 2.5 mm higher or lower on one person than on another, four times as far as a typical expression moves them:
    judged by a single picture alone, what they do would drown in where they are.
    """
    error, person = error[good], torch.unique(person[good], return_inverse=True)[1]
    ones = F.one_hot(person).to(error.dtype)  # (B, P)
    count = ones.sum(0)
    left = error - (ones @ (ones.T @ error / count[:, None]))
    return space.squared(left).sum() / (count - 1).clamp(min=0).sum().clamp(min=1)


def metric(embedding: Tensor, movement: Tensor, good: Tensor) -> Tensor:
    """Distances of unit embeddings follow saturating distances of skin movement, whoever moves."""
    e, m = embedding[good], movement[good]
    target = 1.5 * (1 - torch.exp(-torch.cdist(m, m) / 1.2))
    actual = (2 - 2 * e @ e.T).clamp(min=1e-6).sqrt()
    off = ~torch.eye(len(e), dtype=torch.bool, device=e.device)
    return (actual - target)[off].square().mean() * 8


def clear_triplets(batch: dict[str, Tensor], space: MovementSpace) -> tuple[Tensor, Tensor]:
    """(T, 3) rows of anchor, positive and negative, and (T,) kinds, of the triplets that are right by their labels.

    Two head families show the same expression only as well as they can, so what was drawn as a positive may not be one.
    """
    fours = torch.arange(len(batch["confidence"]), device=batch["confidence"].device).view(-1, 4)
    drawn = torch.stack([fours[:, list(t)] for t in comparisons.TRIPLETS], 1).view(-1, 3)
    other = torch.column_stack([fours[:, 0], fours[:, 1], fours[:, 0].roll(1)])
    rows = torch.cat([drawn, other])
    kinds = torch.cat([batch["kind"].view(-1).long(), torch.full_like(other[:, 0], KINDS.index("other"))])
    a, p, n = batch["movement"][rows].unbind(1)
    near = space.squared(a - p).sqrt()
    far = torch.minimum(space.squared(a - n), space.squared(p - n)).sqrt()
    clear = (near < _CLEAR * far) & (far > _VISIBLE) & (batch["confidence"][rows].min(1).values > 0)
    return rows[clear], kinds[clear]


def _triplets(embedding: Tensor, batch: dict[str, Tensor], space: MovementSpace) -> Tensor:
    rows, kinds = clear_triplets(batch, space)
    margins = embedding.new_tensor([_MARGINS[k] for k in KINDS])[kinds]
    anchor, positive, negative = embedding[rows].unbind(1)
    return triplet_loss(anchor, positive, negative, margins).sum() / max(1, len(rows)) * 4
