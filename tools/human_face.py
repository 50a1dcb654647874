"""A shaped human face at rest, and what its expressions are sculpted from: MakeHuman's shapes and pulls of our own."""

import gzip
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from human_base import BaseMesh, Indices, Points, data_folder, load_arkit, load_base, parse_target, shape, triangulate, vertex_normals
from human_mouth import carry_tongue, settle_tongue
from human_parts import lash_grid
from human_regions import Regions

_MEET = 0.0005
"""Metres by which the resting lips overlap."""
_OVERLAP = 0.0009
"""Metres by which a closed upper lid's rim passes the lower one's."""
_LOWER_LIP = -0.01225
"""Metres that an open jaw moves the lips' rim upwards: below this it is the lower lip's. The targets are the same for everybody."""
FLIP = np.array([-1.0, 1.0, 1.0])


class Face:
    """The base mesh as one person, relative to the skull's joint, and fields over all its vertices (V,).

    Args:
        targets: MakeHuman target below `mpfb2/targets`, without suffix -> weight.

    Attributes:
        base: the mesh at rest, lips closed.
        quads, body: the skin with the inside of the mouth, as quads and as triangles.
        normals: (V, 3) of the body.
        regions: what belongs to what.
        eyes: `l`, `r` -> (3,) centre.
        arkit: the 52 ARKit shapes, (V, 3) metres, lids and tongue put right.
    """

    def __init__(self, targets: Mapping[str, float]) -> None:
        self._data = data_folder()
        self.base: BaseMesh = shape(self._data, load_base(self._data), targets)
        self.base.points[:] -= self.base.centre("joint-head")
        self.arkit = load_arkit(self._data, self.base)
        self.quads = self.base.faces("body")
        self.body: Indices = triangulate(self.quads)
        self.regions = Regions(self.base, self._data, vertex_normals(self.base.points, self.body))
        self.base.points[:] += self._seal()
        settle_tongue(self.base, self.arkit)
        self.normals = vertex_normals(self.base.points, self.body)
        self.eyes = {side: _eye_centre(self.base, side) for side in "lr"}
        for name in ("eyeBlinkLeft", "eyeBlinkRight"):
            self.arkit[name] = self.closing(self.arkit[name], "l" if name.endswith("Left") else "r")

    @property
    def points(self) -> Points:
        """(V, 3) metres."""
        return self.base.points

    def unit(self, name: str, race: str = "caucasian") -> Points:
        """(V, 3) one of MakeHuman's expression units, made symmetric if it is central; the tongue follows the jaw."""
        path = Path(f"mpfb2/targets/expression/units/{race}/{name}.target.gz")
        with gzip.open(self._data / path, "rt") as file:
            moved = parse_target(file.read(), len(self.points))
        carry_tongue(self.base, moved)
        if "-left" in name:
            return 0.5 * (moved + self.mirrored(self.unit(name.replace("-left", "-right"), race)))
        return moved if "-right" in name else 0.5 * (moved + self.mirrored(moved))

    def mirrored(self, moved: Points) -> Points:
        """(V, 3) the same movement on the other side."""
        return np.asarray(moved[self.base.mirror] * FLIP)

    def half(self, moved: Points, blend: float = 0.010) -> Points:
        """(V, 3) the subject's left half of a movement; the two halves add up to the whole.

        Args:
            moved: (V, 3).
            blend: metres from the middle line at which the half is whole.
        """
        t = np.clip(0.5 + 0.5 * self.points[:, 0] / blend, 0.0, 1.0)
        return np.asarray((t * t * (3.0 - 2.0 * t))[:, None] * moved)

    def spot(self, centre: tuple[float, float, float], reach: tuple[float, float, float]) -> Points:
        """(V,) 1 at a point of the skin, falling smoothly to 0 beyond about twice the reach; teeth and tongue are left out."""
        away = (self.points - centre) / reach
        return np.asarray(np.exp(-(away**2).sum(axis=1)) * self._soft)

    def spots(self, centre: tuple[float, float, float], reach: tuple[float, float, float]) -> Points:
        """(V,) a spot and its mirror image."""
        field = self.spot(centre, reach)
        return np.maximum(field, field[self.base.mirror])

    @cached_property
    def jaw(self) -> Points:
        """(V,) 0 (skull) .. 1 (chin and lower lip): how far a point follows the jaw."""
        down = -self.arkit["jawOpen"][:, 1]
        return np.asarray(np.clip(down / (0.8 * down[self.regions.lips > 0.5].max()), 0.0, 1.0))

    @cached_property
    def lower(self) -> Points:
        """(V,) 0 (upper lip) .. 1 (lower lip): tells the two apart where they lie on one another."""
        return np.clip((self.jaw - 0.25) / 0.4, 0.0, 1.0)

    @cached_property
    def corner(self) -> Points:
        """(3,) the subject's left corner of the mouth."""
        lips = np.flatnonzero((self.regions.lips > 0.5) & self.regions.outer)
        return np.asarray(self.points[lips[self.points[lips, 0].argmax()]])

    @cached_property
    def seam(self) -> Points:
        """(3,) the point on the middle line where the lips meet."""
        middle = np.flatnonzero((self.regions.lips > 0.5) & self.regions.outer & (np.abs(self.points[:, 0]) < 1e-4))
        upper, lower = (middle[(self.jaw[middle] > 0.5) == low] for low in (False, True))
        return np.asarray(0.5 * (self.points[upper[self.points[upper, 1].argmin()]] + self.points[lower[self.points[lower, 1].argmax()]]))

    def parting(self) -> Points:
        """(V, 3) lips that make way for the tongue."""
        x, y, z = self.seam
        return np.asarray(0.16 * self.arkit["jawOpen"] * self.spot((x, y, z), (0.022, 0.016, 0.03))[:, None])

    @cached_property
    def _soft(self) -> Points:
        soft = self.regions.body.copy()
        soft[np.unique(self.base.faces(*(f"helper-{s}-eyelashes-{lid}" for s in "lr" for lid in (1, 2))))] = True
        return soft.astype(float)

    def closing(self, blink: Points, side: str) -> Points:
        """(V, 3) a blink, scaled along the lid so that the upper rim just meets the lower one."""
        rims = {}
        for lid, upper in ((2, True), (1, False)):
            rims[upper] = lash_grid(self.base.faces(f"helper-{side}-eyelashes-{lid}"), self.points, self.eyes[side])[:, 0]
        top, bottom = (self.points[rims[upper]] for upper in (True, False))
        order = np.argsort(bottom[:, 0])
        after = bottom + blink[rims[False]]
        low = np.interp(top[:, 0], bottom[order, 0], after[order, 1])
        # The rim at the corners hardly moves; what it lacks there says nothing about the rest.
        drop = np.maximum(-blink[rims[True], 1], 1e-4)
        sure = np.clip((drop / drop.max() - 0.35) / 0.3, 0.0, 1.0)
        factor = 1.0 + sure * (np.clip((top[:, 1] - low + _OVERLAP) / drop, 0.85, 1.8) - 1.0)
        away = np.linalg.norm(self.points[:, None] - top, axis=2)
        share = np.exp(-np.clip(away - away.min(axis=1, keepdims=True), 0.0, None) / 0.002)
        factors = (share / share.sum(axis=1, keepdims=True)) @ factor
        upper_lid = np.clip(-blink[:, 1] / drop.max(), 0.0, 1.0)[:, None]
        return np.asarray(blink * (1.0 + upper_lid * (factors[:, None] - 1.0)))

    def _seal(self) -> Points:
        """(V, 3) offsets that close the slit between the lips that the targets leave at rest."""
        rim = np.intersect1d(self.quads[self.regions.in_mouth], self.quads[~self.regions.in_mouth])
        rim = rim[np.argsort(self.points[rim, 0])]
        low = self.arkit["jawOpen"][rim, 1] < _LOWER_LIP
        upper, lower = self.points[rim[~low]], self.points[rim[low]]
        # The lower lip does most of the way. Which lip a point belongs to is told by how far the jaw takes it.
        x, drop = np.abs(self.points[:, 0]), self.arkit["jawOpen"][:, 1]
        between = 0.5 * sum(np.interp(self.points[:, 0], self.points[part, 0], drop[part]) for part in (rim[low], rim[~low]))
        gap = np.interp(self.points[:, 0], upper[:, 0], upper[:, 1]) - np.interp(self.points[:, 0], lower[:, 0], lower[:, 1])
        way = np.where(drop < between, 0.7, -0.3) * np.clip(gap + _MEET, 0.0, 0.008)
        away = np.linalg.norm(self.points[:, None] - self.points[rim], axis=2).min(axis=1)
        offsets = np.zeros_like(self.points)
        offsets[:, 1] = way * np.exp(-((away / 0.005) ** 2)) * self.regions.body * (x < x[rim].max() + 0.003)
        return offsets


def _eye_centre(base: BaseMesh, side: str) -> Points:
    """Centre of the sphere through the helper eye's back half."""
    points = base.points[np.unique(base.faces(f"helper-{side}-eye"))]
    system = np.c_[2 * points, np.ones(len(points))]
    return np.asarray(np.linalg.lstsq(system, (points**2).sum(axis=1), rcond=None)[0][:3])
