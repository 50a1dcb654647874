"""VRChat: names, formulas, bits, and that only changes are sent."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pythonosc.osc_bundle import OscBundle

from freeavatar import arkit
from freeavatar.errors import OutputError
from freeavatar.sinks.osc_packet import bundle, message
from freeavatar.sinks.vrchat import VrchatSink, is_signed, unified
from freeavatar.types import RigFrame, Tracking

MakeFrame = Callable[..., RigFrame]
ROOT = "/avatar/parameters/"


def read(sink: VrchatSink, frame: RigFrame) -> dict[str, list[Any]]:
    packets = sink.encode(frame)
    assert all(len(packet) <= 1500 for packet in packets)
    return {item.address: item.params for packet in packets for item in OscBundle(packet)}


def test_the_bytes_of_a_change(frame: MakeFrame) -> None:
    with VrchatSink("127.0.0.1:9") as sink:
        sink.encode(frame())
        (packet,) = sink.encode(frame({"jawOpen": 0.5}, time=0.1))
    assert packet == bundle([message("/avatar/parameters/v2/JawOpen", 0.5)]) and len(packet) == 16 + 4 + 40


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({"jawRight": 0.5}, {"JawRight": 0.5, "JawX": 0.5}),
        ({"jawLeft": 0.5}, {"JawLeft": 0.5, "JawX": -0.5}),
        ({"jawForward": 0.5}, {"JawForward": 0.5, "JawZ": 0.5}),
        ({"mouthClose": 0.5}, {"MouthClosed": 0.5}),
        ({"tongueOut": 0.5}, {"TongueOut": 0.5}),
        (
            {"mouthLeft": 0.5},
            {"MouthUpperLeft": 0.5, "MouthLowerLeft": 0.5, "MouthX": -0.5, "MouthUpperX": -0.5, "MouthLowerX": -0.5},
        ),
        (
            {"mouthFrownRight": 0.5},
            {"MouthFrownRight": 0.5, "MouthSadRight": 0.5, "SmileFrownRight": -0.5, "SmileFrown": -0.25}
            | {"SmileSadRight": -0.5, "SmileSad": -0.25},
        ),
        ({"browDownLeft": 0.5}, {"BrowPinchLeft": 0.5, "BrowLowererLeft": 0.5, "BrowDownLeft": 0.5, "BrowDown": 0.25}
         | {"BrowExpressionLeft": -0.5, "BrowExpression": -0.25}),
        ({"cheekPuff": 0.5}, {f"CheekPuff{end}": 0.5 for end in ("Left", "Right", "SuckLeft", "SuckRight", "Suck")}),
        ({"eyeWideLeft": 1.0}, {"EyeWideLeft": 1.0, "EyeWide": 1.0, "EyeLidLeft": 1.0, "EyeLid": 0.875}),
    ],
)  # fmt: skip
def test_formulas(frame: MakeFrame, shapes: dict[str, float], expected: dict[str, float]) -> None:
    rest, moved = unified(frame()), unified(frame(shapes))
    assert {name: value for name, value in moved.items() if value != rest[name]} == expected


def test_lids(frame: MakeFrame) -> None:
    rest = unified(frame())
    assert (rest["EyeLidLeft"], rest["EyeOpenLeft"], rest["EyeClosedRight"]) == (0.75, 1, 0)
    half = unified(frame({"eyeBlinkRight": 0.5, "eyeSquintRight": 0.5}))
    assert (half["EyeOpenRight"], half["EyeLidRight"], half["EyeOpenLeft"]) == (0.25, 0.1875, 1)


@pytest.mark.parametrize(("gaze", "axis", "sign"), [((0.3, 0), "X", -1), ((0, 0.3), "Y", -1)])
def test_one_axis_of_the_gaze(frame: MakeFrame, gaze: tuple[float, float], axis: str, sign: int) -> None:
    found = unified(frame(gaze=gaze))
    moved = {name for name, value in found.items() if name.startswith("Eye") and name[-1] in "XY" and value}
    assert moved == {"Eye" + axis, "EyeLeft" + axis, "EyeRight" + axis}
    assert found["Eye" + axis] == pytest.approx(sign * 0.30934, abs=1e-4)
    with VrchatSink("127.0.0.1:9") as sink:
        pitch, yaw, *right = read(sink, frame(gaze=gaze))["/tracking/eye/LeftRightPitchYaw"]
    assert right == [pitch, yaw] and [yaw, pitch] == pytest.approx([-57.2958 * gaze[0], 57.2958 * gaze[1]], abs=1e-3)


def test_values_stay_in_their_ranges(frame: MakeFrame) -> None:
    for weight in (0.0, 1.0, 2.0):
        for name, value in unified(frame(dict.fromkeys(arkit.NAMES, weight), gaze=(3.0, -3.0))).items():
            assert (-1 if is_signed(name) else 0) <= value <= 1, name


def test_only_changes_are_sent_and_all_of_it_every_second(frame: MakeFrame) -> None:
    with VrchatSink("127.0.0.1:9") as sink:
        everything = read(sink, frame(time=5.0))
        assert len(everything) > 100 and sink.encode(frame(time=5.5)) == []
        assert read(sink, frame(time=6.0)) == everything
        assert read(sink, frame(time=1.0)) == everything  # a clock that went back


def test_flags_tell_whether_a_face_is_seen(frame: MakeFrame) -> None:
    with VrchatSink("127.0.0.1:9") as sink:
        found = read(sink, frame())
        assert all(found[ROOT + f"{part}TrackingActive"] == [True] for part in ("Eye", "Expression", "Lip"))
        lost = read(sink, frame(tracking=Tracking.NEUTRAL, time=0.1))
    assert lost == {ROOT + f"{part}TrackingActive": [False] for part in ("Eye", "Expression", "Lip")}


@pytest.mark.parametrize(
    ("shapes", "bits", "negative"),
    [
        ({"jawRight": 0.5}, [False, False, True], False),
        ({"jawLeft": 0.75}, [False, True, True], True),
        ({"jawLeft": 1.0}, [True] * 3, True),
    ],
)
def test_bits(frame: MakeFrame, shapes: dict[str, float], bits: list[bool], negative: bool) -> None:
    with VrchatSink("127.0.0.1:9", "FT/", bits=3) as sink:
        found = read(sink, frame(shapes))
    root = "/avatar/parameters/FT/v2/"
    assert [found[f"{root}JawX{2**i}"][0] for i in range(3)] == bits and found[f"{root}JawXNegative"] == [negative]
    assert f"{root}JawOpen4" in found and f"{root}JawOpenNegative" not in found and f"{root}JawOpen8" not in found


def config(path: Path, parameters: dict[str, str]) -> Path:
    """VRChat's file about an avatar that has these parameters, and one that cannot be written."""
    entries: list[dict[str, Any]] = [{"name": "Viseme", "output": {"address": ROOT + "Viseme", "type": "Int"}}]
    entries += [{"name": name, "input": {"address": ROOT + name, "type": kind}} for name, kind in parameters.items()]
    path.write_text("\ufeff" + json.dumps({"id": "avtr_1", "name": "A", "parameters": entries}), encoding="utf-8")
    return path


def test_only_what_the_avatar_declares_is_sent(frame: MakeFrame, tmp_path: Path) -> None:
    declared = {"FT/v2/JawOpen": "Float", "v2/MouthX": "Float", "EyeTrackingActive": "Bool", "FT/v2/JawX": "Int", "Hat": "Bool"}
    declared |= {"FT/v2/JawX1": "Bool", "FT/v2/JawX2": "Bool", "FT/v2/JawXNegative": "Bool", "FT/v2/SmileFrown4": "Bool"}
    with VrchatSink("127.0.0.1:9", config=config(tmp_path / "a.json", declared)) as sink:
        found = read(sink, frame({"jawOpen": 0.5, "jawLeft": 0.75, "mouthRight": 0.25}))
    assert found.pop("/tracking/eye/EyesClosedAmount") == [0.0] and found.pop("/tracking/eye/LeftRightPitchYaw")
    assert {address.removeprefix(ROOT): value for address, (value,) in found.items()} == {
        "FT/v2/JawOpen": 0.5, "v2/MouthX": 0.25, "EyeTrackingActive": True,
        "FT/v2/JawX1": True, "FT/v2/JawX2": True, "FT/v2/JawXNegative": True,  # two bits: int(0.75 * 4) is 3
    }  # fmt: skip


def test_an_avatar_without_parameters_gets_the_eyes_alone(frame: MakeFrame, tmp_path: Path) -> None:
    with VrchatSink("127.0.0.1:9", config=config(tmp_path / "a.json", {})) as sink:
        assert all(address.startswith("/tracking/eye/") for address in read(sink, frame()))


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"parameters": 3}', '{"parameters": [3]}', '{"parameters": [{"input": {"a": 1}}]}', "[" * 100_000]
)
def test_what_is_no_file_of_vrchat_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(OutputError, match=r"a\.json: is not VRChat's file about an avatar"):
        VrchatSink("127.0.0.1:9", config=tmp_path / "a.json")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_refused_or_read_never_worse(frame: MakeFrame, tmp_path: Path, data: st.DataObject) -> None:
    text = config(tmp_path / "a.json", {"FT/v2/JawOpen": "Float", "FT/v2/JawX1": "Bool", "FT/v2/JawXNegative": "Bool"}).read_bytes()
    at = data.draw(st.integers(0, len(text) - 1))
    (tmp_path / "a.json").write_bytes(text[:at] + data.draw(st.binary(max_size=6)) + text[at + data.draw(st.integers(0, 40)) :])
    try:
        with VrchatSink("127.0.0.1:9", config=tmp_path / "a.json") as sink:
            assert all(len(packet) <= 1500 for packet in sink.encode(frame({"jawOpen": 0.5})))
    except OutputError as error:
        assert "a.json" in str(error)


def test_a_file_with_any_number_of_prefixes_stays_small(frame: MakeFrame, tmp_path: Path) -> None:
    many = {f"p{i}/v2/JawOpen": "Float" for i in range(5000)} | {"ä/v2/JawOpen": "Float"}
    with VrchatSink("127.0.0.1:9", config=config(tmp_path / "a.json", many)) as sink:
        assert 0 < len(read(sink, frame())) < 20


@pytest.mark.parametrize("options", [{"bits": 9}, {"bits": -1}, {"prefix": "a b"}])
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OutputError):
        VrchatSink("127.0.0.1:9", **options)
