"""VRChat's avatar parameters over OSC, as VRCFaceTracking names them (https://docs.vrcft.io), port 9000.

``/avatar/parameters/<prefix>v2/<Name>`` holds a float, 0..1 or -1..1, for every unified expression that ARKit shapes can
tell and for what is derived from them, in the formulas of VRCFaceTracking. With ``bits`` each goes out as bools as well:
``<Name>1``, ``<Name>2``, ``<Name>4`` ... are the bits of int(|v| 2^bits), all set at 1, and ``<Name>Negative`` tells the
sign where there is one. ``EyeTrackingActive``, ``ExpressionTrackingActive`` and ``LipTrackingActive`` tell whether a face
is seen. Eyes of avatars without such parameters follow ``/tracking/eye/LeftRightPitchYaw`` (degrees, + is down and to the
right) and ``/tracking/eye/EyesClosedAmount``.

X is + to the subject's right, Y + up, gaze is the tangent of its angle. A value goes out when it has changed; all of them
once a second, for an avatar that came later.

VRChat writes a file about every avatar that was worn, ``OSC/usr_.../Avatars/avtr_....json``. Given that file, only the parameters
that it declares go out, under whatever prefix and in as many bits as they have there.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from freeavatar.bounded import read_bounded
from freeavatar.errors import OutputError
from freeavatar.sinks.osc import check_prefix
from freeavatar.sinks.osc_packet import bundles, message
from freeavatar.sinks.shapes import pascal, weights
from freeavatar.sinks.udp import UdpSink
from freeavatar.types import RigFrame, Tracking

MAX_BITS: Final = 8
_MAX_BUNDLE: Final = 1500
_REFRESH: Final = 1.0
"""Seconds after which everything is sent again."""
_FULL: Final = 0.99999
_SIDES: Final = ("Left", "Right")
_SAME: Final = ("EyeSquint", "EyeWide", "CheekSquint", "NoseSneer", "MouthUpperUp", "MouthLowerDown", "MouthFrown", "MouthStretch",
                "MouthDimple", "MouthPress", "BrowOuterUp")  # fmt: skip
"""Pairs that ARKit has under the same name."""
_SIGNED: Final = ("Eye", "EyeLeft", "EyeRight")
_ROOT: Final = "/avatar/parameters/"
_MAX_CONFIG: Final = 1 << 23
_MAX_ROOTS: Final = 8


class VrchatSink(UdpSink):
    """Sends unified expressions.

    Args:
        address: HOST:PORT; VRChat listens on 9000.
        prefix: what an avatar's parameters have before ``v2/``, e.g. ``FT/``.
        bits: bits of the binary form, 1 to 8; 0 sends floats only.
        config: VRChat's file about the avatar, which says prefix and bits instead; None sends everything.

    Raises:
        OutputError: the address, the prefix or the number of bits is not one, the host is unknown, or the file is none of VRChat's.
    """

    name = "VRChat"

    def __init__(self, address: str, prefix: str = "", bits: int = 0, config: Path | None = None) -> None:
        if not 0 <= bits <= MAX_BITS:
            raise OutputError(f"VRChat bits {bits}: expected 0 (floats only) to {MAX_BITS}")
        self._declared = read_config(config) if config else None
        self._roots = _roots(self._declared) if self._declared is not None else [check_prefix(_ROOT + prefix) + "/"]
        super().__init__(address)
        self._bits = bits
        self._sent: dict[str, tuple[float | bool, ...]] = {}
        self._refreshed = -math.inf

    def encode(self, frame: RigFrame) -> list[bytes]:
        """Bundles with what has changed; none if nothing has."""
        if not 0 <= frame.time - self._refreshed < _REFRESH:
            self._sent, self._refreshed = {}, frame.time
        changed = {address: values for address, values in self._values(frame) if self._sent.get(address) != values}
        self._sent |= changed
        return bundles((message(address, *values) for address, values in changed.items()), _MAX_BUNDLE)

    def _values(self, frame: RigFrame) -> Iterator[tuple[str, tuple[float | bool, ...]]]:
        found = unified(frame)
        for address, value in self._parameters(found, frame.tracking is not Tracking.NEUTRAL):
            if self._declared is None or self._declared.get(address) == ("Bool" if isinstance(value, bool) else "Float"):
                yield address, (value,)
        yaw, pitch = -math.degrees(float(frame.gaze[0])), math.degrees(float(frame.gaze[1]))
        yield "/tracking/eye/LeftRightPitchYaw", (pitch, yaw, pitch, yaw)
        yield "/tracking/eye/EyesClosedAmount", (found["EyeClosed"],)

    def _parameters(self, found: dict[str, float], active: bool) -> Iterator[tuple[str, float | bool]]:
        for root in self._roots:
            for name, value in found.items():
                address = f"{root}v2/{name}"
                yield address, value
                for suffix, bit in _binary(value, self._count(address), is_signed(name)):
                    yield address + suffix, bit
            for flag in ("EyeTrackingActive", "ExpressionTrackingActive", "LipTrackingActive"):
                yield root + flag, active

    def _count(self, address: str) -> int:
        """Bits of a parameter."""
        if self._declared is None:
            return self._bits
        return sum(f"{address}{2**i}" in self._declared for i in range(MAX_BITS))


def read_config(path: Path) -> dict[str, str]:
    """Addresses that an avatar takes, with their types (Float, Bool, Int), from VRChat's file about it.

    Raises:
        OutputError: the file cannot be read or is not one.
    """
    data = read_bounded(path, _MAX_CONFIG, OutputError, "expected VRChat's OSC/usr_.../Avatars/avtr_....json")
    try:
        inputs = [parameter.get("input") for parameter in json.loads(data.decode("utf-8-sig"))["parameters"]]
        declared = {str(taken["address"]): str(taken["type"]) for taken in inputs if taken}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise OutputError(f"{path}: is not VRChat's file about an avatar; expected OSC/usr_.../Avatars/avtr_....json") from error
    return {address: kind for address, kind in declared.items() if address.isascii() and address.isprintable()}


def _roots(declared: dict[str, str]) -> list[str]:
    """What addresses have before ``v2/``; flags may stand without a prefix."""
    found = {address[: address.rindex("v2/")] for address in declared if address.startswith(_ROOT) and "v2/" in address}
    return [_ROOT, *sorted(found - {_ROOT})][:_MAX_ROOTS]


def is_signed(name: str) -> bool:
    """Whether a parameter runs from -1 to 1."""
    return name.endswith(("X", "Y", "Z")) or name.startswith(("SmileFrown", "SmileSad", "BrowExpression", "CheekPuffSuck"))


def unified(frame: RigFrame) -> dict[str, float]:
    """Unified expressions and what is derived from them, by name, from the 52 shapes and the gaze."""
    w = {name: min(max(value, 0.0), 1.0) for name, value in weights(frame).items()}
    v: dict[str, float] = {}
    for side in _SIDES:
        v |= {f"{name}{side}": w[f"{name[0].lower()}{name[1:]}{side}"] for name in _SAME}
        v |= _side(w, side)
    v |= {pascal(name): w[name] for name in ("jawOpen", "jawForward", "jawLeft", "jawRight", "tongueOut")}
    v |= {"MouthClosed": w["mouthClose"], "MouthRaiserUpper": w["mouthShrugUpper"], "MouthRaiserLower": w["mouthShrugLower"]}
    v |= {"JawX": w["jawRight"] - w["jawLeft"], "JawZ": w["jawForward"]}
    v |= dict.fromkeys(("MouthUpperX", "MouthLowerX", "MouthX"), w["mouthRight"] - w["mouthLeft"])
    v |= {f"{name}{lip}": value for name, value in (("LipFunnel", w["mouthFunnel"]), ("LipPucker", w["mouthPucker"]))
          for lip in ("", "Upper", "Lower")}  # fmt: skip
    v |= {"LipSuckUpper": _mean(v["LipSuckUpperLeft"], v["LipSuckUpperRight"]), "LipSuckLower": w["mouthRollLower"]}
    v["LipSuck"] = _mean(v["LipSuckUpper"], v["LipSuckLower"])
    for name in _JOINED:
        v[name] = _mean(v[f"{name}Left"], v[f"{name}Right"])
    v |= {name: max(v[f"{name}Left"], v[f"{name}Right"]) for name in ("EyeWide", "EyeSquint")}
    v["MouthOpen"] = _mean(v["MouthUpperUp"], v["MouthLowerDown"])
    x, y = _gaze(-float(frame.gaze[0])), _gaze(-float(frame.gaze[1]))
    return v | {f"{eye}{axis}": value for eye in _SIGNED for axis, value in (("X", x), ("Y", y))}


_JOINED: Final = (
    *("EyeOpen", "EyeClosed", "EyeLid", "BrowUp", "BrowDown", "BrowInnerUp", "BrowOuterUp", "BrowExpression", "CheekSquint"),
    *("CheekPuffSuck", "NoseSneer", "MouthUpperUp", "MouthLowerDown", "MouthStretch", "MouthPress", "MouthDimple"),
    *("SmileFrown", "SmileSad"),
)
"""Parameters without a side that are the mean of both."""


def _side(w: dict[str, float], side: str) -> dict[str, float]:
    """What one side of the face gives besides the shapes that keep their names."""
    blink, smile, frown, down = w[f"eyeBlink{side}"], w[f"mouthSmile{side}"], w[f"mouthFrown{side}"], w[f"browDown{side}"]
    inner, outer, slide = w["browInnerUp"], w[f"browOuterUp{side}"], w[f"mouth{side}"]
    is_open = 1 - min(blink + blink * w[f"eyeSquint{side}"], 1.0)
    sad = max(frown, w[f"mouthStretch{side}"])
    plain = {
        "EyeOpen": is_open, "EyeClosed": 1 - is_open, "EyeLid": 0.75 * is_open + 0.25 * w[f"eyeWide{side}"],
        "BrowPinch": down, "BrowLowerer": down, "BrowDown": down, "BrowInnerUp": inner, "BrowUp": 0.6 * outer + 0.4 * inner,
        "BrowExpression": 0.5 * (inner + outer) - down,
        "CheekPuff": w["cheekPuff"], "CheekPuffSuck": w["cheekPuff"],
        "MouthUpper": slide, "MouthLower": slide, "MouthUpperDeepen": w[f"mouthUpperUp{side}"],
        "MouthCornerPull": smile, "MouthCornerSlant": smile, "MouthSmile": smile, "MouthSad": sad,
        "SmileFrown": smile - frown, "SmileSad": smile - sad,
        "LipSuckUpper": min(1 - w[f"mouthUpperUp{side}"] ** (1 / 6), w["mouthRollUpper"]), "LipSuckLower": w["mouthRollLower"],
        "LipFunnelUpper": w["mouthFunnel"], "LipFunnelLower": w["mouthFunnel"],
        "LipPuckerUpper": w["mouthPucker"], "LipPuckerLower": w["mouthPucker"], "LipPucker": w["mouthPucker"],
    }  # fmt: skip
    return {f"{name}{side}": value for name, value in plain.items()}


def _binary(value: float, bits: int, signed: bool) -> Iterator[tuple[str, bool]]:
    if bits:
        size = 2**bits
        whole = size - 1 if abs(value) > _FULL else int(abs(value) * size)
        for i in range(bits):
            yield str(2**i), bool(whole >> i & 1)
        if signed:
            yield "Negative", value < 0


def _gaze(angle: float) -> float:
    return min(max(math.tan(angle), -1.0), 1.0) if abs(angle) < math.pi / 4 else math.copysign(1.0, angle)


def _mean(a: float, b: float) -> float:
    return (a + b) / 2
