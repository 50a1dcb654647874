"""What the names of morph targets mean: vocabularies that many avatars share, told in ARKit shapes.

Known are ARKit in any case, spelling of sides and prefix (so Perfect Sync, too), the presets of VRM 0.x and 1.0, VRoid's
``Fcl_*``, Oculus visemes, common MikuMikuDance names, and the head shapes of the VALID avatars.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from freeavatar import arkit


@dataclass(frozen=True)
class Guess:
    """What a name means.

    Attributes:
        arkit: weights of ARKit shapes; value = sum of weight times shape.
        vocabulary: where the name is known from.
        confidence: 0..1.
        rank: 0 is the most particular; where two vocabularies tell the same movement, the lower rank is to be believed.
    """

    arkit: Mapping[str, float] = field(default_factory=dict)
    vocabulary: str = ""
    confidence: float = 0.0
    rank: int = 9


def guess(name: str) -> Guess | None:
    """The meaning of a morph target's or expression's name; None if it is not known."""
    for key, penalty in _keys(name):
        if (found := _TABLE.get(key)) is not None:
            return Guess(found.arkit, found.vocabulary, round(found.confidence - penalty, 2), found.rank)
    return None


def _keys(name: str) -> Iterator[tuple[str, float]]:
    """Ways to read a name, likeliest first: whole, then without words before it and marks behind it."""
    words = re.findall(r"[^\W_]+", name.lower())
    ends = [len(words)]
    if len(words) > 1 and (words[-1] == words[0] or words[-1].isdigit()):
        ends.append(len(words) - 1)
    for end in ends:
        for start in range(end):
            key = "".join(words[start:end])
            if len(key) == 1 and len(words) > 1:
                continue  # a vowel's name alone; elsewhere a letter may mean anything
            yield key, 0.0 if (start, end) == (0, len(words)) else 0.1
            for prefix in ("arkit", "blendshape", "bs", "expression"):
                if key.startswith(prefix):
                    yield key.removeprefix(prefix), 0.1


def _both(name: str, weight: float = 0.5) -> dict[str, float]:
    return {f"{name}Left": weight, f"{name}Right": weight}


_COMBINED: Final[Mapping[str, Mapping[str, float]]] = {
    "blink": _both("eyeBlink"), "happy": _both("mouthSmile"), "sad": _both("mouthFrown"), "angry": _both("browDown"),
    "surprised": {"browInnerUp": 0.5, **_both("eyeWide", 0.25)}, "relaxed": {},
    "lookup": _both("eyeLookUp"), "lookdown": _both("eyeLookDown"),
    "lookleft": {"eyeLookOutLeft": 0.5, "eyeLookInRight": 0.5}, "lookright": {"eyeLookInLeft": 0.5, "eyeLookOutRight": 0.5},
}  # fmt: skip
_VOWELS: Final[Mapping[str, Mapping[str, float]]] = {
    "aa": {"jawOpen": 1.0}, "ih": _both("mouthUpperUp"), "ou": {"mouthPucker": 1.0},
    "ee": _both("mouthStretch"), "oh": {"mouthFunnel": 1.0},
}  # fmt: skip
_ALIASES: Final = {
    "joy": "happy", "smile": "happy", "sorrow": "sad", "anger": "angry", "surprise": "surprised", "fun": "relaxed",
    "a": "aa", "i": "ih", "u": "ou", "e": "ee", "o": "oh",
    "fcleyeclose": "blink", "fcleyeclosel": "blinkleft", "fcleyecloser": "blinkright", "blinkl": "blinkleft", "blinkr": "blinkright",
    "fclalljoy": "happy", "fclallsorrow": "sad", "fclallangry": "angry", "fclallsurprised": "surprised", "fclallfun": "relaxed",
    "fclmtha": "aa", "fclmthi": "ih", "fclmthu": "ou", "fclmthe": "ee", "fclmtho": "oh",
    "visemeaa": "aa", "visemei": "ih", "visemeu": "ou", "visemee": "ee", "visemeo": "oh",
    "あ": "aa", "い": "ih", "う": "ou", "え": "ee", "お": "oh", "まばたき": "blink", "ウィンク2": "blinkleft", "ウィンク2右": "blinkright",
}  # fmt: skip
_SILENT: Final = ("neutral", *(f"viseme{v}" for v in ("sil", "pp", "ff", "th", "dd", "kk", "ch", "ss", "nn", "rr")))
"""Known, but nothing in ARKit tells when to move them."""
_VALID: Final[Mapping[str, Mapping[str, float]]] = {
    "mouthopen": {"jawOpen": 1.0}, "jawfront": {"jawForward": 1.0}, "kiss": {"mouthPucker": 1.0},
    "ljaw": {"jawLeft": 1.0}, "rjaw": {"jawRight": 1.0}, "uhoo": {"mouthFunnel": 1.0}, "chin": {"mouthShrugLower": 1.0},
    **{
        f"{letter}{name}": {f"{shape}{side}" if sided else shape: 1.0 if sided else 0.5}
        for letter, side in (("l", "Left"), ("r", "Right"))
        for name, shape, sided in (
            ("smileclose", "mouthSmile", True), ("mouthsad", "mouthFrown", True), ("blow", "cheekPuff", False),
            ("eyeclose", "eyeBlink", True),
            ("eyeopen", "eyeWide", True), ("squint", "eyeSquint", True), ("disgust", "noseSneer", True), ("lipup", "mouthUpperUp", True),
            ("lipdown", "mouthLowerDown", True), ("lipside", "mouth", True), ("lipcorner", "mouthStretch", True),
            ("browdown", "browDown", True), ("browup", "browInnerUp", False), (f"{letter}browup", "browOuterUp", True),
            (f"{letter}browdown", "browDown", True),
        )
    },
}  # fmt: skip
"""What these avatars call their shapes, sides first; https://github.com/xrtlab/Validated-Avatar-Library-for-Inclusion-and-Diversity---VALID"""


def _spellings(shape: str) -> Iterator[str]:
    """The ways in which a shape's name is written, without case and marks."""
    yield shape.lower()
    for side, letter in (("Left", "l"), ("Right", "r")):
        if shape.endswith(side):
            base = shape.removesuffix(side).lower()
            yield base + letter
            if base not in ("mouth", "jaw"):
                yield letter + base
                yield side.lower() + base


def _table() -> dict[str, Guess]:
    table = {name: Guess({}, "visemes", 0.9, 3) for name in _SILENT}
    table |= {name: Guess(shapes, "presets", 0.7, 3) for name, shapes in _COMBINED.items()}
    table |= {name: Guess(shapes, "vowels", 0.7, 2) for name, shapes in _VOWELS.items()}
    table |= {f"blink{side.lower()}": Guess({f"eyeBlink{side}": 1.0}, "presets", 0.9, 1) for side in ("Left", "Right")}
    table |= {alias: table[name] for alias, name in _ALIASES.items()}
    table |= {name: Guess(shapes, "VALID", 0.8, 1) for name, shapes in _VALID.items()}
    for halved in ("browInnerUp", "cheekPuff"):  # ICT-FaceKit and others split these
        table |= {f"{halved.lower()}{side}": Guess({halved: 1.0}, "ARKit", 0.9, 0) for side in ("l", "r", "left", "right")}
    for shape in arkit.NAMES:
        table |= {spelling: Guess({shape: 1.0}, "ARKit", 1.0, 0) for spelling in _spellings(shape)}
    return table


_TABLE: Final = _table()
