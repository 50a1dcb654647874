"""The gallery: which expressions a rig can show follows from its map, and those it shows are seen."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from freeavatar import arkit
from freeavatar.errors import OutputError, RenderError
from freeavatar.gallery import EXPRESSIONS, gallery, pose, shows, write_gallery
from freeavatar.rig import Control, Rig, list_rigs, load_rig

SIZE = 128
SHOWN = {"robot": set(EXPRESSIONS), "anime": set(EXPRESSIONS) - {"puffed cheeks", "tongue out"}}
SHOWN |= {"pixel": SHOWN["anime"] - {"pucker"}, "human": set(EXPRESSIONS)}


def made_of(*controls: Control) -> Rig:
    return Rig("test", "Test", "CC0-1.0", Path(), Path(), controls)


@pytest.fixture(scope="module")
def graphics() -> None:
    from freeavatar_renderer import gl

    try:
        gl.context()
    except RenderError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("size", [-5, 0, 31, 1025, 10**9])
def test_a_size_that_no_picture_has_is_refused_in_one_line(size: int) -> None:
    with pytest.raises(OutputError, match="expected 32 to 1024"):
        gallery([], size)


def test_there_are_eight_expressions_of_known_shapes() -> None:
    assert len(EXPRESSIONS) == 8 and not EXPRESSIONS["neutral"]
    assert all(set(shapes) <= set(arkit.NAMES) for shapes in EXPRESSIONS.values())
    assert all(max(shapes.values()) == 1.0 for label, shapes in EXPRESSIONS.items() if label != "neutral")


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_shipped_rigs_show_what_their_maps_can(name: str) -> None:
    assert {label for label, shapes in EXPRESSIONS.items() if shows(load_rig(name), shapes)} == SHOWN[name]


def test_what_only_comes_with_an_expression_does_not_show_it() -> None:
    jaw = made_of(Control("jaw", arkit={"jawOpen": 1.0}))
    assert not shows(jaw, EXPRESSIONS["tongue out"]) and shows(jaw, EXPRESSIONS["neutral"])


def test_a_control_for_both_eyes_cannot_wink() -> None:
    both = Control("blink", arkit={"eyeBlinkLeft": 0.5, "eyeBlinkRight": 0.5})
    assert not shows(made_of(both), EXPRESSIONS["left wink"])
    assert shows(made_of(Control("wink", arkit={"eyeBlinkLeft": 1.0})), EXPRESSIONS["left wink"])


def test_a_negative_end_counts_and_a_faint_trace_does_not() -> None:
    frown = {"mouthFrownLeft": -0.5, "mouthFrownRight": -0.5}
    assert shows(made_of(Control("smile", minimum=-1.0, arkit=frown)), EXPRESSIONS["frown"])
    assert not shows(made_of(Control("puff", arkit={"cheekPuff": 0.2})), EXPRESSIONS["puffed cheeks"])


@pytest.mark.usefixtures("graphics")
@pytest.mark.parametrize("name", list_rigs())
def test_every_expression_that_is_shown_differs_visibly_from_every_other(name: str) -> None:
    from freeavatar_renderer.raster import AvatarRenderer

    rig = load_rig(name)
    renderer = AvatarRenderer(rig, SIZE, SIZE)
    pictures = {label: renderer.render(pose(rig, e)).astype(int) for label, e in EXPRESSIONS.items() if shows(rig, e)}
    renderer.release()
    assert len(pictures) >= 5
    for a, one in pictures.items():
        for b, other in pictures.items():
            assert a == b or (np.abs(one - other).max(axis=2) > 20).sum() >= 16, (a, b)


@pytest.mark.usefixtures("graphics")
def test_cells_that_a_rig_cannot_show_are_empty() -> None:
    picture, shown = gallery([load_rig("pixel"), load_rig("robot")], 48)
    assert shown == {"pixel": [e for e in EXPRESSIONS if e in SHOWN["pixel"]], "robot": list(EXPRESSIONS)}
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    left = picture.shape[1] - 8 * 49
    for column, label in enumerate(EXPRESSIONS):
        cell = picture[-98:-50, left + column * 49 :][:, :48]
        colours = len(np.unique(cell.reshape(-1, 3), axis=0))
        assert (colours < 100) == (label not in SHOWN["pixel"]), label


@pytest.mark.usefixtures("graphics")
def test_the_file_is_the_picture_and_the_same_every_time(tmp_path: Path) -> None:
    rigs = [load_rig("pixel")]
    shown = write_gallery(tmp_path / "a.png", rigs, 48)
    write_gallery(tmp_path / "b.png", rigs, 48)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    expected, labels = gallery(rigs, 48)
    assert shown == labels and np.array_equal(cv2.imread(str(tmp_path / "a.png"))[..., ::-1], expected)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_another_format_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"use one of \.png"):
        write_gallery(tmp_path / "gallery.gif")
