"""Triplets of real faces by emotion label: to learn from within a batch, and to judge an embedding by."""

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from freeavatar.train.bootstrap import interval

EMOTIONS: Final = ("neutral", "happiness", "surprise", "anger", "sadness", "disgust", "contempt", "fear")
"""Emotion labels; a label's number is its place here."""
JUDGED: Final = EMOTIONS[:5]
"""Labels that embeddings are judged by; the others are too rare."""


def emotion_triplets(labels: ArrayLike, persons: ArrayLike, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Rows of anchor, positive and negative within a batch: two share a label, the third does not, three persons.

    Anchors are drawn evenly from the faces that have a positive, so classes count as they do in the batch.

    Args:
        labels: (B,) class of each face.
        persons: (B,) whose face it is.
        rng: source of chance.
        n: triplets wanted.

    Returns:
        (M, 3), M at most ``n``; fewer, or none, where the batch has none for an anchor.
    """
    labels, persons = np.asarray(labels), np.asarray(persons)
    alike, foreign = labels[:, None] == labels, persons[:, None] != persons
    able = np.flatnonzero((alike & foreign).any(axis=1))
    if not len(able):
        return np.empty((0, 3), np.int64)

    def pick(choice: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.asarray((rng.random(choice.shape) * choice).argmax(axis=1))

    anchor = rng.choice(able, n)
    positive = pick(alike[anchor] & foreign[anchor])
    others = ~alike[anchor] & foreign[anchor] & foreign[positive]
    rows = np.column_stack([anchor, positive, pick(others)])
    return np.asarray(rows[others.any(axis=1)], np.int64)


@dataclass(frozen=True)
class EmotionScore:
    """How often faces of one emotion lie nearest.

    Attributes:
        accuracy: two-sided accuracy, mean over ordered class pairs; chance is 1/3.
        low: lower end of its 95 % interval over persons.
        high: upper end.
        pairs: accuracy of each (class of anchor and positive, class of negative).
        triplets: how many were judged.
    """

    accuracy: float
    low: float
    high: float
    pairs: dict[tuple[str, str], float]
    triplets: int


def emotion_score(
    embedding: ArrayLike, labels: ArrayLike, persons: ArrayLike, least: int = 8, per_pair: int = 500, seed: int = 5
) -> EmotionScore:
    """Two-sided accuracy of triplets by emotion class, balanced over ordered class pairs.

    A triplet is right only if anchor and positive lie nearer to each other than either to the negative. Which triplets
    are judged depends on labels, persons and seed alone, so embeddings can be compared.

    Args:
        embedding: (N, D) any metric space; a row of NaN is a face that was not found, and is always wrong.
        labels: (N,) emotion names.
        persons: (N,) whose face it is.
        least: classes with fewer faces take no part; ``disgust``, ``contempt`` and ``fear`` never do, being too rare.
        per_pair: triplets of each ordered pair of classes.
        seed: seed of triplets and resampling.

    Raises:
        ValueError: fewer than two classes with enough faces of different people.
    """
    x, labels, persons = np.asarray(embedding, np.float64), np.asarray(labels), np.asarray(persons)
    rng = np.random.default_rng(seed)
    rows, names = [], []
    judged = [e for e in JUDGED if (labels == e).sum() >= least]
    for own, other in itertools.permutations(judged, 2):
        same, different = np.flatnonzero(labels == own), np.flatnonzero(labels == other)
        drawn = np.column_stack([rng.choice(k, 8 * per_pair) for k in (same, same, different)])
        whose = persons[drawn]
        kept = drawn[(whose[:, 0] != whose[:, 1]) & (whose[:, 0] != whose[:, 2]) & (whose[:, 1] != whose[:, 2])][:per_pair]
        if len(kept):
            rows.append(kept)
            names.append((own, other))
    if not rows:
        raise ValueError(f"no triplets: two classes with at least {least} faces of different people are needed")
    pair, triplets = np.repeat(np.arange(len(rows)), [len(r) for r in rows]), np.concatenate(rows)
    a, p, n = triplets.T.copy()
    anchor, positive, negative = x[a], x[p], x[n]
    near = np.linalg.norm(anchor - positive, axis=1)
    right = (near < np.linalg.norm(anchor - negative, axis=1)) & (near < np.linalg.norm(positive - negative, axis=1))

    def by_pair(times: NDArray[np.integer]) -> NDArray[np.float64]:
        weight = times[a] * times[p] * times[n]  # a triplet counts as often as its three persons were drawn together
        total = np.bincount(pair, weight, len(rows))
        return np.bincount(pair, weight * right, len(rows)) / np.where(total > 0, total, np.nan)

    def accuracy(times: NDArray[np.integer]) -> float:
        each = by_pair(times)
        return float(each[np.isfinite(each)].mean()) if np.isfinite(each).any() else float("nan")

    each = by_pair(np.ones(len(x), np.intp))
    low, high = interval(accuracy, persons, seed=seed)
    return EmotionScore(float(each.mean()), low, high, dict(zip(names, each.tolist(), strict=True)), len(triplets))
