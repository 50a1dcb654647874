"""Which faces lie nearest in the embedding, across synthetic people and avatars."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freeavatar import arkit
from freeavatar.rig import Rig, list_rigs, load_rig
from freeavatar_renderer import head_map
from freeavatar_renderer.heads import Head
from freeavatar_renderer.performance import glance, lidded, possible, random_scene
from measure.tables import Table

from . import sheets
from .subjects import Desk, Portrait


def _pair(*names: str, value: float = 1.0) -> dict[str, float]:
    return {f"{name}{side}": value for name in names for side in ("Left", "Right")}


EXPRESSIONS: Final[Mapping[str, dict[str, float]]] = {
    "neutral": {},
    "smile": _pair("mouthSmile") | _pair("cheekSquint", value=0.5),
    "laugh": _pair("mouthSmile") | _pair("eyeSquint", "cheekSquint", value=0.6) | {"jawOpen": 0.5},
    "left wink": {"eyeBlinkLeft": 1.0, "mouthSmileLeft": 0.4},
    "surprise": _pair("browOuterUp", "eyeWide") | {"browInnerUp": 1.0, "jawOpen": 0.6},
    "anger": _pair("browDown") | _pair("noseSneer", "eyeSquint", value=0.6) | _pair("mouthFrown", value=0.5),
    "sad": _pair("mouthFrown") | {"browInnerUp": 1.0, "mouthShrugLower": 0.4},
    "kiss": {"mouthPucker": 1.0},
    "puff": {"cheekPuff": 1.0},
    "tongue": {"tongueOut": 1.0, "jawOpen": 0.5},
}
"""ARKit weights by label."""
PEOPLE: Final = {"valid": 8, "ict": 5, "anny": 5, "stylised": 4}
NEAREST: Final = 5
_QUERIES: Final = (
    "left wink", "smile", "surprise", "anger", "kiss", "sad", "laugh", "smile", "puff", "surprise", "tongue", "left wink",
)  # fmt: skip
"""Expressions of the rows of the sheet; kinds of people and avatars take turns."""


def make(desk: Desk) -> Table:
    """The sheet ``encoder_neighbours`` and its table."""
    people = list(desk.people({kind: desk.count(count) for kind, count in PEOPLE.items()}, 41))
    rigs = [load_rig(name) for name in list_rigs()]
    rng = np.random.default_rng(42)
    total = len(rigs) * len(EXPRESSIONS) + sum(_can(head, shapes) for _, head in people for shapes in EXPRESSIONS.values())
    readings = desk.reader.read(_gallery(desk, people, rigs, rng), total, "neighbours")
    who = np.array([r.portrait.who for r in readings])
    near = nearest(np.stack([r.read.embedding for r in readings]), who)
    shown = [r.portrait.expression for r in readings]
    agree = np.array([[shown[j] == shown[i] for j in row] for i, row in enumerate(near)])
    kinds = np.array([r.portrait.kind for r in readings])
    order = list(dict.fromkeys(kinds))
    tiles = []
    for row, wanted in enumerate(_QUERIES):
        matches = [i for i in range(len(readings)) if kinds[i] == order[row % len(order)] and shown[i] == wanted]
        if matches:
            i = matches[row % len(matches)]
            tiles.append(sheets.captioned(readings[i].crop, [f"{kinds[i]}: {shown[i]}"], 112, sheets.INK))
            for j, same in zip(near[i], agree[i], strict=True):
                tiles.append(sheets.captioned(readings[j].crop, [f"{kinds[j]}: {shown[j]}"], 112, sheets.GOOD if same else sheets.BAD))
    sheets.save(sheets.grid(tiles, NEAREST + 1), desk.images / "encoder_neighbours.webp")
    rows = {k: {"faces": int((kinds == k).sum()), "same among 5 nearest": float(agree[kinds == k].mean())} for k in order}
    rows["all"] = {"faces": len(readings), "same among 5 nearest": float(agree.mean())}
    chance = np.mean([np.mean([shown[j] == shown[i] for j in np.flatnonzero(who != who[i])]) for i in range(len(readings))])
    protocol = (
        f"{len(EXPRESSIONS)} expressions of everybody, under random pose and light; how often the {NEAREST} nearest pictures of others"
        f" show the same one (chance {chance:.2f}). A face was found in {len(readings)} of {total} pictures."
    )
    return Table("Neighbours by who asks", protocol, rows, digits=2)


def nearest(embedding: NDArray[np.floating], who: Sequence[str] | NDArray[np.str_], count: int = NEAREST) -> NDArray[np.intp]:
    """(N, count) rows nearest to each of (N, D) unit vectors that belong to somebody else."""
    away = 1 - embedding @ embedding.T
    names = np.asarray(who)
    away[names[:, None] == names] = np.inf
    return np.asarray(np.argsort(away, axis=1, kind="stable")[:, :count])


def _gallery(desk: Desk, people: Sequence[tuple[str, Head]], rigs: Sequence[Rig], rng: np.random.Generator) -> Iterator[Portrait]:
    for rig in rigs:
        for name, shapes in EXPRESSIONS.items():
            yield desk.studio.avatar(rig, arkit.weights(shapes), tuple(rng.normal(0, (0.12, 0.08, 0.05))), name)
    for kind, head in people:
        for name, shapes in EXPRESSIONS.items():
            if _can(head, shapes):
                gaze = glance(rng)
                weights = possible(head.express(lidded(shapes, gaze)), head.names)
                yield desk.studio.person(head, kind, random_scene(head, rng, (weights, gaze)), name)


def _can(head: Head, shapes: Mapping[str, float]) -> bool:
    """Whether the head's family knows all of these shapes."""
    return bool(head_map.expressible(head.family)[[arkit.INDEX[name] for name in shapes]].all())
