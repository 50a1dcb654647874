"""The virtual camera shows the avatar, beside the input if asked, and says how to get a camera where there is none."""

import sys
import threading
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from freeavatar.errors import MissingExtraError, OutputError, RenderError
from freeavatar.rig import Rig, load_rig
from freeavatar.sinks.moment import Moment
from freeavatar.sinks.virtual_camera import VirtualCameraSink, fitted
from freeavatar.types import Image, RigFrame


class Camera:
    """pyvirtualcam's, without a device."""

    opened: "list[Camera]"
    failure: str | None = None

    def __init__(self, width: int, height: int, fps: float, *, device: str | None = None) -> None:
        if self.failure is not None:
            raise RuntimeError(self.failure)
        self.size, self.fps, self.device = (width, height), fps, device or "/dev/video10"
        self.pictures: list[Image] = []
        self.closed = 0
        Camera.opened.append(self)

    def send(self, picture: Image) -> None:
        if self.failure is not None:
            raise RuntimeError(self.failure)
        assert picture.dtype == np.uint8 and picture.shape == (self.size[1], self.size[0], 3)
        self.pictures.append(picture)

    def close(self) -> None:
        self.closed += 1


class Renderer:
    """Draws its values as grey."""

    made: "list[Renderer]"

    def __init__(self, rig: Rig, width: int, height: int) -> None:
        self.rig, self.size, self.thread, self.released = rig, (width, height), threading.get_ident(), 0
        Renderer.made.append(self)

    def render(self, values: Any) -> Image:
        return np.full((self.size[1], self.size[0], 3), round(100 * float(values[0])), np.uint8)

    def release(self) -> None:
        self.released += 1


@pytest.fixture(autouse=True)
def camera(monkeypatch: pytest.MonkeyPatch) -> type[Camera]:
    module = ModuleType("pyvirtualcam")
    module.Camera = Camera  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyvirtualcam", module)
    monkeypatch.setattr(Camera, "opened", [], raising=False)
    monkeypatch.setattr(Camera, "failure", None)
    return Camera


@pytest.fixture
def renderer(monkeypatch: pytest.MonkeyPatch) -> type[Renderer]:
    pytest.importorskip("moderngl")
    monkeypatch.setattr("freeavatar_renderer.raster.AvatarRenderer", Renderer)
    monkeypatch.setattr(Renderer, "made", [], raising=False)
    return Renderer


def moment(rig: Rig, level: float = 0.0, picture: Image | None = None) -> Moment:
    values = np.full(len(rig.names), level, np.float32)
    row = RigFrame(rig.name, rig.names, values, *(np.zeros(n, np.float32) for n in (52, 6, 2)), confidence=1.0, time=0.0, index=0)  # type: ignore[misc]
    return Moment(0.0, 0, picture, None, (row,))


def test_the_avatar_fills_the_picture(rig: Rig, camera: type[Camera], renderer: type[Renderer]) -> None:
    with VirtualCameraSink(rig, (128, 64), 25.0) as sink:
        assert (sink.target, renderer.made) == ("/dev/video10", [])  # drawing starts in the thread that writes
        for level in (0.25, 0.5):
            sink.write(moment(rig, level))
    (opened,), (drawn,) = camera.opened, renderer.made
    assert (opened.size, opened.fps, opened.closed, drawn.size, drawn.released, sink.sent) == ((128, 64), 25.0, 1, (128, 64), 1, 2)
    assert [int(picture.mean()) for picture in opened.pictures] == [25, 50]


def test_the_input_stands_at_its_left_and_stays_while_the_camera_stalls(rig: Rig, camera: type[Camera], renderer: type[Renderer]) -> None:
    white = np.full((64, 64, 3), 200, np.uint8)
    with VirtualCameraSink(rig, (128, 64), beside=True, device="/dev/video3") as sink:
        for picture in (None, white, None):
            sink.write(moment(rig, 0.5, picture))
    (opened,) = camera.opened
    assert opened.device == sink.target == "/dev/video3"
    assert [int(p[:, :64].mean()) for p in opened.pictures] == [0, 200, 200]
    assert all((p[:, 64:] == 50).all() for p in opened.pictures)


def test_beside_a_mirror_image_the_input_is_one(rig: Rig, camera: type[Camera], renderer: type[Renderer]) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, :16] = 200
    for mirror in (False, True):
        with VirtualCameraSink(rig, (128, 64), beside=True, mirror=mirror) as sink:
            sink.write(moment(rig, 0.5, picture))
    plain, mirrored = (opened.pictures[0][:, :64, 0] for opened in camera.opened)
    assert (plain[:, :16] == 200).all() and not plain[:, 16:].any()
    assert (mirrored[:, 48:] == 200).all() and not mirrored[:, :48].any()


@pytest.mark.parametrize(("shape", "box"), [((30, 60), (slice(15, 45), slice(0, 60))), ((60, 30), (slice(0, 60), slice(15, 45)))])
def test_pictures_of_other_proportions_get_borders(shape: tuple[int, int], box: tuple[slice, slice]) -> None:
    panel = fitted(np.full((*shape, 3), 255, np.uint8), 60, 60)
    assert (panel[box] == 255).all() and panel.sum() == 255 * 3 * 30 * 60


@pytest.mark.parametrize("shape", [(1, 4000), (4000, 1), (2160, 3840), (1, 1)])
def test_pictures_of_any_size_fit(shape: tuple[int, int]) -> None:
    assert fitted(np.full((*shape, 3), 255, np.uint8), 64, 48).shape == (48, 64, 3)


@pytest.mark.parametrize(("platform", "words"), [("linux", "modprobe v4l2loopback"), ("win32", "OBS Studio"), ("darwin", "OBS Studio 30")])
def test_without_a_camera_the_step_for_the_platform_is_named(
    rig: Rig, camera: type[Camera], monkeypatch: pytest.MonkeyPatch, platform: str, words: str
) -> None:
    pytest.importorskip("moderngl")
    monkeypatch.setattr(Camera, "failure", "'x' backend: no device\n found")
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(OutputError) as error, VirtualCameraSink(rig):
        pass
    assert str(error.value).startswith("no virtual camera ('x' backend: no device found); ") and words in str(error.value)


@pytest.mark.parametrize(("package", "extra"), [("pyvirtualcam", "vcam"), ("moderngl", "renderer")])
def test_without_a_package_the_extra_is_named(rig: Rig, monkeypatch: pytest.MonkeyPatch, package: str, extra: str) -> None:
    if package == "moderngl":
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    else:
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"freeavatar\[{extra}\]"), VirtualCameraSink(rig):
        pass


def test_a_camera_that_goes_away_is_told_and_may_come_back(rig: Rig, renderer: type[Renderer], monkeypatch: pytest.MonkeyPatch) -> None:
    with VirtualCameraSink(rig, (128, 64)) as sink:
        monkeypatch.setattr(Camera, "failure", "gone")
        with pytest.raises(OutputError, match=r"virtual camera /dev/video10: takes no picture \(gone\)"):
            sink.write(moment(rig))
        monkeypatch.setattr(Camera, "failure", None)
        sink.write(moment(rig))
    assert sink.sent == 1 and len(renderer.made) == 1


@pytest.mark.parametrize("size", [(0, 720), (1281, 720), (1280, 5000), (-2, 64)])
def test_bad_sizes_are_refused(rig: Rig, size: tuple[int, int]) -> None:
    with pytest.raises(OutputError, match="expected even numbers"):
        VirtualCameraSink(rig, size)


def test_the_real_avatar_moves(camera: type[Camera]) -> None:
    pytest.importorskip("moderngl")
    avatar = load_rig("robot")
    rest = moment(avatar)
    turned = avatar.pose(avatar.neutral(), np.array([0.6, 0, 0, 0, 0, 0], np.float32), np.zeros(2, np.float32))
    try:
        with VirtualCameraSink(avatar, (128, 64), beside=True) as sink:
            for values in (rest.rows[0].values, turned):
                sink.write(replace(rest, rows=(replace(rest.rows[0], values=values),)))
    except RenderError as error:
        pytest.skip(str(error))
    a, b = (picture[:, 64:].astype(int) for picture in camera.opened[0].pictures)
    assert np.abs(a - b).mean() > 2 and a.std() > 10
