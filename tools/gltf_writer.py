"""Writes GLB files (glTF 2.0, binary): nodes, meshes with morph targets, materials, one optional picture a material.

What rig builders need and no more. Lengths are metres, Y up, the face along +Z. Colours are **linear**, as glTF wants;
:func:`linear` converts the sRGB colours that people choose. The same input always gives the same bytes.
"""

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from freeavatar.output import replacing

Array = NDArray[Any]

_FLOAT, _USHORT, _UINT, _UBYTE = 5126, 5123, 5125, 5121
_VERTICES, _INDICES = 34962, 34963
_STEP: Final = 1e-6
"""Metres: displacements are rounded to this."""
_LEAST_MOVE: Final = 2e-5
"""Metres: vertices that move less keep their place, which saves space."""
_LEAST_TURN: Final = 4e-3
"""The same for normals."""
_TYPES: Final = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}


@dataclass(frozen=True)
class Material:
    """How a surface looks.

    Attributes:
        name: shown in editors; two primitives with equal materials share one.
        colour: linear RGBA factor in 0..1.
        metallic, roughness: 0..1.
        emissive: linear RGB in 0..1.
        alpha: OPAQUE, MASK or BLEND.
        cutoff: alpha below which MASK leaves a pixel out.
        double_sided: draw back faces, too.
        texture: a PNG or JPEG file's bytes, multiplied with the colour; needs ``uv``.
    """

    name: str
    colour: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    metallic: float = 0.0
    roughness: float = 0.6
    emissive: tuple[float, float, float] = (0.0, 0.0, 0.0)
    alpha: str = "OPAQUE"
    cutoff: float = 0.5
    double_sided: bool = False
    texture: bytes | None = None


@dataclass(frozen=True)
class Primitive:
    """Triangles of one material.

    Attributes:
        positions: (V, 3) metres.
        faces: (F, 3) vertex indices, counter-clockwise from outside.
        material: see :class:`Material`.
        normals: (V, 3) unit vectors; None gives smooth ones.
        colours: (V, 3) or (V, 4) linear, 0..1.
        uv: (V, 2), origin at the picture's top left.
        morphs: (V, 3) displacement in metres by target name.
        morph_normals: store how morphs turn the normals, too (smoother in viewers that do not work it out themselves).
    """

    positions: Array
    faces: Array
    material: Material
    normals: Array | None = None
    colours: Array | None = None
    uv: Array | None = None
    morphs: Mapping[str, Array] = field(default_factory=dict)
    morph_normals: bool = True


@dataclass(frozen=True)
class Node:
    """A place in the hierarchy; ``translation`` is relative to the parent, primitives are relative to the node."""

    name: str
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    primitives: Sequence[Primitive] = ()
    children: Sequence["Node"] = ()


def write_glb(path: Path, roots: Sequence[Node], copyright: str = "") -> int:
    """Write nodes with all that hangs below them to ``path``; returns the number of bytes."""
    data = _Writer(copyright).glb(roots)
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return len(data)


def linear(colour: str, alpha: float = 1.0) -> tuple[float, float, float, float]:
    """Linear RGBA of an sRGB colour written ``#rrggbb``."""
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    r, g, b = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).round(5)
    return float(r), float(g), float(b), alpha


def smooth_normals(positions: Array, faces: Array, weld: Array | None = None) -> Array:
    """(V, 3) unit normals, weighted by triangle area.

    Args:
        positions: (V, 3).
        faces: (F, 3).
        weld: (V,) group of each vertex; vertices of a group share one normal. None joins those at the same place.
    """
    if weld is None:
        weld = np.unique(np.round(positions / _STEP).astype(np.int64), axis=0, return_inverse=True)[1].reshape(-1)
    a, b, c = (positions[faces[:, k]] for k in range(3))
    flat = np.cross(b - a, c - a)
    total = np.zeros((int(weld.max()) + 1, 3))
    for k in range(3):
        np.add.at(total, weld[faces[:, k]], flat)
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-20)
    return np.asarray(total[weld])


class _Writer:
    """Collects the JSON lists and the binary chunk of one file."""

    def __init__(self, copyright: str) -> None:
        asset = {"version": "2.0", "generator": "FreeAvatar gltf_writer"} | ({"copyright": copyright} if copyright else {})
        self._json: dict[str, Any] = {"asset": asset, "scene": 0, "scenes": [{"nodes": []}]}
        self._binary = bytearray()
        self._materials: dict[Material, int] = {}
        self._images: dict[bytes, int] = {}

    def glb(self, roots: Sequence[Node]) -> bytes:
        self._json["scenes"][0]["nodes"] = [self._node(node) for node in roots]
        self._json["buffers"] = [{"byteLength": len(self._binary)}]
        text = json.dumps(self._json, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        self._pad()
        chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(self._binary), 0x004E4942) + bytes(self._binary)
        return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks

    def _add(self, kind: str, entry: dict[str, Any]) -> int:
        entries: list[dict[str, Any]] = self._json.setdefault(kind, [])
        entries.append(entry)
        return len(entries) - 1

    def _pad(self) -> None:
        self._binary += b"\0" * (-len(self._binary) % 4)

    def _view(self, data: bytes, target: int = 0) -> int:
        self._pad()
        view = {"buffer": 0, "byteOffset": len(self._binary), "byteLength": len(data)} | ({"target": target} if target else {})
        self._binary += data
        return self._add("bufferViews", view)

    def _node(self, node: Node) -> int:
        entry: dict[str, Any] = {"name": node.name}
        if any(node.translation):
            entry["translation"] = [float(v) for v in node.translation]
        if node.primitives:
            entry["mesh"] = self._mesh(node)
        index = self._add("nodes", entry)
        if node.children:
            entry["children"] = [self._node(child) for child in node.children]
        return index

    def _mesh(self, node: Node) -> int:
        # All primitives of a mesh must have the same targets: a primitive that lacks one gets zeros, which take no space.
        names = list(dict.fromkeys(name for p in node.primitives for name in p.morphs))
        mesh: dict[str, Any] = {"name": node.name, "primitives": [self._primitive(p, names) for p in node.primitives]}
        if names:
            mesh |= {"weights": [0.0] * len(names), "extras": {"targetNames": names}}
        return self._add("meshes", mesh)

    def _primitive(self, p: Primitive, names: Iterable[str]) -> dict[str, Any]:
        positions, faces = np.asarray(p.positions, np.float32), np.asarray(p.faces)
        count = len(positions)
        if faces.min() < 0 or faces.max() >= count:
            raise ValueError(f"{p.material.name}: faces name vertices outside 0..{count - 1}")
        weld = _weld(positions, p.normals)
        normals = smooth_normals(positions, faces, weld) if p.normals is None else np.asarray(p.normals)
        normals = normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12)
        normals[np.linalg.norm(normals, axis=1) < 0.5] = (0, 0, 1)  # vertices without area
        attributes = {"POSITION": self._floats(positions, bounds=True), "NORMAL": self._floats(normals)}
        if p.uv is not None:
            attributes["TEXCOORD_0"] = self._floats(p.uv)
        if p.colours is not None:
            colours = np.concatenate([p.colours, np.ones((count, 4 - np.shape(p.colours)[1]))], axis=1)
            attributes["COLOR_0"] = self._colours(colours)
        entry: dict[str, Any] = {"attributes": attributes, "indices": self._faces(faces, count), "material": self._material(p.material)}
        targets = [self._target(p, name, positions, normals, weld) for name in names]
        return entry | ({"targets": targets} if targets else {})

    def _target(self, p: Primitive, name: str, positions: Array, normals: Array, weld: Array) -> dict[str, int]:
        move = np.round(np.asarray(p.morphs.get(name, np.zeros_like(positions)), np.float64) / _STEP) * _STEP
        move[np.abs(move).max(axis=1) < _LEAST_MOVE] = 0
        parts = {"POSITION": move}
        if p.morph_normals:
            # How the surface turns, added to the normals at hand, so that normals given by the builder keep their character.
            before, after = (smooth_normals(positions + d, np.asarray(p.faces), weld) for d in (0.0, move)) if move.any() else (0.0, 0.0)
            turned = normals + (after - before)
            turned /= np.linalg.norm(turned, axis=1, keepdims=True).clip(1e-12)
            turn = np.round(turned - normals, 4)
            turn[np.abs(turn).max(axis=1) < _LEAST_TURN] = 0
            parts["NORMAL"] = turn
        used = np.flatnonzero(np.any([part.any(axis=1) for part in parts.values()], axis=0))
        return self._displacements(parts, used, len(positions))

    def _displacements(self, parts: Mapping[str, Array], used: Array, count: int) -> dict[str, int]:
        """Accessors of one target, sparse where that is smaller; positions and normals share their index list."""
        index_type = np.uint16 if count <= 0xFFFF else np.uint32
        if len(used) * (12 + np.dtype(index_type).itemsize) >= count * 12:
            return {kind: self._floats(part, bounds=kind == "POSITION") for kind, part in parts.items()}
        view = self._view(used.astype(index_type).tobytes()) if len(used) else -1
        result = {}
        for kind, part in parts.items():
            accessor: dict[str, Any] = {"componentType": _FLOAT, "count": count, "type": "VEC3"}
            if len(used):
                values = part[used].astype(np.float32)
                accessor["sparse"] = {
                    "count": len(used),
                    "indices": {"bufferView": view, "componentType": _USHORT if index_type is np.uint16 else _UINT},
                    "values": {"bufferView": self._view(values.tobytes())},
                }
            if kind == "POSITION":
                whole = part.astype(np.float32)
                accessor |= {"min": whole.min(0).tolist(), "max": whole.max(0).tolist()}
            result[kind] = self._add("accessors", accessor)
        return result

    def _floats(self, array: Array, bounds: bool = False) -> int:
        values = np.ascontiguousarray(array, np.float32)
        accessor: dict[str, Any] = {
            "bufferView": self._view(values.tobytes(), _VERTICES),
            "componentType": _FLOAT,
            "count": len(values),
            "type": _TYPES[values.shape[1]],
        }
        if bounds:
            accessor |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        return self._add("accessors", accessor)

    def _colours(self, colours: Array) -> int:
        # 16 bits: dark tones would band in 8 linear ones.
        values = np.round(colours.clip(0, 1) * 0xFFFF).astype(np.uint16)
        view = self._view(values.tobytes(), _VERTICES)
        return self._add(
            "accessors", {"bufferView": view, "componentType": _USHORT, "normalized": True, "count": len(values), "type": "VEC4"}
        )

    def _faces(self, faces: Array, count: int) -> int:
        kind, code = (np.uint16, _USHORT) if count <= 0xFFFF else (np.uint32, _UINT)
        view = self._view(faces.astype(kind).tobytes(), _INDICES)
        return self._add("accessors", {"bufferView": view, "componentType": code, "count": faces.size, "type": "SCALAR"})

    def _material(self, m: Material) -> int:
        if m not in self._materials:
            surface: dict[str, Any] = {"baseColorFactor": list(m.colour), "metallicFactor": m.metallic, "roughnessFactor": m.roughness}
            if m.texture is not None:
                surface["baseColorTexture"] = {"index": self._texture(m.texture)}
            entry: dict[str, Any] = {"name": m.name, "pbrMetallicRoughness": surface}
            if any(m.emissive):
                entry["emissiveFactor"] = list(m.emissive)
            if m.alpha != "OPAQUE":
                entry["alphaMode"] = m.alpha
            if m.alpha == "MASK":
                entry["alphaCutoff"] = m.cutoff
            if m.double_sided:
                entry["doubleSided"] = True
            self._materials[m] = self._add("materials", entry)
        return self._materials[m]

    def _texture(self, picture: bytes) -> int:
        if picture not in self._images:
            kind = "image/png" if picture.startswith(b"\x89PNG") else "image/jpeg"
            source = self._add("images", {"bufferView": self._view(picture), "mimeType": kind})
            self._images[picture] = self._add("textures", {"source": source})
        return self._images[picture]


def _weld(positions: Array, normals: Array | None) -> Array:
    """(V,) groups of vertices that share one normal: the same place and, where normals are given, the same direction."""
    keys = np.round(positions / _STEP).astype(np.int64)
    if normals is not None:
        keys = np.concatenate([keys, np.round(np.asarray(normals) * 100).astype(np.int64)], axis=1)
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
