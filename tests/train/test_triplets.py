"""The triplet loss and its accuracy follow their definitions."""

import math

import pytest
import torch

from freeavatar.train.triplets import margins, report, triplet_loss, two_sided


def at(*degrees: float) -> torch.Tensor:
    """Unit vectors in the plane."""
    radians = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([radians.cos(), radians.sin()], dim=1)


def chord(degrees: float) -> float:
    return 2 * math.sin(math.radians(degrees) / 2)


def test_the_loss_counts_both_sides() -> None:
    loss = triplet_loss(at(0), at(40), at(50), torch.tensor([0.2]))
    # The anchor's side is right, but not by the margin; the positive's is wrong.
    from_anchor, from_positive = chord(40) - chord(50) + 0.2, chord(40) - chord(10) + 0.2
    assert 0 < from_anchor < 0.2 < from_positive
    assert loss.item() == pytest.approx(from_anchor + from_positive)


def test_a_far_negative_costs_nothing_and_the_margin_is_that_of_each_triplet() -> None:
    near, far = at(10, 10), at(100, 13)
    loss = triplet_loss(at(0, 0), near, far, torch.tensor([0.2, 0.1]))
    assert loss[0] == 0
    assert loss[1].item() == pytest.approx(2 * chord(10) - chord(13) - chord(3) + 0.2, abs=1e-6)


def test_the_gradient_is_finite_where_faces_coincide() -> None:
    anchor, positive, negative = (at(0).requires_grad_() for _ in range(3))
    triplet_loss(anchor, positive, negative, torch.tensor([0.2])).sum().backward()
    assert all(torch.isfinite(x.grad).all() for x in (anchor, positive, negative) if x.grad is not None)
    assert anchor.grad is not None


def test_right_means_right_from_both_sides() -> None:
    # The second negative is farther from the anchor than the positive is, but nearer to the positive.
    assert two_sided(at(0, 0, 0), at(20, 20, 20), at(60, 30, 10)).tolist() == [True, False, False]


def test_margins_are_the_published_ones() -> None:
    assert margins(torch.tensor([1, 2, 3])).tolist() == pytest.approx([0.1, 0.2, 0.2])


def test_the_report_counts_each_type() -> None:
    scores = report(torch.tensor([True, False, True, True]), ["mirrored", "mirrored", "near", "near"])
    assert scores == {"all": (0.75, 4), "mirrored": (0.5, 2), "near": (1.0, 2)}
    assert math.isnan(report(torch.zeros(0, dtype=torch.bool), [])["all"].accuracy)
