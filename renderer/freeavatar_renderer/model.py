"""A model in memory: nodes, what is drawn at them, its morph targets, and the bones that it follows."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freeavatar.errors import RigError
from freeavatar.types import Image
from freeavatar_renderer.accessors import Floats
from freeavatar_renderer.vrm import Avatar

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Material:
    """How a surface looks; colours are linear.

    Attributes:
        colour: RGBA factor.
        emissive: RGB.
        alpha: OPAQUE, MASK or BLEND.
        cutoff: alpha below which MASK leaves a pixel out.
        texture: (H, W, 4) RGBA uint8, sRGB.
    """

    name: str = ""
    colour: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    metallic: float = 0.0
    roughness: float = 0.7
    emissive: tuple[float, float, float] = (0.0, 0.0, 0.0)
    alpha: str = "OPAQUE"
    cutoff: float = 0.5
    double_sided: bool = False
    texture: Image | None = None


@dataclass(frozen=True)
class Morph:
    """One morph target of one primitive, where it moves anything.

    Attributes:
        vertices: (M,) indices of the vertices it touches, ascending.
        moves: (M, 3) metres.
        turns: (M, 3) what is added to the normals; None where the file does not say.
    """

    vertices: NDArray[np.int64]
    moves: Floats
    turns: Floats | None


@dataclass(frozen=True)
class Bones:
    """Which nodes the vertices of a skinned primitive follow.

    Attributes:
        nodes: (V, 4) indices into the model's nodes.
        weights: (V, 4) shares; they add up to 1.
    """

    nodes: NDArray[np.int64]
    weights: Floats


@dataclass(frozen=True)
class Primitive:
    """Triangles of one material: ``positions`` (V, 3), ``faces`` (F, 3), and what else the file has.

    With ``bones``, positions are the model's own at rest, and the vertices follow their bones' turns from there.
    """

    positions: Floats
    faces: NDArray[np.uint32]
    normals: Floats | None
    colours: Floats | None
    uv: Floats | None
    morphs: Mapping[str, Morph]
    material: Material
    bones: Bones | None = None


@dataclass(frozen=True)
class Node:
    """A place in the hierarchy.

    Attributes:
        parent: index of the parent, -1 for a root. Parents come before their children.
        matrix: (4, 4) from the node's coordinates to the parent's, at rest.
        primitives: what is drawn here.
        weights: rest weights of the morph targets by name, where they are not zero.
    """

    name: str
    parent: int
    matrix: Matrix
    primitives: tuple[Primitive, ...]
    weights: Mapping[str, float]


@dataclass(frozen=True)
class Model:
    """A parsed file: the nodes of its scene, and what it says about its avatar."""

    nodes: tuple[Node, ...]
    avatar: Avatar = field(default_factory=Avatar)

    @property
    def morphs(self) -> frozenset[str]:
        """Names of all morph targets."""
        return frozenset(name for node in self.nodes for p in node.primitives for name in p.morphs)

    @cached_property
    def places(self) -> tuple[Matrix, ...]:
        """(4, 4) from each node's coordinates to the model's, at rest."""
        places: list[Matrix] = []
        for node in self.nodes:
            places.append(places[node.parent] @ node.matrix if node.parent >= 0 else node.matrix)
        return tuple(places)


def bound(primitive: Primitive, bones: Bones, moves: Floats, picked: NDArray[np.integer[Any]]) -> Primitive:
    """A primitive as bones hold it.

    Args:
        primitive: in the coordinates that the skin was bound in.
        bones: the nodes that the result follows.
        moves: (J, 4, 4) by which each bone moves what is bound to it.
        picked: (V, 4) the bones of each vertex, as indices into ``moves``.
    """
    blend = np.zeros((len(primitive.positions), 3, 4), np.float32)
    for k in range(4):
        blend += bones.weights[:, k, None, None] * moves[picked[:, k], :3]
    turn = blend[:, :, :3]
    positions = np.einsum("vij,vj->vi", turn, primitive.positions) + blend[:, :, 3]
    if not np.isfinite(positions).all():
        raise RigError("places vertices at infinity; export it again")
    normals, scale = primitive.normals, np.ones((len(positions), 1), np.float32)
    if normals is not None:
        normals = np.einsum("vij,vj->vi", turn, normals)
        scale = 1 / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        normals = normals * scale
    morphs = {}
    for name, morph in primitive.morphs.items():
        rows = morph.vertices
        moved = np.einsum("vij,vj->vi", turn[rows], morph.moves)
        turned = None if morph.turns is None else np.einsum("vij,vj->vi", turn[rows], morph.turns) * scale[rows]
        morphs[name] = Morph(rows, moved, turned)
    return replace(primitive, positions=positions, normals=normals, morphs=morphs, bones=bones)
