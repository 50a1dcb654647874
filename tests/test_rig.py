"""Rigs: shipped ones are complete, maps do what they say, and mistakes in a rig.toml are named."""

from pathlib import Path

import numpy as np
import pytest

from freeavatar import arkit
from freeavatar.errors import RigError
from freeavatar.rig import ANIMATOR, load_rig, load_rigs

HEADER = """format = 1
name = "test"
title = "Test"
licence = "CC0-1.0"
model = "avatar.glb"
[camera]
target = [0.0, 0.1, 0.0]
height = 0.4
"""
JAW = '[[control]]\nname = "jaw"\nregion = "jaw"\nrange = [0, 1]\narkit = { jawOpen = 0.5 }\n'
SMILE = '[[control]]\nname = "smile"\nregion = "mouth"\nrange = [-1, 1]\narkit = { mouthSmileLeft = 1, mouthFrownLeft = -1 }\n'
PITCH = '[[control]]\nname = "nod"\nregion = "head"\nrange = [-0.5, 0.5]\nsource = "head.pitch"\nnode = "head"\naxis = "x"\n'
GAZE = '[[control]]\nname = "look"\nregion = "gaze"\nrange = [-1, 1]\nsource = "gaze.yaw"\nnode = "eye"\naxis = "y"\n'
EYE_LOOK = (
    '[[control]]\nname = "lookOut"\nregion = "gaze"\nrange = [0, 1]\nsource = "gaze.eyeLookOutLeft"\narkit = { eyeLookOutLeft = 1 }\n'
)


def write(folder: Path, toml: str) -> Path:
    (folder / "avatar.glb").write_bytes(b"not read here")
    (folder / "rig.toml").write_text(toml)
    return folder


def weights(**shapes: float) -> np.ndarray:
    return np.array([shapes.get(name, 0.0) for name in arkit.NAMES], np.float32)


def test_values_are_the_weighted_sum_of_arkit_within_the_range(tmp_path: Path) -> None:
    rig = load_rig(write(tmp_path, HEADER + JAW + SMILE))
    assert rig.from_arkit(weights(jawOpen=0.8, mouthFrownLeft=0.25)) == pytest.approx([0.4, -0.25])
    assert rig.from_arkit(weights(mouthSmileLeft=1) * 3) == pytest.approx([0, 1])


def test_a_clip_of_arkit_weights_maps_frame_by_frame(tmp_path: Path) -> None:
    rig = load_rig(write(tmp_path, HEADER + JAW + SMILE))
    clip = np.random.default_rng(0).random((7, 52), np.float32)
    assert rig.from_arkit(clip).shape == (7, 2)
    assert np.allclose(rig.from_arkit(clip), [rig.from_arkit(frame) for frame in clip])


def test_computed_controls_follow_pose_and_gaze_and_nothing_else(tmp_path: Path) -> None:
    rig = load_rig(write(tmp_path, HEADER + JAW + PITCH + EYE_LOOK))
    gaze = np.array([arkit.EYE_LOOK_FULL_YAW / 2, 0], np.float32)
    posed = rig.pose(np.array([0.7, 9, 9], np.float32), np.array([0.3, 2.0, 0.1, 0, 0, 0], np.float32), gaze)
    assert posed == pytest.approx([0.7, 0.5, 0.5])  # the nod is held at its range's end
    assert rig.computed(np.zeros(6, np.float32), np.zeros(2, np.float32)) == {"nod": 0.0, "lookOut": 0.0}
    assert not rig.from_arkit(weights(eyeLookOutLeft=1)).any()


def test_pose_leaves_its_argument_alone(tmp_path: Path) -> None:
    rig = load_rig(write(tmp_path, HEADER + JAW + PITCH))
    values = rig.neutral()
    rig.pose(values, np.full(6, 0.2, np.float32), np.zeros(2, np.float32))
    assert not values.any()


def test_normalised_values_come_back(tmp_path: Path) -> None:
    rig = load_rig(write(tmp_path, HEADER + JAW + SMILE + PITCH))
    values = np.random.default_rng(1).uniform(rig.minimum, rig.maximum, (20, 3)).astype(np.float32)
    unit = rig.normalise(values)
    assert unit.min() >= 0 and unit.max() <= 1
    assert rig.denormalise(unit) == pytest.approx(values, abs=1e-6)


def test_a_control_without_morphs_drives_the_target_of_its_name_unless_it_turns_a_node(tmp_path: Path) -> None:
    jaw, nod = load_rig(write(tmp_path, HEADER + JAW + PITCH)).controls
    assert dict(jaw.morphs) == {"jaw": 1.0}
    assert not nod.morphs and (nod.node, nod.axis, nod.gain) == ("head", "x", 1.0)


def test_correctives_are_products_of_what_their_controls_do(tmp_path: Path) -> None:
    corrective = '[[corrective]]\nmorph = "both"\ndrivers = { jaw = 1, smile = -2 }\n'
    rig = load_rig(write(tmp_path, HEADER + JAW + SMILE + corrective))
    assert rig.morph_weights(np.array([0.5, -0.25], np.float32)) == pytest.approx({"jaw": 0.5, "smile": 0, "both": 0.25})
    assert rig.morph_weights(np.array([0.5, 0.25], np.float32))["both"] == 0


def test_a_binary_control_is_on_or_off_where_it_acts(tmp_path: Path) -> None:
    rig = load_rig(write(tmp_path, HEADER + JAW + "binary = true\n" + SMILE))
    assert [rig.morph_weights(np.array([v, 0.3], np.float32))["jaw"] for v in (0, 0.5, 0.51, 1)] == [0, 0, 1, 1]
    assert rig.from_arkit(weights(jawOpen=0.8))[0] == pytest.approx(0.4), "values themselves stay smooth"


def test_changes_of_materials_are_read(tmp_path: Path) -> None:
    text = 'materials = [{ material = "Cheek", colour = [1, 0, 0, 0.5], offset = [0.5, 0] }]\n'
    (change,) = load_rig(write(tmp_path, HEADER + JAW + text)).controls[0].materials
    assert (change.material, change.colour, change.offset, change.scale) == ("Cheek", (1, 0, 0, 0.5), (0.5, 0), ())


@pytest.mark.parametrize("where", ["folder", "file"])
def test_a_rig_loads_from_its_folder_and_from_its_file(tmp_path: Path, where: str) -> None:
    folder = write(tmp_path, HEADER + JAW)
    assert load_rig(folder if where == "folder" else folder / "rig.toml").camera_height == 0.4


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (HEADER.replace("format = 1", "format = 2") + JAW, "format 2 is not known"),
        (HEADER.replace('title = "Test"\n', "") + JAW, "title is missing"),
        (HEADER.replace("height = 0.4", "height = 0") + JAW, "height must be above 0"),
        (HEADER.replace('"test"', '""') + JAW, "name is '', expected 1 to 256"),
        (HEADER.replace('"test"', '"../x"') + JAW, "name is '../x', expected 1 to 256 printable characters, none of them /"),
        (HEADER.replace('"test"', r'"a\nb"') + JAW, "name is 'a\\nb', expected"),
        (HEADER.replace("height = 0.4", "height = 0.4\nzoom = 2") + JAW, "unknown key 'zoom'"),
        (HEADER.replace("[0.0, 0.1, 0.0]", "[0.0, 0.1]") + JAW, "expected a list of 3 numbers"),
        (HEADER.replace("avatar.glb", "../avatar.glb") + JAW, "is not a file in the rig's folder"),
        (HEADER.replace("avatar.glb", "other.glb") + JAW, "is not a file in the rig's folder"),
        (HEADER, "control is missing"),
        (HEADER + JAW + JAW, "'jaw' is there twice"),
        (HEADER + JAW + "speed = 3\n", "unknown key 'speed'"),
        (HEADER + JAW.replace("[0, 1]", "[0.5, 1]"), "around 0, the rest"),
        (HEADER + JAW.replace("[0, 1]", "[0, 0]"), "around 0, the rest"),
        (HEADER + JAW.replace("[0, 1]", "[0, nan]"), "expected a number"),
        (HEADER + JAW.replace("[0, 1]", "[0, true]"), "expected a number"),
        (HEADER + JAW.replace("[0, 1]", '"wide"'), "expected a list of 2 numbers"),
        (HEADER + JAW.replace("jawOpen", "jawWide"), "jawWide, which ARKit does not have"),
        (HEADER + JAW.replace('region = "jaw"', 'region = "knee"'), "'knee', expected one of"),
        (HEADER + JAW.replace('"jaw"\nregion', '"jaw open"\nregion'), "letters, digits and underscores"),
        (HEADER + JAW + 'mirror = "other"\n', "mirror 'other' must be a control"),
        (HEADER + JAW + 'mirror = "smile"\n' + SMILE, "whose mirror is 'jaw'"),
        (HEADER + JAW + 'mirror = "smile"\n' + SMILE + 'mirror = "jaw"\n', "range differs from that of its mirror"),
        (HEADER + JAW + 'source = "head.pitch"\n', "arkit map must be left out"),
        (HEADER + PITCH.replace('axis = "x"', 'axis = "w"'), "'w', expected one of x, y, z"),
        (HEADER + PITCH.replace("head.pitch", "head.nod"), "expected one of animator, head.yaw"),
        (HEADER + GAZE + EYE_LOOK, "eyes turn twice"),
        (HEADER + JAW + '[[corrective]]\nmorph = "a"\ndrivers = { jaw = 1 }\n', "has 1 drivers; expected two or more"),
        (HEADER + JAW + '[[corrective]]\nmorph = "a"\ndrivers = { jaw = 1, jay = 1 }\n', "there is no control 'jay'"),
        (HEADER + JAW + "[[corrective]]\ndrivers = { jaw = 1, jay = 1 }\n", "morph is missing"),
        (HEADER + JAW + "binary = 1\n", "expected bool"),
        (HEADER + JAW + 'materials = [{ material = "a", colour = [1, 0, 0] }]\n', "expected a list of 4 numbers"),
        (HEADER + JAW + 'materials = [{ material = "a", shine = 2 }]\n', "unknown key 'shine'"),
        ("format = ", "is not valid TOML"),
        ("format = 0x" + "f" * 9000, "is not valid TOML"),
    ],
)
def test_a_mistake_is_named_in_one_line(tmp_path: Path, toml: str, message: str) -> None:
    with pytest.raises(RigError) as caught:
        load_rig(write(tmp_path, toml))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value) and "rig.toml" in str(caught.value)


def test_rigs_are_loaded_once_each() -> None:
    assert [rig.name for rig in load_rigs(["human", "robot"])] == ["human", "robot"]
    for names in ([], ["human", "human"]):
        with pytest.raises(RigError, match="each once"):
            load_rigs(names)


def test_an_unknown_name_lists_the_shipped_rigs() -> None:
    with pytest.raises(RigError, match=r"no rig 'nobody': expected .*\bhuman, .*robot"):
        load_rig("nobody")


def test_a_video_in_the_place_of_a_rig_says_where_it_belongs(tmp_path: Path) -> None:
    (tmp_path / "me.mp4").write_bytes(b"video")
    with pytest.raises(RigError, match=r"me\.mp4': is a file, not a rig's folder; of a command line, the input comes before --rig"):
        load_rig(tmp_path / "me.mp4")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "", "../robot", "."])
def test_strange_names_are_errors_too(name: str) -> None:
    with pytest.raises(RigError):
        load_rig(name)


def test_the_robot_joins_what_arkit_splits_but_not_its_lids() -> None:
    rig = load_rig("robot")
    assert 12 <= len(rig.controls) <= 25
    value = dict(zip(rig.names, rig.from_arkit(weights(mouthSmileLeft=0.6, mouthSmileRight=0.6, eyeBlinkLeft=1)), strict=True))
    assert value["mouthSmile"] == pytest.approx(0.6) and value["mouthSkew"] == pytest.approx(0)
    assert value["lidLeft"] == 1 and value["lidRight"] == 0
    frown = dict(zip(rig.names, rig.from_arkit(weights(mouthFrownLeft=1, mouthFrownRight=1)), strict=True))
    assert frown["mouthSmile"] == -1


@pytest.mark.parametrize("name", ["human", "robot"])
def test_shipped_rigs_have_a_map_for_every_control_of_the_animator(name: str) -> None:
    rig = load_rig(name)
    assert rig.name == name
    for control in rig.controls:
        assert (control.source != ANIMATOR) or control.arkit, control.name
    # Mirrored ARKit weights give mirrored values.
    shapes = np.random.default_rng(2).random(52, np.float32)
    partner = [rig.names.index(c.mirror or c.name) for c in rig.controls]
    plain, mirrored = rig.from_arkit(shapes), rig.from_arkit(shapes[list(arkit.MIRROR)])
    lateral = [
        not c.mirror and any(arkit.mirrored(s) in c.arkit and c.arkit[arkit.mirrored(s)] == -w for s, w in c.arkit.items())
        for c in rig.controls
    ]
    assert np.where(lateral, -mirrored, mirrored) == pytest.approx(plain[partner], abs=1e-6)


@pytest.mark.parametrize(("name", "lid"), [("anime", "blinkLeft"), ("robot", "lidLeft"), ("pixel", "lidLeft")])
def test_large_eyes_leave_no_slit_where_a_shut_eye_is_read_a_little_open(name: str, lid: str) -> None:
    rig = load_rig(name)
    value = dict(zip(rig.names, rig.from_arkit(weights(eyeBlinkLeft=0.87)), strict=True))
    assert value[lid] == 1
