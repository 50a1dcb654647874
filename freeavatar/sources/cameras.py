"""Which cameras there are, and what they can do where the system tells without opening them (Linux: Video4Linux)."""

import contextlib
import os
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DEVICES: Final = Path("/dev")
_LIMIT: Final = 64
"""Answers read in a row; a driver that never says that it is done is not believed."""
_PROBED: Final = 8
"""Numbers tried where the system has no list."""


@dataclass(frozen=True)
class Mode:
    """A picture size with the highest rate at which the camera gives it.

    Attributes:
        width: pixels.
        height: pixels.
        rate: frames a second; 0 where it is unknown.
        format: four letters, such as MJPG or YUYV; empty where it is unknown.
    """

    width: int
    height: int
    rate: float
    format: str

    def __str__(self) -> str:
        return f"{self.width}x{self.height}" + (f" at {self.rate:g}" if self.rate else "") + (f" {self.format}" if self.format else "")


@dataclass(frozen=True)
class CameraInfo:
    """One camera: its number for ``--source``, its name, what it can do (the largest first)."""

    number: int
    name: str
    modes: tuple[Mode, ...]


Ask = Callable[[int, bytearray], bool]
"""Puts a request to a device; False where the device has no (further) answer, which else is written over the question."""


def list_cameras() -> list[CameraInfo]:
    """All cameras that are connected, in the order of their numbers."""
    return list(_video4linux(_DEVICES)) if sys.platform == "linux" else list(_probe())


def _video4linux(folder: Path) -> Iterator[CameraInfo]:
    numbers = sorted(int(path.name[5:]) for path in folder.glob("video*") if path.name[5:].isdecimal())
    for number in numbers:
        try:
            handle = os.open(folder / f"video{number}", os.O_RDWR | os.O_NONBLOCK)
        except OSError as error:
            yield CameraInfo(number, f"cannot be opened ({error.strerror})", ())
            continue
        try:
            info = read_device(number, lambda request, data, handle=handle: _ioctl(handle, request, data))  # type: ignore[misc]
        finally:
            os.close(handle)
        if info is not None:
            yield info


def read_device(number: int, ask: Ask) -> CameraInfo | None:
    """What a Video4Linux device says of itself; None if it captures no pictures (many cameras have a second device of that kind)."""
    capability = bytearray(104)  # driver[16], card[32], bus[32], version, capabilities, device_caps, reserved[3]
    if not ask(_CAPABILITY, capability):
        return None
    name, everything, device = struct.unpack_from("<16x32s36xII", capability)
    if not (device if everything & _HAS_DEVICE_CAPS else everything) & _CAPTURES:
        return None
    modes = {
        Mode(width, height, rate, code.to_bytes(4, "little").decode("ascii", "replace").strip())
        for code in _formats(ask)
        for width, height in _sizes(ask, code)
        for rate in [_rate(ask, code, width, height)]
    }
    order = sorted(modes, key=lambda mode: (-mode.width * mode.height, -mode.rate, mode.format))
    return CameraInfo(number, name.split(b"\0")[0].decode("utf-8", "replace"), tuple(order))


# linux/videodev2.h, unchanged since 2.6.19: request numbers hold direction, size, letter "V" and number.
_CAPABILITY: Final = 0x80685600
_FORMAT: Final = 0xC0405602
_FRAME_SIZE: Final = 0xC02C564A
_FRAME_INTERVAL: Final = 0xC034564B
_CAPTURES: Final = 0x1
_HAS_DEVICE_CAPS: Final = 0x80000000
_DISCRETE: Final = 1


def _formats(ask: Ask) -> Iterator[int]:
    for index in range(_LIMIT):
        data = bytearray(struct.pack("<II56x", index, _CAPTURES))  # index, type, flags, description[32], format, ...
        if not ask(_FORMAT, data):
            return
        yield struct.unpack_from("<44xI", data)[0]


def _sizes(ask: Ask, code: int) -> Iterator[tuple[int, int]]:
    for index in range(_LIMIT):
        data = bytearray(struct.pack("<II36x", index, code))
        if not ask(_FRAME_SIZE, data):
            return
        kind, *numbers = struct.unpack_from("<8xI6I", data)
        if kind != _DISCRETE:  # a range from the smallest to the largest in steps: width 0, 1, 2 and height 3, 4, 5
            yield numbers[1], numbers[4]
            return
        yield numbers[0], numbers[1]


def _rate(ask: Ask, code: int, width: int, height: int) -> float:
    """The highest rate; the system counts seconds a frame, as fractions."""
    best = 0.0
    for index in range(_LIMIT):
        data = bytearray(struct.pack("<IIII36x", index, code, width, height))
        if not ask(_FRAME_INTERVAL, data):
            break
        kind, numerator, denominator = struct.unpack_from("<16xIII", data)
        if numerator:
            best = max(best, round(denominator / numerator, 2))
        if kind != _DISCRETE:  # a range, of which the shortest comes first
            break
    return best


def _ioctl(handle: int, request: int, data: bytearray) -> bool:
    import fcntl

    try:
        fcntl.ioctl(handle, request, data)
    except OSError:
        return False
    return True


def _probe() -> Iterator[CameraInfo]:
    """Cameras that can be opened now, with the mode that they start in; a system's own names do not follow these numbers."""
    import cv2

    for number in range(_PROBED):
        with contextlib.suppress(cv2.error):
            capture = cv2.VideoCapture(number)
            if capture.isOpened():
                width, height = (int(capture.get(prop)) for prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
                rate = capture.get(cv2.CAP_PROP_FPS)
                yield CameraInfo(number, f"camera {number}", (Mode(width, height, rate if 0 < rate <= 1000 else 0.0, ""),))
            capture.release()
