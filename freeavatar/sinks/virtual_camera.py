"""A virtual camera: meetings, OBS and browsers see the avatar where they would see a webcam.

Pictures go through pyvirtualcam (https://github.com/letmaik/pyvirtualcam): v4l2loopback on Linux, OBS's camera elsewhere.
"""

import importlib.util
import sys
from typing import TYPE_CHECKING, Any, Final, Self

import cv2
import numpy as np

from freeavatar.errors import MissingExtraError, OutputError
from freeavatar.rig import Rig
from freeavatar.sinks.moment import Moment
from freeavatar.types import Image

if TYPE_CHECKING:
    from freeavatar_renderer.raster import AvatarRenderer

_FEATURE: Final = "The virtual camera"
_STEPS: Final = {
    "linux": "make one:  sudo apt-get install v4l2loopback-dkms && sudo modprobe v4l2loopback exclusive_caps=1 card_label=FreeAvatar",
    "win32": "install OBS Studio (https://obsproject.com), whose virtual camera comes with it, and stop that camera in OBS if it runs",
    "darwin": "install OBS Studio 30 or newer (https://obsproject.com), click its Start Virtual Camera once, allow the extension in the "
    "system settings, stop it again",
}
"""What makes a camera on each platform."""
_SMALLEST: Final = 32
_LARGEST: Final = 4096


class VirtualCameraSink:
    """Shows one rig, or the input with the rig at its right.

    Args:
        rig: the rig whose row comes first in ``Moment.rows``.
        size: width and height of the picture in pixels, even numbers of 32 to 4096.
        rate: pictures a second that the camera promises.
        beside: show the input in the left half.
        device: the camera to use, such as ``/dev/video10``; None takes the first one.
        mirror: rows are mirror images, so the input is shown as one, too.

    Attributes:
        name: what it is, for people.
        target: the camera's name, known once it is open.
        sent: pictures shown.
        dropped: always 0; a picture that fails raises.

    Raises:
        MissingExtraError: pyvirtualcam or moderngl is not installed.
        OutputError: the size is not one, or there is no virtual camera; the message says how to get one.
    """

    name = "virtual camera"

    def __init__(
        self,
        rig: Rig,
        size: tuple[int, int] = (1280, 720),
        rate: float = 30.0,
        beside: bool = False,
        device: str | None = None,
        mirror: bool = False,
    ) -> None:
        if not all(_SMALLEST <= side <= _LARGEST and side % 2 == 0 for side in size):
            raise OutputError(f"virtual camera of {size[0]}x{size[1]}: expected even numbers of {_SMALLEST} to {_LARGEST}, e.g. 1280x720")
        self.target = device or "default"
        self.sent = self.dropped = 0
        self._rig, self._size, self._rate, self._device, self._mirror = rig, size, rate, device, mirror
        self._input: Image | None = np.zeros((size[1], size[0] // 2, 3), np.uint8) if beside else None
        self._renderer: AvatarRenderer | None = None

    def __enter__(self) -> Self:
        try:
            from pyvirtualcam import Camera
        except ImportError as error:
            raise MissingExtraError(_FEATURE, "pyvirtualcam", "vcam") from error
        if importlib.util.find_spec("moderngl") is None:
            raise MissingExtraError(_FEATURE, "moderngl", "renderer")
        try:
            self._camera = Camera(*self._size, self._rate, device=self._device)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise OutputError(f"no virtual camera ({reason}); {_STEPS.get(sys.platform, _STEPS['linux'])}") from error
        self.target = self._camera.device
        return self

    def write(self, moment: Moment) -> None:
        """Show one moment. All calls come from one thread, to which the OpenGL context of the process then belongs.

        Raises:
            OutputError: the camera does not take the picture.
            RigError, RenderError: the rig's model is damaged, or there is no OpenGL.
        """
        avatar = self._draw(moment)
        if self._input is not None:
            if moment.picture is not None:  # else the last one stays
                self._input = fitted(moment.picture, self._size[0] // 2, self._size[1])
            avatar = np.concatenate([self._input[:, ::-1] if self._mirror else self._input, avatar], axis=1)
        try:
            self._camera.send(avatar)
        except RuntimeError as error:
            raise OutputError(f"virtual camera {self.target}: takes no picture ({' '.join(str(error).split())[:200]})") from error
        self.sent += 1

    def __exit__(self, *_: Any) -> None:
        self._camera.close()
        if self._renderer is not None:
            self._renderer.release()

    def _draw(self, moment: Moment) -> Image:
        if self._renderer is None:
            from freeavatar_renderer.raster import AvatarRenderer

            width, height = self._size
            self._renderer = AvatarRenderer(self._rig, width if self._input is None else width // 2, height)
        return self._renderer.render(moment.rows[0].values)


def fitted(picture: Image, width: int, height: int) -> Image:
    """(height, width, 3) the whole picture in the middle, with black borders where the proportions differ."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    size = (max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    panel = np.zeros((height, width, 3), np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    panel[top : top + size[1], left : left + size[0]] = small
    return panel
