"""Makes a VRM 1.0 avatar of a GLB that has a humanoid's bones by their VRM names and morph targets by those of presets.

The extension is VRMC_vrm 1.0 (https://github.com/vrm-c/vrm-specification): meta, humanoid, expressions, look-at, first person.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from freeavatar.output import replacing

BONES: Final = (
    "hips", "spine", "chest", "neck", "head",
    *(f"{side}{bone}" for side in ("left", "right") for bone in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")),
)  # fmt: skip
"""Those that our avatars have; VRM requires all of them but chest and neck."""
PRESETS: Final = (
    "happy", "angry", "sad", "relaxed", "surprised", "neutral", "aa", "ih", "ou", "ee", "oh",
    "blink", "blinkLeft", "blinkRight", "lookUp", "lookDown", "lookLeft", "lookRight",
)  # fmt: skip
_FULL_YAW, _FULL_PITCH = 34.4, 25.8
"""Degrees of gaze at which look expressions reach 1, as in :mod:`freeavatar.arkit`."""


@dataclass(frozen=True)
class Meta:
    """Who made the avatar and what one may do with it; all that VRM lets one allow is allowed."""

    name: str
    authors: tuple[str, ...]
    copyright: str


def add_vrm(path: Path, meta: Meta, morphs: Sequence[str], face_node: str, eye_height: float) -> int:
    """Write the extension into a GLB in place; returns the number of bytes.

    Args:
        path: a file of :func:`gltf_writer.write_glb`.
        meta: see :class:`Meta`.
        morphs: names of targets of the face's mesh; presets of the same name bind them, the others bind nothing.
        face_node: name of the node with that mesh.
        eye_height: metres from the head's bone up to between the eyes.
    """
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    document, binary = json.loads(data[20 : 20 + length]), data[20 + length :]
    nodes = {node["name"]: i for i, node in enumerate(document["nodes"])}
    document["extensionsUsed"] = ["VRMC_vrm"]
    document["extensions"] = {"VRMC_vrm": _vrm(document, nodes, meta, morphs, face_node, eye_height)}
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    whole = struct.pack("<4sIIII", b"glTF", 2, 20 + len(text) + len(binary), len(text), 0x4E4F534A) + text + binary
    with replacing(path) as temporary:
        temporary.write_bytes(whole)
    return len(whole)


def _vrm(document: Any, nodes: dict[str, int], meta: Meta, morphs: Sequence[str], face_node: str, eye_height: float) -> dict[str, Any]:
    targets = document["meshes"][document["nodes"][nodes[face_node]]["mesh"]]["extras"]["targetNames"]
    if missing := set(morphs) - set(targets):
        raise ValueError(f"{face_node}: has no targets {', '.join(sorted(missing))}")

    def expression(name: str) -> dict[str, Any]:
        binds = [{"node": nodes[face_node], "index": targets.index(name), "weight": 1.0}] if name in morphs else []
        return {"isBinary": False, "morphTargetBinds": binds, "overrideBlink": "none", "overrideLookAt": "none", "overrideMouth": "none"}

    def span(degrees: float) -> dict[str, float]:
        return {"inputMaxValue": degrees, "outputScale": 1.0}

    meshes = [i for i, node in enumerate(document["nodes"]) if "mesh" in node]
    return {
        "specVersion": "1.0",
        "meta": {
            "name": meta.name,
            "version": "1.0",
            "authors": list(meta.authors),
            "copyrightInformation": meta.copyright,
            "licenseUrl": "https://vrm.dev/licenses/1.0/",
            "avatarPermission": "everyone",
            "allowExcessivelyViolentUsage": True,
            "allowExcessivelySexualUsage": True,
            "commercialUsage": "corporation",
            "allowPoliticalOrReligiousUsage": True,
            "allowAntisocialOrHateUsage": True,
            "creditNotation": "unnecessary",
            "allowRedistribution": True,
            "modification": "allowModificationRedistribution",
            "otherLicenseUrl": "https://creativecommons.org/publicdomain/zero/1.0/",
        },
        "humanoid": {"humanBones": {bone: {"node": nodes[bone]} for bone in BONES}},
        "expressions": {"preset": {name: expression(name) for name in PRESETS}},
        "lookAt": {
            "type": "expression",
            "offsetFromHeadBone": [0.0, round(eye_height, 4), 0.0],
            "rangeMapHorizontalInner": span(_FULL_YAW),
            "rangeMapHorizontalOuter": span(_FULL_YAW),
            "rangeMapVerticalDown": span(_FULL_PITCH),
            "rangeMapVerticalUp": span(_FULL_PITCH),
        },
        "firstPerson": {"meshAnnotations": [{"node": i, "type": "auto"} for i in meshes]},
    }
