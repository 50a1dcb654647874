"""VRM expressions keep their meaning: several morphs, materials, on or off; what cannot be drawn is said."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freeavatar.errors import RenderError, RigError
from freeavatar.rig import MaterialChange, load_rig
from freeavatar.rig_import import import_rig
from freeavatar_renderer import gl
from freeavatar_renderer.glb import load_glb
from freeavatar_renderer.raster import AvatarRenderer
from tests.test_glb import document, rewrite
from tests.test_rig_import import ball
from tools.gltf_writer import Node, write_glb

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture(autouse=True, scope="module")
def graphics() -> None:
    try:
        gl.context()
    except RenderError as error:
        pytest.skip(str(error))


def build(path: Path, edit: Edit) -> Path:
    face = Node("Face", (0.0, 0.0, 0.0), [ball(0.1, 0.1, "#cc9988", ("m1", "m2"))])
    write_glb(path, [Node("Head", (0.0, 1.5, 0.0), children=[face])])
    entries, binary = document(path)
    entries["materials"][0]["name"] = "Skin"
    edit(entries)
    return rewrite(path, entries, binary)


def vrm1(**expressions: Any) -> Edit:
    def edit(d: dict[str, Any]) -> None:
        node = next(i for i, n in enumerate(d["nodes"]) if "mesh" in n)
        for entry in expressions.values():
            for bind in entry.get("morphTargetBinds", []):
                bind["node"] = node
        d["extensions"] = {"VRMC_vrm": {"expressions": {"preset": expressions}}}

    return edit


def vrm0(*groups: Any) -> Edit:
    return lambda d: d.update(extensions={"VRM": {"blendShapeMaster": {"blendShapeGroups": list(groups)}}})


COLOUR = {"material": 0, "type": "color", "targetValue": [1, 0, 0, 1]}
GLOW = {"material": 0, "type": "emissionColor", "targetValue": [0, 0.5, 0, 1]}
SHADE = {"material": 0, "type": "shadeColor", "targetValue": [0, 0.5, 0, 1]}
MOVED = {"material": 0, "scale": [2, 1], "offset": [0.25, 0]}
BIND = {"index": 0, "weight": 0.5}


def test_vrm_1_binds_of_morphs_and_materials_become_one_control(tmp_path: Path) -> None:
    happy = {"isBinary": True, "morphTargetBinds": [dict(BIND)], "materialColorBinds": [COLOUR, GLOW, SHADE]}
    happy["textureTransformBinds"] = [MOVED]
    done = import_rig(build(tmp_path / "a.vrm", vrm1(happy=happy, sad={"materialColorBinds": [COLOUR]})), tmp_path / "rig")
    controls = {c.name: c for c in load_rig(tmp_path / "rig").controls}
    change = MaterialChange("Skin", (1, 0, 0, 1), (0, 0.5, 0), (2, 1), (0.25, 0))
    assert (controls["happy"].binary, controls["happy"].morphs, controls["happy"].materials) == (True, {"m1": 0.5}, (change,))
    sad = controls["sad"]
    assert (sad.binary, sad.morphs, sad.materials) == (False, {}, (MaterialChange("Skin", (1, 0, 0, 1)),))
    assert done.notes == ("expression happy: Skin: shadeColor cannot be drawn here and is left out",)
    assert done.notes[0] in (tmp_path / "rig/report.md").read_text()


def test_vrm_0_names_materials_and_counts_v_from_the_bottom(tmp_path: Path) -> None:
    values = [
        {"materialName": "Skin", "propertyName": "_Color", "targetValue": [1, 0, 0, 1]},
        {"materialName": "Skin", "propertyName": "_EmissionColor", "targetValue": [0, 0.5, 0, 1]},
        {"materialName": "Skin", "propertyName": "_MainTex_ST", "targetValue": [1, 0.5, 0.25, 0.125]},
        {"materialName": "Skin", "propertyName": "_OutlineColor", "targetValue": [1, 0, 0, 1]},
    ]
    group = {"name": "Joy", "presetName": "joy", "isBinary": True, "binds": [{"mesh": 0, "index": 1, "weight": 100}]}
    done = import_rig(build(tmp_path / "a.vrm", vrm0(group | {"materialValues": values})), tmp_path / "rig")
    happy = next(c for c in load_rig(tmp_path / "rig").controls if c.name == "happy")
    assert happy.binary and happy.materials == (MaterialChange("Skin", (1, 0, 0, 1), (0, 0.5, 0), (1, 0.5), (0.25, 0.375)),)
    assert done.notes == ("expression happy: Skin: _OutlineColor cannot be drawn here and is left out",)


def test_colours_blend_and_binary_ones_switch(tmp_path: Path) -> None:
    import_rig(build(tmp_path / "a.vrm", vrm1(sad={"materialColorBinds": [COLOUR]})), tmp_path / "rig")
    rig = load_rig(tmp_path / "rig")
    at = rig.names.index("sad")

    def middle(folder: Path, value: float) -> np.ndarray:
        renderer = AvatarRenderer(load_rig(folder), 64, 64)
        values = rig.neutral()
        values[at] = value
        picture = renderer.render(values)[32, 32].astype(int)
        renderer.release()
        return picture

    rest, half, full = (middle(tmp_path / "rig", v) for v in (0, 0.5, 1))
    assert full[1] < half[1] < rest[1] and full[1] < 0.5 * rest[1]
    toml = tmp_path / "rig/rig.toml"
    toml.write_text(toml.read_text().replace('name = "sad"', 'name = "sad"\nbinary = true'))
    assert np.array_equal(middle(tmp_path / "rig", 0.5), rest) and np.array_equal(middle(tmp_path / "rig", 0.6), full)


@pytest.mark.parametrize(
    "bind",
    [COLOUR | {"material": 9}, COLOUR | {"targetValue": [1, 2]}, COLOUR | {"targetValue": [1e9, 0, 0, 1]}, {"material": 0, "scale": "no"}],
)
def test_damaged_binds_are_refused(tmp_path: Path, bind: dict[str, Any]) -> None:
    kind = "textureTransformBinds" if "scale" in bind else "materialColorBinds"
    with pytest.raises(RigError) as caught:
        load_glb(build(tmp_path / "a.vrm", vrm1(happy={kind: [bind]})))
    assert "\n" not in str(caught.value)


def test_too_many_changes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RigError, match="changes 2000 materials"):
        load_glb(build(tmp_path / "a.vrm", vrm1(happy={"materialColorBinds": [COLOUR] * 2000})))


def test_texture_transforms_are_carried_out(tmp_path: Path) -> None:
    def edit(d: dict[str, Any]) -> None:
        uv = d["meshes"][0]["primitives"][0]["attributes"]
        d["accessors"].append({"componentType": 5126, "type": "VEC2", "count": d["accessors"][uv["POSITION"]]["count"]})
        uv["TEXCOORD_0"] = len(d["accessors"]) - 1  # zeros
        d["textures"], d["images"] = [{"source": 0}], [{"uri": "data:image/png;base64," + PIXEL}]
        change = {"offset": [0.25, 0.5], "scale": [2, 2], "rotation": 1.0}
        texture = {"index": 0, "extensions": {"KHR_texture_transform": change}}
        d["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"] = texture

    face = next(p for n in load_glb(build(tmp_path / "a.glb", edit)).nodes for p in n.primitives)
    assert face.uv == pytest.approx(np.tile([0.25, 0.5], (len(face.positions), 1)))


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
