"""Guesses are judged by what they mean, not by how they are written."""

from pathlib import Path
from types import ModuleType

import pytest

from freeavatar import arkit
from freeavatar.rig import load_rig
from freeavatar_renderer.glb import load_glb
from freeavatar_renderer.measuring import Dictionary, motions


@pytest.fixture
def check_naming(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tools")
    import check_naming

    return check_naming


def test_maps_agree_if_they_point_the_same_way(check_naming: ModuleType) -> None:
    agree = check_naming.agree
    assert agree({"jawOpen": 1.0}, {"jawOpen": 0.3}) and agree(arkit.both("mouthSmile"), arkit.both("mouthSmile", 1.0))
    assert not agree({"jawOpen": 1.0}, {"mouthPucker": 1.0}) and not agree({"jawOpen": 1.0}, {})
    assert not agree({"eyeBlinkLeft": 1.0}, {"eyeBlinkRight": 1.0})


def test_another_person_is_mostly_understood_without_names(check_naming: ModuleType) -> None:
    human = load_glb(load_rig("human").model)
    case = check_naming.shipped("elder")
    driven, right = check_naming.judge(case, Dictionary(motions(human, {name: {name: 1.0} for name in arkit.NAMES})))
    assert right > 0.75 * len(case.truth) and right > 0.8 * driven
