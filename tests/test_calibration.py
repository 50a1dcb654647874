"""Calibration: rest becomes rest, ends stay reachable, bad neutrals are refused, profiles survive people and strangers."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from freeavatar import pipeline
from freeavatar.animator import Animator
from freeavatar.arkit import INDEX, MIRROR, NAMES
from freeavatar.calibrate import Reader, calibrate
from freeavatar.calibration import CalibrationError, Calibrator, measure_neutral, measure_range, with_gains
from freeavatar.demo import CLIP
from freeavatar.encoder import Encoder
from freeavatar.errors import OutputError, SourceError
from freeavatar.profiles import Adjustment, Neutral, Profile, find_profile, load_profile, profile_path, save_profile
from freeavatar.quaternion import from_angles, multiply, to_angles
from freeavatar.rig import Rig, load_rig
from freeavatar.sources import open_source
from freeavatar.toml_file import SettingsError
from freeavatar.types import Expression, FaceCrop, Frame, RigFrame

SHA = "ab" * 32


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FREEAVATAR_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture
def animator(weights: Path) -> Animator:
    return Animator.load(weights / "animator")


def face(i: int = 0, pose: tuple[float, ...] = (0, 0, 0, 0, 0, -0.5), gaze: tuple[float, float] = (0, 0), confidence: float = 1.0,
         feature: float = 0.2, **weights: float) -> Expression:  # fmt: skip
    shapes = np.zeros(52, np.float32)
    for name, weight in weights.items():
        shapes[INDEX[name]] = weight
    return Expression(np.full(8, feature, np.float32), np.zeros(4, np.float32), shapes, np.array(gaze, np.float32),
                      np.array(pose, np.float32), confidence, np.zeros(4, np.float32), i / 30, i)  # fmt: skip


def neutral_of(**fields: object) -> Neutral:
    return measure_neutral([face(i, **fields) for i in range(30)], SHA)  # type: ignore[arg-type]


def row(rig: Rig, values: dict[str, float] | None = None, expression: Expression | None = None) -> RigFrame:
    expression = expression or face()
    numbers = rig.neutral()
    for name, value in (values or {}).items():
        numbers[rig.names.index(name)] = value
    return RigFrame(rig.name, rig.names, rig.pose(numbers, expression.head_pose, expression.gaze), expression.arkit,
                    expression.head_pose, expression.gaze, 1.0, 0.0, 0)  # fmt: skip


def adjusted(rig: Rig, animator: Animator, **controls: Adjustment) -> Calibrator:
    return Calibrator(rig, animator, Profile(avatars={rig.name: controls}))


# --- neutral


def test_a_neutral_is_the_mean_without_blinks() -> None:
    lids = [0.9 if i in (9, 10) else 0.0 for i in range(30)]
    faces = [face(i, feature=i / 29, browInnerUp=0.2 + 0.01 * (i % 2), eyeBlinkLeft=v, eyeBlinkRight=v) for i, v in enumerate(lids)]
    neutral = measure_neutral([*faces, None], SHA)
    assert neutral.arkit[INDEX["eyeBlinkLeft"]] == 0
    assert neutral.arkit[INDEX["browInnerUp"]] == pytest.approx(0.205, abs=1e-3)
    assert neutral.feature.mean() == pytest.approx((0.5 * 30 - (9 + 10) / 29) / 28, abs=1e-3) and neutral.encoder_sha256 == SHA


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda i: None, "no face was seen"),
        (lambda i: face(i) if i < 20 else None, "in only 20 of 30 frames"),
        (lambda i: face(i, confidence=0.3), "hard to read"),
        (lambda i: face(i, pose=(0.5, 0, 0, 0, 0, -0.5)), "turned away"),
        (lambda i: face(i, eyeBlinkLeft=0.9, eyeBlinkRight=0.9), "eyes are closed"),
        (lambda i: face(i, gaze=(0.6, 0)), "look aside"),
        (lambda i: face(i, jawOpen=0.5), "mouth is open"),
        (lambda i: face(i, pose=(0.01 * i, 0, 0, 0, 0, -0.5)), "head moves"),
        (lambda i: face(i, pose=(0, 0, 0, 0.004 * i, 0, -0.5)), "head moves"),
        (lambda i: face(i, mouthSmileLeft=i / 30), "face moves"),
    ],
)  # fmt: skip
def test_a_bad_neutral_is_refused_with_the_reason(change: object, reason: str) -> None:
    with pytest.raises(CalibrationError, match=f"^neutral refused: .*{reason}.*try again$"):
        measure_neutral([change(i) for i in range(30)], SHA)  # type: ignore[operator]


def test_too_few_frames_are_no_neutral() -> None:
    with pytest.raises(CalibrationError, match="only 5 of 5 frames"):
        measure_neutral([face(i) for i in range(5)], SHA)


def test_lips_closed_over_an_open_jaw_are_no_open_mouth() -> None:
    assert neutral_of(jawOpen=0.5, mouthClose=0.45).arkit[INDEX["jawOpen"]] == pytest.approx(0.5)


# --- the neutral taken off


def test_rest_becomes_rest_and_both_ends_stay_reachable(rig: Rig, animator: Animator) -> None:
    driven = np.array([control.source == "animator" for control in rig.controls])
    reached = 0
    for feature in (-1.0, -0.5, 0.0, 0.2, 0.5):
        person = face(feature=feature, eyeBlinkLeft=0.3, browInnerUp=0.4)
        correct = Calibrator(rig, animator, Profile(neutral=measure_neutral([person] * 30, SHA)))
        own = animator.animate(person, rig)
        rest = correct(own)
        bounded = np.abs(own.values) > 0.6 * np.where(own.values > 0, rig.maximum, -rig.minimum)
        np.testing.assert_allclose(rest.values[driven & ~bounded], 0, atol=1e-6)
        np.testing.assert_allclose(rest.arkit, 0, atol=1e-6)
        reached += int((driven & ~bounded).sum())
        for end in (rig.minimum, rig.maximum):
            out = correct(replace(own, values=end, arkit=np.ones(52, np.float32)))
            np.testing.assert_allclose(out.values[driven], end[driven], atol=1e-6)
            np.testing.assert_allclose(out.arkit, 1, atol=1e-6)
    assert reached >= 5, "faces at rest of which the rig moved little enough"


def test_a_neutral_suits_rigs_that_the_animator_does_not_know(rig: Rig, animator: Animator) -> None:
    stranger = replace(rig, name="stranger")
    correct = Calibrator(stranger, animator, Profile(neutral=neutral_of(mouthSmileLeft=0.3)))
    assert correct(animator.animate(face(mouthSmileLeft=0.3), stranger))["smileLeft"] == pytest.approx(0, abs=1e-6)
    assert correct(animator.animate(face(mouthSmileLeft=0.65), stranger))["smileLeft"] == pytest.approx(0.5, abs=1e-6)


def test_a_resting_face_may_not_use_up_a_control(rig: Rig, animator: Animator) -> None:
    correct = Calibrator(rig, animator, Profile(neutral=neutral_of(mouthPucker=0.95)))
    out = correct(row(rig, expression=face(mouthPucker=0.95)))
    assert out.arkit[INDEX["mouthPucker"]] == pytest.approx((0.95 - 0.6) / 0.4, abs=1e-5)


def test_the_head_turns_from_where_it_rested(rig: Rig, animator: Animator) -> None:
    """A camera below the screen: what the head does is the same turn, as a rotation, not as a difference of angles."""
    camera, turn = from_angles(0.2, 0.3, 0.05), from_angles(0.4, -0.2, 0.1)
    seen = to_angles(multiply(camera, turn))
    correct = Calibrator(rig, animator, Profile(neutral=neutral_of(pose=(0.2, 0.3, 0.05, 0.1, -0.05, -0.5), gaze=(0.1, -0.05))))
    out = correct(row(rig, expression=face(pose=(*seen, 0.13, -0.05, -0.6), gaze=(0.3, -0.05))))
    np.testing.assert_allclose(out.head_pose, [0.4, -0.2, 0.1, 0.03, 0, -0.6], atol=1e-5)
    np.testing.assert_allclose(out.gaze, [0.2, 0], atol=1e-6)
    assert out["headYaw"] == pytest.approx(0.4, abs=1e-5) and out["lookUp"] == pytest.approx(0, abs=1e-6)


def test_an_empty_profile_changes_nothing(rig: Rig, animator: Animator) -> None:
    given = row(rig, {"smileLeft": 0.4})
    assert Calibrator(rig, animator, Profile())(given) is given


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)  # the rig and the animator never change
@given(arrays(np.float32, 6, elements=st.floats(-1, 2, width=32)), st.floats(0, 1), st.floats(0, 10), st.floats(-10, 10))
def test_whatever_a_profile_says_values_stay_in_their_ranges(
    rig: Rig, animator: Animator, values: np.ndarray, symmetry: float, gain: float, offset: float
) -> None:
    values = values.clip(rig.minimum, rig.maximum)
    own = {name: Adjustment(gain, offset, curve=2.5) for name in rig.names[:4]}
    correct = Calibrator(rig, animator, Profile("x", "y", neutral_of(jawOpen=0.2), symmetry, {}, {"tiny": own}))
    out = correct(replace(row(rig), values=values))
    assert (out.values >= rig.minimum).all() and (out.values <= rig.maximum).all() and np.isfinite(out.arkit).all()


# --- adjustments


def test_gain_offset_curve_and_range_come_in_this_order(rig: Rig, animator: Animator) -> None:
    given = row(rig, {"smileLeft": 0.2, "jawSide": -0.25, "lids": 0.5})
    out = adjusted(rig, animator, smileLeft=Adjustment(2.0, 0.1, 2.0))(given)
    assert out["smileLeft"] == pytest.approx(0.25)
    assert out["jawSide"] == -0.25 and out["lids"] == 0.5
    assert adjusted(rig, animator, smileLeft=Adjustment(range=(0.3, 0.6)))(given)["smileLeft"] == pytest.approx(0.3)
    assert adjusted(rig, animator, jawSide=Adjustment(curve=0.5))(given)["jawSide"] == pytest.approx(-0.5)
    points = ((0.0, 0.0), (0.25, 0.5), (1.0, 1.0))
    assert adjusted(rig, animator, lids=Adjustment(curve=points))(given)["lids"] == pytest.approx(1.0), "a quarter of 2 becomes half"
    shape = Calibrator(rig, animator, Profile(arkit={"jawOpen": Adjustment(gain=2)}))
    assert shape(row(rig, expression=face(jawOpen=0.3))).arkit[INDEX["jawOpen"]] == pytest.approx(0.6)


def test_symmetry_draws_sides_together_but_leaves_winks_and_directions(rig: Rig, animator: Animator) -> None:
    half, whole = (Calibrator(rig, animator, Profile(symmetry=amount)) for amount in (0.5, 1.0))
    seen = row(rig, {"smileLeft": 0.8, "smileRight": 0.4, "jawSide": 0.5}, face(eyeBlinkLeft=0.3, eyeBlinkRight=0.2, jawLeft=0.6))
    out = whole(seen)
    assert (out["smileLeft"], out["smileRight"], out["jawSide"]) == pytest.approx((0.6, 0.6, 0.5))
    assert (half(seen)["smileLeft"], half(seen)["smileRight"]) == pytest.approx((0.7, 0.5))
    assert out.arkit[INDEX["eyeBlinkLeft"]] == pytest.approx(0.25) and out.arkit[INDEX["jawLeft"]] == pytest.approx(0.6)
    wink = whole(row(rig, expression=face(eyeBlinkLeft=0.95, eyeBlinkRight=0.1)))
    assert wink.arkit[INDEX["eyeBlinkLeft"]] == pytest.approx(0.95) and wink.arkit[INDEX["eyeBlinkRight"]] == pytest.approx(0.1)
    even = whole(row(rig, expression=face(browOuterUpLeft=0.4, browDownRight=0.2))).arkit
    np.testing.assert_allclose(even, even[list(MIRROR)], atol=1e-6)


def test_the_range_of_motion_widens_what_moved_within_bounds() -> None:
    rows = [np.zeros(5, np.float32) for _ in range(60)]
    rows[10:14] = [np.array([0.8, 1.25, 0.1, 0.45, 1.0], np.float32)] * 4
    rows[20] = np.array([1.0, 1.25, 1.0, 0.45, 1.0], np.float32)  # seen once: a mistake
    gains = measure_range(rows, "abcde", np.array([1, 2, 1, 1, 1], np.float32))
    assert gains == {"a": 1.25, "b": 1.6}, "c and d hardly moved, e reaches its end"
    assert measure_range(rows[:2], "abcde", np.ones(5, np.float32)) == {}
    kept = with_gains({"a": Adjustment(offset=0.1)}, {"a": 1.5, "d": 1.2})
    assert kept == {"a": Adjustment(1.5, 0.1), "d": Adjustment(1.2)}


def test_names_that_an_avatar_does_not_have_are_refused(rig: Rig, animator: Animator) -> None:
    for name in ("smile", "headYaw"):
        with pytest.raises(SettingsError, match=rf"\[avatars.tiny\] names {name}"):
            adjusted(rig, animator, **{name: Adjustment(2.0)})


# --- profiles

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
        Calibrator(rig, animator, Profile(neutral=replace(neutral_of(), feature=np.zeros(3, np.float32))))


def test_a_folder_that_cannot_be_made_is_one_line(config: Path) -> None:
    config.write_text("a file in the way")
    with pytest.raises(OutputError, match="cannot be made"):
        save_profile(FULL)


# --- the job


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_the_job_writes_a_profile_that_live_finds(clip: Path, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freeavatar.calibrate.load_rig", lambda _: rig)
    _calm(monkeypatch)
    said: list[str] = []
    done = calibrate(clip, ["tiny"], "anna", countdown=0.0, seconds=0.3, say=said.append)
    encoder = Encoder.load()
    profile = find_profile("anna", "file", encoder.sha256)
    assert Path(done.profile).is_file() and done.frames == 9 and not done.interrupted
    assert profile.neutral is not None and profile.neutral.feature.shape == (8,) and said == ["hold still"]
    save_profile(replace(profile, symmetry=0.5, arkit={"jawOpen": Adjustment(1.5)}))
    calibrate(clip, ["tiny"], "anna", countdown=0.0, seconds=0.3)
    again = load_profile(Path(done.profile))
    assert again.symmetry == 0.5 and again.arkit == {"jawOpen": Adjustment(1.5)}, "what people wrote is kept"


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_the_job_refuses_and_writes_nothing(clip: Path, config: Path, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freeavatar.calibrate.load_rig", lambda _: rig)
    _calm(monkeypatch)
    with pytest.raises(CalibrationError, match="in only 1 of"):
        calibrate(clip, ["tiny"], countdown=0.3, seconds=0.3)
    with pytest.raises(CalibrationError, match="ended too soon"):
        calibrate(clip, ["tiny"], countdown=10.0)
    with pytest.raises(SourceError, match="countdown of 0 to 60 s"):
        calibrate(clip, ["tiny"], countdown=-1.0)
    assert not config.exists()


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_the_job_counts_down_and_measures_the_range(clip: Path, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freeavatar.calibrate.load_rig", lambda _: rig)
    _calm(monkeypatch)
    monkeypatch.setattr("freeavatar.calibrate.measure_range", lambda rows, names, maximum: {names[0]: 1.25} if len(rows[0]) < 52 else {})
    said: list[str] = []
    done = calibrate(clip, ["tiny"], range_of_motion=True, countdown=0.03, seconds=0.27, motion=0.8, say=said.append)
    assert done.ranges == 1 and said[:2] == ["face at rest, eyes on the screen: 0.03", "hold still"] and said[2].startswith("now move")
    assert find_profile(None, "file", Encoder.load().sha256).avatars == {"tiny": {"smileLeft": Adjustment(1.25)}}


def seen(times: Sequence[float | None]) -> Iterator[Frame]:
    """Frames of a camera, and one without a picture where it delivered none."""
    for i, time in enumerate(times):
        yield Frame(np.zeros((0, 0, 3) if time is None else (2, 2, 3), np.uint8), time or 0.0, i)


class Eyes:
    """What a reader needs besides frames; every picture holds a face."""

    def __init__(self, times: Sequence[float | None]) -> None:
        self.said, self.stop = list[str](), Event()
        source: Any = SimpleNamespace(name="camera 0", rate=8.0)
        crop: Any = object()
        self.reader = Reader(seen(times), source, lambda frame: crop, lambda crops: [face()], self.stop, self.said.append)


def test_whiles_follow_each_other_without_a_gap() -> None:
    eyes = Eyes([10 + i / 8 for i in range(7)])
    assert len(eyes.reader.read(0.375, "one")) == 3 and len(eyes.reader.read(0.25, "two")) == 2
    assert eyes.said == ["one", "two"]
    with pytest.raises(CalibrationError, match="camera 0 ended too soon; expected 1 s more"):
        eyes.reader.read(1.0, "three")


def test_a_camera_that_is_lost_starts_the_while_anew() -> None:
    eyes = Eyes([*(10 + i / 8 for i in range(4)), None, None, *(20 + i / 8 for i in range(6))])
    assert len(eyes.reader.read(0.25, "get ready")) == 2
    assert len(eyes.reader.read(0.5, "hold still")) == 4, "from when it is back, and nothing from before"
    assert eyes.said == ["get ready", "hold still", "hold still"]
    assert len(eyes.reader.read(0.25, "move")) == 2


def test_whoever_stops_is_not_told_that_the_camera_ended() -> None:
    eyes = Eyes([10.0])
    eyes.stop.set()
    assert eyes.reader.read(5.0, "hold still") == []


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_a_camera_that_hangs_does_not_hold_up_the_end(rig: Rig, monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    """Its thread is left in the driver."""
    gate = Event()

    class Hanging:
        def isOpened(self) -> bool:
            return True

        def read(self) -> tuple[bool, Any]:
            gate.wait(60)
            return False, None

        def get(self, prop: int, /) -> float:
            return 0.0

        def release(self) -> None: ...

    monkeypatch.setattr("freeavatar.calibrate.load_rig", lambda _: rig)
    _calm(monkeypatch)
    monkeypatch.setattr("freeavatar.sources.camera._open", lambda number, mode: Hanging())
    monkeypatch.setattr("freeavatar.pacing._FIRST_PICTURE", 0.0)
    with pytest.raises(SourceError, match="delivered no picture"):
        calibrate("0", ["tiny"])
    gate.set()
    assert not config.exists()


@pytest.mark.slow
def test_the_shipped_clip_rests_better_with_its_neutral() -> None:
    """Against the truth that the clip was rendered from; its first half second is the face at rest."""
    calibrate(CLIP, ["human"], countdown=0.0, seconds=0.45)
    encoder, animator = pipeline.load_models(threads=1)
    human = load_rig("human")
    with np.load(Path(__file__).parent / "data" / "demo_truth.npz", allow_pickle=False) as data:
        truth, columns = data["arkit"], [i for i in range(52) if data["mask"][i] > 0 and data["arkit"][:, i].max() > 0.2]
    with open_source(CLIP) as source, pipeline.FaceTracker(size=encoder.size) as tracker:
        faces = [encoder.encode([crop])[0] for frame in source if (crop := tracker.track(frame))]
    wanted = truth[:, columns]
    errors = []
    for profile in (Profile(), find_profile(None, "file", encoder.sha256)):
        correct = Calibrator(human, animator, profile)
        rows = np.stack([correct(animator.animate(face, human)).values for face in faces])
        error = np.abs(rows[:, [human.names.index(NAMES[i]) for i in columns]] - wanted)
        errors.append((error[wanted < 0.1].mean(), error[wanted > 0.1].mean()))
    assert errors[1][0] < 0.75 * errors[0][0], "rest"
    assert errors[1][1] < 1.25 * errors[0][1], "movement keeps its depth"


def _calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny encoder reads nonsense from grey pictures: let every face it sees be a face at rest."""
    read = Encoder.encode

    def calm(self: Encoder, crops: Sequence[FaceCrop]) -> list[Expression]:
        return [replace(e, arkit=e.arkit * 0, gaze=e.gaze * 0, confidence=1.0) for e in read(self, crops)]

    monkeypatch.setattr(Encoder, "encode", calm)
    monkeypatch.setattr("freeavatar.calibrate.FaceTracker", pipeline.FaceTracker)  # the one of the fixture ``tracked``
