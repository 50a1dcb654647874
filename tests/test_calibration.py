"""Calibration: rest becomes rest, ends stay reachable, bad neutrals are refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from freeavatar.animator import Animator
from freeavatar.arkit import INDEX, MIRROR
from freeavatar.calibration import CalibrationError, Calibrator, measure_neutral, measure_range, with_gains
from freeavatar.profiles import Adjustment, Neutral, Profile
from freeavatar.quaternion import from_angles, multiply, to_angles
from freeavatar.rig import Rig
from freeavatar.toml_file import SettingsError
from made_faces import SHA, adjusted, face, row

pytestmark = pytest.mark.usefixtures("config")


def neutral_of(**fields: object) -> Neutral:
    return measure_neutral([face(i, **fields) for i in range(30)], SHA)  # type: ignore[arg-type]


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
    rows[10:14] = [np.array([0.8, 1.25, 0.1, 0.25, 1.0], np.float32)] * 4
    rows[20] = np.array([1.0, 1.25, 1.0, 0.25, 1.0], np.float32)  # seen once: a mistake
    gains = measure_range(rows, "abcde", np.array([1, 2, 1, 1, 1], np.float32))
    assert gains == {"a": 1.25, "b": 1.6}, "c and d hardly moved, e reaches its end"
    assert measure_range(rows[:2], "abcde", np.ones(5, np.float32)) == {}
    kept = with_gains({"a": Adjustment(offset=0.1)}, {"a": 1.5, "d": 1.2})
    assert kept == {"a": Adjustment(1.5, 0.1), "d": Adjustment(1.2)}


def test_names_that_an_avatar_does_not_have_are_refused(rig: Rig, animator: Animator) -> None:
    for name in ("smile", "headYaw"):
        with pytest.raises(SettingsError, match=rf"\[avatars.tiny\] names {name}"):
            adjusted(rig, animator, **{name: Adjustment(2.0)})
