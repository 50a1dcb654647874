"""From modelling functions to primitives: a function gives points for a pose, its morphs are what single poses change."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gltf_writer import Material, Primitive, smooth_normals
from solids import Array, flipped, grid_faces

Pose = Mapping[str, float]
"""Weight of morph targets by name."""
_LEAST_MOVE = 1e-5
"""Metres: poses that move no point farther have no morph."""


def primitive(
    build: Callable[[Pose], Array],
    material: Material,
    poses: Sequence[str] = (),
    *,
    inside: bool = False,
    closed: bool = True,
    colours: Array | None = None,
) -> Primitive:
    """A primitive from a modelling function that gives (rows, columns, 3) points, with the morphs that move it.

    Args:
        build: pose to points.
        material: its look.
        poses: names of the morphs.
        inside: it is seen from inside.
        closed: the last column of points joins the first.
        colours: (V, 3) linear.
    """
    rest = build({})
    points, faces = rest.reshape(-1, 3), grid_faces(rest.shape[0], rest.shape[1], closed)
    a, b, c = (points[faces[:, k]] - points.mean(0) for k in range(3))
    # Rows that meet in a pole leave triangles without area; parts modelled for one side are mirrored to the other.
    outwards = (a * np.cross(b, c)).sum() > 0
    faces = faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-12]
    faces = faces if outwards != inside else flipped(faces)
    return Primitive(points, faces, material, colours=colours, morphs=morphs(build, poses))


def morphs(build: Callable[[Pose], Array], poses: Sequence[str]) -> dict[str, Array]:
    """(V, 3) displacement by pose, of the poses that move something."""
    rest = build({})
    moves = {name: (build({name: 1.0}) - rest).reshape(-1, 3) for name in poses}
    return {name: move for name, move in moves.items() if np.abs(move).max() > _LEAST_MOVE}


def still(points: Array, material: Material, *, closed: bool = True, colours: Array | None = None) -> Primitive:
    """A primitive that no pose moves."""
    return primitive(lambda _: points, material, closed=closed, colours=colours)


def joined(primitives: Sequence[Primitive], shift: Array | None = None) -> list[Primitive]:
    """One primitive a material, moved by ``shift``: the fewer, the faster to draw."""
    materials = dict.fromkeys(p.material for p in primitives)
    return [_joined([p for p in primitives if p.material == m], np.zeros(3) if shift is None else shift) for m in materials]


def _joined(parts: Sequence[Primitive], shift: Array) -> Primitive:
    starts = np.cumsum([0, *(len(p.positions) for p in parts)])
    names = list(dict.fromkeys(name for p in parts for name in p.morphs))
    coloured = all(p.colours is not None for p in parts)
    return Primitive(
        np.concatenate([p.positions for p in parts]) + shift,
        np.concatenate([p.faces + start for p, start in zip(parts, starts, strict=False)]),
        parts[0].material,
        normals=np.concatenate([smooth_normals(p.positions, p.faces) if p.normals is None else p.normals for p in parts]),
        colours=np.concatenate([p.colours for p in parts if p.colours is not None]) if coloured else None,
        uv=np.concatenate([p.uv for p in parts if p.uv is not None]) if all(p.uv is not None for p in parts) else None,
        morphs={name: np.concatenate([p.morphs.get(name, np.zeros_like(p.positions)) for p in parts]) for name in names},
    )
