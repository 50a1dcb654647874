"""Puts a person together: skin, mouth, eyes, lashes, teeth, tongue, hair and shirt, with every shape as a morph target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import human_hair
import human_paint
import human_skin
from gltf_writer import Material, Node, Primitive, linear
from human_base import Indices, Points, triangulate
from human_face import Face
from human_parts import Part, clipped, collar_field, eye, lashes, mouth, teeth, tongue

PIVOT = np.array([0.0, -0.045, -0.012])
"""Metres from the skull's joint: where the head turns, in the upper neck."""
_NECK_ANGLE = 0.5
"""Radians at which the neck's morphs hold its root exactly in place."""
_SMALLEST = 1e-5
"""Metres: offsets below this are dropped."""
TURNS = {"Yaw": (1, "y", 0.9), "Pitch": (0, "x", 0.6), "Roll": (2, "z", 0.6)}
"""Head control -> coordinate axis, its name, largest angle in radians."""
NECK = tuple(f"neck{turn}{sign}" for turn in TURNS for sign in ("Plus", "Minus"))


@dataclass(frozen=True)
class Look:
    """How a person is painted, combed and dressed.

    Attributes:
        palette: colours and marks of skin, eyes and brows.
        style: the hair.
        shirt: sRGB, `#rrggbb`.
        collar: height in metres of the shirt's neckline below the ears, from the skull's joint.
    """

    palette: human_paint.Palette
    style: human_hair.Style
    shirt: str
    collar: float = -0.107


def bust(face: Face, look: Look, shapes: Mapping[str, Points], looks: Mapping[str, tuple[str, int, float]] | None = None) -> list[Node]:
    """The node tree: a still shirt, and the head with all that turns with it.

    Args:
        face: the person at rest.
        look: paint, hair and shirt.
        shapes: morph target -> (V, 3) offsets in metres over the whole base mesh.
        looks: shape -> side `l` or `r`, axis and angle (radians) by which that eye turns with it. None makes each eye a node
            of its own, `eyeLeft` and `eyeRight`, that controls can turn.
    """
    base, regions = face.base, face.regions
    stack = np.stack([face.points, *shapes.values()])
    names, layers = [*shapes, *NECK], len(stack)
    parts: list[tuple[Part, Material]] = [
        _skin(face, look, stack),
        (mouth(stack, triangulate(face.quads[regions.in_mouth])), Material("mouth", metallic=0.6, roughness=1.0, double_sided=True)),
    ]
    bite = Material("teeth", roughness=0.45, texture=human_paint.teeth())
    parts += [(teeth(base, stack, which), bite) for which in ("upper", "lower")]
    parts.append((tongue(base, stack), Material("tongue", linear("#a85052"), metallic=0.35, roughness=1.0)))
    lash = Material("lashes", linear(look.palette.lash), roughness=0.8, double_sided=True)
    ball = Material("eye", roughness=0.10, texture=human_paint.eyes(look.palette))
    eyes = []
    for side, sign in (("l", 1.0), ("r", -1.0)):
        turns = {1 + list(shapes).index(n): rotation(axis, angle) for n, (s, axis, angle) in (looks or {}).items() if s == side}
        eyes.append((eye(sign, face.eyes[side], layers, turns), ball))
        parts.append((lashes(base, stack, side, face.eyes[side], look.palette.lash_length), lash))
    strands = Material("hair", roughness=look.style.roughness, texture=human_paint.hair(look.palette.hair))
    skull = np.unique(face.body[regions.outer[face.body].all(axis=1) & ~regions.ear[face.body].any(axis=1)])
    skull = skull[face.points[skull, 1] > -0.1]
    parts += [(part, strands) for part in human_hair.hair(face.points[skull], layers, look.style)]

    children = [_node(part, material, names, PIVOT) for part, material in parts]
    for part, material in eyes:
        # An eye that is turned by its node has its origin where it turns.
        centre = PIVOT if looks else face.eyes["l" if part.name == "eyeLeft" else "r"]
        children.append(_node(part, material, names, centre))
    head = Node("head", tuple(PIVOT.tolist()), children=children)
    shirt = Material("shirt", linear(look.shirt), roughness=0.9, double_sided=True)
    cloth = [Node(name, primitives=[Primitive(p, f, shirt)]) for name, p, f in _shirt(face, look.collar)]
    return [Node("bust", children=[head, *cloth])]


def _skin(face: Face, look: Look, stack: Points) -> tuple[Part, Material]:
    regions, rest = face.regions, face.points
    # Extra layers: normals and masks are cut like everything else.
    extra = np.zeros((3, *rest.shape))
    extra[0] = face.normals
    extra[1] = np.stack([regions.lips, regions.lids, regions.ear], axis=1)
    extra[2, :, 0], extra[2, :, 1] = regions.hollow, regions.socket
    faces = triangulate(face.quads[~regions.in_mouth])
    field = np.minimum(collar_field(rest, look.collar) + 0.014, 0.11 - np.abs(rest[:, 0]))
    # Nobody sees the scalp well inside the hair.
    hidden = (human_hair.inside_hairline(rest, look.style) > 0.015) & ~regions.ear
    near = faces[(field[faces] > 0).any(axis=1) & ~hidden[faces].all(axis=1)]
    whole, triangles, _ = clipped(np.concatenate([stack, extra]), near, field)
    whole, triangles = _split_back(whole, triangles)
    points = whole[0]
    uv = human_skin.skin_uv(points)
    uv[_is_back_right(points, triangles), 0] = 1.0 - uv[_is_back_right(points, triangles), 0]
    masks = dict(zip(("lips", "lids", "ears"), whole[-2].T, strict=True))
    places = human_skin.Places(face.eyes["l"], face.corner, face.seam)
    picture = human_skin.skin(points, whole[-3], triangles, uv, masks, places, look.palette, look.style)
    # Normals in the fold between the lips and below the nose point backwards, where light from behind would catch them.
    lips, facing = whole[-2, :, 0], whole[-3].copy()
    nose = (np.abs(points[:, 0]) < 0.03) & (points[:, 2] > face.eyes["l"][2] + 0.015)
    facing[:, 2] = np.where((lips > 0.05) | nose, np.maximum(facing[:, 2], 0.3), facing[:, 2])
    # Folds are darker and redder, as if light had bounced in them.
    fold, socket = whole[-1, :, :1], whole[-1, :, 1:2]
    shade = (1.0 - 0.7 * fold * (1.0 - np.array([0.22, 0.08, 0.07]))) * (1.0 - socket * np.array([0.30, 0.38, 0.40]))
    # Under the shirt it is pushed in, since turns about several axes at once do not hold it quite in place.
    sunk = points - 0.012 * np.clip(-collar_field(points, look.collar) / 0.014, 0, 1)[:, None] * whole[-3]
    moves = np.concatenate([sunk[None], whole[1 : len(stack)], _neck(sunk, look.collar)])
    return Part("skin", moves, triangles, uv, shade, facing), Material("skin", roughness=0.62, texture=picture)


def _shirt(face: Face, height: float) -> list[tuple[str, Points, Indices]]:
    """A crew-neck shirt: the shoulders, pushed out along their normals, and a rolled collar."""
    points, body, normals = face.points, face.body, face.normals
    collar = -collar_field(points, height)
    x, y = points[:, 0], points[:, 1]
    edge = 1.0 - (x / 0.185) ** 2 - ((y + 0.1) / 0.165) ** 2
    near = (edge > -0.5)[body].any(axis=1)
    whole, triangles, _ = clipped(np.concatenate([points[None], normals[None], edge[None, :, None] * np.ones(3)]), body[near], collar)
    # Where the neckline cut, the cut's own field is zero: remember those vertices before the lower edge is cut.
    on_collar = np.abs(collar_field(whole[0], height)) < 1e-9
    whole = np.concatenate([whole, np.repeat(on_collar[None, :, None], 3, axis=2)])
    whole, triangles, _ = clipped(whole, triangles, whole[2, :, 0])
    shirt = whole[0] + 0.0045 * whole[1]
    rim = shirt[whole[3, :, 0] > 0.999]
    middle = rim.mean(axis=0)
    rim = rim[np.argsort(np.arctan2(rim[:, 0] - middle[0], rim[:, 2] - middle[2]))]
    angle = np.arctan2(rim[:, 0] - middle[0], rim[:, 2] - middle[2])
    turns = np.linspace(-np.pi, np.pi, 44, endpoint=False)
    ring = np.stack([np.interp(turns, angle, rim[:, k], period=2 * np.pi) for k in range(3)], axis=1)
    out = ring - middle
    out[:, 1] = 0.0
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    spin = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    up = np.array([0.0, 1.0, 0.0])
    tube = ring[:, None] + 0.0042 * np.cos(spin)[:, None] * out[:, None] + (0.0075 * np.sin(spin)[:, None] + 0.002) * up
    index = np.arange(tube[..., 0].size).reshape(tube.shape[:2])
    quads = np.stack([index, np.roll(index, -1, 0), np.roll(np.roll(index, -1, 0), -1, 1), np.roll(index, -1, 1)], axis=-1).reshape(-1, 4)
    return [("shirt", shirt, triangles), ("collar", tube.reshape(-1, 3), triangulate(quads))]


def _neck(points: Points, collar: float) -> Points:
    """(6, V, 3) offsets for each radian of yaw, pitch and roll, both ways, that keep the root of the neck where it is."""
    share = np.clip((0.070 - collar_field(points, collar)) / 0.062, 0.0, 1.0)
    share = share * share * (3.0 - 2.0 * share)
    from_pivot = points - PIVOT
    layers = []
    for axis, _, _ in TURNS.values():
        for sign in (1.0, -1.0):
            back = rotation(axis, -sign * _NECK_ANGLE)
            layers.append(share[:, None] * (from_pivot @ back.T - from_pivot) / _NECK_ANGLE)
    return np.stack(layers)


def _node(part: Part, material: Material, names: Sequence[str], origin: Points) -> Node:
    layers = np.where(np.linalg.norm(part.stack[1:], axis=2, keepdims=True) < _SMALLEST, 0.0, part.stack[1:])
    morphs = {name: layer for name, layer in zip(names, layers, strict=False) if layer.any()}
    surface = Primitive(part.stack[0] - origin, part.triangles, material, part.normals, part.colours, part.uv, morphs)
    return Node(part.name, tuple((origin - PIVOT).tolist()), primitives=[surface])


def rotation(axis: int, angle: float) -> Points:
    """(3, 3) a turn about a coordinate axis, radians."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[j, i], matrix[i, j] = np.sin(angle), -np.sin(angle)
    return matrix


def _split_back(stack: Points, triangles: Indices) -> tuple[Points, Indices]:
    """Double the vertices on the middle line behind the head: the right half gets its own, for the texture's seam."""
    x, _, z = stack[0].T
    seam = (np.abs(x) < 1e-7) & (z < human_skin.AXIS_Z)
    right = x[triangles].mean(axis=1) < 0
    twin = np.full(len(x), -1)
    twin[seam] = len(x) + np.arange(seam.sum())
    use = right[:, None] & seam[triangles]
    return np.concatenate([stack, stack[:, seam]], axis=1), np.where(use, twin[triangles], triangles)


def _is_back_right(points: Points, triangles: Indices) -> NDArray[np.bool_]:
    """(V,) vertices on the middle line behind that belong to the right half."""
    right = np.zeros(len(points), dtype=bool)
    right[triangles[points[triangles, 0].mean(axis=1) < 0]] = True
    return right & (np.abs(points[:, 0]) < 1e-7) & (points[:, 2] < human_skin.AXIS_Z)
