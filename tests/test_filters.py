"""One-Euro: quiet at rest, quick in movement, true to the time that passed; lids survive."""

import numpy as np
import pytest

from freeavatar.filters import OneEuro, RigFilter
from freeavatar.rig import Rig
from freeavatar.types import RigFrame


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


def test_a_blink_of_a_tenth_of_a_second_reaches_its_end(rig: Rig) -> None:
    smooth = RigFilter(rig)
    lids = rig.names.index("lids")
    peak = 0.0
    for i in range(60):
        values = rig.neutral()
        values[lids] = 2.0 if i in (30, 31, 32) else 0.0
        peak = max(peak, float(smooth(row(rig, i / 30, values=values)).values[lids]))
    assert peak > 1.9


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
