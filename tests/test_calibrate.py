"""The job of calibrating: whole whiles of a face, or nothing written."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from freeavatar import pipeline
from freeavatar.arkit import NAMES
from freeavatar.calibrate import Reader, calibrate
from freeavatar.calibration import CalibrationError, Calibrator
from freeavatar.demo import CLIP
from freeavatar.encoder import Encoder
from freeavatar.errors import SourceError
from freeavatar.profiles import Adjustment, Profile, find_profile, load_profile, save_profile
from freeavatar.rig import Rig, load_rig
from freeavatar.sources import open_source
from freeavatar.types import Expression, FaceCrop, Frame
from made_faces import face

pytestmark = pytest.mark.usefixtures("config")


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_the_job_writes_a_profile_that_live_finds(clip: Path, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freeavatar.calibrate.load_rig", lambda _: rig)
    _calm(monkeypatch)
    said: list[str] = []
    done = calibrate(clip, ["tiny"], "anna", countdown=0.0, seconds=0.3, say=said.append)
    encoder = Encoder.load()
    profile = find_profile("anna", "file", encoder.sha256)
    assert Path(done.profile).is_file() and done.frames == 9 and not done.interrupted
    assert profile.neutral is not None and profile.neutral.feature.shape == (8,) and said == ["hold still"]
    save_profile(replace(profile, symmetry=0.5, arkit={"jawOpen": Adjustment(1.5)}))
    calibrate(clip, ["tiny"], "anna", countdown=0.0, seconds=0.3)
    again = load_profile(Path(done.profile))
    assert again.symmetry == 0.5 and again.arkit == {"jawOpen": Adjustment(1.5)}, "what people wrote is kept"


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_the_job_refuses_and_writes_nothing(clip: Path, config: Path, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freeavatar.calibrate.load_rig", lambda _: rig)
    _calm(monkeypatch)
    with pytest.raises(CalibrationError, match="in only 1 of"):
        calibrate(clip, ["tiny"], countdown=0.3, seconds=0.3)
    with pytest.raises(CalibrationError, match="ended too soon"):
        calibrate(clip, ["tiny"], countdown=10.0)
    with pytest.raises(SourceError, match="countdown of 0 to 60 s"):
        calibrate(clip, ["tiny"], countdown=-1.0)
    assert not config.exists()


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_the_job_counts_down_and_measures_the_range(clip: Path, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freeavatar.calibrate.load_rig", lambda _: rig)
    _calm(monkeypatch)
    monkeypatch.setattr("freeavatar.calibrate.measure_range", lambda rows, names, maximum: {names[0]: 1.25} if len(rows[0]) < 52 else {})
    said: list[str] = []
    done = calibrate(clip, ["tiny"], range_of_motion=True, countdown=0.03, seconds=0.27, motion=0.8, say=said.append)
    assert done.ranges == 1 and said[:2] == ["face at rest, eyes on the screen: 0.03", "hold still"] and said[2].startswith("now move")
    assert find_profile(None, "file", Encoder.load().sha256).avatars == {"tiny": {"smileLeft": Adjustment(1.25)}}


def seen(times: Sequence[float | None]) -> Iterator[Frame]:
    """Frames of a camera, and one without a picture where it delivered none."""
    for i, time in enumerate(times):
        yield Frame(np.zeros((0, 0, 3) if time is None else (2, 2, 3), np.uint8), time or 0.0, i)


class Eyes:
    """What a reader needs besides frames; every picture holds a face."""

    def __init__(self, times: Sequence[float | None]) -> None:
        self.said, self.stop = list[str](), Event()
        source: Any = SimpleNamespace(name="camera 0", rate=8.0)
        crop: Any = object()
        self.reader = Reader(seen(times), source, lambda frame: crop, lambda crops: [face()], self.stop, self.said.append)


def test_whiles_follow_each_other_without_a_gap() -> None:
    eyes = Eyes([10 + i / 8 for i in range(7)])
    assert len(eyes.reader.read(0.375, "one")) == 3 and len(eyes.reader.read(0.25, "two")) == 2
    assert eyes.said == ["one", "two"]
    with pytest.raises(CalibrationError, match="camera 0 ended too soon; expected 1 s more"):
        eyes.reader.read(1.0, "three")


def test_a_camera_that_is_lost_starts_the_while_anew() -> None:
    eyes = Eyes([*(10 + i / 8 for i in range(4)), None, None, *(20 + i / 8 for i in range(6))])
    assert len(eyes.reader.read(0.25, "get ready")) == 2
    assert len(eyes.reader.read(0.5, "hold still")) == 4, "from when it is back, and nothing from before"
    assert eyes.said == ["get ready", "hold still", "hold still"]
    assert len(eyes.reader.read(0.25, "move")) == 2


def test_whoever_stops_is_not_told_that_the_camera_ended() -> None:
    eyes = Eyes([10.0])
    eyes.stop.set()
    assert eyes.reader.read(5.0, "hold still") == []


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_a_camera_that_hangs_does_not_hold_up_the_end(rig: Rig, monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    """Its thread is left in the driver."""
    gate = Event()

    class Hanging:
        def isOpened(self) -> bool:
            return True

        def read(self) -> tuple[bool, Any]:
            gate.wait(60)
            return False, None

        def get(self, prop: int, /) -> float:
            return 0.0

        def release(self) -> None: ...

    monkeypatch.setattr("freeavatar.calibrate.load_rig", lambda _: rig)
    _calm(monkeypatch)
    monkeypatch.setattr("freeavatar.sources.camera._open", lambda number, mode: Hanging())
    monkeypatch.setattr("freeavatar.pacing._FIRST_PICTURE", 0.0)
    with pytest.raises(SourceError, match="delivered no picture"):
        calibrate("0", ["tiny"])
    gate.set()
    assert not config.exists()


@pytest.mark.slow
def test_the_shipped_clip_rests_better_with_its_neutral() -> None:
    """Against the truth that the clip was rendered from; its first half second is the face at rest."""
    calibrate(CLIP, ["human"], countdown=0.0, seconds=0.45)
    encoder, animator = pipeline.load_models(threads=1)
    human = load_rig("human")
    with np.load(Path(__file__).parent / "data" / "demo_truth.npz", allow_pickle=False) as data:
        truth, columns = data["arkit"], [i for i in range(52) if data["mask"][i] > 0 and data["arkit"][:, i].max() > 0.2]
    with open_source(CLIP) as source, pipeline.FaceTracker(size=encoder.size) as tracker:
        faces = [encoder.encode([crop])[0] for frame in source if (crop := tracker.track(frame))]
    wanted = truth[:, columns]
    errors = []
    for profile in (Profile(), find_profile(None, "file", encoder.sha256)):
        correct = Calibrator(human, animator, profile)
        rows = np.stack([correct(animator.animate(face, human)).values for face in faces])
        error = np.abs(rows[:, [human.names.index(NAMES[i]) for i in columns]] - wanted)
        errors.append((error[wanted < 0.1].mean(), error[wanted > 0.1].mean()))
    assert errors[1][0] < 0.75 * errors[0][0], "rest"
    assert errors[1][1] < 1.25 * errors[0][1], "movement keeps its depth"


def _calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny encoder reads nonsense from grey pictures: let every face it sees be a face at rest."""
    read = Encoder.encode

    def calm(self: Encoder, crops: Sequence[FaceCrop]) -> list[Expression]:
        return [replace(e, arkit=e.arkit * 0, gaze=e.gaze * 0, confidence=1.0) for e in read(self, crops)]

    monkeypatch.setattr(Encoder, "encode", calm)
    monkeypatch.setattr("freeavatar.calibrate.FaceTracker", pipeline.FaceTracker)  # the one of the fixture ``tracked``
