"""Virtual Motion Capture protocol over UDP (https://protocol.vmc.info): VSeeFace, Warudo, VNyan, Unity, Blender add-ons.

A frame is one or more OSC bundles of at most 1,500 bytes: bones, blends that end in one ``Apply``, ``OK``, ``T``.

==============================  ==================================================================================
``/VMC/Ext/Bone/Pos s fffffff``  ``Neck``, ``Head``, ``LeftEye``, ``RightEye``: position 0, local rotation as xyzw
``/VMC/Ext/Blend/Val s f``       one a name of the vocabulary, 0..1
``/VMC/Ext/Blend/Apply``         once, after the last value
``/VMC/Ext/OK i i i i``          1: the model is loaded; 3, 0: calibrated; 1 until the face is lost for good, then 0
``/VMC/Ext/T f``                 seconds since the first frame
==============================  ==================================================================================

Axes are Unity's: left-handed, Y up, the model faces +Z, so its left is -X. Against ours X changes its sign, hence y and
z of every quaternion do: turning to the model's left is -y, looking down +x, tilting to its right shoulder -z. The neck
takes a part of the head's turn, and neck times head is the whole. Gaze turns the eye bones; the eyeLook shapes of
Perfect Sync are therefore 0. The root is left to the receiver.
"""

from collections.abc import Mapping
from typing import Final

from freeavatar.arkit import EYE_LOOK, NAMES, both
from freeavatar.errors import OutputError
from freeavatar.quaternion import Quaternion, from_angles, power
from freeavatar.sinks.names import NameMap
from freeavatar.sinks.osc_packet import bundles, message
from freeavatar.sinks.shapes import mix, pascal, weights
from freeavatar.sinks.udp import UdpSink
from freeavatar.types import RigFrame, Tracking

MAX_BUNDLE: Final = 1500
_NECK_SHARE: Final = 0.4
"""Part of the head's turn that the neck takes."""
_SIGNS: Final = (1.0, -1.0, -1.0, 1.0)
"""Of x, y, z, w from our axes to Unity's."""


_VOWELS: Final[tuple[Mapping[str, float], ...]] = (
    {"jawOpen": 1.2, "mouthFunnel": -0.6, "mouthPucker": -0.6, **both("mouthStretch", -0.3)},
    {**both("mouthStretch", 0.5), **both("mouthDimple", 0.3), "jawOpen": -0.3},
    {"mouthPucker": 1.0, "mouthFunnel": -0.5},
    {**both("mouthLowerDown", 0.3), **both("mouthUpperUp", 0.2), "mouthPucker": -0.5, "mouthFunnel": -0.5},
    {"mouthFunnel": 1.0},
)
"""A, I, U, E, O from ARKit shapes: an approximation of ours, the presets name mouth shapes and not muscles."""
_MOODS: Final[tuple[Mapping[str, float], ...]] = (
    both("mouthSmile"),
    {**both("browDown"), **both("noseSneer", 0.2)},
    {**both("mouthFrown"), "browInnerUp": 0.3},
)
"""Joy, anger and sorrow. Nothing that is seen tells fun (relaxed) from joy, so that preset is not sent."""
_LIDS: Final[tuple[Mapping[str, float], ...]] = ({"eyeBlinkLeft": 1.0}, {"eyeBlinkRight": 1.0})
"""Each lid by itself; ``Blink`` on top would close both twice."""
_SURPRISE: Final = {**both("eyeWide", 0.4), "browInnerUp": 0.4}

VOCABULARIES: Final[Mapping[str, Mapping[str, Mapping[str, float]]]] = {
    "perfect-sync": {pascal(name): {} if name in EYE_LOOK else {name: 1.0} for name in NAMES},
    "vrm0": dict(zip(("A", "I", "U", "E", "O", "Joy", "Angry", "Sorrow", "Blink_L", "Blink_R"), (*_VOWELS, *_MOODS, *_LIDS), strict=True)),
    "vrm1": {
        **dict(zip(("aa", "ih", "ou", "ee", "oh", "happy", "angry", "sad"), (*_VOWELS, *_MOODS), strict=True)),
        "surprised": _SURPRISE,
        **dict(zip(("blinkLeft", "blinkRight"), _LIDS, strict=True)),
    },
}
"""Blend names of each vocabulary, case-sensitive, with the ARKit weights they are the clamped sum of."""


class VmcSink(UdpSink):
    """Sends head, neck, eyes and blends; by the protocol's terms a performer, or an assistant to a performer.

    Args:
        address: HOST:PORT; receivers listen on 39539 as marionette, 39540 as performer.
        vocabulary: one of :data:`VOCABULARIES`.
        names: other names of blends.

    Raises:
        OutputError: the address or the vocabulary is not one, or the host is unknown.
        SettingsError: the names do not suit the vocabulary, or two blends have the same.
    """

    name = "VMC"

    def __init__(self, address: str, vocabulary: str = "perfect-sync", names: NameMap = NameMap()) -> None:  # noqa: B008  (frozen)
        if vocabulary not in VOCABULARIES:
            raise OutputError(f"VMC names {vocabulary!r}: expected one of {', '.join(VOCABULARIES)}")
        blends = VOCABULARIES[vocabulary]
        names.check(blends)
        self._blends = [(names[name], parts) for name, parts in blends.items()]
        names.check_apart(alias.name for alias, _ in self._blends)
        super().__init__(address)
        self._start: float | None = None

    def encode(self, frame: RigFrame) -> list[bytes]:
        """The frame's bundles."""
        if self._start is None:
            self._start = frame.time
        head = from_angles(*map(float, frame.head_pose[:3]))
        eye = from_angles(float(frame.gaze[0]), float(frame.gaze[1]), 0.0)
        bones = {"Neck": power(head, _NECK_SHARE), "Head": power(head, 1 - _NECK_SHARE), "LeftEye": eye, "RightEye": eye}
        found = weights(frame)
        messages = [message("/VMC/Ext/Bone/Pos", name, 0.0, 0.0, 0.0, *_unity(turn)) for name, turn in bones.items()]
        messages += [message("/VMC/Ext/Blend/Val", alias.name, alias(mix(found, parts))) for alias, parts in self._blends]
        messages += [
            message("/VMC/Ext/Blend/Apply"),
            message("/VMC/Ext/OK", 1, 3, 0, int(frame.tracking is not Tracking.NEUTRAL)),
            message("/VMC/Ext/T", frame.time - self._start),
        ]
        return bundles(messages, MAX_BUNDLE)


def _unity(q: Quaternion) -> tuple[float, ...]:
    return tuple(sign * value + 0.0 for sign, value in zip(_SIGNS, q, strict=True))  # no -0.0
