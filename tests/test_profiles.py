"""Profiles survive people and strangers."""

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeavatar.animator import Animator
from freeavatar.calibration import Calibrator
from freeavatar.errors import OutputError
from freeavatar.profiles import Adjustment, Neutral, Profile, find_profile, load_profile, profile_path, save_profile
from freeavatar.rig import Rig
from freeavatar.toml_file import SettingsError
from made_faces import SHA, adjusted, row

pytestmark = pytest.mark.usefixtures("config")


FULL = Profile(
    "anna", "camera 0", Neutral(SHA, np.linspace(-1, 1, 8, dtype=np.float32), np.linspace(0, 1, 52, dtype=np.float32),
    np.array([0.1, -0.2], np.float32), np.array([0.1, 0.2, 0.3, 0, 0, -0.5], np.float32)), 0.25,
    {"jawOpen": Adjustment(1.5, -0.1, 0.7, (0.0, 0.8))}, {"tiny": {"lids": Adjustment(curve=((0.0, 0.0), (0.5, 0.2), (1.0, 1.0)))}},
)  # fmt: skip


def same(a: Profile, b: Profile) -> None:
    assert replace(a, neutral=None) == replace(b, neutral=None)
    assert a.neutral is not None and b.neutral is not None and a.neutral.encoder_sha256 == b.neutral.encoder_sha256
    for key in ("feature", "arkit", "gaze", "head_pose"):
        np.testing.assert_allclose(getattr(a.neutral, key), getattr(b.neutral, key), atol=1e-4)


def test_a_profile_comes_back_as_it_was_written(config: Path) -> None:
    path = save_profile(FULL)
    assert path == config / "profiles" / "anna" / "camera-0.toml"
    same(load_profile(path), FULL)
    assert [p.name for p in path.parent.iterdir()] == ["camera-0.toml"]


def test_the_default_profile_is_reused_and_named_ones_must_exist() -> None:
    assert find_profile(None, "camera 0", SHA).empty
    save_profile(replace(FULL, user="default"))
    assert find_profile(None, "camera 0", SHA).symmetry == 0.25
    assert find_profile(None, "camera 1", SHA).empty and find_profile("none", "camera 0", SHA).empty
    with pytest.raises(SettingsError, match="no profile 'anna' for camera 0; make it with"):
        find_profile("anna", "camera 0", SHA)


def test_a_folder_that_cannot_be_looked_into_holds_no_profile(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*args: object, **kwargs: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", locked)
    assert find_profile(None, "camera 0", SHA).empty
    with pytest.raises(SettingsError, match="no profile"):
        find_profile("\U00020000" * 64, "camera 0", SHA)


def test_another_encoder_loses_its_neutral_but_keeps_its_gains() -> None:
    save_profile(FULL)
    said: list[str] = []
    profile = find_profile("anna", "camera 0", "cd" * 32, said.append)
    assert profile.neutral is None and profile.arkit == FULL.arkit and profile.avatars == FULL.avatars
    assert len(said) == 1 and "taken with the encoder abababababab" in said[0] and "calibrate" in said[0]


@pytest.mark.parametrize("user", ["", "..", "../x", "a/b", "a\\b", "none", "x" * 65, "a\0b", "a b"])
def test_names_that_leave_the_folder_are_refused(user: str) -> None:
    with pytest.raises(SettingsError, match="expected a name"):
        profile_path(user, "camera 0")


@given(st.text(max_size=80))
def test_cameras_of_any_name_stay_in_the_folder(camera: str) -> None:
    path = profile_path("anna", camera)
    assert path.parent.name == "anna" and path.resolve().parent == path.parent.resolve() and len(path.name) < 80


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("format = 2", "format is 2"), ("", "format is 0"), ("format = 1\nsymmetry = 2", "expected a number from 0 to 1"),
        ("format = 1\nx = 1", "unknown key 'x'"), ("format = 1\n[arkit.jaw]\ngain = 1", "which ARKit does not have"),
        ("format = 1\n[arkit.jawOpen]\ngain = -1", "from 0 to 10"), ("format = 1\n[arkit.jawOpen]\ngian = 1", "unknown key 'gian'"),
        ("format = 1\n[avatars.tiny.lids]\ncurve = [[0, 0], [0, 1]]", "first numbers rise"),
        ("format = 1\n[avatars.tiny.lids]\ncurve = [[0, 0], [2, 1]]", "expected a number from 0 to 1"),
        ("format = 1\n[avatars.tiny.lids]\ncurve = [[0, 0.2], [1, 1]]", "makes rest jump"),
        ("format = 1\n[avatars.tiny.lids]\ncurve = []", "needs 2 to 32 points"),
        ("format = 1\n[avatars.tiny.lids]\nrange = [1, 0]", "the lower first"), ("format = 1\narkit = 3", "expected a table"),
        ("format = 1\n[neutral]\ngaze = [0, 0]", "head_pose|feature"), ("format = 1\n[avatars.tiny]\nlids = 2", "expected a table"),
    ],
)  # fmt: skip
def test_a_profile_that_is_not_understood_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(SettingsError, match=reason):
        load_profile(tmp_path / "x.toml")


def test_a_curve_starts_at_rest_written_or_not(rig: Rig, animator: Animator, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("format = 1\n[avatars.tiny.jawSide]\ncurve = [[0.5, 0.8], [1, 1]]")
    curve = load_profile(tmp_path / "x.toml").avatars["tiny"]["jawSide"].curve
    assert curve == ((0.0, 0.0), (0.5, 0.8), (1.0, 1.0))
    bend = adjusted(rig, animator, jawSide=Adjustment(curve=curve))
    path = [bend(row(rig, {"jawSide": x}))["jawSide"] for x in np.linspace(-1, 1, 201)]
    assert path[100] == 0 and max(abs(b - a) for a, b in pairwise(path)) < 0.02, "no jump"
    assert path[25] == pytest.approx(-0.9) and path[125] == pytest.approx(0.4)


@given(st.data())
def test_a_damaged_profile_is_refused_or_read_never_worse(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = save_profile(FULL)
    text = path.read_bytes()
    at = data.draw(st.integers(0, len(text) - 1))
    broken = text[:at] + data.draw(st.binary(max_size=6)) + text[at + data.draw(st.integers(0, 40)) :]
    other = path.with_name("broken.toml")
    other.write_bytes(broken)
    try:
        assert isinstance(load_profile(other), Profile)
    except SettingsError as error:
        assert str(other) in str(error)


def test_a_neutral_of_another_length_is_refused(rig: Rig, animator: Animator) -> None:
    with pytest.raises(SettingsError, match="feature has 3 numbers, expected 8"):
        Calibrator(rig, animator, Profile(neutral=replace(FULL.neutral, feature=np.zeros(3, np.float32))))


def test_a_folder_that_cannot_be_made_is_one_line(config: Path) -> None:
    config.write_text("a file in the way")
    with pytest.raises(OutputError, match="cannot be made"):
        save_profile(FULL)
