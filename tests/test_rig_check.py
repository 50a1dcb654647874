"""What is wrong with a rig is explained in one line each; shipped rigs have little to explain."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from freeavatar.errors import RenderError
from freeavatar.rig import load_rig
from freeavatar.rig_check import Finding, check_rig
from freeavatar_renderer import gl


@pytest.fixture(autouse=True, scope="module")
def graphics() -> None:
    try:
        gl.context()
    except RenderError as error:
        pytest.skip(str(error))


def changed(tmp_path: Path, name: str, *changes: tuple[str, str], more: str = "") -> Path:
    """A copy of a shipped rig with another rig.toml."""
    shutil.copytree(load_rig(name).folder, folder := tmp_path / "rig")
    text = (folder / "rig.toml").read_text()
    for before, after in changes:
        assert text.count(before) >= 1, before
        text = text.replace(before, after)
    (folder / "rig.toml").write_text(text + more)
    return folder


def found(folder: Path, kind: str) -> list[Finding]:
    return [f for f in check_rig(folder).findings if f.kind == kind]


@pytest.mark.parametrize("name", ["human", "robot"])
def test_shipped_rigs_close_their_lids_and_move_what_they_say(name: str) -> None:
    done = check_rig(name)
    assert done.valid and not [f for f in done.findings if f.kind in ("lids", "still", "mirror", "undriven", "duplicate")]


def test_a_missing_partner_a_short_map_and_an_undriven_control_are_explained(tmp_path: Path) -> None:
    folder = changed(
        tmp_path,
        "human",
        ('mirror = "noseSneerRight"\n', ""),
        ('mirror = "noseSneerLeft"\n', ""),
        ("arkit = { cheekPuff = 1.0 }", "arkit = { cheekPuff = 0.4 }"),
        ("arkit = { jawForward = 1.0 }\n", ""),
    )
    findings = {f.kind: f for f in check_rig(folder).findings if set(f.controls) & {"noseSneerLeft", "cheekPuff", "jawForward"}}
    assert "mirror = 'noseSneerRight'" in findings["mirror"].message
    assert "reaches 0 to 0.4" in findings["range"].message
    assert findings["undriven"].controls == ("jawForward",)
    assert all("\n" not in f.message for f in findings.values())


def test_controls_that_move_nothing_or_the_same_are_explained(tmp_path: Path) -> None:
    more = '\n[[control]]\nname = "still"\nregion = "mouth"\nrange = [0, 1]\narkit = { jawOpen = 1 }\nmorphs = { jawOpen = 0.0001 }\n'
    more += '[[control]]\nname = "again"\nregion = "jaw"\nrange = [0, 1]\narkit = { jawOpen = 1 }\nmorphs = { jawOpen = 0.7 }\n'
    folder = changed(tmp_path, "human", more=more)
    assert [f.controls for f in found(folder, "still")] == [("still",)]
    assert [f.controls for f in found(folder, "duplicate")] == [("jawOpen", "again")]


def test_lids_that_stay_open_and_lips_that_do_not_meet_are_shown(tmp_path: Path) -> None:
    folder = changed(
        tmp_path,
        "human",
        ("arkit = { eyeBlinkLeft = 1.0 }\n", "arkit = { eyeBlinkLeft = 1.0 }\nmorphs = { eyeBlinkLeft = 0.3 }\n"),
        ("arkit = { mouthClose = 1.0 }\n", "arkit = { mouthClose = 1.0 }\nmorphs = { mouthClose = 0.05 }\n"),
    )
    done = check_rig(folder, tmp_path / "pictures")
    lids = [f for f in done.findings if f.kind == "lids"]
    assert [f.controls for f in lids] == [("eyeBlinkLeft",)] and "left eye" in lids[0].message
    assert [f.controls for f in done.findings if f.kind == "lips"] == [("mouthClose",)]
    assert {Path(p).name for p in done.pictures} == {"controls.png", "lids.png", "lips.png"}
    for picture in done.pictures:
        with Image.open(picture) as image:
            assert image.width > 256
