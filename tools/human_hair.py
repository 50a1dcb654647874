"""Hair: a cap over the scalp, locks that lie on it, and a knot. Sculpted here, from numbers alone.

The cap is a surface over directions from a centre inside the skull, laid out around the crown (or the knot, where hair is
tied), so that its rows and its texture follow the strands. A lock is a tapered strip that runs over it, shaded as if it were round.
Software draws in blocks of pixels, however few of them a triangle covers: what is narrow is made of as few triangles as it can be.
"""

from dataclasses import dataclass

import numpy as np

from human_base import Indices, Points, triangulate
from human_parts import Part

CENTRE = np.array([0.0, 0.05, 0.0])
"""Metres in the head's frame; directions are seen from here."""

# The hairline of the left half: azimuth from the face (degrees, +Z towards +X) and elevation.
_HAIRLINE = np.array([
    (0, 33.5), (12, 36), (24, 36.5), (36, 33), (46, 27), (54, 20), (61, 11), (68, 2), (74, -5), (82, -6), (90, -5),
    (100, -6), (110, -11), (120, -20), (132, -31), (145, -40), (160, -46), (180, -48),
], dtype=float)  # fmt: skip
_COLUMNS, _ROWS = 96, 11


@dataclass(frozen=True)
class Style:
    """A haircut.

    Attributes:
        crown: elevation in degrees, behind the head, of the point where the strands meet.
        knot: radius in metres of a knot tied there; 0 for loose hair.
        thickness: metres that the cap stands off the scalp; `top` metres more on top.
        clumps: metres that the cap is uneven.
        recede: degrees that the hairline lies higher at the temples than usual, and half as much in the middle.
        fade: metres over which the scalp is seen through the hair at the hairline.
        locks: how many.
        length: metres of a lock, shortest and longest.
        width: metres across a lock.
        lift: metres that locks rise above the cap.
        tied: locks run towards the crown instead of away from it.
        sweep: degrees by which loose locks turn to the subject's left over the forehead.
        fringe: metres by which locks at the forehead are longer, and reach further over the hairline.
        overhang: metres by which any lock may reach over it.
        roughness: 0..1, of the strands.
        seed: of all that is random.
    """

    crown: float = 60.7
    knot: float = 0.0
    thickness: float = 0.006
    top: float = 0.007
    clumps: float = 0.0008
    recede: float = 0.0
    fade: float = 0.004
    locks: int = 0
    length: tuple[float, float] = (0.03, 0.05)
    width: float = 0.005
    lift: float = 0.002
    tied: bool = False
    sweep: float = 0.0
    fringe: float = 0.0
    overhang: float = 0.003
    roughness: float = 0.5
    seed: int = 11

    @property
    def rows(self) -> int:
        """Rows of vertices along a lock."""
        return 3 if self.length[1] < 0.03 else 5

    @property
    def axis(self) -> Points:
        """(3,) direction of the crown."""
        angle = np.radians(self.crown)
        return np.array([0.0, np.sin(angle), -np.cos(angle)])


def hair(skull: Points, layers: int, style: Style) -> list[Part]:
    """The parts of the hair; they ride on the head and have no morphs.

    Args:
        skull: (S, 3) points of the scalp and face without ears, metres.
        layers: layers of the stacks.
        style: the cut.
    """
    head = _Head(skull, style)
    # What lies outside comes first: it hides the rest before that is shaded.
    parts = [_locks(head, layers)] if style.locks else []
    if style.knot:
        parts.append(_knot(head, layers))
    return [*parts, _cap(head, layers)]


def inside_hairline(points: Points, style: Style) -> Points:
    """Signed distance (V,) to the hairline in metres, roughly: positive under the hair."""
    away = points - CENTRE
    turn, polar = _around_crown(away, style.axis)
    return np.asarray((_hairline(turn, style) - polar) * np.linalg.norm(away, axis=1))


class _Head:
    """Distances from the centre to the scalp and to the cap, interpolated between the mesh's vertices."""

    def __init__(self, skull: Points, style: Style) -> None:
        away = skull - CENTRE
        self.style = style
        self._distance = np.linalg.norm(away, axis=1)
        self._unit = away / self._distance[:, None]

    def radius(self, unit: Points) -> Points:
        """Distance (V,) to the scalp in directions (V, 3)."""
        near = unit @ self._unit.T
        index = np.argsort(-near, axis=1)[:, :6]
        weight = 1.0 / (1.0 - np.take_along_axis(near, index, axis=1) + 2e-5)
        return np.asarray((weight * self._distance[index]).sum(axis=1) / weight.sum(axis=1))

    def cover(self, unit: Points, inside: Points) -> Points:
        """Metres (V,) by which the cap covers the scalp at points so far inside the hairline."""
        body = self.style.thickness + self.style.top * np.clip(unit[:, 1], 0, 1) ** 2
        # Strands leave the skin at the hairline and lie on one another a centimetre further in.
        forehead = np.clip(unit[:, 2] * 1.6, 0, 1) * np.clip(unit[:, 1] * 3, 0, 1)
        return np.asarray(body * (1.0 - np.exp(-np.clip(inside, 0, None) / (0.0055 + 0.007 * forehead))))


def _cap(head: _Head, layers: int) -> Part:
    style, rng = head.style, np.random.default_rng(head.style.seed)
    turn = np.linspace(0.0, 2 * np.pi, _COLUMNS + 1)
    # Rows crowd at the hairline, where the surface rises out of the skin.
    along = 1.0 - (1.0 - np.linspace(0.0, 1.0, _ROWS)) ** 1.6
    jitter = np.convolve(np.tile(rng.normal(0.0, 1.0, _COLUMNS), 3), [0.3, 0.5, 0.3], mode="same")[_COLUMNS : 2 * _COLUMNS]
    edge = _hairline(turn, style) + 0.010 * np.append(jitter, jitter[0])
    start = 0.12 if style.knot else 0.004
    s, psi = np.meshgrid(along, turn, indexing="ij")
    polar = start + (edge - start) * s
    unit = _direction(psi, polar, style.axis)
    flat = unit.reshape(-1, 3)
    bone = head.radius(flat).reshape(s.shape)
    inside = (edge - polar) * bone
    clumps = np.zeros_like(s)
    for waves, height in ((9, 0.5), (13, 0.6), (19, 0.7), (29, 0.5)):
        clumps += height * np.sin(waves * psi + rng.uniform(0, 2 * np.pi) + rng.normal(0, 1.6) * s)
    clumps *= style.clumps * np.clip(inside / 0.01, 0.1, 1.0) * np.clip((polar - start) / 0.2, 0, 1)
    thick = head.cover(flat, inside.ravel()).reshape(s.shape) + clumps - 0.0004 - 0.003 * np.exp(-inside / 0.0006)
    points = CENTRE + flat * (bone + thick).reshape(-1, 1)
    points.reshape(_ROWS, _COLUMNS + 1, 3)[:, -1] = points.reshape(_ROWS, _COLUMNS + 1, 3)[:, 0]
    uv = np.stack([psi / (2 * np.pi), s], axis=-1).reshape(-1, 2)
    # Under the locks it is darker.
    tone = 0.8 if style.tied else 0.62
    return Part("hairCap", _still(points, layers), _grid(_ROWS, _COLUMNS + 1), uv, np.full((len(points), 3), tone))


def _knot(head: _Head, layers: int) -> Part:
    """A twisted bun where the strands meet."""
    rows, columns = 15, 40
    polar, turn = np.meshgrid(np.linspace(0.02, np.pi - 0.02, rows), np.linspace(0.0, 2 * np.pi, columns + 1), indexing="ij")
    twist = turn + 1.7 * polar
    size = head.style.knot * (1.0 + 0.055 * np.sin(5 * twist) + 0.02 * np.sin(9 * twist + 1.0))
    x, y, axis = _frame(head.style.axis)
    local = np.sin(polar)[..., None] * (np.cos(turn)[..., None] * x + np.sin(turn)[..., None] * y) + 0.78 * np.cos(polar)[..., None] * axis
    centre = CENTRE + axis * (float(head.radius(axis[None])[0]) + 0.67 * head.style.knot)
    points = (centre + size[..., None] * local).reshape(-1, 3)
    grid = points.reshape(rows, columns + 1, 3)
    grid[:, -1] = grid[:, 0]
    uv = np.stack([2.0 * twist / (2 * np.pi), 0.25 + 0.5 * polar / np.pi], axis=-1).reshape(-1, 2)
    return Part("hairKnot", _still(points, layers), _grid(rows, columns + 1), uv, np.full((len(points), 3), 0.8))


def _locks(head: _Head, layers: int) -> Part:
    """Strips that follow the strands, evenly spread over the cap."""
    style, rng = head.style, np.random.default_rng(head.style.seed + 1)
    roots = _scattered(style, rng)
    turn, polar = _around_crown(roots, style.axis)
    count = len(roots)
    length = rng.uniform(*style.length, count) / head.radius(roots)
    front = np.clip(roots[:, 2] * 1.5, 0, 1) * np.clip(roots[:, 1] * 2.5, 0, 1)
    length += style.fringe * front / head.radius(roots)
    step = np.linspace(0.0, 1.0, style.rows)[None, :]
    way = -1.0 if style.tied else 1.0
    to = np.maximum(polar[:, None] + way * length[:, None] * step, 0.03)
    # Nothing hangs far over the hairline but the fringe.
    beyond = (style.overhang + style.fringe * front) / head.radius(roots)
    to = np.minimum(to, (_hairline(turn, style) + beyond)[:, None] + 0.02 * step)
    # Sideways steps are angles about the crown: they are shorter the nearer to it.
    drift = np.radians(style.sweep) * front[:, None] * step + rng.normal(0.0, 0.05 if style.tied else 0.16, count)[:, None] * step**1.5
    bent = turn[:, None] + drift * np.clip(0.6 / np.sin(np.clip(to, 0.2, np.pi - 0.2)), 0.5, 2.0)
    path = _direction(bent, to, style.axis)
    flat = path.reshape(-1, 3)
    bone = head.radius(flat).reshape(path.shape[:2])
    inside = (_hairline(bent.ravel(), style).reshape(bent.shape) - to) * bone
    rise = style.lift * rng.uniform(0.4, 1.0, count)[:, None] * np.sin(np.pi * np.clip(step, 0.0, 0.8))
    base = np.maximum(head.cover(flat, inside.ravel()).reshape(bent.shape), 0.0012 + 0.35 * style.thickness * front[:, None] * (inside < 0))
    # Tied locks lie side by side: each has a height of its own, so that few cut through one another.
    layer = (0.0012 if style.tied else 0.0004) * rng.uniform(0, 1, count)[:, None]
    centre = CENTRE + path * (bone + base + rise + layer)[..., None]
    along = np.gradient(centre, axis=1)
    along /= np.linalg.norm(along, axis=2, keepdims=True)
    across = np.cross(along, path)
    across /= np.linalg.norm(across, axis=2, keepdims=True)
    wide = 0.5 * style.width * rng.uniform(0.6, 1.3, count)[:, None] * np.clip(np.minimum(step * 6 + 0.25, (1.0 - step) * 1.7 + 0.04), 0, 1)
    tilt = (0.55 if style.rows > 3 else 0.25) * across
    tone = rng.uniform(0.72, 1.12, count)[:, None] * (0.66 + 0.34 * np.clip(step * 3, 0, 1)) * 0.94
    u = rng.uniform(0, 1, count)[:, None]
    points = _strips(centre - wide[..., None] * across, centre + wide[..., None] * across)
    normals = _strips(path - tilt, path + tilt)
    uv = _strips(*(np.stack(np.broadcast_arrays(edge, step), axis=-1) for edge in (u, u + 0.06)))
    size = 2 * style.rows - 1
    corner = np.arange(size - 2)
    strip = np.stack([corner + corner % 2, corner + 1 - corner % 2, corner + 2], axis=1)
    faces = (np.arange(count)[:, None, None] * size + strip).reshape(-1, 3)
    colours = np.repeat(_strips(tone[..., None], tone[..., None]), 3, axis=1).clip(0, 1)
    return Part("hairLocks", _still(points, layers), faces, uv, colours, normals / np.linalg.norm(normals, axis=1, keepdims=True))


def _strips(left: Points, right: Points) -> Points:
    """(N * (2 * rows - 1), K) of strips (N, rows, K) along both of their edges, row by row, which meet in a tip."""
    pairs = np.stack([left[:, :-1], right[:, :-1]], axis=2).reshape(len(left), -1, left.shape[2])
    return np.concatenate([pairs, 0.5 * (left[:, -1:] + right[:, -1:])], axis=1).reshape(-1, left.shape[2])


def _scattered(style: Style, rng: np.random.Generator) -> Points:
    """(N, 3) directions spread evenly inside the hairline."""
    found = np.zeros((0, 3))
    golden = np.pi * (3.0 - np.sqrt(5.0))
    count = style.locks
    while len(found) < style.locks:
        k = np.arange(count) + 0.5
        height = 1.0 - 2.0 * k / count
        flat, turn = np.sqrt(1.0 - height**2), golden * k
        even = np.stack([flat * np.cos(turn), height, flat * np.sin(turn)], axis=1)
        around, polar = _around_crown(even, style.axis)
        found, count = even[(polar < _hairline(around, style) - 0.02) & (polar > (0.30 if style.tied else 0.02))], int(1.1 * count)
    found = found + rng.normal(0.0, 0.02, found.shape)
    if style.tied:
        # The hairline is where tied hair starts: most of what one sees from the front grows there.
        turn = rng.uniform(0.0, 2 * np.pi, style.locks // 2)
        found = np.concatenate([found, _direction(turn, _hairline(turn, style) - rng.uniform(-0.004, 0.05, len(turn)), style.axis)])
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def _hairline(turn: Points, style: Style) -> Points:
    """Polar angle (radians) of the hairline around the crown, at turns in radians."""
    azimuth, elevation = _HAIRLINE.T
    temple = np.exp(-(((azimuth - 30.0) / 16.0) ** 2)) + 0.45 * np.exp(-((azimuth / 22.0) ** 2))
    left = np.radians(np.stack([azimuth, elevation + style.recede * temple], axis=1))
    around = np.concatenate([left[:, 0], -left[1:-1, 0][::-1]])
    high = np.concatenate([left[:, 1], left[1:-1, 1][::-1]])
    line = np.stack([np.sin(around) * np.cos(high), np.sin(high), np.cos(around) * np.cos(high)], axis=1)
    at, polar = _around_crown(line, style.axis)
    order = np.argsort(at)
    return np.interp(turn, at[order], polar[order], period=2 * np.pi)


def _frame(axis: Points) -> tuple[Points, Points, Points]:
    x = np.array([1.0, 0.0, 0.0])
    return x, np.cross(axis, x), axis


def _around_crown(away: Points, axis: Points) -> tuple[Points, Points]:
    """Turn (0..2 pi) and polar angle around the crown of directions (V, 3)."""
    x, y, axis = _frame(axis)
    unit = away / np.linalg.norm(away, axis=1, keepdims=True)
    return np.arctan2(unit @ y, unit @ x) % (2 * np.pi), np.arccos(np.clip(unit @ axis, -1.0, 1.0))


def _direction(turn: Points, polar: Points, axis: Points) -> Points:
    x, y, axis = _frame(axis)
    turn, polar = turn[..., None], polar[..., None]
    return np.asarray(np.sin(polar) * (np.cos(turn) * x + np.sin(turn) * y) + np.cos(polar) * axis)


def _grid(rows: int, columns: int) -> Indices:
    index = np.arange(rows * columns).reshape(rows, columns)
    return triangulate(np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], axis=-1).reshape(-1, 4))


def _still(points: Points, layers: int) -> Points:
    return np.concatenate([points[None], np.zeros((layers - 1, *points.shape))])
