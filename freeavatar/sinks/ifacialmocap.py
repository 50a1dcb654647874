"""iFacialMocap over UDP (https://www.ifacialmocap.com/for-developer/), port 49983, one line of text a frame.

``name-int|...|=head#ex,ey,ez,px,py,pz|rightEye#ex,ey,ez|leftEye#ex,ey,ez|``: 52 shapes 0..100 whose sides are written
``_L`` and ``_R``, Euler angles in degrees, metres. Angles are those of Unity's ``Quaternion.Euler`` for a model that faces
+Z: +x looks down, +y turns to its right, +z tilts to its left shoulder; the position's x is mirrored likewise. Left is
the subject's.
"""

import math
import re
import socket
from contextlib import ExitStack
from typing import Any, Final

from freeavatar.sinks.shapes import weights
from freeavatar.sinks.udp import UdpSink, open_socket
from freeavatar.types import RigFrame

START_WORD: Final = b"iFacialMocap_sahuasouryya9218sauhuiayeta91555dy3719"
"""With this a receiver asks a phone to start."""
_SIGNS: Final = {"pitch": 1.0, "yaw": -1.0, "roll": -1.0, "x": -1.0, "y": 1.0, "z": 1.0}


class IFacialMocapSink(UdpSink):
    """Sends as the phone does.

    Args:
        address: HOST:PORT of the receiver.
        listen: HOST:PORT at which a receiver's start word is awaited before anything is sent; None sends at once.

    Raises:
        OutputError: an address is not one, or cannot be used.
    """

    name = "iFacialMocap"

    def __init__(self, address: str, listen: str | None = None) -> None:
        super().__init__(address)
        with ExitStack() as stack:
            stack.callback(self._socket.close)
            self._listener = open_socket(listen, socket.socket.bind) if listen else None
            stack.pop_all()

    def write(self, frame: RigFrame) -> None:
        """Send one frame once the receiver has asked."""
        if self._listener is None or self._asked(self._listener):
            super().write(frame)

    def encode(self, frame: RigFrame) -> list[bytes]:
        """The frame's line."""
        yaw, pitch, roll, x, y, z = map(float, frame.head_pose)
        shapes = "|".join(f"{_side(name)}-{round(100 * min(max(value, 0.0), 1.0))}" for name, value in weights(frame).items())
        position = ",".join(f"{_SIGNS[axis] * value:.6f}" for axis, value in (("x", x), ("y", y), ("z", z)))
        eye = _euler(float(frame.gaze[0]), float(frame.gaze[1]), 0.0)
        return [f"{shapes}|=head#{_euler(yaw, pitch, roll)},{position}|rightEye#{eye}|leftEye#{eye}|".encode("ascii")]

    def __exit__(self, *exc: Any) -> None:
        super().__exit__(*exc)
        if self._listener is not None:
            self._listener.close()

    def _asked(self, listener: socket.socket) -> bool:
        try:
            word = listener.recv(1024)
        except OSError:  # nothing yet
            return False
        if not word.startswith(START_WORD):
            return False
        listener.close()
        self._listener = None
        return True


def _side(name: str) -> str:
    """``eyeBlinkLeft`` is ``eyeBlink_L``; what moves to a side (``jawLeft``) keeps its name, and so do central shapes."""
    if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        return name
    return re.sub("(?:Left|Right)$", lambda side: f"_{side[0][0]}", name)


def _euler(yaw: float, pitch: float, roll: float) -> str:
    angles = (("pitch", pitch), ("yaw", yaw), ("roll", roll))
    return ",".join(f"{_SIGNS[axis] * math.degrees(value):.6f}" for axis, value in angles)
