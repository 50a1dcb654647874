"""Strangers' models become rigs: names mapped, bones followed, nothing overwritten, one clear line for what cannot be."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freeavatar import arkit, rig_import
from freeavatar.cli import main
from freeavatar.errors import OutputError, RenderError, RigError
from freeavatar.rig import load_rig
from freeavatar.rig_import import import_rig
from freeavatar_renderer import gl
from freeavatar_renderer.busts import take_bust
from freeavatar_renderer.glb import load_glb
from freeavatar_renderer.glb_writer import save_glb
from freeavatar_renderer.model import Bones, Model
from freeavatar_renderer.raster import AvatarRenderer, load_model
from tests.test_glb import document, rewrite
from tools.gltf_writer import Material, Node, Primitive, write_glb


@pytest.fixture(autouse=True, scope="module")
def graphics() -> None:
    try:
        gl.context()
    except RenderError as error:
        pytest.skip(str(error))


def ball(y: float, radius: float, colour: str, morphs: tuple[str, ...] = ()) -> Primitive:
    """A ball whose morph targets lift its upper left and upper right quarter in turns, each further than the one before."""
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 13), np.linspace(0, np.pi, 9), indexing="ij")
    points = radius * np.stack([np.sin(v) * np.sin(u), np.cos(v), np.sin(v) * np.cos(u)], axis=-1).reshape(-1, 3) + [0, y, 0]
    corners = [(i * 9 + j, i * 9 + j + 1, i * 9 + j + 10, i * 9 + j + 9) for i in range(12) for j in range(8)]
    faces = np.array([[(a, b, c), (a, c, d)] for a, b, c, d in corners]).reshape(-1, 3)
    lifts = [((side * points[:, 0] > 1e-6) & (points[:, 1] > y))[:, None] * np.array([0, 0.3 * radius, 0]) for side in (1, -1)]
    return Primitive(points, faces, Material(colour), morphs={name: lifts[i % 2] * (1 + i / 10) for i, name in enumerate(morphs)})


Build = Callable[..., Path]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    def build(*morphs: str, edit: Callable[[dict[str, Any]], object] = lambda d: None) -> Path:
        face = Node("Face", (0.0, 0.0, 0.0), [ball(0.1, 0.1, "#cc9988", morphs)])
        head = Node("Head", (0.0, 1.5, 0.0), children=[face])
        write_glb(
            path := tmp_path / "stranger.glb", [Node("Hips", children=[head, Node("Feet", (0.0, 0.0, 0.0), [ball(0, 0.1, "#333333")])])]
        )
        entries, binary = document(path)
        edit(entries)
        return rewrite(path, entries, binary)

    return build


def test_a_model_with_arkit_names_is_driven_by_them(build: Build, tmp_path: Path) -> None:
    done = import_rig(build("JawOpen", "eyeBlink_L", "EyeBlink_R", "whiskers", "face.EyeLookUpLeft"), tmp_path / "rig")
    rig = load_rig(tmp_path / "rig")
    controls = {c.name: c for c in rig.controls}
    assert (done.controls, done.mapped, done.unknown) == (8, 7, ("whiskers",))
    assert controls["JawOpen"].arkit == {"jawOpen": 1} and controls["JawOpen"].region == "jaw"
    assert controls["whiskers"].arkit == {} and controls["whiskers"].morphs == {"whiskers": 1}
    assert (controls["eyeBlink_L"].arkit, controls["EyeBlink_R"].arkit) == ({"eyeBlinkLeft": 1}, {"eyeBlinkRight": 1})
    assert controls["face_EyeLookUpLeft"].source == "gaze.eyeLookUpLeft"
    assert controls["headYaw"].node == "head"
    weights = np.zeros(52, np.float32)
    weights[arkit.INDEX["jawOpen"]] = 0.7
    assert dict(zip(rig.names, rig.from_arkit(weights), strict=True))["JawOpen"] == pytest.approx(0.7)


def test_the_folder_is_whole(build: Build, tmp_path: Path) -> None:
    model = build("jawOpen", "oddity", edit=lambda d: d["asset"].update(copyright="2024 Someone"))
    import_rig(model, tmp_path / "rig")
    assert {p.name for p in (tmp_path / "rig").iterdir()} == {
        *("rig.toml", "avatar.glb", "preview.png", "LICENSE", "report.md", "controls.png")
    }
    assert "2024 Someone" in (tmp_path / "rig/LICENSE").read_text()
    assert "controls.png" in (tmp_path / "rig/report.md").read_text()
    text = (tmp_path / "rig/rig.toml").read_text()
    assert "ARKit, confidence 1.0" in text and "unknown name" in text
    assert {p.name for p in tmp_path.iterdir()} == {"rig", "stranger.glb"}
    load_model(load_rig(tmp_path / "rig"))


def test_the_preview_looks_at_the_face_and_the_controls_move_it(build: Build, tmp_path: Path) -> None:
    import_rig(build("browOuterUpLeft", "browOuterUpRight"), tmp_path / "rig")
    assert not (tmp_path / "rig/controls.png").exists() and "controls.png" not in (tmp_path / "rig/report.md").read_text()
    rig = load_rig(tmp_path / "rig")
    assert len(load_glb(rig.model).nodes) == 2, "the feet are left out"
    renderer = AvatarRenderer(rig, 64, 64)
    rest = renderer.render(rig.neutral()).astype(int)
    values = rig.neutral()
    values[rig.names.index("browOuterUpLeft")] = 1
    moved = np.abs(renderer.render(values) - rest).max(axis=2) > 12
    assert np.abs(rest[32, 32] - np.array(renderer.background) * 255).max() > 20
    assert rig.camera_target[0] == pytest.approx(0, abs=1e-3)
    assert moved[:, 32:].sum() > 20 and not moved[:, :30].any()  # the subject's left is on the picture's right


def vrm1(d: dict[str, Any]) -> None:
    node = next(i for i, n in enumerate(d["nodes"]) if "mesh" in n and n["name"] == "Face")
    head = next(i for i, n in enumerate(d["nodes"]) if n["name"] == "Head")
    binds = [{"node": node, "index": 0, "weight": 0.5}, {"node": node, "index": 1, "weight": 1.0}]
    expressions = {"preset": {"aa": {"morphTargetBinds": binds}, "blinkLeft": {"morphTargetBinds": binds[1:]}}}
    meta = {"name": "Ann", "authors": ["Bob"], "licenseUrl": "https://vrm.dev/licenses/1.0/"}
    d["extensions"] = {"VRMC_vrm": {"expressions": expressions, "humanoid": {"humanBones": {"head": {"node": head}}}, "meta": meta}}


def test_vrm_1_expressions_bind_several_morphs(build: Build, tmp_path: Path) -> None:
    import_rig(build("m1", "m2", edit=vrm1), tmp_path / "rig")
    rig = load_rig(tmp_path / "rig")
    controls = {c.name: c for c in rig.controls}
    assert controls["aa"].morphs == {"m1": 0.5, "m2": 1.0} and controls["aa"].arkit == {"jawOpen": 1}
    assert controls["blinkLeft"].morphs == {"m2": 1.0}
    assert (rig.title, rig.authors, rig.licence) == ("Ann", ("Bob",), "NOASSERTION")
    assert "https://vrm.dev/licenses/1.0/" in (tmp_path / "rig/LICENSE").read_text()


def test_vrm_0_looks_the_other_way_and_has_its_own_names(build: Build, tmp_path: Path) -> None:
    def vrm0(d: dict[str, Any]) -> None:
        groups = [{"name": "Joy", "presetName": "joy", "binds": [{"mesh": 0, "index": 0, "weight": 100}]}]
        groups += [{"name": "Blink_L", "presetName": "blink_l", "binds": [{"mesh": 0, "index": 1, "weight": 50}]}]
        d["extensions"] = {"VRM": {"blendShapeMaster": {"blendShapeGroups": groups}, "meta": {"licenseName": "CC0", "author": "Bob"}}}

    model = build("m1", "m2", edit=vrm0)
    import_rig(model, tmp_path / "rig")
    rig = load_rig(tmp_path / "rig")
    controls = {c.name: c for c in rig.controls}
    assert controls["happy"].arkit == {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}
    assert controls["blinkLeft"].morphs == {"m2": 0.5} and rig.licence == "CC0-1.0"
    straight, turned = (
        next(p for n in m.nodes for p in n.primitives if p.morphs) for m in (load_glb(build("m1", "m2")), load_glb(rig.model))
    )
    moved = [float(p.positions[p.morphs["m1"].vertices].mean(0)[0]) for p in (straight, turned)]
    assert moved[0] == pytest.approx(-moved[1], abs=1e-5) and moved[0] > 0.01


def test_a_finer_vocabulary_silences_the_coarser(build: Build, tmp_path: Path) -> None:
    import_rig(build("jawOpen", "viseme_aa", "viseme_U", "happy", "mouthSmileLeft", "mouthSmileRight"), tmp_path / "rig")
    maps = {c.name: c.arkit for c in load_rig(tmp_path / "rig").controls}
    assert maps["viseme_aa"] == {} == maps["happy"]
    assert maps["viseme_U"] == {"mouthPucker": 1}


def skinned(model: Model) -> Model:
    """The face bound half to the hips, half to the head, where it is."""
    nodes = list(model.nodes)
    at = next(i for i, n in enumerate(nodes) if n.name == "Face")
    names = [n.name for n in nodes]
    face = nodes[at].primitives[0]
    count = len(face.positions)
    joints = np.tile(np.array([names.index("Head"), names.index("Hips"), 0, 0]), (count, 1))
    upper = (face.positions[:, 1] > 0.1).astype(np.float32)
    weights = np.stack([upper, 1 - upper, 0 * upper, 0 * upper], axis=1)
    here = (face.positions + model.places[at][:3, 3]).astype(np.float32)
    nodes[at] = replace(nodes[at], primitives=(replace(face, positions=here, bones=Bones(joints, weights)),))
    return replace(model, nodes=tuple(nodes))


def test_skins_are_read_where_their_bones_are_and_follow_the_head(build: Build, tmp_path: Path) -> None:
    straight = load_glb(build("jawOpen"))
    save_glb(path := tmp_path / "skinned.glb", skinned(straight))
    read = load_glb(path)
    face = next(p for n in read.nodes for p in n.primitives if p.bones is not None)
    original = next(p for n in straight.nodes for p in n.primitives if p.morphs)
    assert face.positions == pytest.approx(original.positions + np.array([0, 1.5, 0]), abs=1e-5)
    entries, binary = document(path)
    head = next(n for n in entries["nodes"] if n["name"] == "Head")
    head["matrix"][12:15] = [0.2, 1.5, 0]  # the pose at rest is not the one of the binding
    posed = next(p for n in load_glb(rewrite(path, entries, binary)).nodes for p in n.primitives if p.bones is not None)
    upper = original.positions[:, 1] > 0.1
    assert (posed.positions - face.positions)[upper] == pytest.approx(np.tile([0.2, 0, 0], (upper.sum(), 1)), abs=1e-5)
    assert (posed.positions - face.positions)[~upper] == pytest.approx(0, abs=1e-5)
    assert take_bust(read).model.nodes[-1].name == "skin"

    import_rig(path, tmp_path / "rig")
    rig = load_rig(tmp_path / "rig")
    renderer = AvatarRenderer(rig, 64, 64)
    values = rig.pose(rig.neutral(), np.array([0, 0, 0.6], np.float32), np.zeros(2, np.float32))
    changed = np.abs(renderer.render(values).astype(int) - renderer.render(rig.neutral())).max(axis=2) > 12
    rows = np.flatnonzero(changed.any(axis=1))
    assert changed.sum() > 10 and rows.max() < 56, "the upper half rolls, the lower half stays"
    entries, binary = document(rig.model)
    next(n for n in entries["nodes"] if n["name"] == "head")["matrix"] = [*[0] * 15, 1]
    rewrite(rig.model, entries, binary)
    with pytest.raises(RigError, match="a skin that follows a node of scale 0"):
        AvatarRenderer(rig, 64, 64)


def test_eyes_turn_by_their_bones_where_no_shape_turns_them(tmp_path: Path) -> None:
    eyes = [Node(f"{side}Eye", (x, 0.1, 0.08), [ball(0, 0.02, "#ffffff")]) for side, x in (("Left", 0.04), ("Right", -0.04))]
    eyes = [Node(e.name, e.translation, children=[Node(f"{e.name}Ball", primitives=e.primitives)]) for e in eyes]
    face = Node("Face", (0.0, 0.0, 0.0), [ball(0.1, 0.1, "#cc9988", ("jawOpen",))])
    write_glb(tmp_path / "eyes.glb", [Node("Head", (0.0, 1.5, 0.0), children=[face, *eyes])])
    import_rig(tmp_path / "eyes.glb", tmp_path / "rig")
    rig = load_rig(tmp_path / "rig")
    controls = {c.name: c for c in rig.controls}
    assert (controls["eyeYawLeft"].node, controls["eyeYawLeft"].source, controls["eyeYawLeft"].mirror) == (
        "eyeLeft",
        "gaze.yaw",
        "eyeYawRight",
    )
    places = dict(zip([n.name for n in load_glb(rig.model).nodes], load_glb(rig.model).places, strict=True))
    assert places["eyeLeft"][:3, 3] == pytest.approx([0.04, 1.6, 0.08])


def test_a_saved_model_is_read_as_it_was(build: Build, tmp_path: Path) -> None:
    model = load_glb(build("jawOpen", "smile"))
    save_glb(tmp_path / "again.glb", model)
    again = load_glb(tmp_path / "again.glb")
    for a, b in zip(model.nodes, again.nodes, strict=True):
        assert (a.name, a.parent) == (b.name, b.parent) and a.matrix == pytest.approx(b.matrix)
        for p, q in zip(a.primitives, b.primitives, strict=True):
            assert np.array_equal(p.positions, q.positions) and np.array_equal(p.faces, q.faces) and p.material == q.material
            for name, morph in p.morphs.items():
                assert np.array_equal(morph.vertices, q.morphs[name].vertices) and np.array_equal(morph.moves, q.morphs[name].moves)


def test_nothing_is_overwritten(build: Build, tmp_path: Path) -> None:
    (tmp_path / "rig").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        import_rig(build("jawOpen"), tmp_path / "rig")
    assert not list((tmp_path / "rig").iterdir())


def test_a_folder_is_no_model_and_nobody_is_told_to_remove_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    with pytest.raises(RigError, match="mine: is a folder; expected a model"):
        import_rig(Path("mine"))


def test_a_model_that_cannot_move_is_refused_and_leaves_nothing(build: Build, tmp_path: Path) -> None:
    with pytest.raises(RigError, match="no morph targets"):
        import_rig(build(), tmp_path / "rig")
    with pytest.raises(OutputError, match="cannot be written"):
        import_rig(build("jawOpen"), tmp_path / "none" / "rig")
    assert {p.name for p in tmp_path.iterdir()} == {"stranger.glb"}


def test_a_model_whose_face_is_scaled_to_nothing_is_refused_and_leaves_nothing(build: Build, tmp_path: Path) -> None:
    with pytest.raises(RigError, match=r"stranger.glb: has no morph target that moves anything"):
        import_rig(build("jawOpen", edit=lambda d: d["nodes"][1].update(scale=[0, 0, 0])), tmp_path / "rig")
    assert {p.name for p in tmp_path.iterdir()} == {"stranger.glb"}


def test_a_model_whose_face_is_far_out_is_refused_and_leaves_nothing(build: Build, tmp_path: Path) -> None:
    for far in (2e5, 1e37):
        with pytest.raises(RigError, match=r"stranger.glb: has a face more than 100000 units from the origin"):
            import_rig(build("jawOpen", edit=lambda d, far=far: d["nodes"][1].update(translation=[0, far, 0])), tmp_path / "rig")
    assert {p.name for p in tmp_path.iterdir()} == {"stranger.glb"}


def test_a_model_with_more_movements_than_a_rig_may_have_is_refused_at_once(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig_import, "MAX_CONTROLS", 9)
    import_rig(build("jawOpen", "q"), tmp_path / "rig")
    with pytest.raises(RigError, match=r"stranger.glb: has 3 morph targets and expressions, expected at most 2"):
        import_rig(build("jawOpen", "q", "r"), tmp_path / "again")


def test_names_that_no_control_may_have(build: Build, tmp_path: Path) -> None:
    names = ('he said "open"\n\u2028', "日本", "日本語", "a.b", "a_b", "x" * 200, "")
    done = import_rig(build(*names), tmp_path / "rig")
    rig = load_rig(tmp_path / "rig")
    load_model(rig)
    assert done.controls == 3 + len(names) == len(set(rig.names))


def test_the_command_says_what_it_did(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = build("jawOpen", "whiskers")
    monkeypatch.chdir(tmp_path)
    assert main(["rig", "import", str(model), "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done == {"folder": "stranger", "controls": 5, "mapped": 4, "unknown": ["whiskers"], "measured": [], "notes": []}
    assert main(["rig", "check", "stranger"]) == 0
    assert main(["rig", "import", str(model)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_names_that_say_nothing_are_told_by_what_they_move(tmp_path: Path) -> None:
    entries, binary = document(load_rig("human").model)
    scrubbed: dict[str, str] = {}
    for mesh in entries["meshes"]:
        if "extras" in mesh:
            names = mesh["extras"]["targetNames"]
            mesh["extras"]["targetNames"] = [scrubbed.setdefault(n, f"q{len(scrubbed):03}") if n in arkit.INDEX else n for n in names]
    (model := tmp_path / "nameless.glb").write_bytes(b"")
    done = import_rig(rewrite(model, entries, binary), tmp_path / "rig")
    controls = {c.name: c for c in load_rig(tmp_path / "rig").controls}
    right = [shape for shape, name in scrubbed.items() if dict(controls[name].arkit) == {shape: 1.0}]
    assert len(scrubbed) == 52 and len(right) >= 50
    assert set(done.measured) >= {scrubbed[shape] for shape in right}
    assert controls[scrubbed["mouthSmileLeft"]].mirror == scrubbed["mouthSmileRight"]
    assert controls[scrubbed["eyeLookUpLeft"]].source == "gaze.eyeLookUpLeft"
    report = (tmp_path / "rig/report.md").read_text()
    assert "moves like mouthSmileLeft" in report and "movement, confidence" in (tmp_path / "rig/rig.toml").read_text()
    assert (tmp_path / "rig/controls.png").stat().st_size > 10_000


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "controls", "mapped"),
    [("RobotExpressive", 6, 6), ("talkinghead_brunette-t", 69, 55), ("talkinghead_vroid", 111, 45), ("valid_Black_F_1_Casual", 103, 47)],
)
def test_third_party_avatars(data_root: Path, tmp_path: Path, name: str, controls: int, mapped: int) -> None:
    done = import_rig(data_root / "avatars" / f"{name}.glb", tmp_path / "rig")
    # What names say is exact; what movements say may add a few.
    assert done.controls == controls and mapped <= done.mapped <= mapped + 8
    load_model(load_rig(tmp_path / "rig"))
