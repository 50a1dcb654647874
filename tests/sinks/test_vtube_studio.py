"""VTube Studio: every request letter by letter, an answer for everything it may say, and a real WebSocket where there is one."""

import json
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeavatar import arkit
from freeavatar.errors import MissingExtraError, OutputError
from freeavatar.sinks.vtube_studio import CUSTOM, ApiError, VTubeStudioSink, parameters, request, response
from freeavatar.types import RigFrame, Tracking

MakeFrame = Callable[..., RigFrame]
Answer = dict[str, Any] | int | str | None
"""Data of a response, the number of an error, a text as it is, or None for none yet."""


class Studio:
    """VTube Studio and its user: answers requests, keeps what it was asked, and can fall silent or go away."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.texts: list[str] = []
        self.answers: dict[str, Answer] = {}
        self.running, self.opened, self.closed = True, 0, 0
        self.token = "abcd-1"
        self._waiting: list[str] = []

    @contextmanager
    def connect(self, url: str) -> Iterator["Studio"]:
        assert url == "ws://127.0.0.1:8001"
        if not self.running:
            raise ConnectionRefusedError(111, "Connection refused")
        self.opened += 1
        self._waiting = []
        try:
            yield self
        finally:
            self.closed += 1

    def send(self, message: str, /) -> None:
        if not self.running:
            raise ConnectionError("gone")
        asked = json.loads(message)
        assert asked.keys() == {"apiName", "apiVersion", "requestID", "messageType", "data"}
        self.texts.append(message)
        kind = asked["messageType"].removesuffix("Request")
        self.asked.append((kind, asked["data"]))
        self._waiting.append(kind)

    def recv(self, timeout: float) -> str:
        assert timeout <= 0.05
        if not self.running:
            raise ConnectionError("gone")
        kind = self._waiting[-1]
        answer = self.answers.get(kind, self.usual(kind))
        if answer is None:
            raise TimeoutError
        self._waiting.pop()
        if isinstance(answer, str):
            return answer
        if isinstance(answer, int):
            return json.dumps({"messageType": "APIError", "data": {"errorID": answer, "message": "No."}})
        return json.dumps({"messageType": f"{kind}Response", "timestamp": 1, "requestID": "FreeAvatar", "data": answer})

    def usual(self, kind: str) -> dict[str, Any]:
        if kind == "AuthenticationToken":
            return {"authenticationToken": self.token}
        if kind == "Authentication":
            return {"authenticated": self.asked[-1][1]["authenticationToken"] == self.token, "reason": ""}
        return {}

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.asked]


@pytest.fixture
def studio() -> Studio:
    return Studio()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    return tmp_path / "settings" / "vtube_studio.token"


@pytest.fixture
def sink(studio: Studio, token: Path) -> Iterator[VTubeStudioSink]:
    with VTubeStudioSink(token=token, connect=studio.connect) as sink:
        yield sink


def write_until_sent(sink: VTubeStudioSink, frame: RigFrame, limit: int = 200) -> None:
    before = sink.sent
    for _ in range(limit):
        sink.write(frame)
        if sink.sent > before:
            return
    raise AssertionError(f"nothing was sent in {limit} frames")


def test_a_request_is_this_text() -> None:
    assert request("Authentication", {"pluginName": "x"}) == (
        '{"apiName":"VTubeStudioPublicAPI","apiVersion":"1.0","requestID":"FreeAvatar",'
        '"messageType":"AuthenticationRequest","data":{"pluginName":"x"}}'
    )


def test_the_first_conversation(sink: VTubeStudioSink, studio: Studio, frame: MakeFrame) -> None:
    write_until_sent(sink, frame({"jawOpen": 0.5}))
    plugin = {"pluginName": "FreeAvatar", "pluginDeveloper": "FreeAvatar contributors"}
    assert studio.asked[:2] == [("AuthenticationToken", plugin), ("Authentication", plugin | {"authenticationToken": "abcd-1"})]
    made = studio.asked[2:-1]
    assert {kind for kind, _ in made} == {"ParameterCreation"} and [data["parameterName"] for _, data in made] == list(CUSTOM)
    assert made[0][1] == {
        "parameterName": "EyeBlinkLeft", "explanation": "ARKit shape EyeBlinkLeft", "min": 0, "max": 1, "defaultValue": 0,
    }  # fmt: skip
    kind, data = studio.asked[-1]
    assert kind == "InjectParameterData" and data.keys() == {"faceFound", "mode", "parameterValues"}
    assert (data["faceFound"], data["mode"]) == (True, "set")
    values = {item["id"]: item["value"] for item in data["parameterValues"]}
    assert len(values) == len(data["parameterValues"]) == 18 + 52 and values["JawOpen"] == values["MouthOpen"] == 0.5


def test_the_injected_text_starts_like_this(sink: VTubeStudioSink, studio: Studio, frame: MakeFrame) -> None:
    write_until_sent(sink, frame(pose=(0.125, 0, 0, 0, 0, 0)))
    assert studio.texts[-1].startswith(
        '{"apiName":"VTubeStudioPublicAPI","apiVersion":"1.0","requestID":"FreeAvatar","messageType":"InjectParameterDataRequest",'
        '"data":{"faceFound":true,"mode":"set","parameterValues":[{"id":"FaceAngleX","value":7.161972},{"id":"FaceAngleY","value":-0.0},'
    )


def test_our_parameters_have_names_that_the_api_takes() -> None:
    assert len(CUSTOM) == 50 <= 100 and all(name.isalnum() and name.isascii() and 4 <= len(name) <= 32 for name in CUSTOM)


@pytest.mark.parametrize("tracking", Tracking)
def test_only_a_neutral_frame_says_that_no_face_is_found(
    sink: VTubeStudioSink, studio: Studio, frame: MakeFrame, tracking: Tracking
) -> None:
    write_until_sent(sink, frame(tracking=tracking))
    assert studio.asked[-1][1]["faceFound"] is (tracking is not Tracking.NEUTRAL)


REST = {"EyeOpenLeft": 1, "EyeOpenRight": 1, "MouthSmile": 0.5, "Brows": 0.5, "BrowLeftY": 0.5, "BrowRightY": 0.5}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"pose": (0.5, 0, 0, 0, 0, 0)}, {"FaceAngleX": 28.64789}),
        ({"pose": (0, 0.5, 0, 0, 0, 0)}, {"FaceAngleY": -28.64789}),
        ({"pose": (0, 0, 0.5, 0, 0, 0)}, {"FaceAngleZ": -28.64789}),
        ({"pose": (0, 0, 0, 0.01, 0, 0)}, {"FacePositionX": 1}),
        ({"pose": (0, 0, 0, 0, 0.02, 0)}, {"FacePositionY": 2}),
        ({"pose": (0, 0, 0, 0, 0, -0.03)}, {"FacePositionZ": 3}),
        ({"gaze": (0.3, 0)}, {"EyeLeftX": -0.5, "EyeRightX": -0.5}),
        ({"gaze": (0, 0.225)}, {"EyeLeftY": -0.5, "EyeRightY": -0.5}),
        ({"gaze": (-9, -9)}, {"EyeLeftX": 1, "EyeRightX": 1, "EyeLeftY": 1, "EyeRightY": 1}),
        ({"shapes": {"eyeBlinkLeft": 0.75}}, {"EyeOpenLeft": 0.25, "EyeBlinkLeft": 0.75}),
        ({"shapes": {"jawOpen": 0.5, "mouthClose": 0.5}}, {"JawOpen": 0.5, "MouthClose": 0.5}),
        ({"shapes": {"mouthSmileLeft": 1, "mouthSmileRight": 1}}, {"MouthSmile": 1, "MouthSmileLeft": 1, "MouthSmileRight": 1}),
        ({"shapes": {"mouthFrownLeft": 1, "mouthFrownRight": 1}}, {"MouthSmile": 0, "MouthFrownLeft": 1, "MouthFrownRight": 1}),
        ({"shapes": {"mouthLeft": 0.5}}, {"MouthX": 0.5, "MouthLeft": 0.5}),
        ({"shapes": {"browDownRight": 1}}, {"Brows": 0.25, "BrowRightY": 0, "BrowDownRight": 1}),
        ({"shapes": {"browOuterUpLeft": 1}}, {"Brows": 0.625, "BrowLeftY": 0.75, "BrowOuterUpLeft": 1}),
        ({"shapes": {"cheekPuff": 1, "tongueOut": 2}}, {"CheekPuff": 1, "TongueOut": 1}),
    ],
)
def test_one_movement_moves_its_own_parameters_only(frame: MakeFrame, given: dict[str, Any], expected: dict[str, float]) -> None:
    moved = {name: value for name, value in parameters(frame(**given)).items() if abs(value - REST.get(name, 0)) > 1e-6}
    assert moved == pytest.approx(expected, abs=1e-5)


def test_positions_count_from_where_the_face_was_first_seen(sink: VTubeStudioSink, studio: Studio, frame: MakeFrame) -> None:
    write_until_sent(sink, frame(pose=(0, 0, 0, 9, 9, 9), tracking=Tracking.NEUTRAL))
    write_until_sent(sink, frame(pose=(0, 0, 0, 0.1, 0.2, -0.5)))
    assert position(studio) == (0, 0, 0)
    write_until_sent(sink, frame(pose=(0, 0, 0, 0.11, 0.2, -0.6)))
    assert position(studio) == pytest.approx((1, 0, 10), abs=1e-4)


def position(studio: Studio) -> tuple[float, ...]:
    values = {item["id"]: item["value"] for item in studio.asked[-1][1]["parameterValues"]}
    return tuple(values[f"FacePosition{axis}"] for axis in "XYZ")


def test_the_token_is_kept_for_the_user_alone_and_used_again(studio: Studio, token: Path, frame: MakeFrame) -> None:
    for _ in range(2):
        with VTubeStudioSink(token=token, connect=studio.connect) as sink:
            write_until_sent(sink, frame())
    assert token.read_text() == "abcd-1" and studio.kinds().count("AuthenticationToken") == 1
    assert [path.name for path in token.parent.iterdir()] == [token.name]
    if sys.platform != "win32":
        assert stat.S_IMODE(token.stat().st_mode) == 0o600


@pytest.mark.parametrize("kept", [b"old", b"", b"\xff\xfe", b"two\nlines", b"x" * 65])
def test_a_token_that_is_not_accepted_is_replaced(studio: Studio, token: Path, frame: MakeFrame, kept: bytes) -> None:
    token.parent.mkdir()
    token.write_bytes(kept)
    with VTubeStudioSink(token=token, connect=studio.connect) as sink:
        write_until_sent(sink, frame())
    assert token.read_text() == "abcd-1" and studio.kinds().count("AuthenticationToken") == 1


def test_frames_are_dropped_while_the_user_makes_up_their_mind(sink: VTubeStudioSink, studio: Studio, frame: MakeFrame) -> None:
    studio.answers["AuthenticationToken"] = None
    for _ in range(10):
        sink.write(frame())
    assert (sink.sent, sink.dropped, studio.kinds()) == (0, 10, ["AuthenticationToken"])
    del studio.answers["AuthenticationToken"]
    write_until_sent(sink, frame())
    assert studio.kinds().count("AuthenticationToken") == studio.opened == 1


def test_a_user_who_denies_is_not_asked_again(sink: VTubeStudioSink, studio: Studio, frame: MakeFrame) -> None:
    studio.answers["AuthenticationToken"] = 50
    for _ in range(5):
        with pytest.raises(OutputError, match=r"^VTube Studio at 127\.0\.0\.1:8001: error 50: .*; allow the plugin there and start again$"):
            sink.write(frame())
    assert (studio.opened, studio.closed, sink.sent) == (1, 1, 0)


def test_it_may_start_later_and_restart(sink: VTubeStudioSink, studio: Studio, frame: MakeFrame) -> None:
    studio.running = False
    with pytest.raises(OutputError, match=r"no connection \(Connection refused\); start it and switch on its plugin API"):
        sink.write(frame())
    studio.running = True
    write_until_sent(sink, frame())
    studio.running = False
    with pytest.raises(OutputError, match="no connection"):
        sink.write(frame())
    studio.running = True
    write_until_sent(sink, frame())
    assert (sink.sent, studio.opened, studio.closed) == (2, 2, 1)
    assert studio.kinds().count("AuthenticationToken") == 1


def test_a_slow_answer_drops_frames_and_queues_none(sink: VTubeStudioSink, studio: Studio, frame: MakeFrame) -> None:
    write_until_sent(sink, frame())
    studio.answers["InjectParameterData"] = None
    before = (len(studio.asked), sink.sent, sink.dropped)
    for _ in range(10):
        sink.write(frame())
    assert (len(studio.asked), sink.sent, sink.dropped) == (before[0] + 1, before[1], before[2] + 10)
    del studio.answers["InjectParameterData"]
    write_until_sent(sink, frame({"jawOpen": 1}))
    write_until_sent(sink, frame({"jawOpen": 1}))
    assert {"id": "JawOpen", "value": 1.0} in studio.asked[-1][1]["parameterValues"]


def test_access_that_is_revoked_is_asked_for_again(sink: VTubeStudioSink, studio: Studio, frame: MakeFrame) -> None:
    write_until_sent(sink, frame())
    studio.token, studio.answers["InjectParameterData"] = "abcd-2", 8
    with pytest.raises(OutputError, match="error 8: No; see its plugin settings"):
        sink.write(frame())
    del studio.answers["InjectParameterData"]
    write_until_sent(sink, frame())
    assert studio.kinds().count("AuthenticationToken") == 2


@pytest.mark.parametrize(("error", "count"), [(352, 18 + 52), (355, 18 + 2)])
def test_parameters_that_others_made_are_written_and_those_without_room_are_not(
    sink: VTubeStudioSink, studio: Studio, frame: MakeFrame, error: int, count: int
) -> None:
    studio.answers["ParameterCreation"] = error
    write_until_sent(sink, frame())
    values = {item["id"] for item in studio.asked[-1][1]["parameterValues"]}
    assert len(values) == count and {"FaceAngleX", "CheekPuff", "TongueOut"} <= values


HOSTILE = ["", "null", "[]", "{}", '{"data":{}}', '{"messageType":"APIError"}', '{"messageType":1,"data":{}}', "[" * 100_000, "NaN",
           '{"messageType":"AuthenticationTokenResponse","data":{"authenticationToken":["a"]}}',
           '{"messageType":"AuthenticationTokenResponse","data":{"authenticationToken":"a\\nb"}}']  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_answers_of_another_program_are_one_line(sink: VTubeStudioSink, studio: Studio, frame: MakeFrame, token: Path, text: str) -> None:
    studio.answers["AuthenticationToken"] = text
    with pytest.raises(OutputError, match=r"^VTube Studio at 127\.0\.0\.1:8001: no connection \(.+\); .*$"):
        write_until_sent(sink, frame())
    assert not token.exists() and studio.closed == studio.opened == 1


def test_what_it_says_is_shortened_and_printable() -> None:
    text = json.dumps({"messageType": "APIError", "data": {"errorID": "7", "message": "\x1b[31m\n" + "x" * 1000}})
    with pytest.raises(ApiError) as error:
        response(text, "Authentication")
    assert str(error.value) == "error -1: [31m" + "x" * 196


@given(
    st.one_of(
        st.text(max_size=60), st.binary(max_size=60), st.dictionaries(st.sampled_from(["data", "messageType"]), st.text()).map(json.dumps)
    )
)
def test_any_text_is_an_answer_or_an_error(text: str | bytes) -> None:
    with pytest.raises((ConnectionError, ApiError)):
        response(text, "Authentication")


def test_closing_ends_the_conversation(studio: Studio, token: Path, frame: MakeFrame) -> None:
    with VTubeStudioSink(token=token, connect=studio.connect) as sink:
        write_until_sent(sink, frame())
        assert studio.closed == 0
    assert studio.closed == 1


def test_bad_addresses_and_places_are_refused(studio: Studio, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="expected HOST:PORT"):
        VTubeStudioSink("8001", connect=studio.connect)
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="the token of VTube Studio is kept there"),
        VTubeStudioSink(token=tmp_path / "file" / "token", connect=studio.connect),
    ):
        pass


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("websockets", "websockets.exceptions", "websockets.sync.client"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"freeavatar\[studio\]"):
        VTubeStudioSink()


def test_over_a_real_websocket(token: Path, frame: MakeFrame) -> None:
    server = pytest.importorskip("websockets.sync.server")
    studio = Studio()
    ended = threading.Event()

    def serve(connection: Any) -> None:
        for text in connection:
            studio.send(text)
            connection.send(studio.recv(0.0))
        ended.set()  # not reached if the connection was broken off

    with server.serve(serve, "127.0.0.1", 0) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        address = f"127.0.0.1:{listening.socket.getsockname()[1]}"
        with VTubeStudioSink(address, token=token) as sink:
            write_until_sent(sink, frame({"jawOpen": 0.25}))
            assert {"id": "JawOpen", "value": 0.25} in studio.asked[-1][1]["parameterValues"]
        assert ended.wait(20)
        listening.shutdown()
        thread.join()
    with pytest.raises(OutputError, match="no connection"), VTubeStudioSink(address, token=token) as sink:
        sink.write(frame())


def test_a_real_websocket_that_closes_is_opened_again(token: Path, frame: MakeFrame) -> None:
    server = pytest.importorskip("websockets.sync.server")
    studio = Studio()

    def serve(connection: Any) -> None:
        for text in connection:
            studio.send(text)
            connection.send(studio.recv(0.0))
            if studio.kinds()[-1] == "InjectParameterData" and studio.kinds().count("InjectParameterData") == 1:
                return

    with server.serve(serve, "127.0.0.1", 0) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        with VTubeStudioSink(f"127.0.0.1:{listening.socket.getsockname()[1]}", token=token) as sink:
            write_until_sent(sink, frame())
            with pytest.raises(OutputError, match="no connection"):
                write_until_sent(sink, frame())
            write_until_sent(sink, frame())
        listening.shutdown()
        thread.join()
    assert studio.kinds().count("AuthenticationToken") == 1


def test_pyvts_writes_the_same_requests(frame: MakeFrame) -> None:
    pyvts = pytest.importorskip("pyvts")
    theirs = pyvts.VTSRequest(developer="FreeAvatar contributors", plugin_name="FreeAvatar")

    def same(text: str, other: dict[str, Any]) -> bool:
        return bool(json.loads(text) == json.loads(json.dumps(other)) | {"requestID": "FreeAvatar"})

    plugin = {"pluginName": "FreeAvatar", "pluginDeveloper": "FreeAvatar contributors"}
    assert same(request("Authentication", plugin | {"authenticationToken": "t"}), theirs.authentication("t"))
    values = parameters(frame({name: 0.5 for name in arkit.NAMES}))
    data = theirs.requestSetMultiParameterValue(list(values), list(values.values()), face_found=True, mode="set")
    for item in data["data"]["parameterValues"]:
        del item["weight"]  # optional, 1 if it is left out
    listed = [{"id": name, "value": value} for name, value in values.items()]
    assert same(request("InjectParameterData", {"faceFound": True, "mode": "set", "parameterValues": listed}), data)
    created = theirs.requestCustomParameter("JawOpen", min=0, max=1, default_value=0, info="ARKit shape JawOpen")
    definition = {"parameterName": "JawOpen", "explanation": "ARKit shape JawOpen", "min": 0, "max": 1, "defaultValue": 0}
    assert same(request("ParameterCreation", definition), created)
