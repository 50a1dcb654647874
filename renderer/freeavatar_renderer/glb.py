"""Reads glTF 2.0 files, binary (GLB) or with data URIs: nodes, skinned meshes with morph targets, materials, pictures.

The file may come from anywhere, so every size, offset and index is checked before it is used, and nothing outside the
file is ever opened. Skinned meshes are put into the pose that the nodes have at rest; animations are ignored.
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from freeavatar.errors import RigError
from freeavatar.types import Image
from freeavatar_renderer.accessors import Accessors, Floats, entry_at, numbers
from freeavatar_renderer.model import Bones, Material, Matrix, Model, Morph, Node, Primitive, bound
from freeavatar_renderer.vrm import read_avatar

MAX_FILE: Final = 128 << 20
"""Bytes; the largest avatars in use are some tens of megabytes."""
_MAX_VALUES: Final = 1_000_000
"""Values in the JSON part, counted before it is parsed: each takes up to a hundred bytes of memory."""
_MAX_NODES: Final = 10_000
_MAX_DRAWN: Final = 1_000_000
"""Vertices of all nodes together: nodes may share a mesh, and each draws it."""
_MAX_DEPTH: Final = 256
_PER_MORPH: Final = 8192
_PER_PRIMITIVE: Final = 32768
"""Bytes that a morph target and a primitive count for, however small: what reading them takes is time."""

_EXTENSIONS: Final = ("KHR_mesh_quantization", "EXT_meshopt_compression", "EXT_texture_webp", "KHR_texture_transform")
_HARMLESS: Final = ("KHR_materials_", "KHR_lights_", "VRM")
"""What required extensions may be: those that are read, and by their beginning those that merely change the looks."""


def load_glb(path: Path) -> Model:
    """Read a GLB file, or a glTF file that holds all its data.

    Raises:
        RigError: the file is missing, damaged, too large, or uses what is not supported.
    """
    with _told(path):
        return _Reader(*_chunks(_read(path))).model()


def read_chunks(path: Path) -> tuple[dict[str, Any], memoryview]:
    """The JSON document and the binary chunk of a file, unread; the errors are those of :func:`load_glb`."""
    with _told(path):
        return _chunks(_read(path))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise RigError(f"cannot be read ({error.strerror})") from error
    if len(data) > MAX_FILE:
        raise RigError(f"is larger than {MAX_FILE >> 20} MB; export a lighter model")
    return data


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Says in one line which file is wrong, and how."""
    try:
        yield
    except RigError as error:
        raise RigError(f"{path}: {_line(error)}") from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        # Anything that a well-formed file has at this place: the reader checks values, not every type.
        raise RigError(f"{path}: is not valid glTF ({type(error).__name__}: {_line(error)}); export it again as glTF 2.0 binary") from error


def _printable(name: Any) -> str:
    """A morph target's name, which must be writable in a rig.toml."""
    return "".join(c if c.isprintable() else "_" for c in str(name))


def _line(error: Exception) -> str:
    """One line, however long the names in the file are."""
    return " ".join(str(error)[:300].split())


def _chunks(data: bytes) -> tuple[dict[str, Any], memoryview]:
    """The JSON document and the binary chunk, empty where there is none."""
    if data[:4].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        return _document(data), memoryview(b"")
    if len(data) < 20 or data[:4] != b"glTF":
        raise RigError("is not a GLB file; export the model as glTF 2.0 binary (.glb)")
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2 or length > len(data):
        raise RigError(f"is truncated or not glTF 2.0 (version {version}, {length} bytes announced, {len(data)} found); export it again")
    size, kind = struct.unpack_from("<II", data, 12)
    if kind != 0x4E4F534A or size > length - 20:
        raise RigError("has no valid JSON chunk; export it again")
    start, binary = 20 + size, memoryview(b"")
    if start + 8 <= length:
        size, kind = struct.unpack_from("<II", data, start)
        if kind == 0x004E4942:
            if start + 8 + size > length:
                raise RigError("its binary chunk is truncated; export it again")
            binary = memoryview(data)[start + 8 : start + 8 + size]
    return _document(data[20 : struct.unpack_from("<I", data, 12)[0] + 20]), binary


def _document(text: bytes) -> dict[str, Any]:
    if sum(text.count(mark) for mark in (b",", b"{", b"[")) > _MAX_VALUES:
        raise RigError(f"its JSON holds more than {_MAX_VALUES} values; export a lighter model")
    document = json.loads(text, parse_constant=_refuse)
    if not isinstance(document, dict):
        raise RigError("its JSON chunk is not an object; export it again")
    return document


def _refuse(constant: str) -> float:
    raise RigError(f"its JSON holds {constant}; export it again")


class _Reader:
    def __init__(self, document: dict[str, Any], binary: memoryview) -> None:
        self._json, self._data = document, Accessors(document, binary)
        self._materials: dict[int, Material] = {}
        self._textures: dict[int, Image] = {}
        self._skins: dict[int, tuple[NDArray[np.int64], Floats]] = {}
        self._meshes: dict[int, tuple[tuple[Primitive, ...], dict[str, float]]] = {}
        required = sorted(map(str, document.get("extensionsRequired", [])))
        if missing := [e for e in required if e not in _EXTENSIONS and not e.startswith(_HARMLESS)]:
            raise RigError(f"needs the glTF extensions {', '.join(missing)}; export it without compression")

    def model(self) -> Model:
        entries = self._json.get("nodes", [])
        scenes = self._json.get("scenes", [])
        if len(entries) > _MAX_NODES:
            raise RigError(f"has {len(entries)} nodes; expected at most {_MAX_NODES}")
        children = {c for e in entries for c in e.get("children", [])}
        scene = entry_at(scenes, self._json.get("scene", 0)) if scenes else {}
        roots = scene.get("nodes", [i for i in range(len(entries)) if i not in children])
        nodes: list[Node] = []
        indices: dict[int, int] = {}
        waiting = [(i, -1, 0) for i in reversed(roots)]
        while waiting:
            index, parent, depth = waiting.pop()
            entry = entry_at(entries, index)
            if index in indices or depth > _MAX_DEPTH:
                raise RigError("its nodes do not form a tree; export it again")
            indices[index] = len(nodes)
            primitives, weights = self._mesh(entry["mesh"]) if "mesh" in entry else ((), {})
            if "weights" in entry and primitives:
                weights = _named(primitives, entry["weights"])
            nodes.append(Node(str(entry.get("name", f"node{index}")), parent, _local(entry), primitives, weights))
            waiting += [(c, len(nodes) - 1, depth + 1) for c in reversed(entry.get("children", []))]
        if (drawn := sum(len(p.positions) for node in nodes for p in node.primitives)) > _MAX_DRAWN:
            raise RigError(f"draws {drawn} vertices, expected at most {_MAX_DRAWN}; export a lighter model")
        if not any(node.primitives for node in nodes):
            raise RigError("holds no mesh; export it again")
        places = Model(tuple(nodes)).places
        if not np.isfinite(places).all():
            raise RigError("places nodes at infinity; export it again")
        for index, at in indices.items():
            if "skin" in (entry := entries[index]) and nodes[at].primitives:
                posed = self._posed(entry["skin"], self._json["meshes"][entry["mesh"]], nodes[at].primitives, indices, places)
                nodes[at] = replace(nodes[at], primitives=posed)
        return Model(tuple(nodes), read_avatar(self._json, self._target_names, indices))

    def _posed(
        self, skin: int, mesh: dict[str, Any], primitives: tuple[Primitive, ...], indices: Mapping[int, int], places: Sequence[Matrix]
    ) -> tuple[Primitive, ...]:
        """Skinned primitives as their bones hold them at rest, in the model's coordinates."""
        if skin not in self._skins:
            self._skins[skin] = self._skin(skin, indices, places)
        joints, moves = self._skins[skin]
        posed = []
        for part, primitive in zip(mesh["primitives"], primitives, strict=True):
            attributes, count = part["attributes"], len(primitive.positions)
            if "JOINTS_0" not in attributes:
                posed.append(primitive)
                continue
            picked, weights = self._data.array(attributes["JOINTS_0"], 4), self._data.floats(attributes["WEIGHTS_0"], 4, count)
            if len(picked) != count or picked.dtype.kind != "u" or int(picked.max()) >= len(joints):
                raise RigError("has a skin with vertices that name missing joints; export it again")
            weights = weights.clip(0, None) / np.maximum(weights.clip(0, None).sum(axis=1, keepdims=True), 1e-12)
            self._data.reserve(64 * count + sum(_PER_MORPH + 24 * len(m.vertices) for m in primitive.morphs.values()))
            posed.append(bound(primitive, Bones(joints[picked], weights), moves, picked))
        return tuple(posed)

    def _skin(self, index: int, indices: Mapping[int, int], places: Sequence[Matrix]) -> tuple[NDArray[np.int64], Floats]:
        """(J,) nodes of a skin, and (J, 4, 4) by which each moves what is bound to it."""
        entry = entry_at(self._json.get("skins", []), index)
        if missing := [j for j in entry["joints"] if j not in indices]:
            raise RigError(f"has a skin whose joint {missing[0]} is not in the scene; export it again")
        joints = np.array([indices[j] for j in entry["joints"]], np.int64)
        if not 0 < len(joints) <= _MAX_NODES:
            raise RigError(f"has a skin of {len(joints)} joints; expected 1 to {_MAX_NODES}")
        moves = np.stack(places)[joints]
        if "inverseBindMatrices" in entry:
            moves = moves @ self._data.floats(entry["inverseBindMatrices"], 16)[: len(joints)].reshape(-1, 4, 4).transpose(0, 2, 1)
        return joints, moves.astype(np.float32)

    def _target_names(self, mesh: int) -> list[str]:
        """Names of a mesh's morph targets, in the order of the file."""
        return list(primitives[0].morphs) if (primitives := self._mesh(mesh)[0]) else []

    def _mesh(self, index: int) -> tuple[tuple[Primitive, ...], dict[str, float]]:
        if index not in self._meshes:
            entry = entry_at(self._json.get("meshes", []), index)
            extras = [e.get("extras") or {} for e in (entry, *entry["primitives"])]
            names: list[str] = next((e["targetNames"] for e in extras if "targetNames" in e), [])
            primitives = tuple(self._primitive(p, names) for p in entry["primitives"])
            self._meshes[index] = primitives, _named(primitives, entry.get("weights", []))
        return self._meshes[index]

    def _primitive(self, entry: dict[str, Any], names: list[str]) -> Primitive:
        if entry.get("mode", 4) != 4:
            raise RigError(f"draws with mode {entry['mode']}; only triangles are supported, export it triangulated")
        self._data.reserve(_PER_PRIMITIVE + _PER_MORPH * len(entry.get("targets", [])))
        attributes = entry["attributes"]
        positions = self._data.floats(attributes["POSITION"], 3)
        count = len(positions)
        faces = self._data.array(entry["indices"], 1).astype(np.uint32) if "indices" in entry else np.arange(count, dtype=np.uint32)
        if len(faces) % 3 or (len(faces) and int(faces.max()) >= count):
            raise RigError("has faces that name missing vertices; export it again")
        widths = {"NORMAL": 3, "TEXCOORD_0": 2}
        rest = {key: self._data.floats(attributes[key], width, count) for key, width in widths.items() if key in attributes}
        targets = entry.get("targets", [])
        names = [*map(_printable, names), *(f"target{i}" for i in range(len(names), len(targets)))]
        if len(set(names)) != len(names):
            raise RigError("has two morph targets of one name in a mesh; rename one")
        return Primitive(
            positions,
            faces.reshape(-1, 3),
            rest.get("NORMAL"),
            self._colours(attributes["COLOR_0"], count) if "COLOR_0" in attributes else None,
            self._uv(entry, rest.get("TEXCOORD_0")),
            {name: self._morph(target, count) for name, target in zip(names, targets, strict=False)},
            self._material(entry["material"]) if "material" in entry else Material(),
        )

    def _uv(self, entry: dict[str, Any], uv: Floats | None) -> Floats | None:
        """Texture coordinates with the material's KHR_texture_transform carried out."""
        if uv is None or "material" not in entry:
            return uv
        material = entry_at(self._json.get("materials", []), entry["material"])
        texture = (material.get("pbrMetallicRoughness") or {}).get("baseColorTexture") or {}
        if not (change := (texture.get("extensions") or {}).get("KHR_texture_transform")):
            return uv
        (angle,) = numbers([change.get("rotation", 0)], 1)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        moved = (uv * numbers(change.get("scale", [1, 1]), 2)) @ turn.T + numbers(change.get("offset", [0, 0]), 2)
        return _single(moved)

    def _morph(self, target: dict[str, int], count: int) -> Morph:
        moves = self._data.floats(target["POSITION"], 3, count) if "POSITION" in target else None
        turns = self._data.floats(target["NORMAL"], 3, count) if "NORMAL" in target else None
        used = np.flatnonzero(np.any([p.any(axis=1) for p in (moves, turns) if p is not None] or [np.zeros(count, bool)], axis=0))
        still = np.zeros((len(used), 3), np.float32)
        return Morph(used, still if moves is None else moves[used], None if turns is None else turns[used])

    def _colours(self, index: int, count: int) -> Floats:
        colours = self._data.floats(index, None, count)
        if colours.shape[1] not in (3, 4):
            raise RigError("has vertex colours that are neither RGB nor RGBA; export it again")
        return np.concatenate([colours, np.ones((count, 4 - colours.shape[1]), np.float32)], axis=1)

    def _material(self, index: int) -> Material:
        if index not in self._materials:
            entry = entry_at(self._json.get("materials", []), index)
            surface = entry.get("pbrMetallicRoughness") or {}
            alpha = entry.get("alphaMode", "OPAQUE")
            if alpha not in ("OPAQUE", "MASK", "BLEND"):
                raise RigError(f"has a material with alphaMode {alpha!r}; expected OPAQUE, MASK or BLEND")
            red, green, blue, opacity = numbers(surface.get("baseColorFactor", [1, 1, 1, 1]), 4)
            glow = numbers(entry.get("emissiveFactor", [0, 0, 0]), 3)
            self._materials[index] = Material(
                name=str(entry.get("name", f"material{index}")),
                colour=(red, green, blue, opacity),
                metallic=numbers([surface.get("metallicFactor", 1)], 1)[0],
                roughness=numbers([surface.get("roughnessFactor", 1)], 1)[0],
                emissive=(glow[0], glow[1], glow[2]),
                alpha=alpha,
                cutoff=numbers([entry.get("alphaCutoff", 0.5)], 1)[0],
                double_sided=entry.get("doubleSided") is True,
                texture=self._texture(surface["baseColorTexture"]["index"]) if "baseColorTexture" in surface else None,
            )
        return self._materials[index]

    def _texture(self, index: int) -> Image:
        entry = entry_at(self._json.get("textures", []), index)
        source = ((entry.get("extensions") or {}).get("EXT_texture_webp") or entry)["source"]
        if source not in self._textures:
            self._textures[source] = self._data.picture(source)
        return self._textures[source]


def _single(values: NDArray[np.float64]) -> Floats:
    """As float32, all finite."""
    with np.errstate(over="ignore"):
        found = values.astype(np.float32)
    if not np.isfinite(found).all():
        raise RigError("holds numbers that are not finite; export it again")
    return found


def _named(primitives: tuple[Primitive, ...], weights: list[float]) -> dict[str, float]:
    names = list(primitives[0].morphs) if primitives else []
    return {name: value for name, value in zip(names, numbers(weights, len(weights)), strict=False) if value}


def _local(entry: dict[str, Any]) -> Matrix:
    if "matrix" in entry:
        return np.array(numbers(entry["matrix"], 16)).reshape(4, 4).T
    matrix = np.eye(4)
    x, y, z, w = np.array(q := numbers(entry.get("rotation", [0, 0, 0, 1]), 4)) / max(float(np.linalg.norm(q)), 1e-12)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= numbers(entry.get("scale", [1, 1, 1]), 3)
    matrix[:3, 3] = numbers(entry.get("translation", [0, 0, 0]), 3)
    return matrix
