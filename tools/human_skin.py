"""Paints the skin of people. Everything is computed; no photograph is involved.

It is painted in metres on the surface itself: every texel knows where on the head it lies, so a brow is a curve over an eye.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

import human_hair
from human_base import Indices, Points
from human_paint import Colour, Palette, jpeg

SKIN_SIZE = 1024
"""Side of the texture in texels."""
AXIS_Z = 0.005
"""Metres: the vertical axis that the skin's texture is rolled around lies this far in front of the head's origin."""


@dataclass(frozen=True)
class Places:
    """Where things are on the face, metres: (3,) centre of the left eye, left corner of the mouth, middle of the closed lips."""

    eye: Points
    corner: Points
    seam: Points


def skin_uv(points: Points) -> Points:
    """Texture coordinates (V, 2) of points on the head; the face gets most of the picture.

    The back of the head lies at both ends; the builder splits the mesh there.
    """
    # Rounding must not put a vertex of the middle line on the other side.
    turn = np.arctan2(np.where(np.abs(points[:, 0]) < 1e-7, 0.0, points[:, 0]), points[:, 2] - AXIS_Z)
    share = np.interp(np.abs(turn), [0.0, 1.05, 1.7, np.pi], [0.0, 0.76, 0.93, 0.995])
    rise = np.interp(points[:, 1], [-0.20, -0.085, 0.1, 0.16], [0.005, 0.1, 0.94, 0.995])
    return np.stack([0.5 + 0.5 * np.sign(turn) * share, 1.0 - rise], axis=1)


def skin(
    points: Points,
    normals: Points,
    triangles: Indices,
    uv: Points,
    masks: Mapping[str, Points],
    places: Places,
    palette: Palette,
    style: human_hair.Style,
) -> bytes:
    """The skin's picture.

    Args:
        points: (V, 3) metres.
        normals: (V, 3).
        triangles: (F, 3).
        uv: (V, 2).
        masks: `lips`, `lids`, `ears`: (V,) 0..1.
        places: of the face.
        palette: colours and marks.
        style: the hair, which darkens the scalp.

    Returns:
        A JPEG file.
    """  # fmt: skip
    names = list(masks)
    layers = np.concatenate([points, normals, np.stack([masks[n] for n in names], axis=1)], axis=1)
    baked = _bake(triangles, uv, layers, SKIN_SIZE)
    canvas = _Canvas(baked[..., :3], baked[..., 3:6], {n: baked[..., 6 + k] for k, n in enumerate(names)}, palette)
    _tone(canvas, places, palette)
    _lips(canvas, places, palette)
    if palette.wrinkles:
        _wrinkles(canvas, places, palette)
    _marks(canvas, places, palette)
    if palette.beard:
        _beard(canvas, places, palette)
    edge = human_hair.inside_hairline(canvas.at.reshape(-1, 3) + 1e-9, style).reshape(canvas.y.shape)
    rough = 0.0018 * canvas.noise(2.4) + 0.0012 * canvas.noise(1.0)
    canvas.tint(palette.scalp, np.clip((edge + style.fade + rough) / (2.0 * style.fade), 0.0, 1.0) * (canvas.masks["ears"] < 0.02))
    _brows(canvas, places, palette)
    return jpeg(canvas.picture)


class _Canvas:
    """A picture of skin: each texel with its place on the head (metres), normal and masks."""

    def __init__(self, at: Points, normals: Points, masks: Mapping[str, Points], palette: Palette) -> None:
        self.at, self.normals, self.masks = at, normals, masks
        self.side, self.y, self.z = np.abs(at[..., 0]), at[..., 1], at[..., 2]
        self.rng = np.random.default_rng(palette.seed)
        self.picture = np.broadcast_to(np.array(palette.skin, dtype=float), at.shape).copy()
        # The layout stretches below the chin and behind the ears, where noise would turn into stripes.
        self.even = np.clip((self.y + 0.085) / 0.03, 0, 1) * np.clip((self.z + 0.01) / 0.03, 0, 1)

    def noise(self, blur: float) -> Points:
        """(N, N) of unit spread; `blur` is in texels."""
        noise = cv2.GaussianBlur(self.rng.normal(size=self.y.shape), (0, 0), blur)
        return np.asarray(noise / noise.std())

    def tint(self, colour: Colour, amount: Points) -> None:
        """Blend a colour over the picture where `amount` (N, N) is above 0."""
        self.picture += (np.array(colour) - self.picture) * np.clip(amount, 0.0, 1.0)[..., None]

    def shade(self, amount: Points, colour: tuple[float, float, float] = (0.55, 0.75, 0.8)) -> None:
        """Darken by `amount` (N, N); `colour` says how much of each of red, green and blue goes."""
        self.picture *= 1.0 - np.clip(amount, 0.0, 1.0)[..., None] * np.array(colour)

    def blob(self, cx: float, cy: float, rx: float, ry: float) -> Points:
        """(N, N) a soft spot on both sides of the face, metres."""
        return np.asarray(np.exp(-(((self.side - cx) / rx) ** 2) - ((self.y - cy) / ry) ** 2) * (self.z > 0.02))

    def stroke(self, line: Sequence[tuple[float, float]], width: float) -> Points:
        """(N, N) a soft line along points (|x|, y) in metres, on both sides of the face; it tapers at its ends."""
        smooth = np.array(line)
        steps = np.linspace(0, len(line) - 1, 24)
        smooth = np.stack([np.interp(steps, range(len(line)), smooth[:, k]) for k in (0, 1)], axis=1)
        for _ in range(4):
            smooth[1:-1] = 0.25 * smooth[:-2] + 0.5 * smooth[1:-1] + 0.25 * smooth[2:]
        low, high = smooth.min(axis=0) - 4 * width, smooth.max(axis=0) + 4 * width
        box = (self.side > low[0]) & (self.side < high[0]) & (self.y > low[1]) & (self.y < high[1]) & (self.z > 0.0)
        here = np.stack([self.side[box], self.y[box]], axis=1)
        result = np.zeros_like(self.y)
        best = np.full(len(here), np.inf)
        share = np.zeros(len(here))
        for k, (a, b) in enumerate(itertools.pairwise(smooth)):
            t = np.clip((here - a) @ (b - a) / max(float((b - a) @ (b - a)), 1e-12), 0, 1)
            away = np.linalg.norm(here - a - t[:, None] * (b - a), axis=1)
            nearer = away < best
            best, share = np.where(nearer, away, best), np.where(nearer, (k + t) / (len(smooth) - 1), share)
        taper = np.clip(np.minimum(share, 1 - share) / 0.25, 0, 1)
        result[box] = np.exp(-((best / width) ** 2)) * taper
        return result


def _tone(canvas: _Canvas, places: Places, palette: Palette) -> None:
    """Skin: its colour is redder where blood is near, lighter over bone, darker in the hollows; and it has pores."""
    eye, mouth, blob, even = places.eye, places.seam, canvas.blob, canvas.even
    patches = canvas.noise(40.0) * 0.016 + canvas.noise(14.0) * 0.014
    red = canvas.noise(30.0) * 0.7 + canvas.noise(12.0) * 0.3
    fine = canvas.noise(2.2) * 0.010 + canvas.noise(1.1) * 0.010
    canvas.picture *= 1.0 + ((patches + fine) * even)[..., None] * [0.75, 1.1, 1.2] + (0.012 * red * even)[..., None] * [0.5, -1.0, -0.8]
    nose = (0.0, mouth[1] + 0.031)
    flush = blob(eye[0] + 0.013, eye[1] - 0.036, 0.021, 0.016) + 0.35 * blob(eye[0] + 0.004, eye[1] - 0.048, 0.024, 0.022)
    flush += 0.9 * blob(nose[0], nose[1] - 0.003, 0.013, 0.011) + 0.35 * blob(0.0, mouth[1] - 0.036, 0.018, 0.012)
    canvas.tint(palette.blush, palette.flush * flush * (1.0 + 0.22 * red) + 1.2 * palette.flush * canvas.masks["ears"])
    bone = 0.30 * blob(0.0, eye[1] + 0.048, 0.042, 0.020) + 0.34 * blob(0.0, eye[1] - 0.010, 0.005, 0.020)
    bone += 0.22 * blob(eye[0] + 0.012, eye[1] - 0.021, 0.016, 0.007) + 0.16 * blob(0.0, mouth[1] - 0.037, 0.010, 0.008)
    canvas.tint(palette.light, bone)
    canvas.tint(palette.lid, 0.34 * canvas.masks["lids"] + 0.26 * blob(eye[0], eye[1] - 0.003, 0.019, 0.012))
    canvas.tint(palette.lid, 0.26 * blob(eye[0] - 0.007, eye[1] - 0.016, 0.013, 0.006))
    # The crease above the lid, and the shade beside the bridge of the nose and below the lower lip.
    lid = [(-0.014, 0.0065), (-0.006, 0.0105), (0.004, 0.0115), (0.013, 0.0085), (0.018, 0.003)]
    canvas.shade(0.30 * canvas.stroke([(eye[0] + x, eye[1] + y) for x, y in lid], 0.0013))
    canvas.shade(0.14 * blob(0.013, eye[1] + 0.002, 0.006, 0.012) + 0.16 * blob(0.0, mouth[1] - 0.0195, 0.014, 0.0035))
    canvas.shade(0.10 * blob(eye[0] + 0.018, mouth[1] + 0.004, 0.020, 0.020))
    # Light seldom comes from below.
    canvas.shade(0.22 * np.clip(-canvas.normals[..., 1], 0, 1) * (canvas.y < mouth[1] + 0.05))
    pores = np.clip(canvas.noise(0.9) - 1.1, 0, 1) * (
        0.5 + blob(0.0, nose[1], 0.03, 0.02) + blob(eye[0] - 0.004, eye[1] - 0.034, 0.018, 0.014)
    )
    canvas.shade(0.12 * pores * even)


def _lips(canvas: _Canvas, places: Places, palette: Palette) -> None:
    """Lips: lighter in the middle, creased upright, dark where they meet."""
    mask = np.clip((canvas.masks["lips"] - 0.36) / 0.34, 0.0, 1.0)
    creases = np.interp(canvas.at[..., 0], np.linspace(-0.035, 0.035, 141), canvas.rng.normal(size=141))
    canvas.tint(palette.lips, 0.86 * mask * (1.0 + 0.05 * canvas.noise(3.0)))
    canvas.shade((0.05 + 0.05 * creases) * mask)
    canvas.tint(palette.light, 0.16 * mask * canvas.blob(0.0, places.seam[1] - 0.0065, 0.010, 0.0028))
    meeting = np.exp(-(((canvas.y - np.interp(canvas.side, [0, places.corner[0]], [places.seam[1], places.corner[1]])) / 0.0011) ** 2))
    canvas.shade(0.55 * meeting * mask)
    canvas.shade(0.30 * canvas.blob(places.corner[0] + 0.0010, places.corner[1], 0.0028, 0.0026))


def _wrinkles(canvas: _Canvas, places: Places, palette: Palette) -> None:
    """The lines of age: forehead, frown, crow's feet, below the eye, from the nose to the mouth and on to the chin."""
    (ex, ey, _), (cx, cy, _) = places.eye, places.corner
    k = palette.wrinkles

    def line(points: Sequence[tuple[float, float]], width: float, strength: float) -> None:
        canvas.shade(k * strength * canvas.stroke(points, width))
        # The skin bulges beside a fold and catches the light.
        canvas.tint(palette.light, 0.35 * k * strength * canvas.stroke([(x, y - 2.0 * width) for x, y in points], width))

    for row, (rise, reach) in enumerate(((0.040, 0.046), (0.049, 0.043), (0.058, 0.038))):
        wave = canvas.rng.normal(0.0, 0.0008, 6)
        xs = np.linspace(-0.004, reach, 6)
        line([(x, ey + rise + w + 0.004 * np.sin(x / 0.018 + row)) for x, w in zip(xs, wave, strict=True)], 0.0010, 0.34)
    line([(0.0055, ey + 0.013), (0.0062, ey + 0.020), (0.0050, ey + 0.029)], 0.0010, 0.40)
    for turn in (0.55, 0.18, -0.18, -0.5):
        start, end = 0.0205, 0.0345 - 0.004 * abs(turn)
        line(
            [(ex + r * np.cos(turn), ey - 0.002 + r * np.sin(turn) - 6.0 * (r - start) ** 2) for r in np.linspace(start, end, 4)],
            0.0007,
            0.34,
        )
    line([(ex - 0.017, ey - 0.011), (ex - 0.006, ey - 0.0175), (ex + 0.008, ey - 0.0175), (ex + 0.017, ey - 0.011)], 0.0013, 0.36)
    line([(ex - 0.013, ey - 0.019), (ex - 0.002, ey - 0.026), (ex + 0.012, ey - 0.025)], 0.0012, 0.22)
    line([(0.0175, cy + 0.036), (0.0235, cy + 0.024), (cx + 0.0065, cy + 0.010), (cx + 0.0095, cy - 0.002)], 0.0016, 0.42)
    line([(cx + 0.0035, cy - 0.003), (cx + 0.0055, cy - 0.012), (cx + 0.005, cy - 0.022)], 0.0012, 0.34)


def _marks(canvas: _Canvas, places: Places, palette: Palette) -> None:
    """Freckles, moles and age spots; unlike most of the face they are not the same on both sides."""
    (ex, ey, _), rng = places.eye, canvas.rng
    for count, middle, spread, size, strength in (
        (palette.freckles, (0.0, ey - 0.026), (ex, 0.012), (0.00030, 0.00075), (0.08, 0.30)),
        (palette.moles, (0.0, ey - 0.04), (0.036, 0.03), (0.0008, 0.0012), (0.7, 0.9)),
        (palette.spots, (0.0, ey + 0.015), (0.055, 0.045), (0.0010, 0.0028), (0.10, 0.26)),
    ):
        for _ in range(count):
            x, y = rng.normal(middle, spread)
            radius, amount = rng.uniform(*size), rng.uniform(*strength)
            near = (np.abs(canvas.at[..., 0] - x) < 3 * radius) & (np.abs(canvas.y - y) < 3 * radius) & (canvas.z > 0.02)
            away = np.hypot(canvas.at[..., 0][near] - x, 1.15 * (canvas.y[near] - y)) / radius
            spot = np.zeros_like(canvas.y)
            spot[near] = np.clip(1.3 - away, 0, 1) * (canvas.masks["lips"][near] < 0.2) * (canvas.masks["lids"][near] < 0.3)
            canvas.shade(amount * spot, (0.55, 0.75, 0.85))


def _beard(canvas: _Canvas, places: Places, palette: Palette) -> None:
    """Moustache, chin and jaw up to the ears, as single short hairs."""
    mouth, (cx, cy, _) = places.seam, places.corner
    top = np.interp(
        canvas.side, [0, 0.012, 0.022, 0.036, 0.052, 0.066, 0.080], np.array([0.0135, 0.0145, 0.0060, -0.0035, -0.002, 0.016, 0.062]) + cy
    )
    field = (
        np.clip((top - canvas.y) / 0.007, 0, 1)
        * np.clip((canvas.y - mouth[1] + 0.058 - 0.6 * np.clip(0.06 - canvas.z, 0, 1)) / 0.018, 0, 1)
        * np.clip((canvas.z + 0.008) / 0.02, 0, 1)
    )
    # Bare below the corners and right below the lip, where beards are thin.
    field *= 1.0 - 0.75 * canvas.blob(cx - 0.004, cy - 0.010, 0.006, 0.006)
    field *= (canvas.masks["lips"] < 0.25) * (canvas.masks["ears"] < 0.02)
    hairs = np.clip(0.58 + 0.32 * _combed(canvas.noise(0.6)), 0, 1)
    canvas.shade(0.25 * palette.beard * field, (0.5, 0.45, 0.4))
    canvas.tint(palette.beard_colour, palette.beard * field * hairs)


def _combed(noise: Points) -> Points:
    """Noise smeared downwards into short strokes."""
    strokes = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.5, sigmaY=2.2)
    return np.asarray(strokes / strokes.std())


def _brows(canvas: _Canvas, places: Places, palette: Palette) -> None:
    """Brows, hair by hair: upright at the inner end, then leaning outwards along the arch."""
    brows, (ex, ey, _) = palette.brows, places.eye
    wide = ex / 0.0286
    start, end = 0.0108 * wide, 0.0535 * wide
    s = np.linspace(0.0, 1.0, 101)
    arch = np.interp(s, [0.0, 0.3, 0.62, 0.8, 1.0], [0.0, 0.0032, 0.0060, 0.0050, 0.0010]) * brows.arch + 0.0180
    arch = ey + brows.lift + np.convolve(np.pad(arch, 12, mode="edge"), np.ones(25) / 25, mode="valid")
    half = brows.thickness * np.interp(s, [0.0, 0.1, 0.35, 0.7, 1.0], [0.0020, 0.0032, 0.0034, 0.0023, 0.0005])
    x = start + s * (end - start)
    where = np.interp(canvas.side, x, s)
    inside = (canvas.side > start - 0.002) & (canvas.side < end + 0.001)
    across = np.abs(canvas.y - np.interp(where, s, arch)) / np.interp(where, s, half)
    ends = np.clip((where + 0.02) / 0.10, 0, 1) * np.clip((1.02 - where) / 0.15, 0, 1)
    canvas.tint(palette.brow, brows.strength * np.clip(1.15 - across**1.6, 0, 1) * ends * inside * (canvas.z > 0.03))
    box = (
        (canvas.side > start - 0.008)
        & (canvas.side < end + 0.008)
        & (np.abs(canvas.y - ey - brows.lift - 0.021) < 0.014)
        & (canvas.z > 0.03)
    )
    here, cover = np.stack([canvas.side[box], canvas.y[box]], axis=1), np.zeros(int(box.sum()))
    rng = canvas.rng
    for _ in range(brows.hairs):
        at = rng.beta(1.15, 1.2)
        row = rng.uniform(-1.0, 0.75)
        root = np.array([np.interp(at, s, x), np.interp(at, s, arch) + row * np.interp(at, s, half)])
        # Lower hairs point up and outwards, upper ones lie along the brow.
        lean = np.radians(np.interp(at, [0.0, 0.15, 0.4, 1.0], [66, 40, 18, -18]) - 24 * row * (at > 0.15) + rng.normal(0, 7))
        length = rng.uniform(0.0045, 0.0078) * np.interp(at, [0, 0.2, 0.8, 1], [0.62, 0.85, 0.85, 0.55])
        tip = root + length * np.array([np.cos(lean), np.sin(lean)])
        along = tip - root
        t = np.clip((here - root) @ along / (along @ along), 0, 1)
        away = np.linalg.norm(here - root - t[:, None] * along, axis=1)
        width = 0.00026 * (1.15 - 0.75 * t)
        cover = np.maximum(cover, np.clip(1.4 - away / width, 0, 1) * rng.uniform(0.35, 0.8) * min(1.0, at / 0.14 + 0.15))
    hairs = np.zeros_like(canvas.y)
    hairs[box] = cover
    canvas.tint(palette.brow, hairs)


def _bake(triangles: Indices, uv: Points, layers: Points, size: int) -> Points:
    """Spread vertex layers (V, C) over a square picture (size, size, C); texels outside take the nearest one inside."""
    canvas, filled = np.zeros((size, size, layers.shape[1])), np.zeros((size, size), np.uint8)
    corners = uv * size - 0.5
    for triangle in triangles:
        (ax, ay), (bx, by), (cx, cy) = corners[triangle]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
            continue
        x0, x1 = max(int(np.floor(min(ax, bx, cx))), 0), min(int(np.ceil(max(ax, bx, cx))), size - 1)
        y0, y1 = max(int(np.floor(min(ay, by, cy))), 0), min(int(np.ceil(max(ay, by, cy))), size - 1)
        px, py = np.meshgrid(np.arange(x0, x1 + 1), np.arange(y0, y1 + 1))
        b = ((px - ax) * (cy - ay) - (py - ay) * (cx - ax)) / area
        c = ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) / area
        inside = (b >= -1e-3) & (c >= -1e-3) & (b + c <= 1.001)
        if inside.any():
            value = np.stack([1 - b - c, b, c], axis=-1)[inside] @ layers[triangle]
            # Where the layout folds over (under the nose, in the ears) the outermost surface wins.
            rows, columns = py[inside], px[inside]
            there = canvas[rows, columns]
            outer = (filled[rows, columns] == 0) | (np.hypot(value[:, 0], value[:, 2]) > np.hypot(there[:, 0], there[:, 2]))
            canvas[rows[outer], columns[outer]] = value[outer]
            filled[rows, columns] = 1
    _, labels = cv2.distanceTransformWithLabels(1 - filled, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    source = np.zeros(labels.max() + 1, dtype=np.int64)
    source[labels[filled == 1]] = np.flatnonzero(filled.ravel())
    return np.asarray(canvas.reshape(size * size, -1)[source[labels]])
