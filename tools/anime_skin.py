"""The skin of the rig ``anime``: a mesh with holes for eyes and mouth that follows their edges like a membrane."""

from functools import cached_property
from typing import Any, Final

import numpy as np
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import splu
from scipy.spatial import Delaunay, cKDTree

import anime_face as face
from gltf_writer import smooth_normals
from modelling import Pose
from solids import Array

_SPACING: Final = 0.0042
"""Metres between vertices away from eyes and mouth."""
_TOP_ROW: Final = 2.2
"""Above, hair covers the head."""
_SIDE: Final = 2.15
"""Radians around the head to which the skin goes; hair covers the rest."""
_ANGLE_LENGTH: Final = 0.0865
_ROW_LENGTH: Final = 0.026
"""Metres that a radian and a row are about, where the mesh is made."""


class Skin:
    """The mesh; points for a pose come from :meth:`shape`.

    Attributes:
        faces: (F, 3).
        flat: (V, 2) x and y at which each vertex lies on the head at rest, before the mouth closes.
    """

    def __init__(self) -> None:
        chart, self.faces, self._rings = _mesh()
        angle, row = chart[:, 0] / _ANGLE_LENGTH, chart[:, 1] / _ROW_LENGTH
        self._base = face.head(angle, row)
        self.flat = self._base[:, :2]
        # Only what looks forwards slides: on the sides of the head and below the chin, x and y do not tell a place.
        self._in_front = (smooth_normals(self._base, self.faces)[:, 2] > 0.42) & (row < 10.5)

    def shape(self, pose: Pose) -> Array:
        """(V, 3) points."""
        edges = self._edges(pose)
        slide = np.zeros_like(self.flat)
        targets = np.concatenate([e[:, :2] for e in edges]) - self.flat[self._held]
        slide[self._held] = targets
        slide[self._free] = self._solver.solve(-(self._pull @ slide[self._fixed]))
        flat = self.flat + slide
        points = self._base.copy()
        points[:, 2] += face.detail(self.flat)
        moving = self._in_front & (np.abs(slide).max(axis=1) > 1e-7)
        points[moving] = face.on_face(flat[moving])
        out = np.zeros(len(points))
        out[self._held] = np.concatenate([e[:, 2] for e in edges])
        out[self._free] = self._solver.solve(-(self._pull @ out[self._fixed]))
        points[:, 2] += out
        return face.jaw(points, pose)

    def normals(self) -> Array:
        """(V, 3) at rest: of a head without sockets and with half a nose, which is lit as calmly as a drawing."""
        plain = self._base.copy()
        plain[:, 2] += 0.35 * face.detail(self.flat)
        return smooth_normals(plain, self.faces)

    def _edges(self, pose: Pose) -> list[Array]:
        """(N, 3) targets of the held vertices: x, y and how far they stand out."""
        edges = []
        for side in (1, -1):
            upper, lower = face.lid(pose, side, True), face.lid(pose, side, False)
            loop = np.concatenate([upper, lower[-2:0:-1]]) * (side, 1)
            edges.append(np.column_stack([loop, np.zeros(len(loop))]))
        edges.append(np.concatenate([face.lip(pose, False), face.lip(pose, True)[-2:0:-1]]))
        return edges

    @cached_property
    def _held(self) -> Array:
        return np.concatenate(self._rings)

    @cached_property
    def _fixed(self) -> Array:
        """Vertices that stay or are led: edges, and what lies far from them; also the line of the nose."""
        x, y = np.abs(self.flat[:, 0]), self.flat[:, 1]
        far = ~self._in_front | (y > 0.044) | (y < -0.0885) | ((x < 0.0065) & (y > -0.050))
        far[self._held] = True
        return np.flatnonzero(far)

    @cached_property
    def _free(self) -> Array:
        return np.setdiff1d(np.arange(len(self.flat)), self._fixed)

    @cached_property
    def _operator(self) -> Any:
        """Bending of the membrane: the squared graph Laplacian, with a little of the Laplacian itself against folds."""
        pairs = np.concatenate([self.faces[:, [0, 1]], self.faces[:, [1, 2]], self.faces[:, [2, 0]]])
        pairs = np.unique(np.sort(pairs, axis=1), axis=0)
        length = np.linalg.norm(self.flat[pairs[:, 0]] - self.flat[pairs[:, 1]], axis=1)
        weight = 0.002 / np.maximum(length, 0.0006)
        i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
        join = coo_matrix((np.concatenate([weight, weight]), (i, j)), shape=(len(self.flat),) * 2).tocsr()
        laplacian = diags(np.asarray(join.sum(axis=1)).ravel()) - join
        return laplacian @ laplacian + 1.0 * laplacian

    @cached_property
    def _solver(self) -> Any:
        return splu(self._operator[self._free][:, self._free].tocsc())

    @cached_property
    def _pull(self) -> Any:
        return self._operator[self._free][:, self._fixed]


def _chart(flat: Array) -> Array:
    """(N, 2) where points at x and y lie on the sheet on which the skin is meshed."""
    angle, row = face.place(flat)
    return np.stack([angle * _ANGLE_LENGTH, row * _ROW_LENGTH], -1)


def _mesh() -> tuple[Array, Array, list[Array]]:
    """Vertices on the sheet, triangles, and the vertices along left eye, right eye and mouth, in the order of their outlines.

    The left half is meshed and mirrored, so that both sides are alike.
    """
    eyes = [_chart(ring) for ring in face.eye_rings()]
    mouths = [_chart(ring)[ring[:, 0] > -1e-9] for ring in face.mouth_rings()]
    rings = np.concatenate([*eyes, *mouths])
    top, bottom, side = _TOP_ROW * _ROW_LENGTH, face.ROWS * _ROW_LENGTH, _SIDE * _ANGLE_LENGTH
    columns, rows = int(side / _SPACING), int((bottom - top) / _SPACING)
    grid = np.stack(np.meshgrid(np.linspace(0, side, columns), np.linspace(top, bottom, rows)), -1)
    grid[1:-1:2, 1:-1, 0] += side / columns / 2
    grid = grid.reshape(-1, 2)
    grid = grid[cKDTree(rings).query(grid)[0] > 0.6 * _SPACING]
    grid = grid[~_inside(grid, eyes[0]) & ~_inside(grid, mouths[0])]
    points = np.concatenate([rings, grid])
    points[np.abs(points[:, 0]) < 1e-7, 0] = 0
    faces = Delaunay(points).simplices
    middle = points[faces].mean(axis=1)
    faces = faces[~_inside(middle, eyes[0]) & ~_inside(middle, mouths[0])]
    a, b, c = (points[faces[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    faces = faces[np.abs(area) > 1e-10]
    area = area[np.abs(area) > 1e-10]
    faces[area > 0] = faces[area > 0][:, ::-1]  # rows run down, so that outside is clockwise on the sheet

    off = points[:, 0] > 0
    mirror = np.arange(len(points))
    mirror[off] = len(points) + np.arange(int(off.sum()))
    whole = np.concatenate([points, points[off] * (-1, 1)])
    triangles = np.concatenate([faces, mirror[faces][:, ::-1]])
    eye = np.arange(len(eyes[0]))
    half = np.arange(len(mouths[0])) + sum(map(len, eyes))
    return whole, triangles, [eye, mirror[eye], _around(half, mirror)]


def _around(half: Array, mirror: Array) -> Array:
    """The whole outline of the mouth, from the right corner along the lower lip, from its left half in the same order."""
    middle = face.LIP_POINTS // 2
    lower, upper = half[: middle + 1], half[middle:]
    return np.concatenate([mirror[lower[::-1]][:-1], lower, upper[1:], mirror[upper[::-1]][1:-1]])


def _inside(points: Array, polygon: Array) -> Array:
    """(N,) whether points lie in a polygon (even-odd rule)."""
    a, b = polygon, np.roll(polygon, -1, axis=0)
    x, y = points[:, :1] + 1e-7, points[:, 1:]  # the middle line belongs to the left half
    crosses = (a[:, 1] > y) != (b[:, 1] > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = a[:, 0] + (y - a[:, 1]) * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1])
    return np.asarray((crosses & (x < at)).sum(axis=1) % 2 == 1)
