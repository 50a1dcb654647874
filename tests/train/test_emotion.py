"""Triplets by emotion label, their score, and the interval over persons."""

import numpy as np
import pytest

from freeavatar.train.bootstrap import interval
from freeavatar.train.emotion import EMOTIONS, emotion_score, emotion_triplets


def faces(n: int = 200, people: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return np.array(EMOTIONS[:5])[rng.integers(0, 5, n)], np.array([f"p{i}" for i in rng.integers(0, people, n)])


def test_triplets_share_a_label_never_a_person() -> None:
    labels, persons = faces()
    rows = emotion_triplets(labels, persons, np.random.default_rng(1), 300)
    assert rows.shape == (300, 3)
    a, p, n = labels[rows].T
    assert (a == p).all() and (a != n).all()
    assert all(len(set(whose)) == 3 for whose in persons[rows])
    assert len(np.unique(rows[:, 0])) > 100 and len(np.unique(rows[:, 2])) > 100  # drawn from the whole batch
    np.testing.assert_array_equal(rows, emotion_triplets(labels, persons, np.random.default_rng(1), 300))


@pytest.mark.parametrize(
    ("labels", "persons"),
    [([0, 0, 0], [1, 2, 3]), ([0, 1, 2], [1, 2, 3]), ([0, 0, 1], [1, 1, 2]), ([0, 0, 1], [1, 2, 2])],
    ids=["no negative", "no positive", "one person twice", "the negative is the positive's person"],
)
def test_a_batch_without_triplets_gives_none(labels: list[int], persons: list[int]) -> None:
    assert emotion_triplets(labels, persons, np.random.default_rng(0), 8).shape == (0, 3)


def test_an_embedding_of_emotions_is_right_and_one_of_chance_is_right_a_third_of_the_time() -> None:
    labels, persons = faces()
    rng = np.random.default_rng(2)
    ideal = np.eye(5)[[EMOTIONS.index(e) for e in labels]] + rng.normal(0, 0.01, (200, 5))
    score = emotion_score(ideal, labels, persons)
    assert score.accuracy == score.low == score.high == 1
    assert len(score.pairs) == 20 and score.triplets == 20 * 500
    chance = emotion_score(rng.normal(size=(200, 16)), labels, persons)
    assert abs(chance.accuracy - 1 / 3) < 0.04
    assert chance.low < chance.accuracy < chance.high < chance.low + 0.2


def test_a_face_that_was_not_found_is_wrong() -> None:
    labels, persons = faces()
    ideal = np.eye(5)[[EMOTIONS.index(e) for e in labels]]
    ideal[::4] = np.nan
    assert 0.3 < emotion_score(ideal, labels, persons).accuracy < 0.55  # all three are found with (3/4)^3 = 0.42


def test_rare_classes_take_no_part_and_without_classes_there_is_no_score() -> None:
    labels, persons = np.array(["neutral"] * 10 + ["anger"] * 10 + ["sadness"] * 7 + ["fear"] * 20), np.arange(47)
    score = emotion_score(np.arange(47.0)[:, None], labels, persons, per_pair=20)
    assert set(score.pairs) == {("neutral", "anger"), ("anger", "neutral")}
    with pytest.raises(ValueError, match="two classes with at least 11"):
        emotion_score(np.zeros((47, 2)), labels, persons, least=11)


def test_the_interval_is_over_persons_not_pictures() -> None:
    rng = np.random.default_rng(3)
    persons = np.repeat(np.arange(40), 25)
    scores = np.repeat(rng.random(40) < 0.5, 25).astype(float)  # a person's pictures are all right or all wrong
    low, high = interval(lambda times: float(np.average(scores, weights=times)), persons)
    expected = 1.96 * scores.std() / np.sqrt(40)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.15)
    assert low < scores.mean() < high
    assert (low, high) == interval(lambda times: float(np.average(scores, weights=times)), persons)
