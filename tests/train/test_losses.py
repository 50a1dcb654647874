"""What the encoder is judged by while it learns."""

import numpy as np
import pytest
import torch

from freeavatar.models.expression import Readings
from freeavatar.train.losses import WEIGHTS, MovementSpace, change, clear_triplets, losses
from freeavatar_renderer import head_map


@pytest.fixture(scope="module")
def movement() -> torch.Tensor:
    """Labels of 400 pictures: random weights of a family, as the map has them."""
    with np.load(head_map.FILE, allow_pickle=False) as stored:
        names = tuple(str(n) for n in stored["valid_names"])
    rng = np.random.default_rng(0)
    weights = rng.uniform(0, 1, (400, len(names))) * (rng.random((400, len(names))) < 0.1)
    return torch.from_numpy((weights @ head_map.movement("valid", names)).astype(np.float32))


def _batch(movement: torch.Tensor) -> dict[str, torch.Tensor]:
    n = len(movement)
    return {
        "movement": movement, "arkit": torch.full((n, 52), 0.3), "mask": torch.ones(n, 52), "gaze": torch.zeros(n, 2),
        "head_pose": torch.zeros(n, 6), "align": torch.zeros(n, 4), "confidence": torch.ones(n), "kind": torch.zeros(n // 4, 2),
        "person": torch.arange(n) // 8,
    }  # fmt: skip


def _readings(movement: torch.Tensor, embedding: torch.Tensor) -> Readings:
    n = len(movement)
    return Readings(
        feature=torch.zeros(n, 8), embedding=embedding, arkit=torch.full((n, 52), 0.3), gaze=torch.zeros(n, 2), head_pose=torch.zeros(n, 6),
        confidence=torch.ones(n), align=torch.zeros(n, 4), movement=movement, change=movement, emotion=torch.zeros(n, 8),
    )  # fmt: skip


def test_every_region_counts_the_same(movement: torch.Tensor) -> None:
    space = MovementSpace(movement)
    by_region = space.by_region(movement - movement.mean(0))
    torch.testing.assert_close(by_region.mean(0), torch.ones(len(head_map.REGIONS)), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(by_region.mean(1), space.squared(movement - movement.mean(0)), rtol=1e-3, atol=1e-4)


def test_a_perfect_reading_costs_nothing_and_the_mean_costs_one(movement: torch.Tensor) -> None:
    space, batch = MovementSpace(movement), _batch(movement)
    embedding = torch.nn.functional.normalize(torch.randn(len(movement), 16), dim=1)
    perfect = losses(_readings(movement, embedding), batch, space)
    guess = losses(_readings(movement.mean(0).expand_as(movement), embedding), batch, space)
    assert set(perfect) == set(WEIGHTS)
    assert {k: v.item() for k, v in perfect.items() if k in ("movement", "change", "arkit", "gaze", "pose", "align")} == pytest.approx(
        dict.fromkeys(("movement", "change", "arkit", "gaze", "pose", "align"), 0), abs=1e-6
    )
    assert guess["movement"].item() == pytest.approx(1, abs=1e-3)


def test_a_brow_weighs_as_much_as_a_jaw(movement: torch.Tensor) -> None:
    space = MovementSpace(movement)
    with np.load(head_map.FILE, allow_pickle=False) as stored:
        names = tuple(str(n) for n in stored["valid_names"])
    table = torch.from_numpy(head_map.movement("valid", names))
    regions = {n: head_map.REGIONS[int(space.by_region(table[[names.index(n)]]).argmax())] for n in ("RbrowUp", "LeyeClose", "MouthOpen")}
    assert regions["RbrowUp"] == "brows"
    assert regions["LeyeClose"] == "lids"
    assert regions["MouthOpen"] in ("chin", "lips")


def test_only_triplets_that_are_right_by_their_labels_take_part(movement: torch.Tensor) -> None:
    space = MovementSpace(movement)
    anchor, far = movement[0], movement[0] + 3 * (movement[1] - movement[2])
    batch = _batch(torch.stack([anchor, anchor, far, anchor, anchor, far, anchor, far]))
    batch["kind"] = torch.tensor([[0, 1], [2, 2]])
    rows, kinds = clear_triplets(batch, space)
    assert rows.tolist() == [[0, 1, 2]]  # (0, 1, 3): the negative shows the same; the second four: the positive is far
    assert kinds.tolist() == [0]
    batch["confidence"][1] = 0
    assert clear_triplets(batch, space)[0].shape == (0, 3)


def test_the_triplet_term_falls_when_the_positive_comes_near(movement: torch.Tensor) -> None:
    space = MovementSpace(movement)
    anchor, far = movement[0], movement[0] + 3 * (movement[1] - movement[2])
    batch = _batch(torch.stack([anchor, anchor, far, far]))
    e = torch.eye(16)
    near = losses(_readings(batch["movement"], torch.stack([e[0], e[0], e[1], e[2]])), batch, space)["triplet"]
    wrong = losses(_readings(batch["movement"], torch.stack([e[0], e[1], e[0], e[2]])), batch, space)["triplet"]
    assert near.item() == 0
    assert wrong.item() > 1


def test_a_persons_own_offset_is_no_error_of_change(movement: torch.Tensor) -> None:
    space, people, good = MovementSpace(movement), torch.arange(len(movement)) // 8, torch.ones(len(movement)) > 0
    offsets = torch.randn(int(people.max()) + 1, movement.shape[1])[people]
    assert change(offsets, people, good, space).item() == pytest.approx(0, abs=1e-4)
    assert change(offsets, people.roll(1), good, space).item() > 0.1
    # Predicting that nobody moves costs as much as the deviation of all expressions, however few pictures a person has.
    assert change(movement, people, good, space).item() == pytest.approx(1, abs=0.1)
    assert change(movement, torch.arange(len(movement)), good, space).item() == 0
