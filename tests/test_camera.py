"""The camera: newest frames, losses survived, and what the driver gives told in one line."""

from collections.abc import Sequence
from itertools import islice, pairwise

import cv2
import numpy as np
import pytest

from freeavatar.errors import SourceError
from freeavatar.sources import ANY_MODE, CameraMode, open_source
from freeavatar.sources import camera as camera_module
from freeavatar.sources.camera import Camera
from freeavatar.types import Frame


class FakeCapture:
    """A camera that gives what it is told to: a picture, or ``None`` for a read that fails; then it is unplugged."""

    def __init__(self, pictures: Sequence[np.ndarray | None] = (), opened: bool = True, rate: float = 30.0) -> None:
        self.pictures, self.opened, self.rate = list(pictures), opened, rate
        self.reads, self.released = 0, False

    def isOpened(self) -> bool:
        return self.opened

    def get(self, prop: int, /) -> float:
        return self.rate if prop == cv2.CAP_PROP_FPS else 0.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.reads += 1
        picture = self.pictures.pop(0) if self.pictures else None
        return picture is not None, picture

    def release(self) -> None:
        self.released = True


class Desk:
    """A clock and a shelf of captures: each opening takes the next one."""

    def __init__(self, *captures: FakeCapture, step: float = 1 / 30) -> None:
        self.captures, self.step = list(captures), step
        self.time, self.waits, self.opened, self.said = 100.0, list[float](), 0, list[str]()

    def clock(self) -> float:
        self.time += self.step / 2  # twice a picture: before and after it
        return self.time

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.time += seconds
        return len(self.waits) > 300

    def opener(self, number: int, mode: CameraMode) -> FakeCapture:
        capture = self.captures[min(self.opened, len(self.captures) - 1)]
        self.opened += 1
        return capture

    def camera(self, mode: CameraMode = ANY_MODE) -> Camera:
        return Camera(0, mode, self.said.append, self.opener, self.clock, self.wait)


def grey(value: int, size: tuple[int, int] = (4, 6)) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def some(camera: Camera, count: int) -> list[Frame]:
    with camera:
        return list(islice(camera, count))


def test_a_camera_delivers_every_picture_with_the_time_it_came() -> None:
    desk = Desk(FakeCapture([grey(1), grey(2), grey(3)]))
    camera = desk.camera()
    assert (camera.name, camera.rate, camera.count, camera.live, camera.still) == ("camera 0", 30.0, None, True, False)
    frames = some(camera, 3)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 3] and [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.time for frame in frames] == pytest.approx([100 + i / 30 for i in (1, 2, 3)])


def test_camera_times_rise_even_when_the_clock_stands() -> None:
    frames = some(Desk(FakeCapture([grey(i) for i in range(9)]), step=0.0).camera(), 9)
    assert all(b.time > a.time for a, b in pairwise(frames))


def test_camera_pictures_become_rgb() -> None:
    frames = some(Desk(FakeCapture([np.array([[[1, 2, 3]]], np.uint8), np.array([[9]], np.uint8)])).camera(), 2)
    assert [frame.image.tolist() for frame in frames] == [[[[3, 2, 1]]], [[[9, 9, 9]]]]


def test_a_few_failed_reads_do_no_harm() -> None:
    desk = Desk(FakeCapture([grey(1), None, None, grey(5)]))
    assert [int(frame.image[0, 0, 0]) for frame in some(desk.camera(), 2)] == [1, 5]
    assert desk.opened == 1


def test_a_lost_camera_is_opened_again_ever_more_rarely_until_it_returns() -> None:
    lost, gone, back = FakeCapture([grey(1)]), FakeCapture(opened=False), FakeCapture([grey(2)])
    desk = Desk(lost, *[gone] * 6, back)
    frames = some(desk.camera(), 2)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2] and [frame.index for frame in frames] == [0, 1]
    assert [wait for wait in desk.waits if wait > 0.1] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    assert lost.released and gone.released and desk.said == []


def test_a_read_that_hangs_and_fails_means_that_the_camera_is_lost() -> None:
    desk = Desk(FakeCapture([grey(1)]), FakeCapture([grey(2)]), step=8.0)  # drivers wait seconds for one that was unplugged
    assert len(some(desk.camera(), 2)) == 2
    assert desk.captures[0].reads == 2 and desk.opened == 2


def test_a_camera_that_never_returns_ends_when_it_is_closed() -> None:
    desk = Desk(FakeCapture([grey(1)]), FakeCapture(opened=False))
    camera = desk.camera()
    frames = []
    for frame in camera:
        frames.append(frame)
        camera.close()
    camera.close()
    assert len(frames) == 1 and desk.captures[0].released


def test_leaving_a_camera_releases_it() -> None:
    capture = FakeCapture([grey(1), grey(2)])
    pictures = iter(Desk(capture).camera())
    next(pictures)
    assert not capture.released
    pictures.close()  # type: ignore[attr-defined]
    assert capture.released


def test_a_camera_that_is_missing_or_busy_is_refused() -> None:
    capture = FakeCapture(opened=False)
    with pytest.raises(SourceError, match="camera 7"):
        Camera(7, opener=lambda number, mode: capture)
    assert capture.released


def test_what_the_driver_gives_instead_is_told_in_one_line() -> None:
    desk = Desk(FakeCapture([grey(1, (480, 640)), grey(2, (480, 640))], rate=30.0))
    some(desk.camera(CameraMode((1280, 720), 60.0)), 2)
    (line,) = desk.said
    assert "640 x 480 pixels at 30 frames a second instead of 1280 x 720 pixels at 60 frames a second" in line


def test_a_driver_that_does_as_asked_needs_no_words() -> None:
    desk = Desk(FakeCapture([grey(1, (480, 640))] * 200, rate=30.0))
    some(desk.camera(CameraMode((640, 480), 30.0)), 200)
    assert desk.said == []


@pytest.mark.parametrize(("step", "told"), [(1 / 15, True), (1 / 29, False), (1 / 60, False)])
def test_a_camera_that_is_slower_than_it_says_is_told_once(step: float, told: bool) -> None:
    desk = Desk(FakeCapture([grey(1)] * 300), step=step)
    some(desk.camera(), 300)
    assert len(desk.said) == told and (not told or "delivers 15 frames a second instead of 30" in desk.said[0])


@pytest.mark.parametrize(("size", "rate"), [((0, 480), None), ((640, 10**6), None), (None, 0.0), (None, -5.0), (None, float("nan"))])
def test_modes_that_no_camera_has_are_refused(size: tuple[int, int] | None, rate: float | None) -> None:
    with pytest.raises(SourceError, match="--"):
        CameraMode(size, rate)


def test_a_number_means_a_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    monkeypatch.setattr(camera_module, "Camera", lambda *args: opened.append(args))
    mode = CameraMode((640, 480))
    open_source("12", mode=mode, report=print)
    assert opened == [(12, mode, print)]


def test_a_camera_is_asked_for_compressed_pictures_before_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, float]] = []

    class Recorder(FakeCapture):
        def set(self, name: int, value: float) -> bool:
            asked.append((name, value))
            return False

    monkeypatch.setattr(cv2, "VideoCapture", lambda number: Recorder())
    camera_module._open(0, CameraMode((1280, 720), 60.0))
    names = [cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS, cv2.CAP_PROP_BUFFERSIZE]
    assert asked == list(zip(names, [cv2.VideoWriter.fourcc(*"MJPG"), 1280, 720, 60.0, 1], strict=True))
