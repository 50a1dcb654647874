"""Builds the rig ``anime``: our own big-eyed character with the expressions of VRM 1.0, modelled here by program.

The file is a VRM 1.0 avatar (a bust with a humanoid's bones): viewers that know VRM take it under the name ``.vrm``.

    python tools/build_anime.py
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

import anime_face as face
import anime_hair as hair
import anime_paint as paint
from anime_skin import Skin
from gltf_writer import Material, Node, Primitive, linear, write_glb
from modelling import Pose, joined, morphs, primitive, still
from rig_preview import draw_expression
from solids import Array, ellipsoid, lathe, rounded, smoothstep, tube
from vrm_extension import Meta, add_vrm

FOLDER: Final = Path(__file__).parents[1] / "rigs" / "anime"
COPYRIGHT: Final = "CC0-1.0, the FreeAvatar contributors"
HEAD_AT: Final = 1.31
"""Metres above the ground of the origin in which face and hair are modelled."""
PIVOT: Final = np.array([0.0, -0.080, -0.022])
"""Where the head turns on its neck, from that origin."""

SKIN = Material("skin", roughness=0.85, emissive=(0.155, 0.105, 0.085))
WHITE = Material("eyeWhite", roughness=0.9, emissive=(0.17, 0.17, 0.18))
LASH = Material("lashes", linear("#2b2648"), roughness=0.9)
SOFT = Material("creases", linear("#b9736b"), roughness=0.9)
LIPS = Material("lips", linear("#a3484d"), roughness=0.8)
BROW = Material("brows", linear("#4a4790"), roughness=0.9)
MOUTH = Material("mouth", roughness=1.0, emissive=(0.10, 0.010, 0.018))
TEETH = Material("teeth", linear("#ffffff"), roughness=0.5, emissive=(0.22, 0.22, 0.22))
TONGUE = Material("tongue", linear("#ea7f86"), roughness=0.7, emissive=(0.10, 0.02, 0.03))
HAIR = Material("hair", roughness=0.55, emissive=(0.012, 0.011, 0.03))
KNIT = Material("sweater", linear("#f4d58d"), roughness=0.9, emissive=(0.05, 0.04, 0.015))
RIB = Material("ribbing", linear("#e8b95f"), roughness=0.9)
BOW = Material("ribbon", linear("#e4576b"), roughness=0.6, emissive=(0.04, 0.0, 0.005))
CLIP = Material("hairClip", linear("#ffd65c"), roughness=0.35, emissive=(0.08, 0.05, 0.0))

_PALE, _SHADE, _BLUSH = (np.array(linear(c)[:3]) for c in ("#ffe4d6", "#f2b8a6", "#ff9a94"))


def left_and_right(
    build: Callable[[Pose, int], Array], material: Material, colours: Array | None = None, *, closed: bool = False
) -> list[Primitive]:
    """A part that is modelled for the left side (with the side that decides which lid moves), on both sides."""

    def side(sign: int) -> Primitive:
        return primitive(lambda p: build(_mirrored(p, sign), sign) * (sign, 1, 1), material, face.MORPHS, closed=closed, colours=colours)

    return [side(1), side(-1)]


def _mirrored(pose: Pose, sign: int) -> Pose:
    """The pose as the mirrored side sees it: gaze changes sides; lids know their side themselves."""
    if sign > 0:
        return pose
    return {{"lookLeft": "lookRight", "lookRight": "lookLeft"}.get(name, name): value for name, value in pose.items()}


def skin() -> Primitive:
    sheet = Skin()
    rest = sheet.shape({})
    x, y, z = rest.T
    colour = np.broadcast_to(_PALE, rest.shape)

    def dab(tone: Array, share: Array) -> None:
        nonlocal colour
        colour = colour + share[:, None] * (tone - colour)

    dab(_BLUSH, 0.42 * np.exp(-(((np.abs(x) - 0.050) / 0.013) ** 2) - ((y + 0.044) / 0.0070) ** 2))
    dab(_BLUSH, 0.30 * np.exp(-((x / 0.0045) ** 2) - ((y + 0.0450) / 0.003) ** 2))
    dab(_SHADE, 0.45 * np.exp(-((x / 0.009) ** 2) - ((y + 0.0760) / 0.0026) ** 2))
    dab(_SHADE, 0.75 * smoothstep(0.045, 0.075, y))  # under the fringe
    dab(_SHADE, 0.80 * smoothstep(-0.086, -0.097, y) * smoothstep(0.082, 0.064, z))
    return Primitive(rest, sheet.faces, SKIN, sheet.normals(), colours=colour, morphs=morphs(sheet.shape, face.MORPHS))


def irises() -> list[Primitive]:
    """One disc an eye; both carry the same picture, so that the light comes from one side."""
    material = Material("iris", roughness=0.5, emissive=(0.03, 0.05, 0.06), texture=paint.iris())
    parts = []
    for sign in (1, -1):

        def build(p: Pose, sign: int = sign) -> Array:
            points = face.iris(_mirrored(p, sign)) * (sign, 1, 1)
            return points if sign > 0 else np.roll(points[:, ::-1], 1, axis=1)

        # Morphs move the disc as a whole, so at rest the picture lies as its columns do.
        points = build({})
        rings, columns = points.shape[:2]
        angle = np.linspace(0, 2 * np.pi, columns, endpoint=False)
        if sign < 0:
            angle = np.roll(np.pi - angle[::-1], 1)
        radius = np.linspace(0, 1, rings)[:, None]
        uv = np.stack([0.5 + 0.5 * radius * np.cos(angle), 0.5 - 0.5 * radius * np.sin(angle)], -1).reshape(-1, 2)
        part = primitive(build, material, face.MORPHS)
        faces = part.faces if _faces_front(part) else part.faces[:, ::-1]
        parts.append(Primitive(part.positions, faces, material, uv=uv, morphs=part.morphs))
    return parts


def _faces_front(part: Primitive) -> bool:
    a, b, c = (part.positions[part.faces[:, k]] for k in range(3))
    return bool(np.cross(b - a, c - a)[:, 2].sum() > 0)


def front(part: Primitive) -> Primitive:
    """The same with triangles and normals towards the viewer, as strokes need."""
    faces = part.faces if _faces_front(part) else part.faces[:, ::-1]
    return Primitive(part.positions, faces, part.material, colours=part.colours, uv=part.uv, morphs=part.morphs)


def face_primitives() -> list[Primitive]:
    rows = face.white().shape[0]
    shade = np.linspace(0, 1, rows)[:, None, None] + np.zeros((1, face.white().shape[1], 1))
    tone = (np.array([0.50, 0.55, 0.75]) + smoothstep(0.16, 0.50, shade) * np.array([0.47, 0.43, 0.25])).reshape(-1, 3)
    depth = np.array([[0.30, 0.035, 0.05], [0.24, 0.02, 0.035], [0.15, 0.01, 0.02], [0.09, 0.005, 0.012], [0.06, 0.003, 0.008]])
    dark = np.repeat(depth, len(face.mouth_edge({})), axis=0)
    parts = [skin(), *irises()]
    parts += [front(p) for p in left_and_right(lambda p, side: face.white(), WHITE, tone)]
    parts += [front(p) for p in left_and_right(face.lashes, LASH)]
    parts += [front(p) for p in left_and_right(face.lower_lashes, SOFT)]
    parts += [front(p) for p in left_and_right(face.crease, SOFT)]
    parts += [front(p) for p in left_and_right(face.brow, BROW)]
    parts += [front(primitive(lambda p: face.lip_line(p, True), LIPS, face.MORPHS, closed=False))]
    parts += [front(primitive(lambda p: face.lip_line(p, False), LIPS, face.MORPHS, closed=False))]
    parts += [primitive(face.throat, MOUTH, face.MORPHS, colours=dark, inside=True)]
    parts += [front(primitive(face.teeth, TEETH, face.MORPHS, closed=False)), primitive(face.tongue, TONGUE, face.MORPHS)]
    return parts


def hair_primitives() -> list[Primitive]:
    def locks(blades: Sequence[Array]) -> list[Primitive]:
        return [still(blade, HAIR, colours=hair.tone(blade)) for blade in blades]

    # What lies in front comes first: it hides the rest before that is shaded.
    cap = hair.cap()
    parts = locks([*hair.fringe(), *hair.sides(), *hair.crown()])
    parts += [still(cap, HAIR, colours=hair.cap_tone(cap)), *locks(hair.back())]
    for y, turn in ((0.052, 0.5), (0.042, 0.5)):
        angle = np.radians(np.linspace(40, 53, 7))
        bar = hair.hull(angle, y + np.linspace(-0.004, 0.004, 7) * turn, 0.0110)
        parts.append(still(tube(bar, 0.0026, 8), CLIP))
    return parts


def upright(points: Array) -> Array:
    """Lathe work along z turned to stand on y."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)


def body_primitives() -> list[Primitive]:
    """Neck, sweater and ribbon, in the frame of face and hair."""
    neck = upright(lathe(rounded([(0.0245, -0.060), (0.0250, -0.100), (0.0268, -0.123), (0.0390, -0.148), (0.060, -0.163)], 2), 32))
    y = neck[..., 1:2]
    tone = np.array(_PALE) + 0.75 * smoothstep(-0.138, -0.100, y) * (_SHADE - _PALE)
    shift = np.array([0, 0, -0.024])
    outline = [(0.038, -0.138), (0.050, -0.141), (0.078, -0.151), (0.112, -0.168), (0.132, -0.196), (0.138, -0.240), (0.140, -0.330)]
    torso = upright(lathe(rounded(outline, 2), 48)) * (1, 1, 0.62) + shift
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ring = np.stack([0.044 * np.sin(turn), -0.1400 - 0.007 * np.cos(turn), 0.038 * np.cos(turn) - 0.022], -1)
    collar = tube(ring, 0.0095, 10, closed=True)
    parts = [still(neck + shift, SKIN, colours=tone.reshape(-1, 3)), still(torso, KNIT), still(collar, RIB)]
    knot_at = np.array([0.0, -0.1590, 0.0300])
    for side in (1, -1):
        lobe = ellipsoid((0, 0, 0), (0.026, 0.0170, 0.0075), 11, 18)
        lobe[..., 1] *= 0.45 + 0.65 * smoothstep(-0.024, 0.018, lobe[..., 0])
        tail = ellipsoid((0, 0, 0), (0.0085, 0.027, 0.0035), 9, 12)
        tail[..., 0] = tail[..., 0] * (1.05 - tail[..., 1] * 20) - tail[..., 1] * 0.40
        tail[..., 2] -= 0.35 * tail[..., 1]
        parts += [still((lobe + np.array([0.025, 0.0050, -0.002])) * (side, 1, 1) + knot_at, BOW)]
        parts += [still((tail + np.array([0.0125, -0.026, 0.006])) * (side, 1, 1) + knot_at, BOW)]
    return [*parts, still(ellipsoid(knot_at, (0.0085, 0.0095, 0.0085), 9, 14), BOW)]


def nodes() -> list[Node]:
    """A humanoid's bones in a T-pose, as VRM asks for them, with the bust on chest and head."""

    def bone(name: str, x: float, y: float, z: float, *children: Node, parts: list[Primitive] | None = None) -> Node:
        return Node(name, (x, y, z), parts or [], children)

    limbs = []
    for side, sign in (("left", 1), ("right", -1)):
        hand = bone(f"{side}Hand", sign * 0.20, 0, 0)
        arm = bone(f"{side}UpperArm", sign * 0.115, 0.130, -0.024, bone(f"{side}LowerArm", sign * 0.22, 0, 0, hand))
        foot = bone(f"{side}Foot", 0, -0.34, 0)
        leg = bone(f"{side}UpperLeg", sign * 0.07, -0.05, 0, bone(f"{side}LowerLeg", 0, -0.36, 0, foot))
        limbs.append((arm, leg))
    pivot = np.array([0.0, HEAD_AT, 0.0]) + PIVOT
    chest, neck = 1.00, HEAD_AT - 0.140
    hair_node = Node("hair", (0.0, 0.0, 0.0), joined(hair_primitives(), -PIVOT))
    face_node = Node("face", (0.0, 0.0, 0.0), joined(face_primitives(), -PIVOT))
    skull = bone("head", 0, float(pivot[1] - neck), 0, face_node, hair_node)
    throat = bone("neck", 0, neck - chest, float(PIVOT[2]), skull)
    bust = Node("bust", (0.0, 0.0, 0.0), joined(body_primitives(), np.array([0.0, HEAD_AT - chest, 0.0])))
    torso = bone("chest", 0, 0.12, 0, bust, throat, *(arm for arm, _ in limbs))
    hips = bone("hips", 0, 0.80, 0, bone("spine", 0, 0.08, 0, torso), *(leg for _, leg in limbs))
    return [hips]


def main() -> None:
    """Write the model and its picture."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / "avatar.glb"
    write_glb(path, nodes(), COPYRIGHT)
    meta = Meta("FreeAvatar anime character", ("The FreeAvatar contributors",), COPYRIGHT)
    size = add_vrm(path, meta, face.MORPHS, face_node="face", eye_height=float(face.EYE[1] - PIVOT[1]))
    print(f"{path}: {size / 1e6:.2f} MB")
    draw_expression(FOLDER, {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7, "jawOpen": 0.1}, (0.18, 0.02, -0.06), (-0.12, 0.0))


if __name__ == "__main__":
    main()
