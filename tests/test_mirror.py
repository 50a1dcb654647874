"""The mirror image swaps sides by name and turns lateral numbers; twice is once."""

from dataclasses import replace

import numpy as np
import pytest

from freeavatar import arkit
from freeavatar.mirror import Mirror, is_lateral
from freeavatar.rig import Control, Rig
from freeavatar.types import RigFrame


@pytest.fixture
def row(rig: Rig) -> RigFrame:
    pose, gaze = np.array([0.3, 0.2, 0.1, 0.05, 0.02, -0.6], np.float32), np.array([0.1, -0.2], np.float32)
    values = rig.pose(np.array([0.9, 0.2, 1.5, -0.4, 0, 0], np.float32), pose, gaze)
    read = np.random.default_rng(0).random(52).astype(np.float32)
    return RigFrame(rig.name, rig.names, values, read, pose, gaze, 0.8, 1.0, 4)


def test_sides_swap_and_lateral_controls_change_sign(rig: Rig, row: RigFrame) -> None:
    seen = Mirror(rig)(row)
    assert seen["smileLeft"] == pytest.approx(0.2) and seen["smileRight"] == pytest.approx(0.9)
    assert seen["lids"] == 1.5 and seen["jawSide"] == pytest.approx(0.4)


def test_pose_gaze_and_what_follows_from_them(rig: Rig, row: RigFrame) -> None:
    seen = Mirror(rig)(row)
    np.testing.assert_allclose(seen.head_pose, [-0.3, 0.2, -0.1, -0.05, 0.02, -0.6])
    np.testing.assert_allclose(seen.gaze, [-0.1, -0.2])
    assert seen["headYaw"] == pytest.approx(-0.3) and seen["lookUp"] == pytest.approx(-0.2)


def test_the_read_out_swaps_too(rig: Rig, row: RigFrame) -> None:
    seen = Mirror(rig)(row)
    assert seen.arkit[arkit.INDEX["jawLeft"]] == row.arkit[arkit.INDEX["jawRight"]]
    assert seen.arkit[arkit.INDEX["jawOpen"]] == row.arkit[arkit.INDEX["jawOpen"]]


def test_twice_is_once(rig: Rig, row: RigFrame) -> None:
    again = Mirror(rig)(Mirror(rig)(row))
    for field in ("values", "arkit", "head_pose", "gaze"):
        np.testing.assert_allclose(getattr(again, field), getattr(row, field), atol=1e-7)
    assert replace(again, values=row.values, arkit=row.arkit, head_pose=row.head_pose, gaze=row.gaze) == row


@pytest.mark.parametrize(
    ("control", "lateral"),
    [
        (Control("jaw", -1, 1, arkit={"jawLeft": 1.0, "jawRight": -1.0}), True),
        (
            Control("brows", -1, 1, arkit={"browInnerUp": 0.5, "browDownLeft": -1.0, "browDownRight": -1.0}),
            False,
        ),
        (Control("open", 0, 1, arkit={"jawOpen": 1.0}), False),
        (Control("browLeft", -1, 1, mirror="browRight", arkit={"browOuterUpLeft": 1.0}), False),
        (Control("free", -1, 1), False),
    ],
)
def test_the_arkit_map_tells_what_is_lateral(control: Control, lateral: bool) -> None:
    assert is_lateral(control) is lateral
