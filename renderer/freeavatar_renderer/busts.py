"""Takes the head and shoulders of any avatar, in one simple form: metres as they are, the face along +Z, four nodes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freeavatar.errors import RigError
from freeavatar_renderer.accessors import Floats
from freeavatar_renderer.model import Bones, Matrix, Model, Morph, Node, Primitive, bound

_NODES: Final = ("body", "head", "eyeLeft", "eyeRight", "skin")
_BONES: Final[Mapping[str, tuple[str, str]]] = {
    "head": ("head", r"(.*[^a-z])?(head|頭)"),
    "eyeLeft": ("leftEye", r"(.*[^a-z])?(left_?eye|eye_?left|l_?eye|eye_?l|l_faceeye|左目)"),
    "eyeRight": ("rightEye", r"(.*[^a-z])?(right_?eye|eye_?right|r_?eye|eye_?r|r_faceeye|右目)"),
}
"""VRM's name of each bone, and what others call it."""
_FARTHEST: Final = 1e5


@dataclass(frozen=True)
class Bust:
    """Head and shoulders.

    Attributes:
        model: nodes ``body``, ``head`` in it, and ``eyeLeft`` and ``eyeRight`` in that where the model has eye bones.
        morphs: names of the morph targets that move something, in the order of the file.
        eyes: whether eyes can turn.
        target: (3,) where a camera should look.
        height: what it should show there from bottom to top.
    """

    model: Model
    morphs: tuple[str, ...]
    eyes: bool
    target: tuple[float, float, float]
    height: float


def take_bust(model: Model) -> Bust:
    """Cut a model with morph targets down to what a portrait shows, as its nodes hold it at rest.

    What a bone turns keeps turning with the head and the eyes; all other bones are frozen.

    Raises:
        RigError: the morph targets move nothing, or vertices lie at infinity.
    """
    about = np.diag([-1.0, 1, -1, 1]) if model.avatar.backwards else np.eye(4)
    found = {name: _bone(model, name) for name in _BONES}
    if found["head"] < 0 or found["eyeLeft"] < 0 or found["eyeRight"] < 0:
        found |= {"eyeLeft": -1, "eyeRight": -1}
    nearest = _nearest(model, found)
    parts = [_placed(p, i, model, about, nearest) for i, node in enumerate(model.nodes) for p in node.primitives]
    low, high = _face(parts)
    size = high - low
    reach = np.array([2.5, 2.5, 4]) * size.max()
    parts = [cut for p in parts if (cut := _cut(p, low - reach, high + reach)) is not None]
    morphs = tuple(dict.fromkeys(name for p in parts for name, m in p.morphs.items() if len(m.vertices)))
    pivots = {name: (about @ model.places[i])[:3, 3] for name, i in found.items() if i >= 0}
    if "head" not in pivots:
        # No skeleton: all turns about a point where a neck would be.
        pivots["head"] = np.array([(low + high)[0] / 2, low[1] - 0.2 * size[1], low[2]])
        parts = [replace(p, bones=Bones(np.ones((len(p.positions), 4), np.int64), _first(len(p.positions)))) for p in parts]
    target, height = _camera(parts, low, high)
    return Bust(replace(model, nodes=_tree(parts, pivots)), morphs, "eyeLeft" in pivots, target, height)


def _bone(model: Model, name: str) -> int:
    """The node that is a bone, or -1: as VRM says, else by name."""
    vrm, pattern = _BONES[name]
    if vrm in model.avatar.bones:
        return model.avatar.bones[vrm]
    return next((i for i, node in enumerate(model.nodes) if re.fullmatch(pattern, node.name.lower()) and not node.primitives), -1)


def _nearest(model: Model, found: Mapping[str, int]) -> NDArray[np.int64]:
    """(N,) which of :data:`_NODES` each node of the model hangs on."""
    names = {index: _NODES.index(name) for name, index in found.items() if index >= 0}
    nearest = np.zeros(len(model.nodes), np.int64)
    for i, node in enumerate(model.nodes):
        nearest[i] = names.get(i, nearest[node.parent] if node.parent >= 0 else 0)
    return nearest


def _placed(p: Primitive, node: int, model: Model, about: Matrix, nearest: NDArray[np.int64]) -> Primitive:
    """A primitive in the model's coordinates, its bones those of the bust; rest weights of its node become its rest."""
    count = len(p.positions)
    bones = Bones(np.full((count, 4), node), _first(count)) if p.bones is None else p.bones
    move = (about if p.bones is not None else about @ model.places[node]).astype(np.float32)
    simple = Bones(nearest[bones.nodes], bones.weights)
    placed = bound(_at_rest(p, model.nodes[node].weights), simple, move[None], np.zeros((count, 4), np.int64))
    # A mirrored node turns its triangles inside out.
    return replace(placed, faces=placed.faces[:, ::-1]) if np.linalg.det(move[:3, :3]) < 0 else placed


def _at_rest(p: Primitive, weights: Mapping[str, float]) -> Primitive:
    positions = p.positions.copy()
    for name, weight in weights.items():
        if (morph := p.morphs.get(name)) is not None:
            positions[morph.vertices] += np.float32(weight) * morph.moves
    return replace(p, positions=positions)


def _face(parts: Sequence[Primitive]) -> tuple[Floats, Floats]:
    """(3,) corners of the box in which morph targets move the surface; outliers aside."""
    moved = [p.positions[m.vertices[length > 0.2 * length.max()]] for p in parts for m in p.morphs.values() for length in _lengths(m)]
    if not (points := np.concatenate(moved)).size:
        raise RigError("has no morph target that moves anything; export it with its shape keys (blend shapes) and without scales of 0")
    if not np.abs(points).max() <= _FARTHEST:
        raise RigError(f"has a face more than {_FARTHEST:g} units from the origin; export it in metres, with its transforms applied")
    low, high = np.percentile(points, 1, axis=0), np.percentile(points, 99, axis=0)
    return low, np.maximum(high, low + 1e-6 + 0.2 * float((high - low).max()))


def _lengths(morph: Morph) -> list[Floats]:
    return [np.linalg.norm(morph.moves, axis=1)] if len(morph.moves) else []


def _cut(p: Primitive, low: Floats, high: Floats) -> Primitive | None:
    """The triangles that reach into a box; None if there are none."""
    inside: NDArray[np.bool_] = np.asarray(((p.positions > low) & (p.positions < high)).all(axis=1))
    faces = p.faces[inside[p.faces].any(axis=1)]
    if not len(faces):
        return None
    kept, flat = np.unique(faces, return_inverse=True)
    place = np.full(len(p.positions), -1)
    place[kept] = np.arange(len(kept))
    morphs = {}
    for name, m in p.morphs.items():
        rows = np.asarray(place[m.vertices] >= 0)
        morphs[name] = Morph(place[m.vertices[rows]], m.moves[rows], None if m.turns is None else m.turns[rows])
    assert p.bones is not None
    return replace(
        p,
        positions=p.positions[kept],
        faces=flat.reshape(-1, 3).astype(np.uint32),
        normals=None if p.normals is None else p.normals[kept],
        colours=None if p.colours is None else p.colours[kept],
        uv=None if p.uv is None else p.uv[kept],
        morphs=morphs,
        bones=Bones(p.bones.nodes[kept], p.bones.weights[kept]),
    )


def _camera(parts: Sequence[Primitive], low: Floats, high: Floats) -> tuple[tuple[float, float, float], float]:
    """Where to look, and how much to show: the face with the head around it."""
    size = float((high - low)[:2].max())
    near = [p.positions[((p.positions > low - 1.6 * size) & (p.positions < high + 1.6 * size)).all(axis=1)] for p in parts]
    around = np.concatenate(near)
    top = float(around[:, 1].max())
    bottom = float(low[1]) - 0.35 * size
    middle = (low + high) / 2
    return (float(middle[0]), (top + bottom) / 2, float(middle[2])), 1.12 * max(top - bottom, 1.4 * float(high[0] - low[0]))


def _tree(parts: Sequence[Primitive], pivots: Mapping[str, Matrix]) -> tuple[Node, ...]:
    """The bust's nodes: what follows one node alone is put there, what follows several hangs on their skin."""
    names = [name for name in _NODES if name in ("body", "skin") or name in pivots]
    drawn: dict[str, list[Primitive]] = {name: [] for name in names}
    for p in parts:
        assert p.bones is not None
        follows = np.unique(p.bones.nodes[p.bones.weights > 0])
        if len(follows) > 1:
            order = np.array([names.index(name) if name in names else 0 for name in _NODES])
            drawn["skin"].append(replace(p, bones=Bones(order[p.bones.nodes], p.bones.weights)))
        else:
            name = _NODES[int(follows[0])] if len(follows) else "body"
            shift = pivots.get(name, np.zeros(3)).astype(np.float32)
            drawn[name].append(replace(p, bones=None, positions=p.positions - shift))
    nodes = []
    for name in names:
        parent = {"body": "", "skin": "", "head": "body"}.get(name, "head")
        matrix = np.eye(4)
        matrix[:3, 3] = pivots.get(name, np.zeros(3)) - pivots.get(parent, np.zeros(3))
        nodes.append(Node(name, names.index(parent) if parent else -1, matrix, tuple(drawn[name]), {}))
    return tuple(node for node in nodes if node.name != "skin" or node.primitives)


def _first(count: int) -> Floats:
    """(count, 4) weights of vertices that follow one node."""
    return np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1))
