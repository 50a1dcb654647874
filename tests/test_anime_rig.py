"""The shipped character ``anime``: a valid VRM 1.0 avatar whose presets move what they name, and whose lids and lips close."""

import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from freeavatar.rig import Rig, load_rig
from freeavatar_renderer.glb import load_glb
from freeavatar_renderer.model import Primitive

ROOT = Path(__file__).parents[1]
Floats = NDArray[np.float64]
PRESETS = (
    "happy", "angry", "sad", "relaxed", "surprised", "neutral", "aa", "ih", "ou", "ee", "oh",
    "blink", "blinkLeft", "blinkRight", "lookUp", "lookDown", "lookLeft", "lookRight",
)  # fmt: skip
MOVING = tuple(name for name in PRESETS if name != "neutral")
MIRROR = {"blinkLeft": "blinkRight", "blinkRight": "blinkLeft", "lookLeft": "lookRight", "lookRight": "lookLeft"}


@pytest.fixture(scope="module")
def rig() -> Rig:
    return load_rig("anime")


@pytest.fixture(scope="module")
def parts(rig: Rig) -> dict[str, Primitive]:
    face = next(node for node in load_glb(rig.model).nodes if node.name == "face")
    return {part.material.name: part for part in face.primitives}


@pytest.fixture(scope="module")
def document(rig: Rig) -> dict[str, Any]:
    data = rig.model.read_bytes()
    found: dict[str, Any] = json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])
    return found


def posed(part: Primitive, **weights: float) -> Floats:
    points = part.positions.astype(float)
    for name, weight in weights.items():
        points[part.morphs[name].vertices] += weight * part.morphs[name].moves
    return points


def moves(part: Primitive, name: str) -> Floats:
    return posed(part, **{name: 1.0}) - posed(part)


def holes(skin: Primitive) -> dict[str, NDArray[np.int64]]:
    """Vertices around the left eye, the right eye and the mouth, in order."""
    faces = skin.faces.astype(np.int64)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    known = set(map(tuple, edges.tolist()))
    ahead = {a: b for a, b in known if (b, a) not in known}
    loops: dict[str, NDArray[np.int64]] = {}
    while ahead:
        start, loop = next(iter(ahead)), []
        while start in ahead:
            loop.append(start)
            start = ahead.pop(start)
        middle = skin.positions[loop].mean(axis=0)
        if np.ptp(skin.positions[loop, 0]) < 0.06:
            loops["mouth" if abs(middle[0]) < 0.005 else "left" if middle[0] > 0 else "right"] = np.array(loop)
    return loops


def opening(skin: Primitive, hole: str, **weights: float) -> float:
    """Square millimetres of a hole in the skin, seen from the front; 0 or less where its edges meet or cross."""
    x, y = posed(skin, **weights)[holes(skin)[hole], :2].T * 1000
    return float(abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2)


def test_the_controls_are_the_presets_and_the_head(rig: Rig) -> None:
    assert set(rig.names) == {*MOVING, "headYaw", "headPitch", "headRoll"}
    assert all((c.minimum, c.maximum) == (0, 1) and dict(c.morphs) == {c.name: 1.0} for c in rig.controls if c.name in MOVING)
    assert all((c.mirror or c.name) == MIRROR.get(c.name, c.name) for c in rig.controls if c.name in MOVING)


def test_the_file_is_small_and_has_all_that_it_needs(rig: Rig) -> None:
    model = load_glb(rig.model)
    assert rig.model.stat().st_size < 4e6 and (rig.folder / "preview.png").is_file() and (rig.folder / "LICENSE").is_file()
    assert set(MOVING) == model.morphs


def test_vrm_expressions_are_the_presets_bound_to_their_morphs(document: dict[str, Any]) -> None:
    vrm = document["extensions"]["VRMC_vrm"]
    assert vrm["specVersion"] == "1.0" and document["extensionsUsed"] == ["VRMC_vrm"]
    presets = vrm["expressions"]["preset"]
    assert set(presets) == set(PRESETS)
    for name, preset in presets.items():
        targets = []
        for bind in preset["morphTargetBinds"]:
            mesh = document["meshes"][document["nodes"][bind["node"]]["mesh"]]
            targets.append((mesh["extras"]["targetNames"][bind["index"]], bind["weight"]))
        assert targets == ([] if name == "neutral" else [(name, 1.0)])
    assert vrm["lookAt"]["type"] == "expression"


def test_vrm_bones_are_a_humanoid_standing_on_the_ground_in_a_t_pose(document: dict[str, Any]) -> None:
    bones = {name: bone["node"] for name, bone in document["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"].items()}
    limbs = [f"{side}{bone}" for side in ("left", "right") for bone in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")]
    assert {"hips", "spine", "head", *limbs} <= set(bones) and len(set(bones.values())) == len(bones)
    nodes = document["nodes"]
    parent = {child: i for i, node in enumerate(nodes) for child in node.get("children", [])}

    def chain(name: str) -> list[int]:
        line = [bones[name]]
        while line[-1] in parent:
            line.append(parent[line[-1]])
        return line

    def place(name: str) -> Floats:
        return np.sum([nodes[i].get("translation", [0, 0, 0]) for i in chain(name)], axis=0)

    for above, below in (
        ("hips", "spine"),
        ("spine", "head"),
        ("spine", "leftHand"),
        ("leftUpperArm", "leftLowerArm"),
        ("hips", "rightFoot"),
    ):
        assert bones[above] in chain(below)[1:]
    assert all("rotation" not in node for node in nodes)
    assert abs(place("leftFoot")[1]) < 0.1 and place("head")[1] > place("hips")[1] > place("leftLowerLeg")[1]
    assert place("leftHand")[0] > place("leftUpperArm")[0] > 0 and np.isclose(place("leftHand")[1], place("leftUpperArm")[1])


def test_vrm_meta_says_who_made_it_and_what_is_allowed(document: dict[str, Any]) -> None:
    meta = document["extensions"]["VRMC_vrm"]["meta"]
    assert meta["name"] and meta["authors"] and meta["licenseUrl"] == "https://vrm.dev/licenses/1.0/"
    assert meta["allowRedistribution"] and meta["modification"] == "allowModificationRedistribution"


@pytest.mark.parametrize("name", MOVING)
def test_every_preset_moves_something_visibly(parts: dict[str, Primitive], name: str) -> None:
    assert max(np.linalg.norm(moves(part, name), axis=1).max() for part in parts.values() if name in part.morphs) > 0.003


@pytest.mark.parametrize("name", MOVING)
def test_presets_are_mirror_images(parts: dict[str, Primitive], name: str) -> None:
    flip = np.array([-1.0, 1.0, 1.0])
    for label in ("skin", "lashes", "brows", "lips"):
        part = parts[label]
        if name not in part.morphs:
            continue
        here, there = moves(part, name), moves(part, MIRROR.get(name, name))
        # By place and movement: where lips and lids touch, several vertices lie at one place.
        mirrored, whole = np.hstack([part.positions * flip, here * flip]), np.hstack([part.positions, there])
        assert cKDTree(whole).query(mirrored)[0].max() < 1e-4, label


@pytest.mark.parametrize(("name", "sign"), [("blinkLeft", 1), ("blinkRight", -1)])
def test_a_wink_moves_its_own_side_only(parts: dict[str, Primitive], name: str, sign: int) -> None:
    for label in ("skin", "lashes"):
        moved = np.linalg.norm(moves(parts[label], name), axis=1) > 1e-4
        assert moved.any() and (sign * parts[label].positions[moved, 0] > 0).all()


@pytest.mark.parametrize(("name", "axis", "sign"), [("lookLeft", 0, 1), ("lookRight", 0, -1), ("lookUp", 1, 1), ("lookDown", 1, -1)])
def test_both_irises_look_the_way_that_is_named(parts: dict[str, Primitive], name: str, axis: int, sign: int) -> None:
    assert (sign * moves(parts["iris"], name)[:, axis]).min() > 0.004


@pytest.mark.parametrize("also", [{}, {"happy": 1.0}, {"sad": 1.0}, {"surprised": 1.0}, {"relaxed": 1.0}])
def test_lids_close(parts: dict[str, Primitive], also: dict[str, float]) -> None:
    skin = parts["skin"]
    loop = holes(skin)["left"]
    assert opening(skin, "left") > 900
    rest, shut = posed(skin)[loop], posed(skin, blinkLeft=1.0, **also)[loop]
    first, last = sorted((int(rest[:, 0].argmin()), int(rest[:, 0].argmax())))
    lids = [np.arange(first, last + 1), np.r_[last : len(loop), 0 : first + 1]]
    lower, upper = sorted(lids, key=lambda lid: float(rest[lid, 1].mean()))

    def height(lid: NDArray[np.int64], x: Floats) -> Floats:
        order = lid[shut[lid, 0].argsort()]
        return np.interp(x, shut[order, 0], shut[order, 1])

    x = np.linspace(rest[:, 0].min() + 0.002, rest[:, 0].max() - 0.002, 30)
    # Lashes cover the last millimetre of an eye that is wide open while it blinks.
    assert (height(upper, x) - height(lower, x)).max() < (0.0012 if "surprised" in also else 1e-4)


def test_lips_meet_at_rest_and_part_for_vowels(parts: dict[str, Primitive]) -> None:
    skin = parts["skin"]
    areas = {name: opening(skin, "mouth", **{name: 1.0}) for name in ("aa", "ih", "ou", "ee", "oh")}
    assert opening(skin, "mouth") < 0.05 * areas["aa"] and min(areas.values()) > 20
    assert areas["aa"] > areas["oh"] > areas["ou"]

    def width(name: str) -> float:
        return float(np.ptp(posed(skin, **{name: 1.0})[holes(skin)["mouth"], 0]))

    assert width("ee") > width("aa") > width("oh") > width("ou")


def test_the_corners_of_the_mouth_rise_for_happy_and_sink_for_sad(parts: dict[str, Primitive]) -> None:
    skin = parts["skin"]
    loop = holes(skin)["mouth"]
    corner = loop[skin.positions[loop, 0].argmax()]
    assert moves(skin, "happy")[corner, 1] > 0.002 > -0.002 > moves(skin, "sad")[corner, 1]


def test_brows_rise_for_surprise_and_tilt_for_anger_and_sadness(parts: dict[str, Primitive]) -> None:
    brows = parts["brows"]
    x = np.abs(brows.positions[:, 0])
    inner, outer = x < np.quantile(x, 0.2), x > np.quantile(x, 0.8)
    assert moves(brows, "surprised")[:, 1].min() > 0.004
    assert moves(brows, "angry")[inner, 1].mean() < moves(brows, "angry")[outer, 1].mean() - 0.004
    assert moves(brows, "sad")[inner, 1].mean() > moves(brows, "sad")[outer, 1].mean() + 0.004


def test_the_builder_makes_the_shipped_model(rig: Rig, tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from build_anime import COPYRIGHT, nodes
        from gltf_writer import write_glb

        write_glb(tmp_path / "avatar.glb", nodes(), COPYRIGHT)
    finally:
        sys.path.remove(str(ROOT / "tools"))
    built, shipped = load_glb(tmp_path / "avatar.glb"), load_glb(rig.model)
    assert [node.name for node in built.nodes] == [node.name for node in shipped.nodes]
    for a, b in zip(built.nodes, shipped.nodes, strict=True):
        for p, q in zip(a.primitives, b.primitives, strict=True):
            assert p.morphs.keys() == q.morphs.keys() and np.allclose(p.positions, q.positions, atol=1e-5)
