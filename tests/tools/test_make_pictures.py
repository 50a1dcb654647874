"""Pictures that move loop, and clips are acted as live acts them."""

from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from freeavatar.demo import CLIP
from freeavatar.rig import load_rig
from tools import make_pictures
from tools.make_pictures import act, moving, watch


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """The first three frames of the shipped clip."""
    path = tmp_path / "short.mp4"
    with av.open(str(CLIP)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 512, 512, "yuv420p"
        for frame in islice(source.decode(video=0), 3):
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def test_a_moving_picture_loops_for_ever_at_its_pace(tmp_path: Path) -> None:
    moving((np.full((8, 16, 3), level, np.uint8) for level in (0, 120, 250)), tmp_path / "a.webp", 100, 50)
    with Image.open(tmp_path / "a.webp") as picture:
        assert (picture.size, picture.n_frames, picture.info["loop"]) == ((16, 8), 3, 0)
        picture.seek(2)
        picture.load()
        assert picture.info["duration"] == 100
        assert np.asarray(picture).mean() > 240


def test_clips_are_acted_frame_by_frame_and_smoothed(short: Path) -> None:
    rigs = [load_rig("human"), load_rig("pixel")]
    frames = list(act(short, rigs))
    assert [frame.index for frame, _, _ in frames] == [0, 1, 2]
    assert all(expression is not None and [row.rig for row in rows] == ["human", "pixel"] for _, expression, rows in frames)
    _, read, rows = frames[-1]
    assert read is not None and not np.array_equal(rows[0].arkit, read.arkit), "live smooths what it sends"


def test_a_clip_becomes_a_video_and_a_sheet_of_every_so_many_frames(short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_pictures, "EVERY", 2)
    monkeypatch.setattr(make_pictures, "SHOWN", ("pixel",))
    watch(short, tmp_path / "out")
    with av.open(str(tmp_path / "out" / "short.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 3
    with Image.open(tmp_path / "out" / "short.webp") as sheet:
        assert sheet.size == (2 * (176 + 170 + 176), 176), "frames 0 and 2 beside each other"
