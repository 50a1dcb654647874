"""The figures of the animator's report on made-up arrays whose answers are known."""

import numpy as np
import pytest

from freeavatar.arkit import INDEX, weights
from freeavatar.rig import load_rig
from tools.measure import driving
from tools.measure.driving import Faces, Truth


def people(arkit: np.ndarray, mask: np.ndarray | None = None) -> Faces:
    mask = np.ones_like(arkit) if mask is None else mask
    return Faces(np.zeros((len(arkit), 4)), arkit, arkit, arkit, mask, np.full(len(arkit), "a"), np.zeros(len(arkit), bool))


def test_errors_are_apart_for_moving_and_resting_controls() -> None:
    truth = Truth(np.array([[0.5, 0.5], [0.9, 0.5], [0.1, 0.5], [0.5, 0.54]]), np.ones((4, 2), bool), np.array([0.0, 0.5]))
    values = truth.values + [[0.1, 0.02]] * 4
    found = driving.figures(values, truth)
    assert found["active"] == pytest.approx(0.1) and found["rest"] == pytest.approx(0.02)
    assert found["correlation"] == pytest.approx(1.0), "the control that hardly varies is left out"


def test_what_is_not_known_does_not_count() -> None:
    known = np.array([[True], [True], [True], [False]])
    truth = Truth(np.array([[0.0], [0.4], [0.6], [0.8]]), known, np.zeros(1))
    found = driving.figures(np.array([[0.0], [0.4], [0.6], [0.0]]), truth)
    assert found == pytest.approx({"active": 0, "rest": 0, "correlation": 1})


def test_the_truth_of_a_rig_is_its_map_where_the_family_can_show_it() -> None:
    rig = load_rig("pixel")
    arkit = np.stack([weights({"eyeBlinkLeft": 1.0}), weights({"jawOpen": 0.5})])
    mask = np.ones_like(arkit)
    mask[:, INDEX["mouthClose"]] = 0
    truth = driving.wanted(people(arkit, mask), rig)
    names = [rig.controls[i].name for i in driving.columns(rig)]
    lid, mouth = names.index("lidLeft"), names.index("mouthOpen")
    assert truth.values[:, [lid, mouth]].tolist() == [[1, 0], [0, 0.5]]
    assert truth.known[0, lid] and not truth.known[0, mouth]


def test_f1_is_of_precision_and_recall() -> None:
    guess, truth = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
    assert driving.f1(guess, truth) == 0.5 and driving.f1(truth, truth) == 1 and driving.f1(guess, guess & False) is None


def test_a_wink_is_no_blink_and_doubtful_lids_do_not_count() -> None:
    truth = np.stack([
        weights({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}), weights({"eyeBlinkLeft": 1.0}), weights({"eyeBlinkRight": 0.9}),
        weights({"eyeBlinkLeft": 0.6}), weights({"jawOpen": 0.4, "mouthClose": 0.4}), weights({"jawOpen": 0.4}),
    ])  # fmt: skip
    perfect = driving.closures(truth, truth, np.ones_like(truth))
    assert perfect == {"both eyes": 1.0, "left alone": 1.0, "right alone": 1.0, "lips meet": 1.0}
    blind = truth.copy()
    blind[1] = blind[0]
    found = driving.closures(blind, truth, np.ones_like(truth))
    assert found["left alone"] == 0 and found["both eyes"] == pytest.approx(2 / 3) and found["right alone"] == 1
    open_mouth = truth.copy()
    open_mouth[4, INDEX["mouthClose"]] = 0
    assert (driving.closures(open_mouth, truth, np.ones_like(truth))["lips meet"] or 0) < 1


def test_controls_named_after_arkit_are_its_weights() -> None:
    rig = load_rig("human")
    values = np.zeros((1, len(driving.columns(rig))))
    values[0, [rig.controls[i].name for i in driving.columns(rig)].index("jawOpen")] = 0.7
    assert driving.as_arkit(values, rig)[0, INDEX["jawOpen"]] == 0.7 and driving.as_arkit(values, rig).sum() == pytest.approx(0.7)
