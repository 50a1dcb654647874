"""Writes a model as a GLB file (glTF 2.0, binary): what :mod:`freeavatar_renderer.glb` reads is what it writes."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freeavatar.errors import RigError
from freeavatar_renderer.accessors import Floats
from freeavatar_renderer.glb import read_chunks
from freeavatar_renderer.model import Bones, Material, Model, Morph, Primitive
from freeavatar_renderer.vrm import EMBEDDED

_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_VERTICES, _INDICES = 34962, 34963
"""What a buffer view is for."""
_CODES = {"float32": 5126, "uint16": 5123, "uint32": 5125}


def save_glb(path: Path, model: Model, copyright: str = "") -> None:
    """Write a model.

    Lengths and colours stay as they are, pictures are stored as PNG. Of a skin only what turns is kept: bones are bound
    where the nodes are at rest.

    Args:
        path: the file to write.
        model: the nodes.
        copyright: for the file's metadata.
    """
    path.write_bytes(_Writer(copyright).glb(model))


def with_rig(model: Path, toml: str, terms: str) -> bytes:
    """A GLB file whose JSON also holds a rig: all else stays as it is.

    Args:
        model: a GLB or glTF file that :func:`freeavatar_renderer.glb.load_glb` reads.
        toml: the text of the rig.toml.
        terms: the text of the licence.

    Raises:
        RigError: the model cannot be read.
    """
    document, binary = read_chunks(model)
    extras = document.get("extras")
    document["extras"] = (extras if isinstance(extras, dict) else {}) | {EMBEDDED: {"toml": toml, "licence": terms}}
    return _repacked(model, document, binary)


def without_rig(model: Path) -> bytes:
    """The bytes of a GLB file without the rig that :func:`with_rig` put there; the errors are those of :func:`with_rig`."""
    document, binary = read_chunks(model)
    extras = {key: value for key, value in document.pop("extras").items() if key != EMBEDDED}
    return _repacked(model, document | ({"extras": extras} if extras else {}), binary)


def _repacked(model: Path, document: dict[str, Any], binary: memoryview) -> bytes:
    try:
        return _packed(document, bytes(binary))
    except ValueError as error:  # a number beyond all floats reads as infinity, wherever in the file it stands
        raise RigError(f"{model}: holds a number that is not finite; export it again") from error


def _packed(document: dict[str, Any], binary: bytes) -> bytes:
    """The bytes of a GLB file."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    if binary:
        chunks += struct.pack("<II", len(binary), 0x004E4942) + binary
    return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks


class _Writer:
    """Collects the JSON lists and the binary chunk of one file."""

    def __init__(self, copyright: str) -> None:
        asset = {"version": "2.0", "generator": "FreeAvatar"} | ({"copyright": copyright} if copyright else {})
        self._json: dict[str, Any] = {"asset": asset, "scene": 0}
        self._joints: NDArray[np.int64] = np.zeros(0, np.int64)
        self._binary = bytearray()
        self._materials: dict[int, int] = {}
        self._textures: dict[int, int] = {}

    def glb(self, model: Model) -> bytes:
        nodes: list[dict[str, Any]] = [{"name": node.name} for node in model.nodes]
        bones = [p.bones for node in model.nodes for p in node.primitives if p.bones is not None]
        self._joints = np.unique(np.concatenate([b.nodes[b.weights > 0] for b in bones])) if bones else np.zeros(0, np.int64)
        for index, node in enumerate(model.nodes):
            if not np.array_equal(node.matrix, np.eye(4)):
                nodes[index]["matrix"] = node.matrix.T.reshape(-1).tolist()
            if node.parent >= 0:
                nodes[node.parent].setdefault("children", []).append(index)
            if node.primitives:
                nodes[index]["mesh"] = self._mesh(node.name, node.primitives)
            if any(p.bones is not None for p in node.primitives):
                nodes[index]["skin"] = self._skin(model)
        self._json |= {"nodes": nodes, "scenes": [{"nodes": [i for i, node in enumerate(model.nodes) if node.parent < 0]}]}
        self._json["buffers"] = [{"byteLength": len(self._binary)}]
        return _packed(self._json, bytes(self._binary))

    def _add(self, kind: str, entry: dict[str, Any]) -> int:
        entries: list[dict[str, Any]] = self._json.setdefault(kind, [])
        entries.append(entry)
        return len(entries) - 1

    def _view(self, data: bytes, target: int = 0) -> int:
        self._binary += b"\0" * (-len(self._binary) % 4)
        self._binary += data
        entry = {"buffer": 0, "byteOffset": len(self._binary) - len(data), "byteLength": len(data)}
        return self._add("bufferViews", entry | ({"target": target} if target else {}))

    def _array(self, values: NDArray[Any], bounds: bool = False, target: int = 0) -> int:
        values = np.ascontiguousarray(values)
        width = values.shape[1] if values.ndim == 2 else 1
        entry = {
            "bufferView": self._view(values.tobytes(), target),
            "componentType": _CODES[values.dtype.name],
            "count": len(values),
            "type": _TYPES[width],
        }
        return self._add("accessors", entry | ({"min": values.min(0).tolist(), "max": values.max(0).tolist()} if bounds else {}))

    def _skin(self, model: Model) -> int:
        """One skin of all nodes that anything follows, bound where they are at rest."""
        if "skins" not in self._json:
            inverse = np.linalg.inv(np.stack(model.places)[self._joints]).transpose(0, 2, 1).reshape(-1, 16).astype(np.float32)
            self._add("skins", {"joints": self._joints.tolist(), "inverseBindMatrices": self._array(inverse)})
        return 0

    def _bound(self, bones: Bones) -> tuple[NDArray[np.uint16], Floats]:
        """(V, 4) joints of the skin, each once a vertex, and (V, 4) weights; 0 where a vertex follows fewer."""
        joints = np.searchsorted(self._joints, bones.nodes).astype(np.uint16)
        weights = bones.weights.astype(np.float32).copy()
        for k in range(1, 4):
            for earlier in range(k):
                same = (joints[:, k] == joints[:, earlier]) & (weights[:, k] > 0)
                weights[same, earlier] += weights[same, k]
                weights[same, k] = 0
        joints[weights == 0] = 0
        return joints, weights

    def _mesh(self, name: str, primitives: tuple[Primitive, ...]) -> int:
        # All primitives of a mesh must have the same targets; one that lacks a target gets zeros, which take no space.
        names = list(dict.fromkeys(name for p in primitives for name in p.morphs))
        entry: dict[str, Any] = {"name": name, "primitives": [self._primitive(p, names) for p in primitives]}
        return self._add("meshes", entry | ({"extras": {"targetNames": names}} if names else {}))

    def _primitive(self, p: Primitive, names: list[str]) -> dict[str, Any]:
        attributes = {"POSITION": self._array(p.positions, bounds=True, target=_VERTICES)}
        for key, values in (("NORMAL", p.normals), ("TEXCOORD_0", p.uv), ("COLOR_0", p.colours)):
            if values is not None:
                attributes[key] = self._array(values.astype(np.float32), target=_VERTICES)
        if p.bones is not None:
            joints, weights = self._bound(p.bones)
            attributes["JOINTS_0"], attributes["WEIGHTS_0"] = self._array(joints, target=_VERTICES), self._array(weights, target=_VERTICES)
        faces = self._array(p.faces.reshape(-1), target=_INDICES)
        entry = {"attributes": attributes, "indices": faces, "material": self._material(p.material)}
        targets = [self._target(p.morphs.get(name), len(p.positions)) for name in names]
        return entry | ({"targets": targets} if targets else {})

    def _target(self, morph: Morph | None, count: int) -> dict[str, int]:
        if morph is None or not len(morph.vertices):
            zero = {"componentType": 5126, "count": count, "type": "VEC3", "min": [0, 0, 0], "max": [0, 0, 0]}
            return {"POSITION": self._add("accessors", zero)}
        rows = self._view(morph.vertices.astype(np.uint32).tobytes())
        target = {}
        for key, values in (("POSITION", morph.moves), ("NORMAL", morph.turns)):
            if values is not None:
                sparse = {
                    "count": len(values),
                    "indices": {"bufferView": rows, "componentType": 5125},
                    "values": {"bufferView": self._view(values.astype(np.float32).tobytes())},
                }
                whole = values if len(values) == count else np.concatenate([values, np.zeros((1, 3), np.float32)])
                bounds = {"min": whole.min(0).tolist(), "max": whole.max(0).tolist()} if key == "POSITION" else {}
                target[key] = self._add("accessors", {"componentType": 5126, "count": count, "type": "VEC3", "sparse": sparse} | bounds)
        return target

    def _material(self, m: Material) -> int:
        if id(m) not in self._materials:
            surface: dict[str, Any] = {"baseColorFactor": list(m.colour), "metallicFactor": m.metallic, "roughnessFactor": m.roughness}
            if m.texture is not None:
                surface["baseColorTexture"] = {"index": self._texture(m)}
            entry: dict[str, Any] = {"name": m.name, "pbrMetallicRoughness": surface, "alphaMode": m.alpha, "doubleSided": m.double_sided}
            entry |= {"emissiveFactor": list(m.emissive)} | ({"alphaCutoff": m.cutoff} if m.alpha == "MASK" else {})
            self._materials[id(m)] = self._add("materials", entry)
        return self._materials[id(m)]

    def _texture(self, m: Material) -> int:
        import cv2

        assert m.texture is not None
        if (key := id(m.texture)) not in self._textures:
            # Alpha is stored only where it is used: photographs are a third smaller without.
            code = cv2.COLOR_RGBA2BGR if m.alpha == "OPAQUE" and (m.texture[..., 3] == 255).all() else cv2.COLOR_RGBA2BGRA
            picture = cv2.imencode(".png", cv2.cvtColor(m.texture, code))[1].tobytes()
            image = self._add("images", {"bufferView": self._view(picture), "mimeType": "image/png"})
            self._textures[key] = self._add("textures", {"source": image})
        return self._textures[key]
