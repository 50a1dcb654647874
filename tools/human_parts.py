"""The bust cut into drawable parts: skin, mouth, eyes, lashes, teeth, tongue and the shirt.

A *stack* is an array (K, V, 3): the resting points, then one layer of offsets a morph. Cutting, subdividing and interpolating are linear,
so doing them to the whole stack carries every morph along.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from human_base import BaseMesh, Indices, Points, triangulate, vertex_normals
from human_mouth import settle_teeth

EYE_RADIUS = 0.01515
"""Metres; the radius of MakeHuman's own eye, which the lids are modelled on."""
EYE_EXTENT = 2.0
"""Radians from the front of the eye to the rim of its mesh and its texture."""
IRIS = 0.405
"""Radians from the middle of the pupil to the edge of the iris."""
COLLAR_SLOPE = 0.5
_INNER_LIP, _THROAT = (0.28, 0.08, 0.07), (0.010, 0.003, 0.003)
"""Linear colours of the inside of the mouth."""


@dataclass(frozen=True)
class Part:
    """One mesh of one material.

    Attributes:
        name: also the mesh's name in the file.
        stack: (K, V, 3) resting points and morph offsets, metres.
        triangles: (F, 3) indices, counter-clockwise from outside.
        uv: (V, 2) texture coordinates, v downwards as in glTF.
        colours: (V, 3) linear, multiplied with the material's; None is white.
        normals: (V, 3); None gives smooth ones.
    """

    name: str
    stack: Points
    triangles: Indices
    uv: Points | None = None
    colours: Points | None = None
    normals: Points | None = None


def eye(side: float, centre: Points, layers: int, looks: dict[int, Points]) -> Part:
    """An eyeball whose look morphs are true rotations about its centre.

    Args:
        side: +1 for the subject's left eye, -1 for the right.
        centre: (3,) metres.
        layers: layers of the stack.
        looks: layer -> (3, 3) rotation of this eye when that morph is fully on.
    """
    # Rings crowd around pupil and iris, where a coarse mesh would show.
    angles = np.array([0.06, 0.13, 0.2, 0.27, 0.34, IRIS, 0.5, 0.65, 0.85, 1.1, 1.4, EYE_EXTENT])
    turns = np.linspace(0.0, 2 * np.pi, 28, endpoint=False)
    polar, turn = (a.ravel() for a in np.meshgrid(angles, turns, indexing="ij"))
    bulge = 1.0 + 0.022 * np.clip(1.0 - (polar / 0.5) ** 2, 0.0, 1.0)
    ring = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], axis=1) * bulge[:, None]
    unit = np.concatenate([[[0.0, 0.0, 1.022]], ring]) * EYE_RADIUS
    rho = np.concatenate([[0.0], eye_texture_radius(polar)])
    spin = np.concatenate([[0.0], turn])
    # Texture of the right eye is mirrored, so that the two eyes are mirror images.
    uv = np.stack([0.5 + side * 0.5 * rho * np.cos(spin), 0.5 - 0.5 * rho * np.sin(spin)], axis=1)
    n = len(turns)
    near = 1 + np.arange(n)
    fan = np.stack([np.zeros(n, dtype=np.int64), near, np.roll(near, -1)], axis=1)
    rings = 1 + np.arange(len(angles) * n).reshape(len(angles), n)
    a, b = rings[:-1], rings[1:]
    quads = np.stack([a, b, np.roll(b, -1, axis=1), np.roll(a, -1, axis=1)], axis=-1).reshape(-1, 4)
    stack = np.zeros((layers, len(unit), 3))
    stack[0] = unit + centre
    for layer, rotation in looks.items():
        stack[layer] = unit @ rotation.T - unit
    # The upper lid shades the eye; the shade turns with the gaze, as the lid does.
    up = unit[:, 1] / EYE_RADIUS
    shade = 1.0 - 0.62 * np.clip((up - 0.05) / 0.5, 0, 1) ** 1.2 - 0.25 * np.clip((-up - 0.25) / 0.5, 0, 1)
    shade -= 0.35 * np.clip((np.abs(unit[:, 0]) / EYE_RADIUS - 0.55) / 0.4, 0, 1)
    name = "eyeLeft" if side > 0 else "eyeRight"
    return Part(name, stack, np.concatenate([fan, triangulate(quads)]), uv, np.repeat(shade.clip(0.1, 1.0)[:, None], 3, axis=1))


def eye_texture_radius(polar: Points) -> Points:
    """Polar angle on the eye (radians) -> radius in the texture, 0..1; the iris gets a large share of it."""
    return np.asarray((polar / EYE_EXTENT) ** 0.6)


def lashes(base: BaseMesh, stack: Points, side: str, centre: Points, size: float = 1.0) -> Part:
    """Single tapered hairs along both lids and a dark line at the upper lid's edge; `size` is a factor on the hairs' length."""
    upper = lash_grid(base.faces(f"helper-{side}-eyelashes-2"), stack[0], centre)
    lower = lash_grid(base.faces(f"helper-{side}-eyelashes-1"), stack[0], centre)
    pieces: list[tuple[Points, Indices]] = [_liner(stack, upper, 0.9)]
    rng = np.random.default_rng(5)
    for grid, count, length, width in ((upper, 44, size, 0.15), (lower, 26, 0.5 * size, 0.08)):
        last = len(grid) - 1
        for k in range(count):
            at = (k + 0.5) / count
            # Hairs fan out from the middle of the lid and are longest at the outer third.
            fan = 1.1 * (at - 0.45)
            reach = (len(grid[0]) - 1) * length * rng.uniform(0.72, 1.0) * (0.75 + 0.25 * at)
            column = at * last + rng.uniform(-0.08, 0.08)
            half = np.array([width, width * 0.8, 0.0])[:, None] * [-1.0, 1.0] * last / 12.0
            columns = np.clip(column + np.array([0.0, 0.45, 1.0])[:, None] * fan + half, 0, last).ravel()[:5]
            rows = np.array([0.35, 0.35, 0.35 + 0.5 * reach, 0.35 + 0.5 * reach, reach])
            pieces.append((_on_grid(stack, grid, columns, np.clip(rows, 0, len(grid[0]) - 1)), np.array([[0, 1, 3], [0, 3, 2], [2, 3, 4]])))
    return _joined(f"lashes{'Left' if side == 'l' else 'Right'}", pieces)


def lash_grid(quads: Indices, points: Points, centre: Points) -> Indices:
    """Order a strip of quads as a grid (columns from the inner corner, rows from root to tip)."""
    counts = dict(zip(*np.unique(quads, return_counts=True), strict=True))
    edges: dict[tuple[int, int], list[int]] = {}
    for f, quad in enumerate(quads):
        for k in range(4):
            a, b = int(quad[k]), int(quad[(k + 1) % 4])
            edges.setdefault((min(a, b), max(a, b)), []).append(f)
    border: dict[int, list[int]] = {}
    for (a, b), faces in edges.items():
        if len(faces) == 1:
            border.setdefault(a, []).append(b)
            border.setdefault(b, []).append(a)
    corners = [v for v, n in counts.items() if n == 1]
    sides = []
    for start in corners:
        for step in border[start]:
            chain = [start, step]
            while chain[-1] not in corners:
                chain.append(next(v for v in border[chain[-1]] if v != chain[-2]))
            sides.append(chain)
    shortest = min(len(s) for s in sides)
    column = min((s for s in sides if len(s) == shortest), key=lambda s: float(np.abs(points[s, 0]).mean()))
    if np.linalg.norm(points[column[0]] - centre) > np.linalg.norm(points[column[-1]] - centre):
        column = column[::-1]
    columns, used = [column], set[int]()
    while True:
        following = [-1] * len(column)
        for k in range(len(column) - 1):
            a, b = column[k], column[k + 1]
            for f in edges[(min(a, b), max(a, b))]:
                if f not in used:
                    used.add(f)
                    quad = quads[f].tolist()
                    following[k], following[k + 1] = quad[(quad.index(b) + 2) % 4], quad[(quad.index(a) + 2) % 4]
        if following[0] < 0:
            return np.array(columns)
        column = following
        columns.append(column)


def teeth(base: BaseMesh, stack: Points, which: str) -> Part:
    """One row of teeth, subdivided once."""
    quads = base.faces(f"helper-{which}-teeth")
    index = np.unique(quads)
    local, renumbered = stack[:, index].copy(), np.searchsorted(index, quads)
    local[0] = settle_teeth(local[0], which)
    fine, fine_quads = subdivided(local, renumbered)
    x, y, z = fine[0].T
    angle = np.arctan2(x, z - z.min() + 0.004)
    uv = np.stack([0.5 + angle / np.pi, (y - y.min()) / np.ptp(y)], axis=1)
    if which == "upper":
        uv[:, 1] = 1.0 - uv[:, 1]
    # Facing forwards, they take no light from behind through the head.
    return Part(f"{which}Teeth", fine, triangulate(fine_quads), uv, normals=_forwards(fine[0], triangulate(fine_quads)))


def tongue(base: BaseMesh, stack: Points) -> Part:
    """The tongue, subdivided once; dark in the depth of the mouth."""
    quads = base.faces("helper-tongue")
    index = np.unique(quads)
    fine, fine_quads = subdivided(stack[:, index], np.searchsorted(index, quads))
    x, _, z = fine[0].T
    tip = (z - z.min()) / np.ptp(z)
    groove = np.exp(-((x / 0.003) ** 2)) * np.clip((tip - 0.2) / 0.3, 0, 1)
    tone = (1.0 - 0.25 * groove) * np.clip((tip - 0.3) / 0.7, 0.01, 1.0) ** 1.9
    # The root lies in the dark of the throat, where nobody sees it.
    kept, triangles = np.unique(triangulate(fine_quads[(tip[fine_quads] > 0.3).any(axis=1)]), return_inverse=True)
    return Part("tongue", fine[:, kept], triangles.reshape(-1, 3), colours=np.repeat(tone[kept, None], 3, axis=1))


def _forwards(points: Points, triangles: Indices) -> Points:
    """(V, 3) normals leaning forwards, for what lies in the mouth, where no light comes from behind."""
    normals = 0.35 * vertex_normals(points, triangles) + [0.0, 0.1, 1.0]
    return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True))


def mouth(stack: Points, faces: Indices) -> Part:
    """The inside of the mouth: lip red at its rim, nearly black in its depth."""
    index, inverse = np.unique(faces, return_inverse=True)
    local, triangles = stack[:, index], inverse.reshape(-1, 3)
    depth = np.clip((local[0, :, 2].max() - 0.004 - local[0, :, 2]) / 0.024, 0.0, 1.0)[:, None]
    colours = (1 - depth) * np.array(_INNER_LIP) + depth * np.array(_THROAT)
    return Part("mouth", local, triangles, colours=colours, normals=_forwards(local[0], triangles))


def subdivided(stack: Points, quads: Indices) -> tuple[Points, Indices]:
    """One Catmull-Clark step on every layer of a stack. Returns the finer stack and its quads."""
    count = stack.shape[1]
    centres = stack[:, quads].mean(axis=2)
    pairs = np.sort(np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    edges, inverse, uses = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(len(quads), 4)
    middle = stack[:, edges].mean(axis=2)
    around = np.zeros_like(middle)
    # numpy's own type of the index leaves tuples out.
    add_at: Any = np.add.at
    for k in range(4):
        add_at(around, (slice(None), inverse[:, k]), centres)
    inner = (uses == 2)[None, :, None]
    split = np.where(inner, 0.5 * middle + 0.25 * around, middle)
    faces_at, edges_at, border_at = np.zeros_like(stack), np.zeros_like(stack), np.zeros_like(stack)
    valence, on_border = np.zeros(count), np.zeros(count)
    for k in range(4):
        add_at(faces_at, (slice(None), quads[:, k]), centres)
        np.add.at(valence, quads[:, k], 1.0)
    degree = np.zeros(count)
    for k in range(2):
        add_at(edges_at, (slice(None), edges[:, k]), middle)
        np.add.at(degree, edges[:, k], 1.0)
        add_at(border_at, (slice(None), edges[uses == 1, k]), middle[:, uses == 1])
        np.add.at(on_border, edges[uses == 1, k], 1.0)
    n, m = np.maximum(valence, 1.0)[None, :, None], np.maximum(degree, 1.0)[None, :, None]
    smooth = (faces_at / n + 2.0 * edges_at / m + (n - 3.0) * stack) / n
    rim = 0.5 * stack + 0.5 * border_at / np.maximum(on_border, 1.0)[None, :, None]
    moved = np.where((on_border > 0)[None, :, None], rim, smooth)
    e, c = count + inverse, count + len(edges) + np.arange(len(quads))
    fine = np.stack([np.stack([quads[:, k], e[:, k], c, e[:, k - 1]], axis=1) for k in range(4)], axis=1).reshape(-1, 4)
    return np.concatenate([moved, split, centres], axis=1), fine


def clipped(stack: Points, triangles: Indices, field: Points) -> tuple[Points, Indices, Points]:
    """Keep the part of a surface where a field (V,) is positive, with a clean edge.

    Returns:
        The new stack, its triangles and, for each new vertex, the field (0 on the cut).
    """
    layers, values = [stack], [field]
    made: dict[tuple[int, int], int] = {}
    out: list[tuple[int, ...]] = []
    for triangle in triangles:
        ring: list[int] = []
        for k in range(3):
            a, b = int(triangle[k]), int(triangle[(k + 1) % 3])
            if field[a] > 0:
                ring.append(a)
            if (field[a] > 0) != (field[b] > 0):
                key = (min(a, b), max(a, b))
                if key not in made:
                    made[key] = stack.shape[1] + len(made)
                    i, j = key
                    t = field[i] / (field[i] - field[j])
                    layers.append(((1 - t) * stack[:, i] + t * stack[:, j])[:, None])
                    values.append(np.zeros(1))
                ring.append(made[key])
        out.extend((ring[0], ring[k], ring[k + 1]) for k in range(1, len(ring) - 1))
    whole, faces, kept = np.concatenate(layers, axis=1), np.array(out), np.concatenate(values)
    index, inverse = np.unique(faces, return_inverse=True)
    return whole[:, index], inverse.reshape(-1, 3), kept[index]


def collar_field(points: Points, height: float) -> Points:
    """Height above the tilted plane of the shirt's neckline, metres; it is lower in front than behind."""
    return np.asarray(points[:, 1] - height + COLLAR_SLOPE * (points[:, 2] + 0.03))


def _liner(stack: Points, grid: Indices, rows: float) -> tuple[Points, Indices]:
    last = len(grid) - 1
    columns = np.linspace(0, last, 4 * last + 1)
    at = np.repeat(columns, 2)
    taper = np.minimum(1.0, 0.35 + 3.0 * np.linspace(0, 1, len(columns)))
    row = np.stack([np.zeros(len(columns)), rows * taper], axis=1).ravel()
    k = 2 * np.arange(len(columns) - 1)
    return _on_grid(stack, grid, at, row), triangulate(np.stack([k, k + 2, k + 3, k + 1], axis=1))


def _on_grid(stack: Points, grid: Indices, columns: Points, rows: Points) -> Points:
    """Bilinear samples of a stack at fractional grid positions."""
    c = np.minimum(columns.astype(int), len(grid) - 2)
    r = np.minimum(rows.astype(int), len(grid[0]) - 2)
    u, v = (columns - c)[None, :, None], (rows - r)[None, :, None]
    near = (1 - v) * stack[:, grid[c, r]] + v * stack[:, grid[c, r + 1]]
    far = (1 - v) * stack[:, grid[c + 1, r]] + v * stack[:, grid[c + 1, r + 1]]
    return np.asarray((1 - u) * near + u * far)


def _joined(name: str, pieces: Sequence[tuple[Points, Indices]]) -> Part:
    starts = np.cumsum([0, *(p.shape[1] for p, _ in pieces)])
    stack = np.concatenate([p for p, _ in pieces], axis=1)
    triangles = np.concatenate([t + s for (_, t), s in zip(pieces, starts[:-1], strict=True)])
    return Part(name, stack, triangles)
