"""Checks the system libraries that the Python wheels cannot bring, and names the packages that are missing.

Run by every `make` target before anything is installed, so it uses the standard library alone. Only Linux needs the
check: elsewhere the libraries are part of the system. Exits 2 if something is missing.
"""

import ctypes
import os
import sys
from collections.abc import Callable

LIBRARIES = {
    "libGL.so.1": "libgl1",  # moderngl
    "libEGL.so.1": "libegl1",  # mediapipe, and moderngl without a display
    "libGLESv2.so.2": "libgles2",  # mediapipe
    "libglib-2.0.so.0": "libglib2.0-0",  # OpenCV
    "libgthread-2.0.so.0": "libglib2.0-0",
}
"""Library to load -> Debian or Ubuntu package that holds it."""
DRIVER = "libgl1-mesa-dri"

_EGL_PLATFORM_DEVICE = 0x313F


def missing(load: Callable[[str], object], driver: Callable[[], bool]) -> list[str]:
    """The packages to install, in a fixed order, without repeats.

    Args:
        load: loads a shared library by name; raises OSError if it is not there.
        driver: whether any OpenGL driver answers; asked only if EGL itself is there.
    """
    packages: dict[str, None] = {}
    for library, package in LIBRARIES.items():
        try:
            load(library)
        except OSError:
            packages[package] = None
    if "libegl1" in packages or not driver():
        packages[DRIVER] = None
    return list(packages)


def egl_driver_answers() -> bool:
    """Whether EGL finds at least one device, real or software, that can be initialised.

    The renderer opens its context the same way; files of a driver lying about would prove less.
    """
    egl = ctypes.CDLL("libEGL.so.1")
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    egl.eglGetProcAddress.argtypes = [ctypes.c_char_p]
    egl.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    egl.eglTerminate.argtypes = [ctypes.c_void_p]
    query_address = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    display_address = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query_address or not display_address:
        return False
    query = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(query_address)
    get_display = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)(display_address)
    devices, count = (ctypes.c_void_p * 16)(), ctypes.c_int()
    if not query(len(devices), devices, ctypes.byref(count)):
        return False
    for device in devices[: count.value]:
        display = get_display(_EGL_PLATFORM_DEVICE, device, None)
        if display and egl.eglInitialize(display, None, None):
            egl.eglTerminate(display)
            return True
    return False


def main() -> int:
    """Returns the exit status: 0 if all is there, 2 after printing what to install."""
    if not sys.platform.startswith("linux"):
        return 0
    os.environ.setdefault("EGL_LOG_LEVEL", "fatal")  # a device that cannot be opened is no news to the reader
    packages = missing(ctypes.CDLL, egl_driver_answers)
    if not packages:
        return 0
    sudo = "" if os.geteuid() == 0 else "sudo "
    command = f"{sudo}apt-get install -y {' '.join(packages)}"
    print(f"FreeAvatar needs system libraries that are missing; on Debian or Ubuntu: {command}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
