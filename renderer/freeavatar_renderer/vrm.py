"""What a VRM file says about its avatar beyond glTF: bones by their meaning, expressions, authors, licence.

VRM 0.x (extension ``VRM``) and VRM 1.0 (``VRMC_vrm``), https://github.com/vrm-c/vrm-specification.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Bindings = Mapping[str, float]


@dataclass(frozen=True)
class Avatar:
    """A file's own words about its avatar; all empty for plain glTF, except the copyright.

    Attributes:
        bones: index of the model's node by VRM bone name: "head", "leftEye", ...
        expressions: weights of morph targets by preset name in VRM 1.0's spelling; an artist's own expressions by theirs.
        backwards: the face looks along -Z, as VRM 0.x has it.
        title, authors, licence: as written; empty where the file is silent.
    """

    bones: Mapping[str, int] = field(default_factory=dict)
    expressions: Mapping[str, Bindings] = field(default_factory=dict)
    backwards: bool = False
    title: str = ""
    authors: tuple[str, ...] = ()
    licence: str = ""


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
        expressions[name] = _bindings(binds, targets)
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
        expressions[name] = _bindings(binds, targets)
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


def _bindings(binds: list[tuple[Any, int, float]], targets: Callable[[int], list[str]]) -> dict[str, float]:
    bindings: dict[str, float] = {}
    for mesh, index, weight in binds:
        names = targets(mesh)
        if type(index) is int and 0 <= index < len(names) and 0 < weight <= 1:
            bindings[names[index]] = float(weight)
    return bindings


def _text(value: Any) -> str:
    return " ".join(str(value).split())[:200] if isinstance(value, str) else ""
