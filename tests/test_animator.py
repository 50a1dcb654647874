"""The animator: which controls it drives, by which names, and what it refuses to load."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from freeavatar import arkit
from freeavatar.animator import FITTED, Animator, Fitted, read_fitted, write_fitted
from freeavatar.encoder import Encoder
from freeavatar.errors import WeightsError
from freeavatar.rig import Rig
from freeavatar.types import Expression


@pytest.fixture
def folder(weights: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(weights / "animator", tmp_path / "animator"))


@pytest.fixture
def expression() -> Expression:
    rng = np.random.default_rng(5)
    read = rng.random(52).astype(np.float32)
    pose, gaze = np.array([0.3, 0.1, 0, 0, 0, -0.5], np.float32), np.array([0.2, -0.1], np.float32)
    feature, embedding = rng.normal(size=8).astype(np.float32), np.ones(4, np.float32) / 2
    return Expression(feature, embedding, read, gaze, pose, 0.7, np.zeros(4, np.float32), 2.5, 75)


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def test_values_are_those_of_the_network_by_name_and_in_range(folder: Path, rig: Rig, expression: Expression) -> None:
    row = Animator.load(folder).animate(expression, rig)
    rng = np.random.default_rng(2)  # the fixture's matrices
    a, c = rng.normal(size=(8, 5)), rng.normal(size=(3, 5))
    avatars = load_file(folder / "avatars.safetensors")
    order = json.loads((folder / "config.json").read_text())["rigs"]["tiny"]
    logits = (expression.feature @ a + avatars["tiny.code"] @ c) @ avatars["tiny.queries"].T
    unit = {name: sigmoid(x) for name, x in zip(order, logits, strict=True)}
    assert row["smileLeft"] == pytest.approx(unit["smileLeft"], abs=1e-4)
    assert row["lids"] == pytest.approx(2 * unit["lids"], abs=1e-4)
    assert row["jawSide"] == pytest.approx(2 * unit["jawSide"] - 1, abs=1e-4)


def test_pose_and_gaze_controls_are_computed(folder: Path, rig: Rig, expression: Expression) -> None:
    row = Animator.load(folder).animate(expression, rig)
    assert row["headYaw"] == pytest.approx(0.3) and row["lookUp"] == pytest.approx(-0.1)


def test_the_row_carries_what_the_encoder_read(folder: Path, rig: Rig, expression: Expression) -> None:
    row = Animator.load(folder).animate(expression, rig)
    assert (row.rig, row.names, row.time, row.index, row.confidence) == ("tiny", rig.names, 2.5, 75, 0.7)
    assert row.arkit is expression.arkit


def test_an_unknown_rig_is_driven_by_the_read_out(folder: Path, rig: Rig, expression: Expression) -> None:
    other = replace(rig, name="stranger")
    animator = Animator.load(folder)
    row = animator.animate(expression, other)
    assert animator.knows(rig) and not animator.knows(other)
    assert row["smileLeft"] == pytest.approx(float(expression.arkit[arkit.INDEX["mouthSmileLeft"]]))
    assert row["headYaw"] == pytest.approx(0.3)


def test_a_rig_with_a_new_control_is_driven_by_the_read_out(folder: Path, rig: Rig) -> None:
    edited = replace(rig, controls=(*rig.controls, replace(rig.controls[0], name="whiskers", mirror="")))
    assert not Animator.load(folder).knows(edited)


def test_a_rig_that_lost_a_control_is_still_known(folder: Path, rig: Rig, expression: Expression) -> None:
    animator = Animator.load(folder)
    fewer = replace(rig, controls=rig.controls[2:])
    assert animator.knows(fewer)
    assert animator.animate(expression, fewer)["lids"] == pytest.approx(animator.animate(expression, rig)["lids"])


def test_only_its_own_encoder_is_accepted(folder: Path, weights: Path) -> None:
    animator, encoder = Animator.load(folder), Encoder.load(weights / "encoder")
    animator.check_encoder(encoder)
    encoder.sha256 = "0" * 64
    with pytest.raises(WeightsError, match="trained on the encoder"):
        animator.check_encoder(encoder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query_size": 6}, r"tensor tiny\.queries has shape \(4, 5\), expected \(4, 6\)"),
        ({"rigs": {}}, r"unknown tensor tiny\.code"),
        ({"rigs": {"tiny": ["a", "a", "b", "c"]}}, "distinct"),
        ({"rigs": {"tiny": "abcd"}}, "list of distinct"),
        ({"rigs": []}, "rigs must be"),
        ({"feature_size": 9}, "feature has shape"),
        ({"surprise": 1}, "unknown fields"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(folder: Path, changes: dict[str, object], message: str) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(WeightsError, match=message):
        Animator.load(folder)


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"\xff" * 8])
def test_damaged_avatars_are_refused(folder: Path, content: bytes) -> None:
    (folder / "avatars.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match="not a valid safetensors"):
        Animator.load(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop("tiny.code"), r"lacks the tensor tiny\.code"),
        (lambda t: t.update({"tiny.code": t["tiny.code"][:2]}), r"tiny\.code has shape \(2,\), expected \(3,\)"),
        (lambda t: t.update({"tiny.code": t["tiny.code"].astype(np.int64)}), r"tiny\.code is int64"),
        (lambda t: t.update({"tiny.code": t["tiny.code"] * np.float32(np.nan)}), r"tiny\.code holds NaN"),
    ],
)
def test_an_avatar_that_does_not_fit_is_refused_by_its_tensors_name(folder: Path, edit: Callable[[Any], object], message: str) -> None:
    tensors = load_file(path := folder / "avatars.safetensors")
    edit(tensors)
    save_file(tensors, path)
    with pytest.raises(WeightsError, match=message):
        Animator.load(folder)


def test_missing_avatars_are_named(folder: Path) -> None:
    (folder / "avatars.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"avatars\.safetensors: cannot be read"):
        Animator.load(folder)


def fitted(rig: Rig, folder: Path) -> Fitted:
    """What might have been fitted to the rig."""
    known = load_file(folder / "avatars.safetensors")
    names = json.loads((folder / "config.json").read_text())["rigs"]["tiny"]
    return Fitted(known["tiny.code"] + 1, dict(zip(names, -known["tiny.queries"], strict=True)))


def test_what_was_fitted_to_a_rig_lies_beside_it_and_comes_first(folder: Path, rig: Rig, expression: Expression) -> None:
    shipped = Animator.load(folder).animate(expression, rig)
    own = fitted(rig, folder)
    write_fitted(rig.folder / FITTED, own, Animator.load(folder).sha256)
    animator = Animator.load(folder)
    for someone in (rig, replace(rig, name="stranger")):
        row = animator.animate(expression, someone)
        assert animator.knows(someone) and abs(row["smileLeft"] - shipped["smileLeft"]) > 1e-3
    again = read_fitted(rig.folder / FITTED, animator.sha256, 3, 5)
    np.testing.assert_array_equal(again.code, own.code)
    np.testing.assert_array_equal(again.queries["lids"], own.queries["lids"])


def test_what_was_fitted_to_another_animator_is_refused(folder: Path, rig: Rig, expression: Expression) -> None:
    write_fitted(rig.folder / FITTED, fitted(rig, folder), "0" * 64)
    with pytest.raises(WeightsError, match=r"fitted to another animator .* train avatar"):
        Animator.load(folder).animate(expression, rig)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"code": [1.0]}, "expected a code of 3 numbers and queries of 5"),
        ({"queries": {"lids": [1.0] * 4}}, "expected a code of 3 numbers and queries of 5"),
        ({"queries": {"lids": ["a"] * 5}}, "not what train avatar writes"),
        ({"queries": [1]}, "not what train avatar writes"),
        ({"code": [1e999, 0, 0]}, "NaN or infinity"),
        ({"code": None}, "not what train avatar writes|expected a code"),
    ],
)
def test_a_damaged_fit_is_refused_by_its_path(folder: Path, rig: Rig, change: dict[str, object], message: str) -> None:
    sha256, path = Animator.load(folder).sha256, rig.folder / FITTED
    write_fitted(path, fitted(rig, folder), sha256)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(WeightsError, match=message) as error:
        read_fitted(path, sha256, 3, 5)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000])
def test_a_fit_that_is_no_json_is_refused(rig: Rig, content: bytes) -> None:
    (rig.folder / FITTED).write_bytes(content)
    with pytest.raises(WeightsError, match="not what train avatar writes"):
        read_fitted(rig.folder / FITTED, "0" * 64, 3, 5)
