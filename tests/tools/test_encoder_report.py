"""The encoder's report on made-up readings whose answers are known."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import encoder_report
from freeavatar import arkit
from freeavatar.errors import OutputError
from freeavatar.types import Expression, FaceCrop
from freeavatar_renderer import head_map
from report import failures, neighbours, real, saliency, sheets, sweeps
from report.subjects import Portrait, Reading

ROOT = Path(__file__).parents[2]
GREY = np.full((64, 64, 3), 128, np.uint8)


def shapes(**values: float) -> np.ndarray:
    return arkit.weights(values)


def expression(read: np.ndarray) -> Expression:
    zero = np.zeros(6, np.float32)
    return Expression(zero, zero, read.astype(np.float32), zero[:2], zero, 1.0, zero[:4], 0.0, 0)


def reading(who: str, name: str, truth: np.ndarray, read: np.ndarray) -> Reading:
    return Reading(Portrait(GREY, who, "valid", name, truth, np.ones(52, np.float32)), GREY, expression(read))


def swept(gain: float, spill: float) -> list[Reading]:
    """A person whose jaw is read with a gain, and spills over to the funnel."""
    rest = [reading("a", "neutral", shapes(), shapes())]
    levels = [(v, shapes(jawOpen=gain * v, mouthFunnel=spill * v)) for v in sweeps.LEVELS]
    return rest + [reading("a", "jawOpen", shapes(jawOpen=v), read) for v, read in levels]


def test_a_sweep_is_a_curve_from_rest_with_its_gain_and_spill() -> None:
    (curve,) = sweeps.gather(swept(0.5, 0.3))
    assert arkit.NAMES[curve.shape] == "jawOpen" and len(curve.truth) == 1 + len(sweeps.LEVELS)
    assert curve.spill == pytest.approx(0.3)
    row = sweeps.table([curve]).rows["jaw"]
    assert (row["correlation"], row["gain"], row["shapes"]) == (pytest.approx(1), pytest.approx(0.5), 1)


def test_a_sweep_without_its_rest_or_without_movement_is_none() -> None:
    assert sweeps.gather(swept(1, 0)[1:]) == []
    still = [reading("a", "jawOpen", shapes(jawOpen=0.1), shapes()) for _ in sweeps.LEVELS]
    assert sweeps.gather([*swept(1, 0)[:1], *still]) == []


@pytest.mark.parametrize("name", arkit.NAMES)
def test_every_shape_is_shown_at_the_level_asked_for(name: str) -> None:
    weights, gaze = sweeps.posed(name, 0.5)
    assert (weights | arkit.eye_look(*gaze))[name] == pytest.approx(0.5)


def test_neighbours_belong_to_others() -> None:
    embedding = np.eye(4)[[0, 0, 0, 1, 1]] + 0.01
    near = neighbours.nearest(embedding, ["a", "a", "b", "b", "c"], 2)
    assert near[0].tolist() == [2, 3] and near[3][0] == 4
    assert not any(near[i][j] == i for i in range(5) for j in range(2))


class Looker:
    """An encoder whose jaw follows the brightness of the mouth, and whose brows follow that of the brows."""

    def encode(self, crops: list[FaceCrop]) -> list[Expression]:
        def level(image: np.ndarray, region: str) -> float:
            left, top, right, bottom = (int(64 * v) for v in saliency.PLACES[region][0])
            return float(image[top:bottom, left:right].mean()) / 255

        return [expression(shapes(jawOpen=level(c.image, "mouth"), browInnerUp=level(c.image, "brows"))) for c in crops]


def test_covering_what_a_read_out_depends_on_matters_most() -> None:
    rng = np.random.default_rng(3)
    crop = GREY.copy()
    for region in ("mouth", "brows"):
        left, top, right, bottom = (int(64 * v) for v in saliency.PLACES[region][0])
        crop[top:bottom, left:right] = 250
    crop = np.clip(crop + rng.normal(0, 3, crop.shape), 0, 255).astype(np.uint8)
    looker: Any = Looker()
    blank = FaceCrop(crop, np.eye(2, 3, dtype=np.float32), np.zeros((0, 3), np.float32), np.zeros(6, np.float32), 0.0, 0)
    own = replace(reading("a", "", shapes(), looker.encode([blank])[0].arkit), crop=crop)
    maps = dict(zip(saliency.PLACES, saliency.sensitivity(looker, own), strict=True))
    for region, column in (("jaw", "mouth"), ("brows", "brows")):
        y, x = np.unravel_index(maps[region].argmax(), maps[region].shape)
        left, top, right, bottom = saliency.PLACES[column][0]
        assert left - 0.05 < (x + 0.5) / len(maps[region]) < right + 0.05
        assert top - 0.05 < (y + 0.5) / len(maps[region]) < bottom + 0.05
    assert maps["nose"].max() == 0
    assert saliency.overlay(crop, maps["jaw"]).shape == crop.shape


def test_errors_weigh_what_moves_the_skin_and_leave_out_what_cannot_be_known() -> None:
    with np.load(head_map.FILE, allow_pickle=False) as z:
        names = tuple(str(n) for n in z["ict_names"])
    head: Any = SimpleNamespace(family="ict", names=names)
    nothing = shapes()
    assert failures.whole(head, nothing, nothing) == 0
    one = failures.whole(head, nothing, shapes(jawOpen=0.5))
    assert failures.whole(head, nothing, shapes(jawOpen=1.0)) == pytest.approx(2 * one, rel=1e-4)
    assert failures.errors(head, nothing, shapes(jawOpen=0.5)).argmax() == arkit.INDEX["jawOpen"]
    assert failures.whole(head, nothing, shapes(tongueOut=1.0)) == 0  # ICT has no tongue


def test_a_clip_names_its_liveliest_shapes() -> None:
    wave = (0.5 + 0.4 * np.sin(np.linspace(0, 9, 50))).astype(np.float32)
    read, peer = np.zeros((2, 50, 52), np.float32)
    read[:, arkit.INDEX["browDownLeft"]], peer[:, arkit.INDEX["browDownLeft"]] = wave, 0.5 * wave
    clip = real.Clip("c", np.arange(50, dtype=np.float32), read, peer, [])
    brows, *others = real.liveliness(clip)
    assert (brows["region"], brows["shape"], brows["correlation"]) == ("brows", "browDownLeft", pytest.approx(1))
    assert brows["std"] == pytest.approx(2 * brows["MediaPipe std"], rel=0.01)
    assert all(row["std"] == 0 for row in others)


def test_top_read_outs_come_in_order_without_looks() -> None:
    names = [name for name, _ in real.top(shapes(eyeLookOutLeft=1.0, jawOpen=0.5, mouthSmileLeft=0.7))]
    assert names[:2] == ["mouthSmileLeft", "jawOpen"] and "eyeLookOutLeft" not in names


def test_sheets_hold_all_tiles_and_are_written_whole(tmp_path: Path) -> None:
    tile = sheets.captioned(GREY, ["one", "two"], 64, sheets.GOOD)
    sheet = sheets.grid([tile] * 5, 3)
    assert sheet.shape == (2 * len(tile), 3 * 64, 3)
    assert tuple(tile[1, 30]) == sheets.GOOD
    assert sheets.barred(GREY, [("jawOpen", 0.5)], 64, "x").shape == (64, 234, 3)
    sheets.save(sheet, tmp_path / "new" / "sheet.webp")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["sheet.webp"]


@pytest.mark.data
def test_the_report_writes_its_pictures_and_tables(data_root: Path, tiny_weights: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "docs" / "encoder.md", tmp_path)
    encoder_report.report(["neighbours", "saliency", "failures", "faces"], tiny_weights / "encoder", tmp_path, tmp_path / "private", 0.02)
    page = (tmp_path / "encoder.md").read_text()
    for title in ("Neighbours by who asks", "Effect inside the own region", "Error of movement"):
        assert title in page
    assert {p.stem for p in (tmp_path / "images").iterdir()} == {f"encoder_{n}" for n in ("neighbours", "saliency", "failures")}
    assert {p.name for p in (tmp_path / "private").iterdir()} == {"faces_0.webp", "faces_neighbours.webp"}


@pytest.mark.data
def test_a_page_without_marks_is_left_alone(data_root: Path, tiny_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "encoder.md").write_text("nothing")
    with pytest.raises(OutputError, match="no mark"):
        encoder_report.report(["saliency"], tiny_weights / "encoder", tmp_path, tmp_path / "private", 0.02)
    assert (tmp_path / "encoder.md").read_text() == "nothing"


def test_every_picture_of_the_page_is_made_by_a_section() -> None:
    page = (ROOT / "docs" / "encoder.md").read_text()
    for name in encoder_report.SECTIONS:
        assert (f"images/encoder_{name}." in page) == (f"<!-- benchmark {name} -->" in page) == (name not in ("faces", "clips"))
