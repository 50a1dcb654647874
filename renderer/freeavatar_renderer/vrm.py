"""What a VRM file says about its avatar beyond glTF: bones by their meaning, expressions, authors, licence.

VRM 0.x (extension ``VRM``) and VRM 1.0 (``VRMC_vrm``), https://github.com/vrm-c/vrm-specification.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from freeavatar.errors import RigError
from freeavatar.rig import MaterialChange
from freeavatar_renderer.accessors import entry_at, numbers


@dataclass(frozen=True)
class VrmExpression:
    """What one expression of a VRM file changes.

    Attributes:
        morphs: weights of morph targets by name.
        binary: it is on or off.
        materials: what materials become.
        left_out: material properties that it changes and that cannot be drawn here, as "material: property".
    """

    morphs: Mapping[str, float] = field(default_factory=dict)
    binary: bool = False
    materials: tuple[MaterialChange, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Avatar:
    """A file's own words about its avatar; all empty for plain glTF, except the copyright.

    Attributes:
        bones: index of the model's node by VRM bone name: "head", "leftEye", ...
        expressions: by preset name in VRM 1.0's spelling; an artist's own expressions by theirs.
        backwards: the face looks along -Z, as VRM 0.x has it.
        title, authors, licence: as written; empty where the file is silent.
        rig, terms: texts of the rig.toml and the licence that :func:`freeavatar_renderer.glb_writer.with_rig` put there.
    """

    bones: Mapping[str, int] = field(default_factory=dict)
    expressions: Mapping[str, VrmExpression] = field(default_factory=dict)
    backwards: bool = False
    title: str = ""
    authors: tuple[str, ...] = ()
    licence: str = ""
    rig: str = ""
    terms: str = ""


EMBEDDED: Final = "freeavatar"
"""Where a file's ``extras`` hold its rig."""

_PRESETS = {
    "joy": "happy", "sorrow": "sad", "fun": "relaxed", "a": "aa", "i": "ih", "u": "ou", "e": "ee", "o": "oh",
    "blink_l": "blinkLeft", "blink_r": "blinkRight",
    "lookup": "lookUp", "lookdown": "lookDown", "lookleft": "lookLeft", "lookright": "lookRight",
}  # fmt: skip
"""VRM 0.x presets whose names changed with VRM 1.0."""


def read_avatar(document: dict[str, Any], targets: Callable[[int], list[str]], nodes: Mapping[int, int]) -> Avatar:
    """Read the VRM extensions and the copyright of a glTF document.

    Args:
        document: the JSON.
        targets: names of a mesh's morph targets, by the mesh's index.
        nodes: indices of the model's nodes by those of the file.
    """
    copyright = _text((document.get("asset") or {}).get("copyright"))
    if isinstance(rig := (document.get("extras") or {}).get(EMBEDDED), dict):
        return Avatar(licence=copyright, rig=str(rig["toml"]), terms=str(rig.get("licence", "")))
    extensions = document.get("extensions") or {}
    if "VRMC_vrm" in extensions:
        return _vrm1(extensions["VRMC_vrm"], document, targets, nodes)
    if "VRM" in extensions:
        return _vrm0(extensions["VRM"], targets, nodes)
    return Avatar(licence=copyright)


def _vrm1(vrm: dict[str, Any], document: dict[str, Any], targets: Callable[[int], list[str]], nodes: Mapping[int, int]) -> Avatar:
    groups = vrm.get("expressions") or {}
    expressions = {}
    for name, entry in {**(groups.get("custom") or {}), **(groups.get("preset") or {})}.items():
        binds = [(document["nodes"][b["node"]].get("mesh"), b["index"], b["weight"]) for b in entry.get("morphTargetBinds", [])]
        changes = [*entry.get("materialColorBinds", []), *entry.get("textureTransformBinds", [])]
        materials, left_out = _changes([_change1(b, document) for b in changes])
        expressions[name] = VrmExpression(_bindings(binds, targets), entry.get("isBinary") is True, materials, left_out)
    bones = (vrm.get("humanoid") or {}).get("humanBones") or {}
    meta = vrm.get("meta") or {}
    licence = "; ".join(filter(None, (_text(meta.get(key)) for key in ("licenseUrl", "otherLicenseUrl", "copyrightInformation"))))
    return Avatar(
        {name: nodes[b["node"]] for name, b in bones.items() if b["node"] in nodes},
        expressions,
        title=_text(meta.get("name")),
        authors=tuple(_text(a) for a in meta.get("authors", [])),
        licence=licence,
    )


def _vrm0(vrm: dict[str, Any], targets: Callable[[int], list[str]], nodes: Mapping[int, int]) -> Avatar:
    expressions = {}
    for entry in (vrm.get("blendShapeMaster") or {}).get("blendShapeGroups", []):
        preset = _text(entry.get("presetName")).lower()
        name = _PRESETS.get(preset, preset) if preset not in ("", "unknown") else _text(entry.get("name"))
        binds = [(b["mesh"], b["index"], b["weight"] / 100) for b in entry.get("binds", [])]
        materials, left_out = _changes([_change0(b) for b in entry.get("materialValues", [])])
        expressions[name] = VrmExpression(_bindings(binds, targets), entry.get("isBinary") is True, materials, left_out)
    bones = (vrm.get("humanoid") or {}).get("humanBones", [])
    meta = vrm.get("meta") or {}
    licence = "; ".join(filter(None, (_text(meta.get(key)) for key in ("licenseName", "otherLicenseUrl", "otherPermissionUrl"))))
    return Avatar(
        {b["bone"]: nodes[b["node"]] for b in bones if b["node"] in nodes},
        expressions,
        backwards=True,
        title=_text(meta.get("title")),
        authors=tuple(filter(None, [_text(meta.get("author"))])),
        licence=licence,
    )


_MAX_CHANGES: Final = 1000
"""Materials that one expression may change."""

_Change = tuple[str, dict[str, tuple[float, ...]], str]
"""A material, what of it changes, and the property's name in the file."""


def _change1(bind: dict[str, Any], document: dict[str, Any]) -> _Change:
    """VRM 1.0: materials by their index, one property a bind."""
    entry = entry_at(document.get("materials", []), bind["material"])
    material = str(entry.get("name", f"material{bind['material']}"))
    if "targetValue" not in bind:
        scale, offset = _several(bind.get("scale", [1, 1]), 2), _several(bind.get("offset", [0, 0]), 2)
        return material, {"scale": scale, "offset": offset}, "texture"
    kind = _text(bind.get("type"))
    widths = {"color": ("colour", 4), "emissionColor": ("emissive", 3)}
    if kind not in widths:
        return material, {}, kind
    key, width = widths[kind]
    return material, {key: _several(bind["targetValue"][:width], width)}, kind


def _change0(bind: dict[str, Any]) -> _Change:
    """VRM 0.x: materials by their name, properties by Unity's."""
    material, kind, value = str(bind.get("materialName", "")), _text(bind.get("propertyName")), bind.get("targetValue", [])
    if kind == "_Color":
        return material, {"colour": _several(value, 4)}, kind
    if kind == "_EmissionColor":
        return material, {"emissive": _several(value[:3], 3)}, kind
    if kind == "_MainTex_ST":
        # Unity counts v from the bottom.
        across, up, right, above = _several(value, 4)
        return material, {"scale": (across, up), "offset": (right, 1 - above - up)}, kind
    return material, {}, kind


def _changes(found: list[_Change]) -> tuple[tuple[MaterialChange, ...], tuple[str, ...]]:
    """One change a material, and what is left out."""
    if len(found) > _MAX_CHANGES:
        raise RigError(f"has an expression that changes {len(found)} materials; expected at most {_MAX_CHANGES}")
    changes: dict[str, dict[str, tuple[float, ...]]] = {}
    for material, values, _ in found:
        changes.setdefault(material, {}).update(values)
    left_out = tuple(f"{material}: {kind}" for material, values, kind in found if not values)
    return tuple(MaterialChange(name, **values) for name, values in changes.items() if values), left_out


def _several(values: Any, count: int) -> tuple[float, ...]:
    found = tuple(numbers(values, count))
    if max(map(abs, found)) > 1e6:
        raise RigError("has an expression that changes a material to numbers beyond 1000000; export it again")
    return found


def _bindings(binds: list[tuple[Any, int, float]], targets: Callable[[int], list[str]]) -> dict[str, float]:
    bindings: dict[str, float] = {}
    for mesh, index, weight in binds:
        names = targets(mesh)
        if type(index) is int and 0 <= index < len(names) and 0 < weight <= 1:
            bindings[names[index]] = float(weight)
    return bindings


def _text(value: Any) -> str:
    return " ".join(str(value).split())[:200] if isinstance(value, str) else ""
