"""Movements are told apart by what they move, on faces of other sizes and proportions, and by no name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freeavatar import arkit
from freeavatar.errors import RigError
from freeavatar.rig import load_rig
from freeavatar_renderer import measuring
from freeavatar_renderer.busts import take_bust
from freeavatar_renderer.glb import load_glb
from freeavatar_renderer.measuring import Dictionary, Likeness, Motions, assign, motions


@pytest.fixture(scope="module")
def human() -> Motions:
    model = load_glb(load_rig("human").model)
    return motions(model, {name: {name: 1.0} for name in arkit.NAMES})


@pytest.fixture(scope="module")
def dictionary(human: Motions) -> Dictionary:
    return Dictionary(human)


def scrubbed(m: Motions, seed: int = 0) -> tuple[Motions, dict[str, str]]:
    """The movements in another order under names that say nothing, and what they were."""
    order = np.random.default_rng(seed).permutation(len(m.names))
    names = tuple(f"q{i}" for i in range(len(order)))
    return replace(m, names=names, moves=m.moves[order]), {new: m.names[k] for new, k in zip(names, order, strict=True)}


def side(shapes: Likeness) -> str:
    left, right = (any(part in name for name in shapes.arkit) for part in ("Left", "Right"))
    return "both" if left and right else "left" if left else "right" if right else ""


def shares(found: dict[str, Likeness], truth: dict[str, str]) -> tuple[float, float]:
    """How many are exactly right, and how many of the right region and side."""
    exact = np.mean([found[name].first and dict(found[name].arkit) == {shape: 1.0} for name, shape in truth.items()])
    near = [
        arkit.region(next(iter(found[name].arkit))) == arkit.region(shape)
        and side(found[name]) == side(Likeness({shape: 1.0}, 1, 0, "", True))
        for name, shape in truth.items()
    ]
    return float(exact), float(np.mean(near))


def test_more_movements_than_memory_should_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_glb(load_rig("pixel").model)
    groups = {f"{name}{i}": {name: 1.0} for name in model.morphs for i in range(3)}
    assert motions(model, groups).names == tuple(groups)
    monkeypatch.setattr(measuring, "_MOST", 1000)
    with pytest.raises(RigError, match="export a lighter model"):
        motions(model, groups)


def test_a_face_of_another_size_and_proportion_is_understood_without_names(human: Motions, dictionary: Dictionary) -> None:
    # Seventy times as large, elsewhere, wider above than below, shorter, and each movement of another strength.
    rng = np.random.default_rng(3)
    wider = 1 + 0.6 * (human.points[:, 1:2] - human.points[:, 1].mean())
    stretch = 70 * np.concatenate([1.1 * wider, 0.9 * np.ones_like(wider), 1.2 * np.ones_like(wider)], axis=1)
    points, moves = human.points * stretch + [3, -40, 9], human.moves * stretch * rng.uniform(0.5, 1.5, (len(human.names), 1, 1))
    stranger, truth = scrubbed(replace(human, points=points.astype(np.float32), moves=moves.astype(np.float32)))
    exact, near = shares(dictionary.explain(stranger, {}), truth)
    assert exact > 0.85 and near > 0.9


def test_what_is_like_nothing_has_little_confidence(human: Motions, dictionary: Dictionary) -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, human.moves[:1].shape).astype(np.float32)
    found = dictionary.explain(
        replace(human, names=(*human.names, "noise"), moves=np.concatenate([human.moves, noise])), {n: {n: 1.0} for n in human.names}
    )
    assert found.keys() == {"noise"} and found["noise"].confidence < 0.2


def test_shapes_that_names_tell_are_taken(human: Motions, dictionary: Dictionary) -> None:
    k = human.names.index("jawOpen")
    twice = replace(human, names=(*human.names, "again"), moves=np.concatenate([human.moves, human.moves[k : k + 1]]))
    found = dictionary.explain(twice, {n: {n: 1.0} for n in human.names})["again"]
    assert found.arkit == {"jawOpen": 1.0} and not found.first and found.cosine > 0.95


def test_both_sides_together_are_the_sum_of_both(human: Motions, dictionary: Dictionary) -> None:
    left, right = (human.names.index(n) for n in ("mouthSmileLeft", "mouthSmileRight"))
    known = [k for k in range(len(human.names)) if k not in (left, right)]
    moves = np.concatenate([human.moves[known], human.moves[[left]] + human.moves[[right]]])
    names = tuple(human.names[k] for k in known)
    both = dictionary.explain(replace(human, names=(*names, "grin"), moves=moves), {n: {n: 1.0} for n in names})["grin"]
    assert both.arkit == {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5} and both.first and both.side == ""
    one = dictionary.explain(replace(human, names=(*names, "smirk"), moves=human.moves[[*known, left]]), {n: {n: 1.0} for n in names})
    assert one["smirk"].arkit == {"mouthSmileLeft": 1.0} and one["smirk"].side == "left" and one["smirk"].confidence > 0.5


def test_motions_are_those_of_groups_where_the_nodes_are() -> None:
    model = load_glb(load_rig("robot").model)
    found = motions(model, {"both": {"mouthSmile": 0.5, "cheekPuff": 1.0}, "none": {"nothing": 1.0}})
    single = motions(model, {"a": {"mouthSmile": 1.0}, "b": {"cheekPuff": 1.0}})
    assert found.moves[0] == pytest.approx(0.5 * single.moves[0] + single.moves[1], abs=1e-5) and not found.moves[1].any()


@pytest.mark.parametrize("shape", [(3, 3), (4, 7), (7, 4), (1, 5), (5, 1), (6, 6)])
def test_assignments_are_the_best_of_all(shape: tuple[int, int]) -> None:
    from itertools import permutations

    scores = np.random.default_rng(sum(shape)).normal(size=shape)
    chosen = assign(scores)
    used = chosen[chosen >= 0]
    assert len(used) == min(shape) == len(set(used.tolist()))
    total = scores[np.flatnonzero(chosen >= 0), used].sum()
    wide = scores if shape[0] <= shape[1] else scores.T
    best = max(sum(wide[i, j] for i, j in enumerate(p)) for p in permutations(range(wide.shape[1]), len(wide)))
    assert total == pytest.approx(best)


@pytest.mark.data
def test_a_stranger_with_arkit_shapes_is_understood_without_its_names(data_root: Path, dictionary: Dictionary, human: Motions) -> None:
    bust = take_bust(load_glb(data_root / "avatars" / "talkinghead_brunette-t.glb"))
    brunette = motions(bust.model, {n: {n: 1.0} for n in bust.morphs if n in arkit.INDEX})
    stranger, truth = scrubbed(brunette)
    exact, near = shares(dictionary.explain(stranger, {}), truth)
    assert exact > 0.85 and near > 0.95
    # And ours is understood by what is known of the stranger's.
    stranger, truth = scrubbed(human)
    exact, near = shares(Dictionary(brunette).explain(stranger, {}), truth)
    assert exact > 0.85 and near > 0.95
