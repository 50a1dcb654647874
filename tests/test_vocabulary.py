"""Names of morph targets mean what people mean by them, however they are spelled."""

import pytest

from freeavatar import arkit
from freeavatar.vocabulary import guess


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("EyeBlinkLeft", {"eyeBlinkLeft": 1}),
        ("eyeBlink_L", {"eyeBlinkLeft": 1}),
        ("LeftEyeBlink", {"eyeBlinkLeft": 1}),
        ("head.JAW_OPEN", {"jawOpen": 1}),
        ("blendShape1.mouthSmile_R", {"mouthSmileRight": 1}),
        ("Mouth_Left", {"mouthLeft": 1}),
        ("browInnerUp_L", {"browInnerUp": 1}),
        ("aa", {"jawOpen": 1}),
        ("A", {"jawOpen": 1}),
        ("Blink_R", {"eyeBlinkRight": 1}),
        ("blink", {"eyeBlinkLeft": 0.5, "eyeBlinkRight": 0.5}),
        ("Face.M_F00_Fcl_EYE_Close_L", {"eyeBlinkLeft": 1}),
        ("viseme_U", {"mouthPucker": 1}),
        ("viseme_sil", {}),
        ("Joy", {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}),
        ("h_expressions.LeyeClose_h", {"eyeBlinkLeft": 1}),
        ("まばたき", {"eyeBlinkLeft": 0.5, "eyeBlinkRight": 0.5}),
        ("AU1", {"browInnerUp": 1}),
        ("AU_01_L", {"browInnerUp": 1}),
        ("AU4_R", {"browDownRight": 1}),
        ("AU12", {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}),
        ("left_AU12", {"mouthSmileLeft": 1}),
        ("AU26", {"jawOpen": 1}),
        ("AU30L", {"jawLeft": 1}),
        ("Inner_Brow_Raiser", {"browInnerUp": 1}),
        ("LipCornerPuller_L", {"mouthSmileLeft": 1}),
        ("CTRL_expressions_browRaiseOuterL", {"browOuterUpLeft": 1}),
        ("CTRL_expressions_mouthFunnelUL", {"mouthFunnel": 1}),
        ("CTRL_expressions_mouthPressDR", {"mouthPressRight": 1}),
        ("CTRL_expressions_eyeLookLeftL", {"eyeLookOutLeft": 1}),
        ("CTRL_expressions_eyeLookLeftR", {"eyeLookInRight": 1}),
        ("CTRL_expressions_jawOpen", {"jawOpen": 1}),
        ("EyeClosedLeft", {"eyeBlinkLeft": 1}),
        ("vrc.v_aa", {"jawOpen": 1}),
        ("vrc.v_pp", {}),
        ("MBP", {}),
        ("WQ", {"mouthPucker": 1}),
    ],
)
def test_a_known_name(name: str, shapes: dict[str, float]) -> None:
    found = guess(name)
    assert found is not None and found.arkit == shapes and 0 < found.confidence <= 1


@pytest.mark.parametrize(
    "name", ["", "whiskers", "Body_A", "mouth left corner", "notjawOpenatall", "_", "target12", "AU99", "AU", "auction"]
)
def test_an_unknown_name(name: str) -> None:
    assert guess(name) is None


@pytest.mark.parametrize("shape", arkit.NAMES)
def test_arkit_in_any_spelling_is_surest_and_mirrored(shape: str) -> None:
    for name in (shape, shape.upper(), shape[0].upper() + shape[1:], f"face.{shape}", f"ARKit_{shape}"):
        assert (found := guess(name)) is not None and (found.arkit, found.rank) == ({shape: 1.0}, 0)


def test_a_prefix_lowers_the_confidence() -> None:
    assert guess("jawOpen").confidence > guess("face_jawOpen").confidence  # type: ignore[union-attr]
