"""What the names of morph targets mean: vocabularies that many avatars share, told in ARKit shapes.

Known are ARKit in any case, spelling of sides and prefix (so Perfect Sync, too), FACS action units by number and by name,
MetaHuman's ``CTRL_expressions_*``, Unified Expressions, the presets of VRM 0.x and 1.0, VRoid's ``Fcl_*``, the visemes of
Oculus and VRChat and Preston Blair's, common MikuMikuDance names, and the head shapes of the VALID avatars.
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


_COMBINED: Final[Mapping[str, Mapping[str, float]]] = {
    "blink": arkit.both("eyeBlink"), "happy": arkit.both("mouthSmile"), "sad": arkit.both("mouthFrown"), "angry": arkit.both("browDown"),
    "surprised": {"browInnerUp": 0.5, **arkit.both("eyeWide", 0.25)}, "relaxed": {},
    "lookup": arkit.both("eyeLookUp"), "lookdown": arkit.both("eyeLookDown"),
    "lookleft": {"eyeLookOutLeft": 0.5, "eyeLookInRight": 0.5}, "lookright": {"eyeLookInLeft": 0.5, "eyeLookOutRight": 0.5},
}  # fmt: skip
_VOWELS: Final[Mapping[str, Mapping[str, float]]] = {
    "aa": {"jawOpen": 1.0}, "ih": arkit.both("mouthUpperUp"), "ou": {"mouthPucker": 1.0},
    "ee": arkit.both("mouthStretch"), "oh": {"mouthFunnel": 1.0},
}  # fmt: skip
_ALIASES: Final = {
    "joy": "happy", "smile": "happy", "sorrow": "sad", "anger": "angry", "surprise": "surprised", "fun": "relaxed",
    "a": "aa", "i": "ih", "u": "ou", "e": "ee", "o": "oh",
    "fcleyeclose": "blink", "fcleyeclosel": "blinkleft", "fcleyecloser": "blinkright", "blinkl": "blinkleft", "blinkr": "blinkright",
    "fclalljoy": "happy", "fclallsorrow": "sad", "fclallangry": "angry", "fclallsurprised": "surprised", "fclallfun": "relaxed",
    "fclmtha": "aa", "fclmthi": "ih", "fclmthu": "ou", "fclmthe": "ee", "fclmtho": "oh",
    "ve": "ee", "ai": "aa", "wq": "ou",
    "visemeaa": "aa", "visemei": "ih", "visemeu": "ou", "visemee": "ee", "visemeo": "oh",
    "あ": "aa", "い": "ih", "う": "ou", "え": "ee", "お": "oh", "まばたき": "blink", "ウィンク2": "blinkleft", "ウィンク2右": "blinkright",
}  # fmt: skip
_CONSONANTS: Final = ("sil", "pp", "ff", "th", "dd", "kk", "ch", "ss", "nn", "rr")
_SILENT: Final = ("neutral", "basis", *(f"{v}{c}" for v in ("viseme", "v") for c in _CONSONANTS), "mbp", "fv", "etc", "rest")
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


_Unit = tuple[str, str, int]
"""An ARKit shape, without its side if it has one; whether it has: "sided", "split" (both halves tell one shape) or "whole";
and the rank."""
_UNITS: Final[Mapping[int, _Unit]] = {
    1: ("browInnerUp", "split", 1), 2: ("browOuterUp", "sided", 1), 4: ("browDown", "sided", 1), 5: ("eyeWide", "sided", 1),
    6: ("cheekSquint", "sided", 1), 7: ("eyeSquint", "sided", 1), 8: ("mouthClose", "split", 1), 9: ("noseSneer", "sided", 1),
    10: ("mouthUpperUp", "sided", 1), 12: ("mouthSmile", "sided", 1), 13: ("mouthSmile", "sided", 2),
    14: ("mouthDimple", "sided", 1), 15: ("mouthFrown", "sided", 1), 16: ("mouthLowerDown", "sided", 1),
    17: ("mouthShrugLower", "split", 1), 18: ("mouthPucker", "split", 1), 19: ("tongueOut", "whole", 1),
    20: ("mouthStretch", "sided", 1), 22: ("mouthFunnel", "split", 1), 23: ("mouthPress", "sided", 2),
    24: ("mouthPress", "sided", 1), 26: ("jawOpen", "whole", 1), 27: ("jawOpen", "whole", 2), 29: ("jawForward", "whole", 1),
    30: ("jaw", "sided", 1), 33: ("cheekPuff", "split", 2), 34: ("cheekPuff", "split", 1), 43: ("eyeBlink", "sided", 1),
    45: ("eyeBlink", "sided", 2), 46: ("eyeBlink", "sided", 2),
}  # fmt: skip
"""FACS action units in ARKit's shapes; Ekman, Friesen and Hager, 2002."""
_UNIT_NAMES: Final[Mapping[str, int]] = {
    "innerbrowraiser": 1, "outerbrowraiser": 2, "browlowerer": 4, "upperlidraiser": 5, "cheekraiser": 6, "lidtightener": 7,
    "lipstoward": 8, "nosewrinkler": 9, "upperlipraiser": 10, "lipcornerpuller": 12, "sharplippuller": 13, "dimpler": 14,
    "lipcornerdepressor": 15, "lowerlipdepressor": 16, "chinraiser": 17, "lippuckerer": 18, "lippucker": 18, "tongueshow": 19,
    "lipstretcher": 20, "lipfunneler": 22, "liptightener": 23, "lippressor": 24, "jawdrop": 26, "jawthrust": 29, "jawsideways": 30,
    "cheekblow": 33, "cheekpuffer": 34, "eyesclosed": 43, "eyeclosure": 43, "wink": 46,
}  # fmt: skip
_BOARD: Final[Mapping[str, _Unit]] = {
    "browraisein": ("browInnerUp", "split", 1), "browraiseouter": ("browOuterUp", "sided", 1), "eyewiden": ("eyeWide", "sided", 1),
    "eyesquintinner": ("eyeSquint", "sided", 1), "eyecheekraise": ("cheekSquint", "sided", 1), "nosewrinkle": ("noseSneer", "sided", 1),
    "mouthcheekblow": ("cheekPuff", "split", 1), "mouthupperlipraise": ("mouthUpperUp", "sided", 1),
    "mouthlowerlipdepress": ("mouthLowerDown", "sided", 1), "mouthcornerpull": ("mouthSmile", "sided", 1),
    "mouthcornerdepress": ("mouthFrown", "sided", 1), "mouthlipspress": ("mouthPress", "sided", 1),
    "mouthupperliprollin": ("mouthRollUpper", "split", 1), "mouthlowerliprollin": ("mouthRollLower", "split", 1),
    "jawfwd": ("jawForward", "whole", 1), "jawchinraised": ("mouthShrugLower", "split", 1),
    "jawchinraiseu": ("mouthShrugUpper", "split", 1),
    **{f"mouthlipspurse{part}": ("mouthPucker", "split", 1) for part in "ud"},
    **{f"mouthfunnel{part}": ("mouthFunnel", "split", 1) for part in "ud"},
    **{f"mouthlipstogether{part}": ("mouthClose", "split", 1) for part in "ud"},
    **{f"mouthpress{part}": ("mouthPress", "sided", 1) for part in "ud"},
}  # fmt: skip
"""What MetaHuman's facial board calls its controls; ``u`` and ``d`` are the upper and the lower lip."""
_UNIFIED: Final[Mapping[str, _Unit]] = {
    "eyeclosed": ("eyeBlink", "sided", 1), "browlowerer": ("browDown", "sided", 1), "mouthclosed": ("mouthClose", "whole", 1),
    "lipsucklower": ("mouthRollLower", "split", 1), "lipsuckupper": ("mouthRollUpper", "split", 1),
    "lipfunnel": ("mouthFunnel", "whole", 1), "lippucker": ("mouthPucker", "whole", 1),
    "mouthraiserupper": ("mouthShrugUpper", "whole", 1),
    "mouthraiserlower": ("mouthShrugLower", "whole", 1), "mouthsad": ("mouthFrown", "sided", 1),
    "mouthtightener": ("mouthPress", "sided", 2),
}  # fmt: skip
"""Names of https://docs.vrcft.io/docs/tutorial-avatars/tutorial-avatars-extras/unified-blendshapes that differ from ARKit's."""
_BOARD_LOOKS: Final = {
    "eyelookleftl": "eyeLookOutLeft", "eyelookleftr": "eyeLookInRight", "eyelookrightl": "eyeLookInLeft",
    "eyelookrightr": "eyeLookOutRight",
}  # fmt: skip


def _unit(name: str, unit: _Unit, vocabulary: str, confidence: float) -> Iterator[tuple[str, Guess]]:
    """The spellings of a unit of the face: both sides together, and each."""
    shape, kind, rank = unit
    whole = {shape: 1.0} if kind != "sided" else arkit.both(shape)
    if not (kind == "sided" and shape == "jaw"):
        yield name, Guess(whole, vocabulary, confidence, rank + (kind == "sided"))
    if kind != "whole":
        for side, letter in (("Left", "l"), ("Right", "r")):
            told = Guess({f"{shape}{side}": 1.0} if kind == "sided" else {shape: 1.0}, vocabulary, confidence, rank)
            for spelling in (f"{name}{letter}", f"{name}{side.lower()}", f"{letter}{name}", f"{side.lower()}{name}"):
                yield spelling, told


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
    for number, unit in _UNITS.items():
        for name in dict.fromkeys((f"au{number}", f"au{number:02}", *(n for n, k in _UNIT_NAMES.items() if k == number))):
            table |= dict(_unit(name, unit, "FACS", 0.9))
    table |= {name: Guess({"mouthRollLower": 0.5, "mouthRollUpper": 0.5}, "FACS", 0.8, 2) for name in ("au28", "lipsuck")}
    for vocabulary, entries in (("MetaHuman", _BOARD), ("Unified Expressions", _UNIFIED)):
        for name, unit in entries.items():
            table |= dict(_unit(name, unit, vocabulary, 0.9))
    table |= {name: Guess({shape: 1.0}, "MetaHuman", 0.9, 1) for name, shape in _BOARD_LOOKS.items()}
    for halved in ("browInnerUp", "cheekPuff"):  # ICT-FaceKit and others split these
        table |= {f"{halved.lower()}{side}": Guess({halved: 1.0}, "ARKit", 0.9, 0) for side in ("l", "r", "left", "right")}
    for shape in arkit.NAMES:
        table |= {spelling: Guess({shape: 1.0}, "ARKit", 1.0, 0) for spelling in _spellings(shape)}
    return table


_TABLE: Final = _table()
