"""VTube Studio through its plugin API (https://github.com/DenchiSoft/VTubeStudio): JSON over a WebSocket, port 8001.

The first time, VTube Studio asks its user to allow the plugin; the token it then gives is kept in the user's settings folder.
Sent are VTube Studio's own tracking parameters and one parameter of ours an ARKit shape, under the names that models made for
ARKit tracking use (``JawOpen``).

==============================  =======================================================================================
``FaceAngleX Y Z``              degrees: + turns to the subject's left, looks up, tilts to the left shoulder
``FacePositionX Y Z``           centimetres from where the face was first seen: + is to the subject's left, up, farther away
``EyeOpenLeft``, ``Right``      0..1
``EyeLeftX``, ``EyeRightX``     -1..1, + is to the subject's right; ``...Y``: + is up
``MouthOpen``                   0..1, lips that meet on an open jaw count as closed
``MouthSmile``                  0..1, 0.5 is at rest, 0 a frown
``MouthX``                      -1..1, + is to the subject's left
``Brows``, ``BrowLeftY``, ...   0..1, 0.5 is at rest
``CheekPuff``, ``TongueOut``    0..1
==============================  =======================================================================================

``faceFound`` says whether a face is seen. VTube Studio takes a parameter back after a second without a value.
"""

import json
import math
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, Self, TypeGuard

from freeavatar.arkit import EYE_LOOK_FULL_PITCH, EYE_LOOK_FULL_YAW, NAMES
from freeavatar.bounded import read_bounded
from freeavatar.errors import MissingExtraError, OutputError
from freeavatar.folders import config_folder
from freeavatar.sinks.shapes import pascal, weights
from freeavatar.sinks.udp import parse_address
from freeavatar.types import RigFrame, Tracking

DEFAULT_ADDRESS: Final = "127.0.0.1:8001"
PLUGIN: Final = {"pluginName": "FreeAvatar", "pluginDeveloper": "FreeAvatar contributors"}
"""How VTube Studio names us when it asks its user; a token belongs to these names."""
CUSTOM: Final = tuple(pascal(name) for name in NAMES if name not in ("cheekPuff", "tongueOut"))
"""Our own parameters; the two left out are VTube Studio's already."""

_WAIT: Final = 0.05
"""Seconds that a frame waits for an answer."""
_PATIENCE: Final = 0.4
"""Seconds for a connection to open or close."""
_AT_ONCE: Final = 10
"""Parameters created between two frames: an answer takes VTube Studio a frame of its own, 16 ms."""
_MAX_ANSWER: Final = 1 << 20
_MAX_TOKEN: Final = 64
_DENIED: Final = 50
_TAKEN: Final = 352
"""Errors of the API: the user said no; another plugin made the parameter, which can be written all the same."""


class Connection(Protocol):
    """An open WebSocket."""

    def send(self, message: str, /) -> None: ...

    def recv(self, timeout: float) -> str | bytes:
        """The next message.

        Raises:
            TimeoutError: there is none yet.
            OSError: the connection is gone.
        """


Connect = Callable[[str], AbstractContextManager[Connection]]
Dialogue = Generator[bool, RigFrame, None]
"""Takes frames, gives back whether the last one was sent."""


class ApiError(Exception):
    """VTube Studio refuses a request."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(f"error {number}: {message}")
        self.number = number


class VTubeStudioSink:
    """Sends to one VTube Studio. It may be started, closed and started again at any time.

    Args:
        address: HOST:PORT.
        token: file in which the token is kept; None takes the user's settings folder.
        connect: opens a connection to a ``ws://`` address.

    Attributes:
        name: the program's name.
        target: where it goes, for people.
        sent: frames that VTube Studio took.
        dropped: frames that came while it was not ready.

    Raises:
        MissingExtraError: the package ``websockets`` is not installed.
        OutputError: the address is not one, or there is no place for the token.
    """

    name = "VTube Studio"

    def __init__(self, address: str = DEFAULT_ADDRESS, token: Path | None = None, connect: Connect | None = None) -> None:
        parse_address(address)
        self.target = address
        self.sent = self.dropped = 0
        self._connect = connect or _websocket()
        self._token = token or config_folder() / "vtube_studio.token"
        self._home: tuple[float, float, float] | None = None
        self._denied = False
        self._dialogue: Dialogue | None = None

    def write(self, frame: RigFrame) -> None:
        """Send one frame, or drop it while VTube Studio or its user makes us wait: 0.05 s at most, a second to connect.

        Raises:
            OutputError: VTube Studio cannot be reached, went away, or refuses us; the next call tries again.
        """
        dialogue, self._dialogue = self._dialogue, None  # a failure ends it
        try:
            if dialogue is None:
                dialogue = self._talk()
                next(dialogue)
            taken = dialogue.send(frame)
        except (OSError, ApiError) as error:
            raise OutputError(f"VTube Studio at {self.target}: {self._advice(error)}") from error
        self._dialogue = dialogue
        self.sent, self.dropped = self.sent + taken, self.dropped + (not taken)

    def __enter__(self) -> Self:
        _prepare(self._token)
        return self

    def __exit__(self, *_: Any) -> None:
        if self._dialogue is not None:
            self._dialogue.close()

    def _advice(self, error: Exception) -> str:
        if isinstance(error, ApiError):
            self._denied |= error.number == _DENIED
            return f"{str(error).rstrip('.')}; " + ("allow the plugin there and start again" if self._denied else "see its plugin settings")
        return f"no connection ({getattr(error, 'strerror', None) or error}); start it and switch on its plugin API with this port"

    def _talk(self) -> Dialogue:
        """The whole conversation, from the connection on."""
        if self._denied:  # the user is not asked a second time
            raise ApiError(_DENIED, "its user has denied access")
        with self._connect(f"ws://{self.target}") as connection:
            yield False
            yield from self._authenticate(connection)
            custom = yield from _create(connection)
            taken = False
            while True:
                frame = yield taken
                yield from _ask(connection, "InjectParameterData", self._injection(frame, custom))
                taken = True

    def _authenticate(self, connection: Connection) -> Generator[bool, RigFrame, None]:
        """Show our token, and ask for one where there is none or it was revoked."""
        if token := _read_token(self._token):
            answer = yield from _ask(connection, "Authentication", PLUGIN | {"authenticationToken": token})
            if answer.get("authenticated") is True:
                return
        answer = yield from _ask(connection, "AuthenticationToken", PLUGIN)
        token = answer.get("authenticationToken")
        if not _is_token(token):
            raise ConnectionError("its answer holds no token")
        _write_token(self._token, token)
        answer = yield from _ask(connection, "Authentication", PLUGIN | {"authenticationToken": token})
        if answer.get("authenticated") is not True:
            raise ConnectionError("it does not accept its own token")

    def _injection(self, frame: RigFrame, custom: Sequence[str]) -> dict[str, Any]:
        if self._home is None and frame.tracking is Tracking.TRACKED:
            self._home = (float(frame.head_pose[3]), float(frame.head_pose[4]), float(frame.head_pose[5]))
        values = parameters(frame, self._home or (0.0, 0.0, 0.0))
        return {
            "faceFound": frame.tracking is not Tracking.NEUTRAL,
            "mode": "set",
            "parameterValues": [{"id": name, "value": round(values[name], 6)} for name in values if name in custom or name not in CUSTOM],
        }


def parameters(frame: RigFrame, home: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> dict[str, float]:
    """VTube Studio's own parameters by name, then ours.

    Args:
        frame: the frame.
        home: x, y, z in metres of the head from which its position is counted.
    """
    w = {name: min(max(value, 0.0), 1.0) for name, value in weights(frame).items()}
    yaw, pitch, roll, x, y, z = map(float, frame.head_pose)
    eye_x = _within(-float(frame.gaze[0]) / EYE_LOOK_FULL_YAW)
    eye_y = _within(-float(frame.gaze[1]) / EYE_LOOK_FULL_PITCH)
    brows = {side: 0.5 + (w["browInnerUp"] + w[f"browOuterUp{side}"]) / 4 - w[f"browDown{side}"] / 2 for side in ("Left", "Right")}
    smile = sum(w[f"mouthSmile{side}"] - w[f"mouthFrown{side}"] for side in ("Left", "Right"))
    return {
        "FaceAngleX": math.degrees(yaw), "FaceAngleY": -math.degrees(pitch), "FaceAngleZ": -math.degrees(roll),
        "FacePositionX": 100 * (x - home[0]), "FacePositionY": 100 * (y - home[1]), "FacePositionZ": 100 * (home[2] - z),
        "EyeOpenLeft": 1 - w["eyeBlinkLeft"], "EyeOpenRight": 1 - w["eyeBlinkRight"],
        "EyeLeftX": eye_x, "EyeLeftY": eye_y, "EyeRightX": eye_x, "EyeRightY": eye_y,
        "MouthOpen": max(w["jawOpen"] - w["mouthClose"], 0.0), "MouthSmile": 0.5 + smile / 4, "MouthX": w["mouthLeft"] - w["mouthRight"],
        "Brows": (brows["Left"] + brows["Right"]) / 2, "BrowLeftY": brows["Left"], "BrowRightY": brows["Right"],
    } | {pascal(name): value for name, value in w.items()}  # fmt: skip


def request(kind: str, data: Mapping[str, Any]) -> str:
    """The text of one request, e.g. of the kind ``InjectParameterData``."""
    head = {"apiName": "VTubeStudioPublicAPI", "apiVersion": "1.0", "requestID": "FreeAvatar", "messageType": f"{kind}Request"}
    return json.dumps(head | {"data": data}, separators=(",", ":"), allow_nan=False)


def response(text: str | bytes, kind: str) -> dict[str, Any]:
    """The data of the answer to a request of that kind.

    Raises:
        ApiError: VTube Studio refuses the request.
        ConnectionError: the text is no answer to it.
    """
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        answer = None
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(data, dict):
        raise ConnectionError("its answers are not those of VTube Studio")
    if answer.get("messageType") == "APIError":
        number, message = data.get("errorID"), str(data.get("message"))
        raise ApiError(number if isinstance(number, int) else -1, "".join(filter(str.isprintable, message))[:200])
    if answer.get("messageType") != f"{kind}Response":
        raise ConnectionError(f"it answers something else than {kind}Response")
    return data


def _ask(connection: Connection, kind: str, data: Mapping[str, Any]) -> Generator[bool, RigFrame, dict[str, Any]]:
    """Send a request; its answer. Frames that come before the answer does are dropped."""
    connection.send(request(kind, data))
    while True:
        try:
            text = connection.recv(timeout=_WAIT)
        except TimeoutError:
            yield False
        else:
            return response(text, kind)


def _create(connection: Connection) -> Generator[bool, RigFrame, tuple[str, ...]]:
    """Create our parameters; the names that can be written. VTube Studio has room for 300 of all plugins."""
    usable = []
    for i, name in enumerate(CUSTOM):
        if i % _AT_ONCE == 0:
            yield False
        definition = {"parameterName": name, "explanation": f"ARKit shape {name}", "min": 0, "max": 1, "defaultValue": 0}
        try:
            yield from _ask(connection, "ParameterCreation", definition)
        except ApiError as error:
            if error.number != _TAKEN:
                continue
        usable.append(name)
    return tuple(usable)


def _websocket() -> Connect:
    try:
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect
    except ImportError as error:
        raise MissingExtraError("VTube Studio", "websockets", "studio") from error

    @contextmanager
    def opened(url: str) -> Iterator[Connection]:
        try:
            with connect(url, open_timeout=_PATIENCE, close_timeout=_PATIENCE, max_size=_MAX_ANSWER, proxy=None) as connection:
                try:
                    yield connection
                finally:
                    connection.close()  # whatever ends the conversation, it ends with a goodbye and not with an error
        except WebSocketException as error:
            raise ConnectionError(str(error)) from error

    return opened


def _is_token(token: object) -> TypeGuard[str]:
    return isinstance(token, str) and 0 < len(token) <= _MAX_TOKEN and token.isascii() and token.isprintable()


def _read_token(path: Path) -> str | None:
    """The kept token; None where there is none that could be one."""
    if not path.exists():
        return None
    token = read_bounded(path, _MAX_TOKEN + 1, OutputError, "delete it to be asked again").decode("ascii", "replace").strip()
    return token if _is_token(token) else None


def _prepare(path: Path) -> None:
    """Find out whether a token can be kept before a user is asked for one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be made ({error.strerror}); the token of VTube Studio is kept there") from error
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path.parent}: is not writable; the token of VTube Studio is kept there")


def _write_token(path: Path, token: str) -> None:
    """Keep a token for the user alone."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(token)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: the token of VTube Studio cannot be kept ({error.strerror}); check the permissions") from error


def _within(value: float) -> float:
    return min(max(value, -1.0), 1.0)
