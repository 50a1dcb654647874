"""Invented people and the pictures they are compared in."""

import os

import numpy as np
import pytest

from freeavatar_renderer import skins
from freeavatar_renderer.comparisons import KINDS, TRIPLETS, compare
from freeavatar_renderer.heads import Head
from freeavatar_renderer.people import SHARES, Cast

needs_data = pytest.mark.skipif(not os.environ.get("FREEAVATAR_DATA"), reason="needs FREEAVATAR_DATA")
CAST = Cast(("White_M_1", "AIAN_F_1", "Black_F_3"), (0, 50), (0, 50))


def _atlas(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.repeat(np.repeat(rng.integers(60, 220, (64, 64, 3)), 16, 0), 16, 1).astype(np.uint8)


def test_a_varied_skin_is_another_one_from_the_same_seed_the_same() -> None:
    first, again, other = (skins.vary(_atlas(1), _atlas(2), np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.shape == (skins.SIDE, skins.SIDE, 3)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 1


def test_brows_move_and_lids_stay() -> None:
    """A dark bar at the brows goes up and down from skin to skin; one at the lids keeps its place."""
    places = {"brow": [], "lid": []}
    for seed in range(40):
        atlas = np.full((1024, 1024, 3), 200, np.uint8)
        for row in (0.182, 0.228):
            atlas[int(row * 1024) - 3 : int(row * 1024) + 3, 240:430] = 90
        column = skins.vary(atlas, atlas, np.random.default_rng(seed))[:, int(0.26 * skins.SIDE)].mean(1)
        dark = np.clip(np.median(column) - column, 0, None)
        for name, low, high in (("brow", 0.14, 0.208), ("lid", 0.215, 0.245)):
            rows = np.arange(int(low * skins.SIDE), int(high * skins.SIDE))
            if dark[rows].sum() > 20:
                places[name].append((rows * dark[rows]).sum() / dark[rows].sum() / skins.SIDE / skins.MILLIMETRE)
    assert len(places["brow"]) > 20
    assert 1 < np.std(places["brow"]) < 2  # millimetres
    assert np.std(places["lid"]) < 0.8


@needs_data
@pytest.mark.parametrize("kind", SHARES)
def test_everybody_can_be_invented_again(kind: str) -> None:
    a, b = (CAST.person(np.random.default_rng(5), kind) for _ in range(2))
    assert a.name == b.name
    assert all(np.isfinite(p.vertices).all() for p in a.parts)
    for p, q in zip(a.parts, b.parts, strict=True):
        np.testing.assert_array_equal(p.vertices, q.vertices)


@needs_data
def test_held_out_people_appear_as_they_are() -> None:
    from freeavatar_renderer.heads import load_valid

    head = Cast(("White_M_1",), (0, 1), (0, 1), invent=False).person(np.random.default_rng(0), "valid")
    assert head is load_valid("White_M_1")


@needs_data
def test_a_comparison_is_what_it_says() -> None:
    rng = np.random.default_rng(0)
    people: list[tuple[Head, Head]] = [(CAST.person(rng, "valid"), CAST.person(rng, k)) for k in ("valid", "ict", "anny")]
    kinds = set()
    for i in range(60):
        a, b = people[i % len(people)]
        drawn = compare(a, b, rng)
        first, other, hard, _ = drawn.scenes
        assert drawn.heads[:3] == (a, b, a)
        assert (hard.pose, hard.gaze, hard.key_direction, hard.fov) == (first.pose, first.gaze, first.key_direction, first.fov)
        assert hard.pose != other.pose
        assert [len(s.weights) for s in drawn.scenes] == [len(h.names) for h in drawn.heads]
        assert all((s.weights >= 0).all() and (s.weights <= 1).all() for s in drawn.scenes)
        if drawn.kinds[0] == KINDS.index("intensity"):
            assert hard.weights.sum() < first.weights.sum()
        kinds |= set(drawn.kinds)
    assert kinds == {0, 1, 2}
    assert TRIPLETS == ((0, 1, 2), (0, 1, 3))
