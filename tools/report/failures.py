"""The held-out synthetic pictures that are read worst."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np

from freeavatar import arkit
from freeavatar.types import Image
from freeavatar_renderer import head_map
from freeavatar_renderer.heads import Head
from freeavatar_renderer.people import SHARES
from freeavatar_renderer.performance import random_scene
from measure.tables import Table

from . import sheets
from .subjects import Desk, Floats, Portrait

PICTURES: Final = 480
PER_PERSON: Final = 4
WORST: Final = 24
MOST_OF_ONE: Final = 2


def make(desk: Desk) -> Table:
    """The sheet ``encoder_failures`` and its table."""
    heads: dict[str, Head] = {}
    total = desk.count(PICTURES // PER_PERSON) * PER_PERSON
    readings = desk.reader.read(_portraits(desk, heads, total), total, "failures")
    wrong = np.stack([errors(heads[r.portrait.who], r.portrait.truth, r.read.arkit) for r in readings])
    size = np.array([whole(heads[r.portrait.who], r.portrait.truth, r.read.arkit) for r in readings])
    tiles, shown = list[Image](), Counter[str]()
    for i in np.argsort(-size):
        portrait, read = readings[i].portrait, readings[i].read
        if len(tiles) == WORST or shown[portrait.who] == MOST_OF_ONE:
            continue
        shown[portrait.who] += 1
        lines = [f"{portrait.who}"[:26], f"error {size[i]:.2f}, confidence {read.confidence:.2f}"]
        lines += [f"{arkit.NAMES[k]} {portrait.truth[k]:.2f} > {read.arkit[k]:.2f}" for k in np.argsort(-wrong[i])[:3]]
        tiles.append(sheets.captioned(readings[i].crop, lines, 160))
    sheets.save(sheets.grid(tiles, 6), desk.images / "encoder_failures.webp")
    kinds = np.array([r.portrait.kind for r in readings])
    rows = {k: _row(size[kinds == k]) for k in [k for k in SHARES if (kinds == k).any()]} | {"all": _row(size)}
    usual = Counter(arkit.NAMES[int(k)] for k in wrong[np.argsort(-size)[: len(size) // 10]].argmax(1)).most_common(5)
    protocol = (
        "How far a wrong read-out would move the skin, by everybody's own map (docs/heads.md; a whole smile of both sides moves it by about"
        f" {_smile(heads):.1f}). {total - len(readings)} of {total} pictures without a face. In the worst tenth the shape that misleads"
        f" most is {', '.join(f'{n} ({c})' for n, c in usual)}."
    )
    return Table("Error of movement", protocol, rows, digits=2)


def errors(head: Head, truth: Floats, read: Floats) -> Floats:
    """(52,) how far the error of each shape alone moves the head's skin, in the space of :func:`head_map.movement`."""
    return np.asarray(np.linalg.norm(_wrong(head, truth, read)[:, None] * _moves(head), axis=1), np.float32)


def whole(head: Head, truth: Floats, read: Floats) -> float:
    """How far all errors together move it."""
    return float(np.linalg.norm(_wrong(head, truth, read) @ _moves(head)))


def _wrong(head: Head, truth: Floats, read: Floats) -> Floats:
    return np.asarray((read - truth) * head_map.expressible(head.family), np.float32)


def _moves(head: Head) -> Floats:
    return np.asarray(head_map.from_arkit(head.family, head.names) @ head_map.movement(head.family, head.names), np.float32)


def _smile(heads: dict[str, Head]) -> float:
    sides = [arkit.INDEX[f"mouthSmile{side}"] for side in ("Left", "Right")]
    return float(np.median([np.linalg.norm(_moves(head)[sides].sum(0)) for head in heads.values()]))


def _row(size: Floats) -> dict[str, float | int | None]:
    return {"pictures": len(size), "median": float(np.median(size)), "95 %": float(np.quantile(size, 0.95)), "worst": float(size.max())}


def _portraits(desk: Desk, heads: dict[str, Head], total: int) -> Iterator[Portrait]:
    rng = np.random.default_rng(61)
    while total > 0:
        kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        head = desk.cast.person(rng, kind)
        heads[head.name] = head
        for _ in range(PER_PERSON):
            yield desk.studio.person(head, kind, random_scene(head, rng))
        total -= PER_PERSON
