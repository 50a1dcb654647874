"""The figures of the benchmark as pure functions of arrays. Rows are pictures; a row with NaN is a face not found."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from freeavatar.train.bootstrap import interval
from freeavatar.train.emotion import JUDGED

Array = NDArray[np.float64]
Grams = Mapping[str, Array]
"""(K, K) inner products of K morphs' skin displacement by face region."""

_STRENGTHS: Final = (1.0, 10.0, 100.0, 1e3, 1e4)
"""Ridge penalties to choose from."""
_TINY: Final = 1e-6


def found(x: NDArray[Any]) -> NDArray[np.bool_]:
    """(N,) which rows of (N, ...) hold a face."""
    return np.asarray(np.isfinite(x.reshape(len(x), -1)).all(1))


def standardised(x: Array, by: Array | None = None) -> Array:
    """Columns of ``x`` with the mean and deviation that those of ``by`` (default: ``x``) would need to be 0 and 1."""
    by = x if by is None else by
    return np.asarray((x - np.nanmean(by, 0)) / (np.nanstd(by, 0) + _TINY))


def correlation(a: NDArray[Any], b: NDArray[Any]) -> float | None:
    """Pearson's coefficient; None where one side is constant or has fewer than three values."""
    if len(a) < 3 or a.std() < _TINY or b.std() < _TINY:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def ridge(x: Array, y: Array, strength: float) -> Array:
    """(F, K) least squares map from centred ``x`` (N, F) to ``y`` (N, K), penalised by its squared size."""
    return np.asarray(np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ y))


def explained(guess: Array, truth: Array, rest: Array, grams: Grams) -> dict[str, float]:
    """Share of the squared skin displacement that a guess explains, by region; 0 is as good as guessing ``rest``.

    Args:
        guess: (N, K) morph weights.
        truth: (N, K).
        rest: (K,) the constant to compare with.
        grams: by region.
    """

    def energy(w: Array, gram: Array) -> float:
        return float(np.einsum("ni,ij,nj", w, gram, w, optimize=True))

    return {region: 1 - energy(guess - truth, gram) / energy(truth - rest, gram) for region, gram in grams.items()}


def probe(x: Array, y: Array, people: NDArray[Any], unseen: Array, truth: Array, grams: Grams) -> dict[str, float]:
    """How much of the skin's movement do features know? Ridge regression from features to morph weights.

    Fitted on some people, its penalty chosen on every fifth of them, scored on others. A face not found counts as the mean.

    Args:
        x: (N, F) features; ``y`` (N, K) morph weights; ``people`` (N,) names.
        unseen: (M, F) features of other people; ``truth`` (M, K) their weights.
        grams: by region.

    Returns:
        Share explained by region, and their ``mean``.
    """
    ok, seen = found(x), found(unseen)
    x, y, people = x[ok], y[ok], people[ok]
    unseen, x = standardised(unseen, x), standardised(x)
    aside = np.isin(people, np.unique(people)[::5])
    rest = y[~aside].mean(0)

    def score(strength: float) -> float:
        guess = x[aside] @ ridge(x[~aside], y[~aside] - rest, strength) + rest
        return float(np.mean(list(explained(guess, y[aside], rest, grams).values())))

    best = max(_STRENGTHS, key=score)
    guess = np.tile(y.mean(0), (len(unseen), 1))
    guess[seen] += unseen[seen] @ ridge(x, y - y.mean(0), best)
    shares = explained(guess, truth, truth.mean(0), grams)
    return shares | {"mean": float(np.mean(list(shares.values())))}


def calibrated(x: Array, people: NDArray[Any], neutral: NDArray[np.bool_]) -> Array:
    """Features minus the mean feature of the same person's neutral pictures."""
    x = x.copy()
    for person in np.unique(people):
        own = people == person
        x[own] -= np.nanmean(x[own & neutral], 0)
    return x


def two_sided(anchor: Array, positive: Array, negative: Array) -> NDArray[np.bool_]:
    """(N,) whether anchor and positive are nearer to each other than either is to the negative; False for a face not found."""
    pair, nearest = _distances(anchor, positive, negative)
    return np.asarray(pair < nearest)


def _distances(anchor: Array, positive: Array, negative: Array) -> tuple[Array, Array]:
    """(N,) distance of the pair, and (N,) the smaller of those to the negative."""
    pair, first, second = (np.linalg.norm(a - b, axis=1) for a, b in ((anchor, positive), (anchor, negative), (positive, negative)))
    return pair, np.minimum(first, second)


def clear(anchor: Array, positive: Array, negative: Array, ratio: float = 1.25, least: float = 0.1) -> NDArray[np.bool_]:
    """(N,) whether the truth of a triplet is beyond doubt: the pair is ``ratio`` times nearer than either is to the negative.

    Args:
        anchor, positive, negative: (N, M) true skin movement.
        ratio: smaller of the distances to the negative over the distance of the pair.
        least: distance to the negative below which nothing can be seen.
    """
    pair, nearest = _distances(anchor, positive, negative)
    return np.asarray(nearest > np.maximum(ratio * pair, least))


def class_triplets(
    labels: NDArray[Any], people: NDArray[Any], each: int = 500, seed: int = 5
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Triplets of three different people: anchor and positive share a label, the negative has another.

    Args:
        labels: (N,); ``people`` (N,). Classes of :data:`JUDGED` with fewer than 20 pictures are left out.
        each: triplets of each ordered pair of classes.
        seed: of the draw.

    Returns:
        (T, 3) rows of anchor, positive and negative, and (T,) the pair of classes each belongs to.
    """
    rng = np.random.default_rng(seed)
    classes = [c for c in JUDGED if (labels == c).sum() >= 20]
    rows: list[tuple[int, int, int]] = []
    for one, other in itertools.permutations(classes, 2):
        same, different, wanted = np.flatnonzero(labels == one), np.flatnonzero(labels == other), len(rows) + each
        while len(rows) < wanted:
            (a, p), n = rng.choice(same, 2, replace=False), rng.choice(different)
            if len({people[a], people[p], people[n]}) == 3:
                rows.append((a, p, n))
    return np.array(rows), np.repeat(np.arange(len(rows) // each), each)


def balanced(right: NDArray[np.bool_], groups: NDArray[np.int64], weights: Array | None = None) -> float:
    """Mean over groups of the (weighted) share that is right."""
    weights = np.ones(len(right)) if weights is None else weights
    total = np.bincount(groups, weights)
    return float((np.bincount(groups, weights * right)[total > 0] / total[total > 0]).mean())


def bootstrap(right: NDArray[np.bool_], groups: NDArray[np.int64], people: NDArray[Any], draws: int = 1000) -> tuple[float, float]:
    """95 % interval of :func:`balanced` over the choice of people.

    People are drawn with replacement; a triplet counts as often as its three people's counts multiply to.

    Args:
        right, groups: (T,).
        people: (T, 3) who is in each triplet.
        draws: resamples.
    """
    names, who = np.unique(people, return_inverse=True)
    who = who.reshape(people.shape)
    return interval(lambda times: balanced(right, groups, times[who].prod(1).astype(np.float64)), names, draws)


def discriminant(x: Array, labels: NDArray[Any], shrinkage: float = 0.1) -> Array:
    """Linear discriminant analysis (Fisher 1936; Rao 1948) with classes of equal weight: (F, C - 1) map of centred features.

    Args:
        x: (N, F) features; ``labels`` (N,).
        shrinkage: share of the mean variance in the spread within classes.
    """
    classes = np.unique(labels)
    centres = np.stack([x[labels == c].mean(0) for c in classes])
    within = np.mean([np.cov(x[labels == c].T) for c in classes], axis=0)
    within = (1 - shrinkage) * within + shrinkage * np.trace(within) / len(within) * np.eye(len(within))
    values, axes = np.linalg.eigh(within)
    white = axes / np.sqrt(values)
    _, _, turn = np.linalg.svd((centres - centres.mean(0)) @ white, full_matrices=False)
    return np.asarray(white @ turn[: len(classes) - 1].T)


def identity(x: Array, people: NDArray[Any]) -> float:
    """Share of pictures whose person a linear probe tells: :func:`discriminant` of every other picture, nearest mean for the rest."""
    ok = found(x)
    x, people = standardised(x[ok]), people[ok]
    names, who = np.unique(people, return_inverse=True)
    fit = np.arange(len(x)) % 2 == 0
    low = x @ discriminant(x[fit], people[fit])
    centres = np.stack([low[fit & (who == k)].mean(0) for k in range(len(names))])
    nearest = np.linalg.norm(low[~fit, None] - centres, axis=2).argmin(1)
    return float((nearest == who[~fit]).mean())


def leakage(read: Array) -> Array:
    """(K,) how much a control moves with the head: deviation over yaw at one expression over deviation over expressions at one yaw.

    Args:
        read: (P, E, Y, K) read-outs of P people, E expressions, Y yaws; expressions with a face not found are left out.
    """
    whole: NDArray[np.bool_] = np.asarray(np.isfinite(read).all((2, 3)))
    over_yaw = read.std(2)[whole].mean(0)
    over_expressions = np.mean([person[kept].std(0).mean(0) for person, kept in zip(read, whole, strict=True) if kept.sum() > 1], axis=0)
    return np.asarray(over_yaw / (over_expressions + _TINY))


def angle(a: Array, b: Array) -> Array:
    """(N,) degrees between directions given as yaw and pitch (N, 2) in radians."""

    def direction(g: Array) -> Array:
        yaw, pitch = g.T
        return np.stack([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)], 1)

    return np.asarray(np.degrees(np.arccos(np.clip((direction(a) * direction(b)).sum(1), -1, 1))))


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean of what is known; None if nothing is."""
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None
