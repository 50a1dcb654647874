"""What morph targets do, told by what they move: each is compared with the 52 ARKit shapes of an avatar that has them.

A face's movements are laid into a frame of its own, so that faces of any size and proportion can be compared: first by the
box in which they move, then shifted and stretched until they are most alike. There, every movement is read at the same few
hundred places; two movements are alike as far as these vectors point the same way (the cosine of the angle).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freeavatar import arkit
from freeavatar.errors import RigError
from freeavatar_renderer.accessors import Floats
from freeavatar_renderer.model import Model, Morph, Primitive

_PLACES: Final = 280
"""Where movements are read: half of them on each side of the face."""
_REACH: Final = 0.16
"""Width of the bell that averages a movement about such a place, in halves of the moving face."""
_CELL: Final = 0.02
"""Surface within a cell of this side is taken for one point, in heights of the moving face."""
_STARTS: Final = ((-0.3, 0.0, 0.3), (0.8, 1.0, 1.25), (0.7, 1.0, 1.4))
"""Of the frame's search: shifts up, widths and heights, in those of the box in which the face moves."""
_STEPS: Final = (0.08, 0.04, 0.02)
"""Of the frame's search, in sizes of the moving face."""
_ROUNDS: Final = 3
"""Of the search with steps of one size."""

_SEARCHED: Final = ((0, 1), (1, 1), (1, 0), (0, 2), (1, 2))
"""What the search changes: the middle's height and depth, and all extents."""
_STEEP: Final = 6.0
_CONCEDED: Final = 0.35
"""Where another movement has the better claim, the next likeness counts if its cosine is less than this below."""

ALIKE: Final = 0.4
"""Cosine; movements less alike than this mean something else."""
SURE: Final = 0.15
"""Confidence from which on a measured meaning drives a control."""

_MOST: Final = 512 << 20
"""Bytes of all movements together; the models that can be read have less, unless many controls share their morph targets."""

Frame = NDArray[np.float64]
"""(2, 3): the centre of the moving face, and half its extent along x, y, z."""


@dataclass(frozen=True)
class Motions:
    """The movements of a face.

    Attributes:
        names: of the morph targets.
        points: (P, 3) places of the surface that anything moves.
        areas: (P,) how much surface each stands for.
        moves: (K, P, 3) where each morph target takes them.
    """

    names: tuple[str, ...]
    points: Floats
    areas: Floats
    moves: Floats


@dataclass(frozen=True)
class Likeness:
    """What a movement is like.

    Attributes:
        arkit: the shapes that it is most like, as a control's map; weights add up to 1.
        cosine: how alike they are, -1 to 1.
        margin: by how much more so than any other shape.
        side: the side that it moves: "left", "right" or "".
        first: no other movement has a better claim to these shapes.
    """

    arkit: Mapping[str, float]
    cosine: float
    margin: float
    side: str
    first: bool

    @property
    def confidence(self) -> float:
        """0..1: alike, and like nothing else."""
        return float(np.clip((self.cosine - 0.3) / 0.6, 0, 1) * np.clip(0.5 + 2.5 * self.margin, 0, 1))

    @property
    def drives(self) -> bool:
        """Whether this is sure enough to drive a control by."""
        return self.first and self.cosine >= ALIKE and self.confidence >= SURE


def motions(model: Model, groups: Mapping[str, Mapping[str, float]]) -> Motions:
    """The movements of groups of a model's morph targets, in the model's coordinates.

    Args:
        model: at rest.
        groups: weights of morph targets by what the group is to be called.

    Raises:
        RigError: they are too many to be compared.
    """
    rows: list[tuple[Floats, Floats, Floats]] = []
    taken = 0
    for node, place in zip(model.nodes, model.places, strict=True):
        for p in node.primitives:
            parts = [(k, p.morphs.get(name, _STILL), weight) for k, group in enumerate(groups.values()) for name, weight in group.items()]
            moving = [part for part in parts if len(part[1].moves)]
            if not moving:
                continue
            used = np.unique(np.concatenate([m.vertices for _, m, _ in moving]))
            if (taken := taken + 12 * len(groups) * len(used)) > _MOST:
                raise RigError(f"moves too much for {len(groups)} movements to be compared; export a lighter model")
            moves = np.zeros((len(groups), len(used), 3), np.float32)
            for k, m, weight in moving:
                moves[k, np.searchsorted(used, m.vertices)] += np.float32(weight) * m.moves
            here = p.positions[used] if p.bones is not None else p.positions[used] @ place[:3, :3].T + place[:3, 3]
            turn = np.eye(3) if p.bones is not None else place[:3, :3]
            rows.append((here.astype(np.float32), _areas(p)[used], (moves @ turn.T).astype(np.float32)))
    if not rows:
        return Motions(tuple(groups), np.zeros((0, 3), np.float32), np.zeros(0, np.float32), np.zeros((len(groups), 0, 3), np.float32))
    points, areas = np.concatenate([r[0] for r in rows]), np.concatenate([r[1] for r in rows])
    return _thinned(tuple(groups), points, areas, np.concatenate([r[2] for r in rows], axis=1))


_STILL: Final = Morph(np.zeros(0, np.int64), np.zeros((0, 3), np.float32), None)


def _areas(p: Primitive) -> Floats:
    """(V,) a third of the area of each triangle at a vertex."""
    a, b, c = (p.positions[p.faces[:, k]] for k in range(3))
    size = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    return np.asarray(sum(np.bincount(p.faces[:, k], size, len(p.positions)) for k in range(3)), np.float32)


def _thinned(names: tuple[str, ...], points: Floats, areas: Floats, moves: Floats) -> Motions:
    """The surface of each small cell as one point."""
    low, high = np.percentile(points, 1, axis=0), np.percentile(points, 99, axis=0)
    cell = np.floor((points - low) / max(_CELL * float(high[1] - low[1]), 1e-9)).clip(-1e6, 1e6).astype(np.int64)
    group = np.unique(cell, axis=0, return_inverse=True)[1].reshape(-1)
    share = np.maximum(areas, 1e-12 + 1e-3 * float(areas.mean()))
    total = np.bincount(group, share)

    def mean(values: Floats) -> Floats:
        return np.stack([np.bincount(group, share * column) / total for column in values.T], axis=-1).astype(np.float32)

    return Motions(names, mean(points), total.astype(np.float32), np.stack([mean(m) for m in moves]))


class Dictionary:
    """Knows the movements of ARKit shapes from an avatar that has them.

    Args:
        known: movements of an avatar; the names of those used are ARKit's.
    """

    def __init__(self, known: Motions) -> None:
        used = [k for k, name in enumerate(known.names) if name in arkit.INDEX]
        known = Motions(tuple(known.names[k] for k in used), known.points, known.areas, known.moves[used])
        frame = _box(known)
        self._places = _spread(_laid(known.points, frame), _PLACES // 2)
        fields = _fields(known, frame, self._places)
        self._names, singles = known.names, {name: field for name, field in zip(known.names, fields, strict=True)}
        # Both sides of a face move nearly alike: what they have in common is what counts.
        for name in known.names:
            if (other := arkit.mirrored(name)) in singles:
                singles[name] = (singles[name] + self._mirror(singles[other])) / 2
        self._maps, prototypes = self._meanings(singles)
        self._prototypes = _directions(np.stack(prototypes))

    def _meanings(self, singles: Mapping[str, Floats]) -> tuple[list[dict[str, float]], list[Floats]]:
        """Single shapes, pairs of both sides, and the halves of shapes that ARKit does not split."""
        maps: list[dict[str, float]] = [{name: 1.0} for name in singles]
        fields = list(singles.values())
        for name, field in singles.items():
            if name.endswith("Left") and name not in ("jawLeft", "mouthLeft") and (other := arkit.mirrored(name)) in singles:
                maps.append({name: 0.5, other: 0.5})
                fields.append(field + singles[other])
        for name, side in product(("browInnerUp", "cheekPuff"), (1, -1)):
            if name in singles:
                maps.append({name: 1.0})
                fields.append(singles[name] * np.clip(0.5 + 4 * side * self._places[:, :1], 0, 1))
        return maps, fields

    def _mirror(self, field: Floats) -> Floats:
        """A field (..., A, 3) as a mirror shows it; the places' second half mirrors the first."""
        return np.roll(field, len(self._places) // 2, axis=-2) * np.array([-1, 1, 1], np.float32)

    def explain(self, found: Motions, named: Mapping[str, Mapping[str, float]]) -> dict[str, Likeness]:
        """What movements are like whose names do not say it.

        Args:
            found: the movements of a face.
            named: ARKit maps of those whose names say it; they help to find the face's frame, and their shapes are taken.

        Returns:
            By name, for all that are not in ``named``.
        """
        unknown = [k for k, name in enumerate(found.names) if name not in named]
        if not unknown:
            return {}
        fields = self._fitted(found, named, unknown)[unknown]
        scores = _directions(fields) @ self._prototypes.T
        taken = {shape for shapes in named.values() for shape in shapes}
        open_columns = [j for j, shapes in enumerate(self._maps) if not shapes.keys() & taken]
        chosen = np.full(len(unknown), -1)
        if open_columns:
            # Steeply rising, so that a great likeness is not given up for two middling ones.
            pairs = assign(np.exp(_STEEP * scores[:, open_columns]))
            chosen[pairs >= 0] = np.array(open_columns)[pairs[pairs >= 0]]
        rows = zip(unknown, fields, scores, chosen, strict=True)
        return {found.names[k]: self._likeness(field, row, int(column)) for k, field, row, column in rows}

    def _likeness(self, field: Floats, scores: Floats, chosen: int) -> Likeness:
        best = int(np.argmax(scores))
        first = chosen >= 0 and scores[chosen] > scores[best] - _CONCEDED
        column = chosen if first else best
        others = [s for s, m in zip(scores, self._maps, strict=True) if not m.keys() & self._maps[column].keys()]
        strength = np.linalg.norm(field, axis=1)
        balance = float((strength * np.sign(self._places[:, 0])).sum()) / max(float(strength.sum()), 1e-12)
        side = "left" if balance > 0.5 else "right" if balance < -0.5 else ""
        return Likeness(self._maps[column], float(scores[column]), float(scores[column]) - max(others, default=0.0), side, first)

    def _fitted(self, found: Motions, named: Mapping[str, Mapping[str, float]], unknown: Sequence[int]) -> Floats:
        """(K, A, 3) fields in the frame in which they are most like known ones."""
        wanted = [(k, self._maps.index(dict(named[n]))) for k, n in enumerate(found.names) if n in named and dict(named[n]) in self._maps]

        def score(frame: Frame) -> float:
            # In a wrong frame much is a little like the same few shapes: great likenesses count, and how many shapes are found.
            alike = _directions(_fields(found, frame, self._places)) @ self._prototypes.T
            best = alike[unknown].clip(0) ** 2
            shapes = best.max(axis=0).mean() * len(unknown)
            return float(sum(alike[k, j] for k, j in wanted) + best.max(axis=1).sum() + shapes)

        box = _box(found)
        starts = [np.stack([box[0] + box[1] * [0, shift, 0], box[1] * [wide, high, 1]]) for shift, wide, high in product(*_STARTS)]
        reached, best = max(((score(frame), frame) for frame in starts), key=lambda pair: pair[0])
        for step in _STEPS:
            for _ in range(_ROUNDS):
                before = reached
                for row, axis, sign in ((r, a, s) for r, a in _SEARCHED for s in (1, -1)):
                    trial = best.copy()
                    trial[row, axis] += sign * step * 2 * best[1, axis]
                    if (value := score(trial)) > reached:
                        best, reached = trial, value
                if reached <= before:
                    break
        return _fields(found, best, self._places)


def _box(m: Motions) -> Frame:
    """The box in which the movements are, weighed by how far they go; symmetric about the face's own middle."""
    energy = m.areas * np.linalg.norm(m.moves, axis=2).sum(axis=0)
    low, high = np.array([_quantiles(m.points[:, axis], energy) for axis in range(3)]).T
    return np.stack([(low + high) / 2, np.maximum((high - low) / 2, 1e-6 + 0.05 * float((high - low).max()))])


def _quantiles(values: Floats, weights: Floats) -> tuple[float, float]:
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    low, high = (values[order[min(np.searchsorted(sums, q * sums[-1]), len(order) - 1)]] for q in (0.04, 0.96))
    return float(low), float(high)


def _spread(points: Floats, count: int) -> Floats:
    """(2 count, 3) places far from each other on the left of the face, and their mirror images."""
    half = points[(points[:, 0] >= 0) & (np.abs(points) < 1.6).all(axis=1)]
    chosen = [int(np.argmax(half[:, 2]))]
    distance = np.full(len(half), np.inf)
    for _ in range(min(count, len(half)) - 1):
        distance = np.minimum(distance, ((half - half[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(np.argmax(distance)))
    places = half[chosen]
    return np.concatenate([places, places * np.array([-1, 1, 1])]).astype(np.float32)


def _fields(m: Motions, frame: Frame, places: Floats) -> Floats:
    """(K, A, 3) movement about each place, in the frame's own units."""
    points = _laid(m.points, frame)
    squared = (points**2).sum(axis=1) + (places**2).sum(axis=1)[:, None] - 2 * places @ points.T
    near = np.exp(-squared / (2 * _REACH**2)) * m.areas
    # Between the sum and the mean: eyes behind lids should not hide how lids move, nor should much surface count for more.
    around = near.sum(axis=1, keepdims=True)
    near /= np.sqrt(around + 1e-3 * float(around.mean()))
    flat = m.moves.transpose(1, 0, 2).reshape(len(m.points), -1)
    return np.asarray((near @ flat).reshape(len(places), -1, 3).transpose(1, 0, 2) / frame[1].astype(np.float32), np.float32)


def _laid(points: Floats, frame: Frame) -> Floats:
    """(P, 3) points in a frame: the box's corners lie at -1 and 1."""
    return np.asarray((points - frame[0]) / frame[1], np.float32)


def _directions(fields: Floats) -> Floats:
    """(K, A * 3) vectors of unit length."""
    rows = fields.reshape(len(fields), -1)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


def assign(scores: Floats) -> NDArray[np.int64]:
    """(N,) the column of each row of (N, M) scores, each at most once, so that the sum is largest; -1 for rows left over.

    The Hungarian method by shortest augmenting paths; Kuhn 1955, Jonker and Volgenant 1987.
    """
    if len(scores) > scores.shape[1]:
        columns = assign(scores.T)
        rows = np.full(len(scores), -1)
        rows[columns] = np.arange(len(columns))
        return rows
    count = scores.shape[1]
    lost = np.concatenate([np.zeros((len(scores), 1)), -scores.astype(np.float64)], axis=1)
    row_price, price = np.zeros(len(scores)), np.zeros(count + 1)
    owner = np.full(count + 1, -1)  # column 0 stands for the row that looks for a place
    for row in range(len(scores)):
        owner[0], column = row, 0
        least, before, done = np.full(count + 1, np.inf), np.zeros(count + 1, np.int64), np.zeros(count + 1, bool)
        while owner[column] >= 0:
            done[column] = True
            now = lost[owner[column]] - row_price[owner[column]] - price
            better = ~done & (now < least)
            least[better], before[better] = now[better], column
            column = int(np.argmin(np.where(done, np.inf, least)))
            step = least[column]
            row_price[owner[done]] += step
            price[done] -= step
            least[~done] -= step
        while column:
            owner[column], column = owner[before[column]], int(before[column])
    found = np.full(len(scores), -1)
    found[owner[1:][owner[1:] >= 0]] = np.flatnonzero(owner[1:] >= 0)
    return found
