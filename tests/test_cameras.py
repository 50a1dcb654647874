"""What a camera says of itself, read from the answers a Video4Linux driver gives."""

import struct
import sys
from pathlib import Path

import cv2
import pytest

from freeavatar.sources import cameras
from freeavatar.sources.cameras import CameraInfo, Mode, list_cameras, read_device

MJPG, YUYV = (int.from_bytes(code, "little") for code in (b"MJPG", b"YUYV"))


class Driver:
    """Answers as the kernel does; a format has sizes, a size has intervals in seconds a frame."""

    def __init__(
        self, formats: dict[int, dict[tuple[int, int], list[tuple[int, int]]]], name: bytes = b"Webcam C920", device: int = 0x04200001
    ) -> None:
        self.formats, self.name, self.device = formats, name, device
        self.stepwise = False

    def __call__(self, request: int, data: bytearray) -> bool:
        number, size = request & 0xFF, request >> 16 & 0x3FFF
        assert len(data) == size and request >> 8 & 0xFF == ord("V") and request >> 30 == (2 if number == 0 else 3)
        if number == 0:
            struct.pack_into("<16s32s32sIII", data, 0, b"uvcvideo", self.name, b"usb-1", 0x60000, 0x84A00001, self.device)
            return True
        index = struct.unpack_from("<I", data)[0]
        if number == 2:
            if index >= len(self.formats):
                return False
            struct.pack_into("<IIII32sI", data, 0, index, 1, 0, 0, b"", list(self.formats)[index])
            struct.pack_into("<I", data, 44, list(self.formats)[index])
            return True
        sizes = self.formats[struct.unpack_from("<I", data, 4)[0]]
        if number == 74:
            if index >= len(sizes):
                return False
            width, height = list(sizes)[index]
            if self.stepwise:
                struct.pack_into("<I6I", data, 8, 3, 16, width, 2, 16, height, 2)
            else:
                struct.pack_into("<III", data, 8, 1, width, height)
            return True
        intervals = sizes[struct.unpack_from("<II", data, 8)]
        if index >= len(intervals):
            return False
        struct.pack_into("<III", data, 16, 3 if self.stepwise else 1, *intervals[index])
        return True


def test_a_camera_tells_its_name_and_modes_the_largest_first() -> None:
    driver = Driver({YUYV: {(640, 480): [(1, 30), (1, 15)], (1280, 720): [(1, 10)]}, MJPG: {(1280, 720): [(1, 60), (1001, 30000)]}})
    assert read_device(2, driver) == CameraInfo(
        2, "Webcam C920", (Mode(1280, 720, 60.0, "MJPG"), Mode(1280, 720, 10.0, "YUYV"), Mode(640, 480, 30.0, "YUYV"))
    )
    assert str(Mode(1280, 720, 29.97, "MJPG")) == "1280x720 at 29.97 MJPG" and str(Mode(640, 480, 0, "")) == "640x480"


def test_a_range_of_sizes_is_told_by_its_largest() -> None:
    driver = Driver({YUYV: {(1920, 1080): [(1, 50)]}})
    driver.stepwise = True
    assert read_device(0, driver) == CameraInfo(0, "Webcam C920", (Mode(1920, 1080, 50.0, "YUYV"),))


def test_a_device_that_captures_no_pictures_is_no_camera() -> None:
    assert read_device(1, Driver({}, device=0x04A00000)) is None  # the metadata device beside most cameras
    assert read_device(1, lambda request, data: False) is None


def test_a_driver_that_never_ends_is_not_believed() -> None:
    driver, asked = Driver({MJPG: {(640, 480): [(1, 30)]}}), list[int]()

    def endless(request: int, data: bytearray) -> bool:
        asked.append(request)
        if request & 0xFF:
            struct.pack_into("<I", data, 0, 0)  # the first answer to every question
        return driver(request, data)

    info = read_device(0, endless)
    assert info is not None and len(info.modes) == 1 and len(asked) < 400_000


def test_rubbish_in_a_name_or_an_interval_is_survived() -> None:
    info = read_device(0, Driver({0xFFFFFFFF: {(0, 0): [(0, 0)]}}, name=b"\xff\xfe" * 16))
    assert info is not None and info.modes[0].rate == 0.0


@pytest.mark.skipif(sys.platform != "linux", reason="device files are Linux's")
def test_devices_are_listed_by_number_and_one_that_is_no_camera_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "_DEVICES", tmp_path)
    assert list_cameras() == []
    for name in ("video10", "video9", "video9x", "v4l-subdev0"):
        (tmp_path / name).touch()
    (tmp_path / "video0").symlink_to(tmp_path / "gone")
    asked: list[int] = []
    driver = Driver({MJPG: {(640, 480): [(1, 30)]}})

    def ioctl(handle: int, request: int, data: bytearray) -> bool:
        asked.append(request)
        return driver(request, data)

    monkeypatch.setattr(cameras, "_ioctl", ioctl)
    assert [(camera.number, camera.name) for camera in list_cameras()] == [
        (0, "cannot be opened (No such file or directory)"),
        (9, "Webcam C920"),
        (10, "Webcam C920"),
    ]
    monkeypatch.undo()
    monkeypatch.setattr(cameras, "_DEVICES", tmp_path)
    assert [camera.number for camera in list_cameras()] == [0]  # plain files answer no request


def test_where_the_system_has_no_list_cameras_that_open_are_told_with_the_mode_they_start_in(monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[int] = []

    class Capture:
        def __init__(self, number: int) -> None:
            self.number = number

        def isOpened(self) -> bool:
            return self.number in (0, 2)

        def get(self, prop: int) -> float:
            return {cv2.CAP_PROP_FRAME_WIDTH: 1280.0, cv2.CAP_PROP_FRAME_HEIGHT: 720.0}.get(prop, -1.0)

        def release(self) -> None:
            released.append(self.number)

    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    mode = Mode(1280, 720, 0.0, "")
    assert list(cameras._probe()) == [CameraInfo(0, "camera 0", (mode,)), CameraInfo(2, "camera 2", (mode,))]
    assert released == list(range(cameras._PROBED))
