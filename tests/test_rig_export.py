"""A rig goes into one file and comes back as it was."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from freeavatar.errors import OutputError, RenderError, RigError
from freeavatar.rig import list_rigs, load_rig
from freeavatar.rig_export import export_rig
from freeavatar.rig_import import import_rig
from freeavatar_renderer import gl
from freeavatar_renderer.glb import load_glb
from freeavatar_renderer.model import Model
from tests.test_glb import document, rewrite


@pytest.fixture(autouse=True, scope="module")
def graphics() -> None:
    try:
        gl.context()
    except RenderError as error:
        pytest.skip(str(error))


def assert_same_morphs(a: Model, b: Model, tolerance: float = 0.0) -> None:
    assert [n.name for n in a.nodes] == [n.name for n in b.nodes]
    for one, other in zip(a.nodes, b.nodes, strict=True):
        for p, q in zip(one.primitives, other.primitives, strict=True):
            assert p.morphs.keys() == q.morphs.keys() and np.abs(p.positions - q.positions).max() <= tolerance
            for name, morph in p.morphs.items():
                assert np.array_equal(morph.vertices, q.morphs[name].vertices)
                assert np.abs(morph.moves - q.morphs[name].moves).max(initial=0) <= max(tolerance, 1e-9)


@pytest.mark.parametrize("name", list_rigs())
def test_a_shipped_rig_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    rig = load_rig(name)
    done = export_rig(name, tmp_path / "one.glb")
    assert done.controls == len(rig.controls) and done.bytes == (tmp_path / "one.glb").stat().st_size
    imported = import_rig(tmp_path / "one.glb", tmp_path / "again")
    again = load_rig(tmp_path / "again")
    assert again.controls == rig.controls and again.correctives == rig.correctives and imported.controls == len(rig.controls)
    assert (again.name, again.title, again.licence, again.camera_target) == (rig.name, rig.title, rig.licence, rig.camera_target)
    assert (again.folder / "rig.toml").read_text() == (rig.folder / "rig.toml").read_text()
    assert (again.folder / "LICENSE").read_text() == (rig.folder / "LICENSE").read_text()
    assert_same_morphs(load_glb(rig.model), load_glb(again.model))
    export_rig(again.folder, tmp_path / "two.glb")
    assert (tmp_path / "two.glb").read_bytes() == (tmp_path / "one.glb").read_bytes()


def test_a_model_without_its_rig_keeps_names_movements_and_ranges(tmp_path: Path) -> None:
    rig = load_rig("human")
    import_rig(rig.model, tmp_path / "human")
    again = load_rig(tmp_path / "human")
    export_rig(again.folder, tmp_path / "human.glb")
    before, after = load_glb(rig.model), load_glb(tmp_path / "human.glb")
    driven = {c.name: c for c in rig.controls if c.morphs and not c.node and len(c.morphs) == 1}
    kept = {c.name: c for c in again.controls}
    assert before.morphs == after.morphs
    assert {n: (kept[n].minimum, kept[n].maximum, kept[n].arkit, kept[n].mirror) for n in driven} == {
        n: (c.minimum, c.maximum, c.arkit, c.mirror) for n, c in driven.items()
    }
    from freeavatar_renderer.measuring import motions

    groups = {name: {name: 1.0} for name in sorted(before.morphs)}
    a, b = motions(before, groups), motions(after, groups)
    assert np.abs(a.points - b.points).max() < 1e-6 and np.abs(a.moves - b.moves).max() < 1e-6


def test_the_file_is_a_plain_glb_with_named_targets(tmp_path: Path) -> None:
    export_rig("robot", tmp_path / "robot.glb")
    entries, _ = document(tmp_path / "robot.glb")
    assert entries["extras"]["freeavatar"]["toml"] == (load_rig("robot").folder / "rig.toml").read_text()
    names = {name for mesh in entries["meshes"] for name in mesh.get("extras", {}).get("targetNames", [])}
    assert {"mouthSmile", "browRaise"} <= names


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"toml": "format = 1"}, "camera is missing"),
        ({"toml": 'model = "../../avatar.glb"'}, "not valid"),
        ({"toml": "[" * 5000}, "not valid"),
        ({"toml": 5}, "not valid"),
        ({"toml": "x = '\ud800'"}, "not valid"),
        ({"toml": "x = 1", "licence": "\ud800"}, "not valid"),
        ({"licence": "x"}, "not valid glTF"),
    ],
)
def test_a_damaged_rig_in_a_file_is_refused_in_one_line(tmp_path: Path, change: dict[str, object], message: str) -> None:
    export_rig("robot", tmp_path / "robot.glb")
    entries, binary = document(tmp_path / "robot.glb")
    entries["extras"]["freeavatar"] = change
    with pytest.raises(RigError) as caught:
        import_rig(rewrite(tmp_path / "robot.glb", entries, binary), tmp_path / "again")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert {p.name for p in tmp_path.iterdir()} == {"robot.glb"}


def test_numbers_beyond_all_floats_are_refused_wherever_they_stand(tmp_path: Path) -> None:
    export_rig("robot", tmp_path / "robot.glb")
    entries, binary = document(tmp_path / "robot.glb")
    damaged = rewrite(tmp_path / "robot.glb", entries | {"asset": {"version": "2.0", "extras": "@@@"}}, binary)
    damaged.write_bytes(damaged.read_bytes().replace(b'"@@@"', b"1e999"))
    with pytest.raises(RigError, match="not finite"):
        import_rig(damaged, tmp_path / "again")


def test_a_licence_that_leads_elsewhere_is_not_passed_on(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    shutil.copytree(load_rig("robot").folder, tmp_path / "rig")
    (tmp_path / "rig" / "LICENSE").unlink()
    (tmp_path / "rig" / "LICENSE").symlink_to(tmp_path / "secret")
    export_rig(tmp_path / "rig", tmp_path / "robot.glb")
    assert document(tmp_path / "robot.glb")[0]["extras"]["freeavatar"]["licence"] == ""


def test_the_output_is_checked_first(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="unknown output format"):
        export_rig("robot", tmp_path / "robot.obj")
    with pytest.raises(RigError, match="no rig"):
        export_rig("nobody", tmp_path / "nobody.glb")
    assert not list(tmp_path.iterdir())
    assert json.dumps(export_rig("robot", tmp_path / "r.glb").__dict__)
