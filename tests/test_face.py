"""The face: true angles, one face followed through clips and found in tight pictures."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeavatar import arkit
from freeavatar.errors import FaceModelError, SourceError
from freeavatar.face import FaceTracker, find_model, tracker
from freeavatar.face.alignment import INDICES, transform
from freeavatar.face.landmarks import COUNT, Detection
from freeavatar.face.pose import head_pose
from freeavatar.rotation import angles as euler
from freeavatar.rotation import matrix as rotation
from freeavatar.sources import open_source
from freeavatar.sources.images import read_image
from freeavatar.types import FaceCrop, Frame


def found(crop: FaceCrop | None) -> FaceCrop:
    assert crop is not None
    return crop


# Head pose


@given(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5), st.floats(-3.1, 3.1))
def test_angles_of_a_rotation_are_recovered(yaw: float, pitch: float, roll: float) -> None:
    np.testing.assert_allclose(euler(rotation(yaw, pitch, roll)), (yaw, pitch, roll), atol=1e-6)


@given(st.floats(-3.1, 3.1), st.sampled_from([-np.pi / 2, np.pi / 2]), st.floats(-3.1, 3.1))
def test_looking_straight_up_or_down_is_still_the_same_rotation(yaw: float, pitch: float, roll: float) -> None:
    matrix = rotation(yaw, pitch, roll)
    np.testing.assert_allclose(rotation(*euler(matrix)), matrix, atol=1e-6)


def test_the_signs_of_the_angles() -> None:
    forward, up = np.array([0, 0, 1]), np.array([0, 1, 0])
    assert (rotation(0.3, 0, 0) @ forward)[0] > 0, "+yaw turns the face to the subject's left, +X"
    assert (rotation(0, 0.3, 0) @ forward)[1] < 0, "+pitch looks down"
    assert (rotation(0, 0, 0.3) @ up)[0] < 0, "+roll tilts the crown to the subject's right, -X"


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1), st.floats(1.0, 3.0))
def test_a_matrix_becomes_radians_and_metres(yaw: float, pitch: float, roll: float, enlarged: float) -> None:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation(yaw, pitch, roll), (3.0, -5.0, -60.0)
    np.testing.assert_allclose(head_pose(matrix, enlarged), [yaw, pitch, roll, 0.03, -0.05, -0.6 / enlarged], atol=1e-5)


# The tracker's decisions, with a landmarker that sees what the test wants


class FakeLandmarker:
    """Finds a face in images for which ``sees`` says so; notes what it was asked."""

    made: list["FakeLandmarker"]

    def __init__(self, video: bool, scores: bool = False, model: Path | None = None) -> None:
        self.video, self.scores, self.closed = video, scores, False
        self.seen: list[tuple[tuple[int, ...], int]] = []
        FakeLandmarker.made.append(self)

    @staticmethod
    def sees(image: np.ndarray) -> bool:
        raise NotImplementedError

    def detect(self, image: np.ndarray, milliseconds: int = 0) -> Detection | None:
        self.seen.append((image.shape, milliseconds))
        return self.look(FakeLandmarker.sees(image))

    def look(self, visible: bool) -> Detection | None:
        if not visible:
            return None
        matrix = np.eye(4, dtype=np.float32)
        matrix[2, 3] = -50
        points = np.random.default_rng(0).random((COUNT, 3), np.float32)
        return Detection(points, matrix, np.ones(52, np.float32) if self.scores else None)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeLandmarker]:
    FakeLandmarker.made = []
    monkeypatch.setattr(tracker, "Landmarker", FakeLandmarker)
    monkeypatch.setattr(FakeLandmarker, "sees", staticmethod(lambda image: True))
    return FakeLandmarker


def frame(index: int = 0, width: int = 160, height: int = 120) -> Frame:
    return Frame(np.zeros((height, width, 3), np.uint8), index / 25, index)


def test_a_clip_with_a_face_never_loads_the_image_mode(fake: type[FakeLandmarker]) -> None:
    with FaceTracker() as face:
        for i in range(5):
            assert face.track(frame(i)) is not None
    assert [m.video for m in fake.made] == [True]
    assert [ms for _, ms in fake.made[0].seen] == [0, 40, 80, 120, 160]
    assert fake.made[0].closed


def test_stills_use_only_the_image_mode(fake: type[FakeLandmarker]) -> None:
    with FaceTracker(still=True) as face:
        face.track(frame())
    assert [m.video for m in fake.made] == [False]


def test_a_border_that_helps_is_kept_for_the_clip(fake: type[FakeLandmarker], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "sees", staticmethod(lambda image: image.shape[0] > 120))
    with FaceTracker() as face:
        assert all(face.track(frame(i)) is not None for i in range(4))
    video, image = fake.made
    assert [shape[:2] for shape, _ in video.seen] == [(120, 160), (200, 240), (200, 240), (200, 240)]
    assert [shape[:2] for shape, _ in image.seen] == [(120, 160), (200, 240)]


def test_a_long_stretch_without_a_face_is_searched_ever_more_rarely(fake: type[FakeLandmarker], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "sees", staticmethod(lambda image: False))
    with FaceTracker() as face:
        searched = []
        for i in range(1, 61):
            before = len(fake.made[1].seen) if len(fake.made) > 1 else 0
            assert face.track(frame(i)) is None
            if len(fake.made) > 1 and len(fake.made[1].seen) > before:
                searched.append(i)
    assert searched == [1, 2, 4, 8, 15, 30, 45, 60]


def test_after_a_long_loss_a_face_of_a_single_frame_is_not_believed(fake: type[FakeLandmarker], monkeypatch: pytest.MonkeyPatch) -> None:
    visible = [True, *[False] * 5, True, *[False] * 20, True, *[False] * 3, True, True, True]
    now = iter(visible)
    monkeypatch.setattr(FakeLandmarker, "detect", lambda self, image, ms=0: self.look(next(now)) if self.video else None)
    with FaceTracker() as face:
        tracked = [face.track(frame(i)) is not None for i in range(len(visible))]
    assert tracked == [True, *[False] * 5, True, *[False] * 20, False, *[False] * 3, False, True, True]


@pytest.mark.parametrize(("width", "height"), [(160, 120), (120, 160), (2000, 1000)])  # the last one is also shrunk
def test_landmarks_found_with_a_border_are_in_pixels_of_the_frame(
    fake: type[FakeLandmarker], monkeypatch: pytest.MonkeyPatch, width: int, height: int
) -> None:
    monkeypatch.setattr(fake, "sees", staticmethod(lambda image: image.shape[:2] != (height, width)))
    crop = found(FaceTracker(still=True).track(frame(0, width, height)))
    border = max(width, height) / 4
    shares = np.random.default_rng(0).random((COUNT, 3), np.float32)
    expected = shares * [width + 2 * border, height + 2 * border, width + 2 * border] - [border + 0.5, border + 0.5, 0]
    np.testing.assert_allclose(crop.landmarks, expected, atol=0.0015 * width)
    np.testing.assert_allclose(crop.head_pose[5], -0.5 * height / (height + 2 * border), rtol=3e-3)


def test_a_still_whose_edge_cuts_the_face_is_looked_at_with_a_border(fake: type[FakeLandmarker], monkeypatch: pytest.MonkeyPatch) -> None:
    real = fake.detect

    def cut(self: FakeLandmarker, image: np.ndarray, milliseconds: int = 0) -> Detection | None:
        detection = real(self, image, milliseconds)
        assert detection is not None
        detection.points[0, 0] = 1.2 if image.shape[0] == 120 else 0.9
        return detection

    monkeypatch.setattr(fake, "detect", cut)
    with FaceTracker(still=True) as face:
        assert found(face.track(frame())).landmarks[0, 0] == pytest.approx(0.9 * 240 - 40.5)
    # With no luck behind the border, the first finding stays.
    monkeypatch.setattr(fake, "sees", staticmethod(lambda image: image.shape[0] == 120))
    monkeypatch.setattr(fake, "detect", lambda self, image, ms=0: cut(self, image, ms) if image.shape[0] == 120 else None)
    with FaceTracker(still=True) as face:
        assert found(face.track(frame())).landmarks[0, 0] == pytest.approx(1.2 * 160 - 0.5)


def test_peer_scores_are_computed_only_when_asked_for(fake: type[FakeLandmarker]) -> None:
    plain, peer = FaceTracker().track(frame()), FaceTracker(peer=True).track(frame())
    assert plain is not None and plain.peer is None
    assert peer is not None and peer.peer is not None and peer.peer.shape == (52,)


# The real landmarker


@pytest.fixture(scope="module")
def model() -> Path:
    """The model file, if this machine has it or can fetch it."""
    try:
        return find_model()
    except FaceModelError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def portrait(data_root: Path, model: Path) -> Iterator[Frame]:
    with open_source(data_root / "video" / "lp_d9.mp4") as source:
        yield next(iter(source))


@pytest.fixture(scope="module")
def still(model: Path) -> Iterator[FaceTracker]:
    with FaceTracker(still=True, peer=True) as face:
        yield face


@pytest.mark.data
def test_a_face_becomes_a_crop_with_its_landmarks_in_place(portrait: Frame, still: FaceTracker) -> None:
    crop = found(still.track(portrait))
    assert crop.image.shape == (128, 128, 3) and crop.image.dtype == np.uint8
    assert crop.landmarks.shape == (COUNT, 3) and crop.landmarks.dtype == np.float32
    assert crop.head_pose.shape == (6,) and np.abs(crop.head_pose[:3]).max() < 0.5 and -1 < crop.head_pose[5] < -0.1
    placed = transform(crop.landmarks[list(INDICES), :2], crop.matrix) / 128
    right_eye, left_eye, nose = placed[0], placed[2], placed[8]
    assert right_eye[0] < nose[0] < left_eye[0], "the subject's left is on the right of the picture"
    assert np.abs(placed - [0.5, 0.45]).max() < 0.3


@pytest.mark.data
def test_the_pose_of_rendered_heads_is_read(still: FaceTracker, data_root: Path) -> None:
    """Signs, axes and order, against renders whose yaw, pitch and roll are known."""
    from freeavatar_renderer import heads
    from freeavatar_renderer.portrait import PortraitRenderer, Scene

    random = np.random.default_rng(3)
    renderer = PortraitRenderer(256)
    for name in ("Asian_F_1", "Black_M_1"):
        head = heads.load_valid(name)
        true = random.uniform([-0.4, -0.25, -0.3], [0.4, 0.25, 0.3], (24, 3))
        scenes = [Scene(np.zeros(len(head.names), np.float32), pose=(float(y), float(p), float(r)), fov=0.6) for y, p, r in true]
        read = np.array([found(still.track(Frame(renderer.render(head, scene), 0, 0))).head_pose for scene in scenes])
        for axis, least in enumerate((0.98, 0.95, 0.98)):
            assert np.corrcoef(true[:, axis], read[:, axis])[0, 1] > least
            slope, bias = np.polyfit(true[:, axis], read[:, axis], 1)
            assert 0.7 < slope < 1.15 and abs(bias) < np.radians(10)


@pytest.mark.data
def test_a_rolled_frame_gives_the_same_crop_and_the_roll(portrait: Frame, still: FaceTracker) -> None:
    upright = found(still.track(portrait))
    height, width = portrait.image.shape[:2]
    for degrees in (-20, 20):  # counter-clockwise in the picture, as +roll is
        turned = cv2.warpAffine(portrait.image, cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1), (width, height))
        rolled = found(still.track(Frame(turned, 0, 0)))
        assert np.degrees(rolled.head_pose[2] - upright.head_pose[2]) == pytest.approx(degrees, abs=3)
        assert np.abs(rolled.image[32:96, 32:96].astype(float) - upright.image[32:96, 32:96]).mean() < 12


@pytest.mark.data
def test_a_mirrored_frame_negates_yaw_and_roll(portrait: Frame, still: FaceTracker) -> None:
    straight = found(still.track(portrait)).head_pose
    mirrored = found(still.track(Frame(np.ascontiguousarray(portrait.image[:, ::-1]), 0, 0))).head_pose
    np.testing.assert_allclose(mirrored[:3], straight[:3] * [-1, 1, -1], atol=np.radians(4))


@pytest.mark.data
def test_a_tight_picture_is_found_with_a_border(portrait: Frame, still: FaceTracker) -> None:
    loose = found(still.track(portrait))
    low, high = loose.landmarks[:, :2].min(0), loose.landmarks[:, :2].max(0)
    middle, half = (low + high) / 2, float((high - low).max()) * 0.3
    left, top = (middle - half).astype(int)
    right, bottom = (middle + half).astype(int)
    cut = np.ascontiguousarray(portrait.image[top:bottom, left:right])
    assert still._image is not None and still._image.detect(cut) is None, "too easy: found without a border"
    tight = found(still.track(Frame(cut, 0, 0)))
    np.testing.assert_allclose(
        tight.landmarks[list(INDICES), :2] + [left, top], loose.landmarks[list(INDICES), :2], atol=0.05 * float((high - low).max())
    )
    np.testing.assert_allclose(tight.head_pose[:3], loose.head_pose[:3], atol=np.radians(8))


@pytest.mark.data
def test_tight_wild_faces_are_found(data_root: Path, still: FaceTracker) -> None:
    files = sorted((data_root / "faces_wild" / "dev").iterdir())[::20]
    assert np.mean([still.track(Frame(read_image(f), 0, 0)) is not None for f in files]) > 0.97


@pytest.mark.data
def test_a_face_that_leaves_is_lost_and_nothing_else_is_found(data_root: Path, model: Path) -> None:
    with open_source(data_root / "video" / "face_noface.mov") as source, FaceTracker() as face:
        tracked = [face.track(frame) is not None for frame in source]
    assert all(tracked[:70]) and not any(tracked[75:])


@pytest.mark.data
def test_times_that_repeat_or_go_back_are_survived(portrait: Frame) -> None:
    with FaceTracker() as face:
        for time in (0.0, 0.0, 5.0, 5.0001, 1.0, 0.0, -3.0):
            assert face.track(Frame(portrait.image, time, 0)) is not None


@pytest.mark.data
def test_peer_scores_are_named_like_arkit(portrait: Frame, still: FaceTracker) -> None:
    peer = found(still.track(portrait)).peer
    assert peer is not None and peer.shape == (52,) and peer.min() >= 0 and peer.max() <= 1
    assert peer[arkit.INDEX["tongueOut"]] == 0, "MediaPipe has no tongue"
    assert (peer > 0).sum() > 40


def test_pictures_without_a_face_give_none(model: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    with FaceTracker(still=True) as face:
        for image in (noise, np.zeros((1, 1, 3), np.uint8), np.full((33, 500, 3), 200, np.uint8)):
            assert face.track(Frame(image, 0, 0)) is None


def test_what_is_no_picture_is_refused(model: Path) -> None:
    with FaceTracker(still=True) as face:
        for image in (np.zeros((10, 10), np.uint8), np.zeros((10, 10, 3), np.float32), np.zeros((0, 10, 3), np.uint8)):
            with pytest.raises(SourceError, match="RGB uint8"):
                face.track(Frame(image, 0, 0))


def test_starting_is_silent_and_loads_no_plotting(model: Path) -> None:
    code = """
import sys
import numpy as np
from freeavatar.face import FaceTracker
from freeavatar.types import Frame
assert 'mediapipe' not in sys.modules and 'torch' not in sys.modules
with FaceTracker() as face:
    for i in range(3):
        face.track(Frame(np.zeros((64, 64, 3), np.uint8), i / 30, i))
assert not {'matplotlib', 'sounddevice', 'torch'} & set(sys.modules)
import mediapipe  # the ordinary import is not disturbed
assert mediapipe.tasks.vision.FaceLandmarker
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and done.stderr == ""


def test_only_the_noise_is_kept_from_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    from freeavatar.face.landmarks import _quiet

    with contextlib.suppress(RuntimeError), _quiet():
        os.write(2, b"W0000 00:00:1.2 7 graph.cc:1] noise\nINFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
        os.write(2, b"E0000 00:00:1.2 7 graph.cc:1] a real error\nsomething else\n")
        raise RuntimeError
    assert io.StringIO(capfd.readouterr().err).readlines() == ["E0000 00:00:1.2 7 graph.cc:1] a real error\n", "something else\n"]
