"""One-Euro: quiet at rest, quick in movement, true to the time that passed; blinks, winks, lips and gaze survive."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freeavatar.arkit import INDEX
from freeavatar.filters import PRESETS, Balance, OneEuro, RigFilter, RotationOneEuro, load_smoothing
from freeavatar.quaternion import from_angles, inverse, multiply, to_vector
from freeavatar.rig import Rig, load_rig
from freeavatar.toml_file import SettingsError
from freeavatar.types import RigFrame

NOISE = Path(__file__).parent / "data" / "webcam_noise.npz"
"""Written by tools/measure_filters.py --record."""
FIELDS = (("arkit", "arkit"), ("gaze", "gaze"), ("head_pose", "head_pose"))


def row(rig: Rig, time: float, **fields: object) -> RigFrame:
    zeros: dict[str, object] = {"arkit": np.zeros(52, np.float32), "head_pose": np.zeros(6, np.float32), "gaze": np.zeros(2, np.float32)}
    values = {"values": rig.neutral()} | zeros | fields
    return RigFrame(rig.name, rig.names, confidence=1.0, time=time, index=0, **values)  # type: ignore[arg-type]


def test_a_constant_passes_unchanged() -> None:
    smooth = OneEuro(1.0, 1.0)
    for i in range(20):
        np.testing.assert_allclose(smooth([0.3, 0.7], i / 30), [0.3, 0.7], atol=1e-7)


def test_noise_at_rest_shrinks() -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, 300)
    smooth = OneEuro(1.0, 0.0)
    out = np.array([float(smooth(v, i / 30)) for i, v in enumerate(noise)])
    assert out[30:].std() < 0.45 * noise[30:].std()


def test_speed_opens_the_filter() -> None:
    def lag(beta: float) -> float:
        smooth = OneEuro(1.0, beta)
        return max(i / 30 - float(smooth(i / 30, i / 30)) for i in range(60))

    assert lag(5.0) < 0.3 * lag(0.0)


def test_the_true_time_step_counts_not_the_number_of_calls() -> None:
    # A first-order low-pass after a step has the same value at the same time, however often it was called.
    coarse, fine = OneEuro(1.0, 0.0), OneEuro(1.0, 0.0)
    for smooth in (coarse, fine):
        smooth(0.0, 0.0)
    rough = [float(coarse(1.0, t)) for t in np.arange(1, 31) / 100][-1]
    exact = [float(fine(1.0, t)) for t in np.arange(1, 301) / 1000][-1]
    assert rough == pytest.approx(exact, abs=0.03)
    wrong = OneEuro(1.0, 0.0)
    wrong(0.0, 0.0)
    assert [float(wrong(1.0, i / 30)) for i in range(1, 31)][-1] > rough + 0.1


def test_a_gap_or_a_step_back_starts_afresh_and_a_repeated_time_holds() -> None:
    smooth = OneEuro(0.1, 0.0)
    smooth(0.0, 0.0)
    assert float(smooth(1.0, 2.0)) == 1.0
    assert float(smooth(0.5, 1.0)) == 0.5
    assert float(smooth(0.9, 1.0)) == 0.5


def test_channels_do_not_touch_each_other() -> None:
    rng = np.random.default_rng(3)
    values = rng.random((40, 3))
    together, alone = OneEuro([1.0, 2.0, 3.0], [0.0, 1.0, 2.0]), OneEuro(2.0, 1.0)
    for i, value in enumerate(values):
        assert together(value, i / 30)[1] == pytest.approx(float(alone(value[1], i / 30)), abs=1e-6)


SHAPES = pytest.mark.parametrize("shape", [(1, 1, 1), (0.5, 1, 0.5), (0.3, 0.9, 1, 0.6), (0.6, 1, 0.2)])
EVERY = pytest.mark.parametrize("preset", PRESETS)


def shapes(**weights: float) -> np.ndarray:
    values = np.zeros(52, np.float32)
    for name, weight in weights.items():
        values[INDEX[name]] = weight
    return values


@EVERY
@SHAPES
@pytest.mark.parametrize("depth", [2.0, 1.0])
def test_a_blink_of_a_tenth_of_a_second_reaches_its_end(rig: Rig, preset: str, shape: tuple[float, ...], depth: float) -> None:
    smooth = RigFilter(rig, PRESETS[preset])
    lids = rig.names.index("lids")
    peak = read = 0.0
    for i in range(60):
        closed = shape[i - 30] if 0 <= i - 30 < len(shape) else 0.0
        values = rig.neutral()
        values[lids] = closed * depth
        out = smooth(row(rig, i / 30, values=values, arkit=shapes(eyeBlinkLeft=closed, eyeBlinkRight=closed)))
        peak, read = max(peak, float(out.values[lids])), max(read, float(out.arkit[INDEX["eyeBlinkLeft"]]))
    assert peak >= 0.95 * depth and read >= 0.95
    assert float(out.values[lids]) < 0.02


@EVERY
def test_winks_stay_winks(rig: Rig, preset: str) -> None:
    smooth = RigFilter(rig, PRESETS[preset])
    left = right = 0.0
    for i in range(60):
        wink = 30 <= i < 33
        out = smooth(row(rig, i / 30, arkit=shapes(eyeBlinkLeft=1.0 if wink else 0.05, eyeBlinkRight=0.12 if wink else 0.05)))
        left, right = max(left, float(out.arkit[INDEX["eyeBlinkLeft"]])), max(right, float(out.arkit[INDEX["eyeBlinkRight"]]))
    assert left >= 0.95 and right <= 0.12


@EVERY
@pytest.mark.parametrize("closing", [{"jawOpen": 0.0}, {"jawOpen": 0.4, "mouthClose": 0.4}, {"jawOpen": 0.2, "mouthClose": 0.18}])
def test_lips_that_meet_for_two_frames_still_meet(rig: Rig, preset: str, closing: dict[str, float]) -> None:
    """A p, b or m in the middle of an open mouth: on the read-out, on two controls, and on one that joins both."""
    mouth = rig.controls[0]
    own = (
        replace(mouth, name="jawOpen", mirror="", region="jaw", arkit={"jawOpen": 1.0}),
        replace(mouth, name="mouthClose", mirror="", region="mouth", arkit={"mouthClose": 1.0}),
        replace(mouth, name="mouthOpen", mirror="", region="jaw", arkit={"jawOpen": 1.0, "mouthClose": -0.9}),
    )
    for controls in (own[:2], own[2:]):
        speaker = replace(rig, controls=controls)
        smooth = RigFilter(speaker, PRESETS[preset])
        gap, read, before = 1.0, 1.0, 0.0
        for i in range(40):
            weights = shapes(**(closing if i in (30, 31) else {"jawOpen": 0.4}))
            out = smooth(row(speaker, i / 30, values=speaker.from_arkit(weights), arkit=weights))
            before = max(before, float(out.values[0]))
            gap = min(gap, float(out.values[0] - (out.values[1] if len(controls) == 2 else 0)))
            read = min(read, float(out.arkit[INDEX["jawOpen"]] - out.arkit[INDEX["mouthClose"]]))
        assert before == pytest.approx(0.4, abs=0.01)
        assert gap <= 0.1 and read <= 0.1, "the seen gap is up to 0.02, or 0.04 where a control joins both"


def test_lips_are_kept_no_nearer_than_they_are_seen(rig: Rig) -> None:
    smooth = RigFilter(rig)
    for i in range(60):
        weights = shapes(jawOpen=0.3 + 0.2 * np.sin(i / 3))
        out = smooth(row(rig, i / 30, arkit=weights))
        assert out.arkit[INDEX["mouthClose"]] == 0.0


@EVERY
def test_gaze_holds_behind_closed_lids_and_comes_back_without_a_jump(rig: Rig, preset: str) -> None:
    smooth = RigFilter(rig, PRESETS[preset])
    lids = (0.1,) * 30 + (0.4, 0.8, 1.0, 1.0, 0.8, 0.4) + (0.1,) * 40
    track = []
    for i, closed in enumerate(lids):
        gaze = np.array([0.1, 0.5 if closed > 0.3 else 0.0], np.float32)  # the eye rolls down as far as the encoder can tell
        out = smooth(row(rig, i / 30, gaze=gaze, arkit=shapes(eyeBlinkLeft=closed, eyeBlinkRight=closed, eyeLookDownLeft=gaze[1])))
        track.append((out.gaze[1], out.arkit[INDEX["eyeLookDownLeft"]], out["lookUp"]))
    down = np.array(track)
    assert down[:30].max() < 1e-6
    np.testing.assert_allclose(down[31:35], down[30:31].repeat(4, 0), atol=1e-6)
    assert down.max() < 0.5 * 0.5, "of a gaze that was never seen, less than half is shown"
    assert np.abs(np.diff(down[:, 0])).max() < 0.2, "unfiltered it jumps by 0.5"
    assert abs(down[-1]).max() < 0.02


def test_gaze_that_moved_behind_the_lids_is_caught_up_with_in_steps(rig: Rig) -> None:
    smooth = RigFilter(rig)
    track = []
    for i in range(60):
        closed = 0.9 if 20 <= i < 26 else 0.0
        gaze = np.array([0.4 if i >= 23 else 0.0, 0.0], np.float32)
        track.append(smooth(row(rig, i / 30, gaze=gaze, arkit=shapes(eyeBlinkLeft=closed, eyeBlinkRight=closed))).gaze[0])
    assert max(track[:26]) < 1e-6 and np.diff(track).max() < 0.25 and track[-1] > 0.38


def test_one_closed_eye_does_not_hold_the_gaze(rig: Rig) -> None:
    smooth = RigFilter(rig)
    for i in range(30):
        out = smooth(row(rig, i / 30, gaze=np.array([0.02 * i, 0], np.float32), arkit=shapes(eyeBlinkLeft=1.0, eyeBlinkRight=0.1)))
    assert out.gaze[0] > 0.4


@pytest.mark.parametrize("rate", [15, 30, 60])
def test_a_held_face_before_a_webcam_is_still(rate: int) -> None:
    """What the encoder and the animators made of one picture with a webcam's noise, drawn anew for every frame."""
    with np.load(NOISE, allow_pickle=False) as data:
        for name in ("human", "robot"):
            rig = load_rig(name)
            for held in np.unique(data["hold"]):
                smooth = RigFilter(rig)
                rows = np.flatnonzero(data["hold"] == held)
                seen = {key: data[source][rows].astype(np.float32) for key, source in (*FIELDS, ("values", name))}
                frames = [row(rig, i / rate, **{key: values[i] for key, values in seen.items()}) for i in range(len(rows))]
                shown = [rig.normalise(smooth(frame).values) for frame in frames]
                settled = np.array(shown)[-60:]
                assert settled.std(0).max() < 0.01, f"{name}: {rig.names[int(settled.std(0).argmax())]} of hold {held}"


def test_resting_controls_get_quieter(rig: Rig) -> None:
    smooth = RigFilter(rig)
    noise = np.random.default_rng(1).normal(0, 0.01, 300).astype(np.float32)
    out = []
    for i, v in enumerate(noise):
        values = rig.neutral()
        values[0] = 0.5 + v
        out.append(float(smooth(row(rig, i / 30, values=values)).values[0]))
    assert np.std(out[30:]) < 0.75 * noise[30:].std()


@pytest.mark.parametrize("angles", [(0.3, -0.4, 0.2), (3.1, 0.2, -0.1), (-1.2, 1.2, 2.9)])
def test_a_steady_pose_passes_unchanged(rig: Rig, angles: tuple[float, float, float]) -> None:
    smooth = RigFilter(rig)
    pose = np.array([*angles, 0.1, 0.0, -0.6], np.float32)
    for i in range(5):
        out = smooth(row(rig, i / 30, head_pose=pose))
    np.testing.assert_allclose(out.head_pose, pose, atol=1e-5)


def test_a_turn_through_the_back_does_not_spin(rig: Rig) -> None:
    smooth = RigFilter(rig)
    for i in range(20):  # yaw runs over pi: as an angle it jumps by a whole turn, as a rotation it goes on
        yaw = (np.pi - 0.2 + i * 0.02 + np.pi) % (2 * np.pi) - np.pi
        out = smooth(row(rig, i / 30, head_pose=np.array([yaw, 0, 0, 0, 0, -0.6], np.float32)))
        assert abs(np.angle(np.exp(1j * (out.head_pose[0] - yaw)))) < 0.1


def test_computed_controls_follow_the_smoothed_pose_and_gaze(rig: Rig) -> None:
    smooth = RigFilter(rig)
    smooth(row(rig, 0.0))
    out = smooth(row(rig, 0.03, head_pose=np.array([0.5, 0, 0, 0, 0, 0], np.float32), gaze=np.array([0, 0.3], np.float32)))
    assert 0 < out["headYaw"] < 0.5 and out["headYaw"] == pytest.approx(float(out.head_pose[0]))
    assert out["lookUp"] == pytest.approx(float(out.gaze[1]))


@given(st.tuples(st.floats(-3, 3), st.floats(-1.4, 1.4), st.floats(-3, 3)), st.floats(0.2, 1.5))
def test_a_turn_is_smoothed_alike_about_every_axis(start: tuple[float, float, float], angle: float) -> None:
    """The way left after a step depends on its angle, not on where the head was or about what it turned."""
    left = []
    for axis in range(3):
        smooth = RotationOneEuro(Balance(1.0, 2.0))
        first = from_angles(*start)
        turned = multiply(first, from_angles(*(angle if i == axis else 0.0 for i in range(3))))
        smooth(first, 0.0)
        out = smooth(turned, 0.03)
        left.append(np.linalg.norm(to_vector(multiply(inverse(out), turned))))
    assert 0 < left[0] < angle
    np.testing.assert_allclose(left, left[0], atol=1e-6)


def test_presets_go_from_quick_to_calm(rig: Rig) -> None:
    def after_a_step(preset: str) -> np.ndarray:
        smooth = RigFilter(rig, PRESETS[preset])
        smooth(row(rig, 0.0))
        pose, gaze = np.array([0.2, 0, 0, 0.05, 0, 0], np.float32), np.array([0.1, 0], np.float32)
        out = smooth(row(rig, 1 / 30, values=np.full(len(rig.names), 0.2, np.float32), head_pose=pose, gaze=gaze))
        return np.array([out["smileLeft"], out["lids"], out["jawSide"], out.head_pose[0], out.head_pose[3], out.gaze[0]])

    responsive, balanced, smooth = map(after_a_step, ("responsive", "balanced", "smooth"))
    assert (responsive > balanced).all() and (balanced > smooth).all() and (smooth > 0).all()


def test_a_toml_table_changes_regions_and_single_controls(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('preset = "smooth"\n[regions.mouth]\ncutoff = 1000\n[controls.smileRight]\ncutoff = 0.01\nbeta = 0\n')
    mine = load_smoothing(path)
    mine.check([rig])
    smooth = RigFilter(rig, mine)
    smooth(row(rig, 0.0))
    values = rig.neutral()
    values[:2] = 1.0
    out = smooth(row(rig, 1 / 30, values=values))
    assert out["smileLeft"] > 0.99 and out["smileRight"] < 0.01
    assert mine.regions["jaw"] == PRESETS["smooth"].regions["jaw"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("preset = 3", "expected a string"), ('preset = "soft"', "expected one of responsive"), ("cutoff = 1", "unknown key 'cutoff'"),
        ("[regions.chin]", "no region chin"), ("[regions.jaw]\ncutof = 1", "unknown key 'cutof'"),
        ("[regions.jaw]\ncutoff = 0", "expected a number from 0.01"), ("[controls]\njawOpen = 3", "expected a table"),
        ("[controls.jawOpen]\nbeta = nan", "expected a number"), ("x = [", "not valid TOML"),
    ],
)  # fmt: skip
def test_a_smoothing_file_that_is_not_understood_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(SettingsError, match=reason):
        load_smoothing(tmp_path / "x.toml")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_smoothing_file_is_refused_or_read_never_worse(tmp_path: Path, data: st.DataObject) -> None:
    text = b'preset = "smooth"\n[regions.mouth]\ncutoff = 1.5\nbeta = 2\n[controls.jawOpen]\nbeta = 8e3\n'
    at = data.draw(st.integers(0, len(text) - 1))
    (tmp_path / "broken.toml").write_bytes(text[:at] + data.draw(st.binary(max_size=6)) + text[at + data.draw(st.integers(0, 40)) :])
    try:
        smoothing = load_smoothing(tmp_path / "broken.toml")
    except SettingsError as error:
        assert "broken.toml" in str(error)
    else:
        assert all(0.01 <= smoothing.balance(name, "mouth").cutoff <= 1000 for name in ("jawOpen", *smoothing.controls))


def test_unknown_presets_files_and_controls_are_refused(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected responsive, balanced, smooth or a file"):
        load_smoothing("calm")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_smoothing(tmp_path / "none.toml")
    for name, reason in (("jaw_open", "no avatar has a control"), ("lookUp", "is computed"), ("eyeLookUpLeft", "is computed")):
        (tmp_path / "x.toml").write_text(f"[controls.{name}]\nbeta = 1\n")
        with pytest.raises(SettingsError, match=reason):
            load_smoothing(tmp_path / "x.toml").check([rig])
