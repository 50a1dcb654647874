"""The demo: one pass, every avatar, every kind of file, and a picture of the strongest moments."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from freeavatar import preview
from freeavatar.cli import main
from freeavatar.demo import RIGS, ContactSheet, strength_of
from freeavatar.rig import Rig
from freeavatar.types import RigFrame, Tracking, Vector


class FlatRenderer:
    def __init__(self, rig: Rig, size: int) -> None:
        self.size = size

    def render(self, values: Vector) -> np.ndarray:
        return np.full((self.size, self.size, 3), 128, np.uint8)

    def release(self) -> None: ...


def row(rig: Rig, index: int, strength: float, tracking: Tracking = Tracking.TRACKED) -> RigFrame:
    zeros = [np.zeros(n, np.float32) for n in (6, 2)]
    return RigFrame(rig.name, rig.names, rig.neutral(), np.full(52, strength, np.float32), *zeros, 1.0, index / 30, index, tracking)  # type: ignore[arg-type]


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_the_demo_writes_curves_a_video_and_a_sheet_for_every_avatar(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preview, "_renderer", FlatRenderer)
    output = tmp_path / "made" / "here"
    assert main(["demo", str(clip), "-o", str(output), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    names = {f"{rig}{suffix}" for rig in RIGS for suffix in (".csv", ".jsonl", ".npz")} | {"demo.mp4", "contact.png"}
    assert {path.name for path in output.iterdir()} == names == {Path(path).name for path in summary["outputs"]}
    assert (summary["frames"], summary["faces"], summary["rigs"]) == (40, 20, list(RIGS))
    assert Image.open(output / "contact.png").size[0] > 4 * 256


def test_the_sheet_shows_the_strongest_frame_of_each_stretch(tmp_path: Path, rig: Rig) -> None:
    sheet = ContactSheet(60)
    for i in range(60):
        strength = {7: 0.9, 45: 0.8}.get(i, 0.1)
        sheet.add(np.full((256, 512, 3), i, np.uint8), row(rig, i, strength))
    sheet.save(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.size == (512, 512)
        assert [picture.getpixel((5, y))[0] for y in (10, 300)] == [7, 45]


def test_frames_without_a_face_are_weak_and_looks_do_not_count(rig: Rig) -> None:
    assert strength_of(row(rig, 0, 1.0, Tracking.HELD)) == 0
    assert strength_of(row(rig, 0, 1.0)) == 44
