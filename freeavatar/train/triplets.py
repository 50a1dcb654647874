"""Learning by comparing: the triplet loss of the expression space, and its accuracy.

FreeAvatar (arXiv 2409.13180), stage 1b, after "A Compact Embedding for Facial Expression Similarity" (Vemulapalli and
Agarwala, CVPR 2019): of three faces, anchor and positive are alike, and the negative is the odd one out for both.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

MARGIN_ONE_CLASS: Final = 0.1
"""Margin where all three faces share one emotion class."""
MARGIN: Final = 0.2
"""Margin of all other triplets."""


class Score(NamedTuple):
    """A share of right triplets, and of how many."""

    accuracy: float
    triplets: int


def margins(classes: Tensor) -> Tensor:
    """(B,) published margins from the number of emotion classes, 1 to 3, among each triplet's faces."""
    return torch.where(classes == 1, MARGIN_ONE_CLASS, MARGIN)


def triplet_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: Tensor) -> Tensor:
    """(B,) symmetric margin loss: anchor and positive must each be nearer to the other than to the negative, by the margin.

    Args:
        anchor: (B, D) unit embeddings.
        positive: (B, D).
        negative: (B, D).
        margin: (B,), see :func:`margins`.
    """
    near = distance(anchor, positive)
    return F.relu(near - distance(anchor, negative) + margin) + F.relu(near - distance(positive, negative) + margin)


def two_sided(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """(B,) bool: right only if anchor and positive are nearer to each other than either is to the negative."""
    near = distance(anchor, positive)
    return (near < distance(anchor, negative)) & (near < distance(positive, negative))


def distance(a: Tensor, b: Tensor) -> Tensor:
    """(B,) Euclidean distances of (B, D) rows, in full precision; the gradient at distance 0 is 0, not infinite."""
    return (a.float() - b.float()).square().sum(-1).clamp(min=1e-12).sqrt()


def report(right: Tensor, types: Sequence[str]) -> dict[str, Score]:
    """Accuracy of all triplets (``all``) and of each type, with counts.

    Args:
        right: (B,) bool, see :func:`two_sided`.
        types: (B,) name of each triplet's type or source.
    """
    hits, names = right.cpu().numpy(), np.asarray(types)
    parts = {"all": hits, **{str(name): hits[names == name] for name in np.unique(names)}}
    return {name: Score(float(part.mean()) if len(part) else float("nan"), len(part)) for name, part in parts.items()}
