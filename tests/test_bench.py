"""The benchmark: which stages it times, and on which frames."""

from pathlib import Path

import numpy as np
import pytest

from freeavatar import bench as module
from freeavatar.bench import bench
from freeavatar.errors import SourceError
from freeavatar.rig import Rig
from freeavatar.stopwatch import Stopwatch, lines

pytestmark = pytest.mark.usefixtures("tiny_weights", "tracked")


class SilentLandmarker:
    seen = 0

    def __init__(self, video: bool, scores: bool = False) -> None:
        assert video and scores

    def detect(self, image: np.ndarray, milliseconds: int = 0) -> None:
        SilentLandmarker.seen += 1

    def __enter__(self) -> "SilentLandmarker":
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch, rig: Rig) -> None:
    monkeypatch.setattr(module, "load_rig", lambda name: rig)
    monkeypatch.setattr(module, "Landmarker", SilentLandmarker)
    SilentLandmarker.seen = 0


def test_every_stage_and_the_peer_are_timed_on_the_same_frames(clip: Path) -> None:
    report = bench(clip, frames=25)
    assert report.stages.keys() == {"face", "encoder", "animator", "total", "mediapipe"}
    assert (report.size, report.frames) == ("64x48", 5)  # of frames 10 to 34 only 30 to 34 show a face
    assert SilentLandmarker.seen == 35
    assert report.machine["cores"] and "encoder_threads" in report.machine


def test_what_more_avatars_add_is_timed_apart(clip: Path) -> None:
    report = bench(clip, ["tiny"] * 8, frames=25)
    assert report.stages.keys() == {"face", "encoder", "animator", "total", "others", "mediapipe"}


def test_a_clip_without_a_face_is_an_error(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="no face found"):
        bench(clip, frames=15)


def test_the_stopwatch_gives_percentiles_in_milliseconds() -> None:
    times = iter([0.0, 0.010, 1.0, 1.030])
    watch = Stopwatch(lambda: next(times))
    for _ in range(2):
        with watch.measure("a"):
            pass
    assert watch.summary() == {"a": {"p50_ms": 20.0, "p95_ms": 29.0}}
    assert lines(watch.summary()) == ["  a                  p50    20.00 ms   p95    29.00 ms"]
