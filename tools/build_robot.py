"""Builds the rig ``robot``: our own character, modelled here by program.

Every morph target is what the modelling functions of robot_parts give when one parameter of the pose is 1, less the
rest. rig.toml is written by hand and says which controls drive the targets.

    python tools/build_robot.py
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

import modelling
import robot_parts as robot
from gltf_writer import Material, Node, Primitive, linear, smooth_normals, write_glb
from modelling import joined, still
from rig_preview import draw_expression
from solids import Array, ellipsoid, lathe, rounded

FOLDER: Final = Path(__file__).parents[1] / "rigs" / "robot"
SHELL = Material("shell", linear("#f3eee6"), roughness=0.22)
TRIM = Material("trim", linear("#f2704a"), roughness=0.3)
MASK = Material("mask", linear("#2c3950"), roughness=0.34)
DARK = Material("rubber", linear("#2a2f3a"), roughness=0.7)
STEEL = Material("steel", linear("#b9c2cc"), metallic=0.9, roughness=0.28)
LIPS = Material("lips", linear("#5fe3cf"), roughness=0.35, emissive=(0.02, 0.16, 0.13))
LAMP = Material("lamp", linear("#7df0dd"), roughness=0.3, emissive=(0.06, 0.36, 0.30))
BLUSH = Material("blush", linear("#ff7d94"), roughness=0.35, emissive=(0.30, 0.05, 0.08))
MOUTH = Material("mouth", roughness=0.8)
TEETH = Material("teeth", linear("#f7f6f1"), roughness=0.25, emissive=(0.12, 0.12, 0.12))
TONGUE = Material("tongue", linear("#f0566b"), roughness=0.4)
WHITE = Material("eyeWhite", linear("#fbfaf7"), roughness=0.12)
IRIS = Material("iris", roughness=0.12, emissive=(0.0, 0.05, 0.06))
PUPIL = Material("pupil", linear("#0d1420"), roughness=0.06)
LID = Material("lid", linear("#7f95ba"), roughness=0.35)
SEAM = Material("seam", linear("#41506d"), roughness=0.5)
GASKET = Material("gasket", linear("#c9c6c2"), roughness=0.4)
STRIPE = Material("stripe", linear("#9db2cc"), roughness=0.25)


def primitive(
    build: Callable[[robot.Pose], Array], material: Material, *, inside: bool = False, closed: bool = True, colours: Array | None = None
) -> Primitive:
    return modelling.primitive(build, material, robot.MORPHS, inside=inside, closed=closed, colours=colours)


def head_primitives() -> list[Primitive]:
    whole = primitive(robot.shell, SHELL)
    normals = smooth_normals(whole.positions, whole.faces)
    # A stripe over the crown: the columns of the shell that start at the top of the mask.
    column = whole.faces.min(axis=1) % robot.AROUND
    on_stripe = np.abs(column - (robot.AROUND // 4 - 0.5)) < 2
    parts = [
        Primitive(whole.positions, whole.faces[~on_stripe], SHELL, normals, morphs=whole.morphs),
        Primitive(whole.positions, whole.faces[on_stripe], STRIPE, normals),
    ]
    depths = [[0.30, 0.05, 0.08], [0.22, 0.03, 0.05], [0.10, 0.012, 0.02], [0.03, 0.004, 0.008], [0.01, 0.002, 0.004]]
    shade = np.repeat(np.array(depths), robot.AROUND, axis=0)
    parts += [
        primitive(robot.rim, GASKET),
        primitive(robot.mask, MASK),
        primitive(robot.lips, LIPS),
        primitive(robot.throat, MOUTH, colours=shade, inside=True),
    ]
    parts += [
        primitive(lambda p: robot.teeth(p, False), TEETH),
        primitive(lambda p: robot.teeth(p, True), TEETH),
        primitive(robot.tongue, TONGUE),
    ]
    parts += [primitive(robot.nose, TRIM)]
    disc = rounded([(0, 0.026), (0.016, 0.026), (0.019, 0.021), (0.027, 0.021), (0.034, 0.019), (0.036, 0.010), (0.036, -0.02)], 1)
    button = rounded([(0, 0.0275), (0.012, 0.0275), (0.0145, 0.024)], 1)
    for side in (1, -1):
        parts += [primitive(robot.goggle(side), SHELL), primitive(robot.brow(side), TRIM), primitive(robot.cheek(side), BLUSH)]
        parts += [primitive(robot.lower_lid(side, False), LID, closed=False), primitive(robot.lower_lid(side, True), SEAM)]
        parts += [still(robot.sideways(lathe(disc, 32), side), TRIM), still(robot.sideways(lathe(button, 24), side), LAMP)]
        parts += [primitive(robot.antenna(side, False), STEEL), primitive(robot.antenna(side, True), LAMP)]
    return parts


def eye_primitives() -> list[Primitive]:
    iris = robot.eye_zone(13.5, 33, 6)
    dark, light = np.array(linear("#0d5a63")[:3]), np.array(linear("#35d3cf")[:3])
    glow = np.interp(np.arange(6), [0, 1, 3.5, 4.2, 5], [0.75, 1, 0.75, 0.1, 0])[:, None, None]
    colours = np.broadcast_to(dark + glow * (light - dark), iris.shape).reshape(-1, 3)
    return [still(robot.eye_zone(0, 13.5, 4), PUPIL), still(iris, IRIS, colours=colours), still(robot.eye_zone(33, 130, 11), WHITE)]


def nodes() -> list[Node]:
    """The whole figure: the head turns on a still body, eyes and upper lids turn in the head."""
    parts = []
    for name, side in (("Left", 1), ("Right", -1)):
        at = robot.EYE * (side, 1, 1) - robot.PIVOT
        place = (float(at[0]), float(at[1]), float(at[2]))
        upper = [still(robot.lid(0.0321, robot.LID_EDGE, 150), LID, closed=False), still(robot.lid_edge(0.0321, robot.LID_EDGE), SEAM)]
        parts += [Node(f"eye{name}", place, eye_primitives()), Node(f"lid{name}", place, upper)]
    pivot = (float(robot.PIVOT[0]), float(robot.PIVOT[1]), float(robot.PIVOT[2]))
    head = Node("head", pivot, joined(head_primitives(), -robot.PIVOT), parts)
    lamp = ellipsoid((0, -0.192, 0.092), (0.013, 0.013, 0.006), 9, 20)
    return [Node("body", primitives=[still(robot.body(), STRIPE), still(robot.bellows(), DARK), still(lamp, LAMP)], children=[head])]


def main() -> None:
    """Write the model and its picture."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    size = write_glb(FOLDER / "avatar.glb", nodes(), "CC0-1.0, the FreeAvatar contributors")
    print(f"{FOLDER / 'avatar.glb'}: {size / 1e6:.2f} MB")
    smile = {"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6, "browInnerUp": 0.2, "browOuterUpLeft": 0.3, "jawOpen": 0.12}
    draw_expression(FOLDER, smile, (0.22, 0.02, -0.05), (-0.2, 0.0))


if __name__ == "__main__":
    main()
