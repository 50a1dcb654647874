"""What a face's muscles do to its skin, as movements (V, 3) of a :class:`human_face.Face`, metres.

Movements named `left` are those of the subject's left; :meth:`Face.mirrored` gives the right.
"""

import numpy as np

from human_base import Points
from human_face import Face

Vector = tuple[float, float, float]


def pull(face: Face, at: Points, reach: Vector, by: Vector) -> Points:
    """The skin around a point is pulled."""
    return np.asarray(face.spot((at[0], at[1], at[2]), reach)[:, None] * by)


def both(face: Face, left: Points) -> Points:
    """A movement on both sides."""
    return left + face.mirrored(left)


def lip(face: Face, lower: bool, reach: float = 1.0) -> Points:
    """(V,) 0..1: one of the two lips and a little skin beyond it, with what lines it inside; `reach` is a factor on that."""
    x, y, z = face.seam
    field = face.spot((x, y, z), (1.15 * face.corner[0], 0.012 * reach, 0.022))
    return np.asarray(field * (face.lower if lower else 1.0 - face.lower))


def thin_lips(face: Face, lower: bool, thin: float, back: float) -> Points:
    """A lip narrows towards the seam by a share of its height and moves back by metres."""
    seam = np.interp(np.abs(face.points[:, 0]), [0.0, face.corner[0]], [face.seam[1], face.corner[1]])
    body = lip(face, lower, 0.85) * np.clip(face.regions.lips * 1.4, 0.25, 1.0)
    moved = np.zeros_like(face.points)
    moved[:, 1] = -thin * body * np.clip(face.points[:, 1] - seam, -0.012, 0.012)
    moved[:, 2] = -back * body
    return moved


def narrow_mouth(face: Face, share: float, forwards: float) -> Points:
    """The corners come nearer to one another and the lips come forwards by metres."""
    x, y, z = face.seam
    field = face.spot((x, y, z), (1.35 * face.corner[0], 0.017, 0.024))
    moved = np.zeros_like(face.points)
    moved[:, 0] = -share * field * face.points[:, 0]
    moved[:, 2] = forwards * field * np.clip(1.0 - np.abs(face.points[:, 0]) / (1.6 * face.corner[0]), 0.0, 1.0)
    return moved


def puff_left(face: Face, out: float = 0.0145) -> Points:
    """A cheek filled with air: it bulges outwards between the mouth, the cheekbone and the jaw."""
    cx, cy, cz = face.corner
    field = face.spot((cx + 0.018, cy + 0.009, cz - 0.015), (0.024, 0.022, 0.028))
    upper = 0.35 * face.spot((cx - 0.004, cy + 0.012, cz), (0.010, 0.008, 0.012))
    lower = 0.30 * face.spot((cx - 0.004, cy - 0.012, cz), (0.010, 0.008, 0.012))
    outwards = face.normals * [1.0, 0.55, 0.8]
    return np.asarray((field + upper + lower)[:, None] * outwards * out) + pull(
        face, face.corner, (0.009, 0.008, 0.012), (-0.0035, 0.0, 0.001)
    )


def raise_cheek_left(face: Face) -> Points:
    """Orbicularis, outer part (AU6): the cheek rises, the lower lid with it, and crow's feet gather."""
    ex, ey, ez = face.eyes["l"]
    cheek = pull(face, np.array([ex + 0.010, ey - 0.030, ez + 0.018]), (0.021, 0.014, 0.03), (-0.001, 0.0068, 0.0034))
    gather = pull(face, np.array([ex + 0.025, ey - 0.004, ez]), (0.010, 0.012, 0.02), (-0.0040, 0.0006, 0.0012))
    lid = pull(face, np.array([ex, ey - 0.0085, ez + 0.014]), (0.015, 0.0045, 0.012), (0.0, 0.0026, 0.0008))
    return cheek + gather + lid


def wrinkle_nose_left(face: Face) -> Points:
    """Levator labii, inner part (AU9): the nose's side is drawn up to its root, which bulges; the nostril's wing rises."""
    ey, (_, y, z) = face.eyes["l"][1], face.seam
    side = pull(face, np.array([0.012, y + 0.040, z + 0.004]), (0.010, 0.012, 0.016), (0.0004, 0.0062, 0.0012))
    wing = pull(face, np.array([0.015, y + 0.026, z + 0.002]), (0.009, 0.009, 0.016), (0.0014, 0.0050, -0.0006))
    root = pull(face, np.array([0.007, ey - 0.002, z]), (0.009, 0.008, 0.02), (-0.0012, 0.0006, 0.0026))
    brow = pull(face, np.array([0.013, ey + 0.018, z]), (0.012, 0.010, 0.03), (-0.0024, -0.0048, 0.0006))
    lid = pull(face, np.array([0.016, ey - 0.012, z - 0.01]), (0.011, 0.006, 0.02), (-0.001, 0.0022, 0.001))
    return side + wing + root + brow + lid


def raise_lip_left(face: Face) -> Points:
    """Levator labii (AU10): the upper lip's middle third is drawn up and squared, the furrow beside the nose deepens."""
    _, y, z = face.seam
    upper = 1.0 - face.lower
    lift = face.spot((0.011, y + 0.004, z + 0.002), (0.0125, 0.0125, 0.03)) * upper
    moved = lift[:, None] * np.array([0.0008, 0.0088, 0.0006])
    furrow = pull(face, np.array([0.024, y + 0.021, z - 0.008]), (0.010, 0.012, 0.02), (0.0014, 0.0046, 0.0036))
    return np.asarray(moved + furrow)


def depress_lip_left(face: Face) -> Points:
    """Depressor labii (AU16): the lower lip is drawn down and a little outwards, the lower teeth show."""
    _, y, z = face.seam
    field = face.spot((0.011, y - 0.006, z + 0.002), (0.0125, 0.013, 0.03)) * face.lower
    return np.asarray(field[:, None] * np.array([0.0012, -0.0088, -0.0008]))


def dimple_left(face: Face) -> Points:
    """Buccinator (AU14): the corner of the mouth is tightened and drawn into the cheek; a dimple forms beside it."""
    cx, cy, cz = face.corner
    corner = pull(face, face.corner, (0.0105, 0.009, 0.014), (0.0052, 0.0010, -0.0052))
    dent = pull(face, np.array([cx + 0.0095, cy, cz - 0.006]), (0.0065, 0.008, 0.012), (-0.0005, 0.0005, -0.0052))
    fold = pull(face, np.array([cx + 0.019, cy + 0.001, cz - 0.013]), (0.007, 0.013, 0.016), (0.0008, 0.0, 0.0040))
    return corner + dent + fold


def stretch_left(face: Face) -> Points:
    """Risorius (AU20): the corner of the mouth is drawn straight back, the lips flatten."""
    cx, cy, cz = face.corner
    corner = pull(face, face.corner, (0.016, 0.012, 0.022), (0.0092, -0.0016, -0.0070))
    cheek = pull(face, np.array([cx + 0.018, cy - 0.008, cz - 0.015]), (0.014, 0.018, 0.025), (0.0034, -0.0022, -0.0008))
    return corner + cheek + 0.22 * face.half(thin_lips(face, False, 1.0, 0.0) + thin_lips(face, True, 1.0, 0.0))


def raise_chin(face: Face) -> Points:
    """Mentalis (AU17): the chin boss is pushed up and bunches, the lower lip rises against the upper one and pouts."""
    _, y, z = face.seam
    boss = pull(face, np.array([0.0, y - 0.026, z - 0.002]), (0.019, 0.013, 0.025), (0.0, 0.0072, 0.0030))
    bunch = pull(face, np.array([0.0, y - 0.033, z - 0.004]), (0.012, 0.007, 0.02), (0.0, 0.0014, 0.0022))
    low = lip(face, True)[:, None] * np.array([0.0, 0.0046, 0.0034])
    high = lip(face, False)[:, None] * np.array([0.0, 0.0034, 0.0012])
    corners = both(face, pull(face, face.corner, (0.009, 0.008, 0.012), (0.0, -0.0016, 0.0)))
    return np.asarray(boss + bunch + low + high + corners)


def part_lips(face: Face) -> Points:
    """AU25: the lips part, the jaw stays."""
    inner = np.clip(1.25 - np.abs(face.points[:, 0]) / (0.95 * face.corner[0]), 0.0, 1.0)
    down = (lip(face, True) * inner)[:, None] * np.array([0.0, -0.0046, 0.0006])
    return np.asarray(down + (lip(face, False) * inner)[:, None] * np.array([0.0, 0.0024, 0.0004]))


def funnel(face: Face, lower: bool) -> Points:
    """Orbicularis oris (AU22): a lip is turned outwards like the rim of a funnel, baring the teeth."""
    field = lip(face, lower)
    moved = np.zeros_like(face.points)
    moved[:, 1] = field * (-0.0062 if lower else 0.0054)
    moved[:, 2] = field * 0.0068
    moved[:, 0] = -0.22 * field * face.points[:, 0]
    return moved


def furrow_brow_left(face: Face) -> Points:
    """Corrugator (AU4): the brow's inner end is drawn down and towards the other, and bulges."""
    _, ey, ez = face.eyes["l"]
    inner = pull(face, np.array([0.013, ey + 0.020, ez + 0.022]), (0.013, 0.011, 0.03), (-0.0046, -0.0046, 0.0016))
    return inner + pull(face, np.array([0.0050, ey + 0.019, ez + 0.028]), (0.006, 0.012, 0.03), (-0.0010, -0.0010, 0.0018))


def raise_brow_left(face: Face, race: str) -> Points:
    """Frontalis, outer part (AU2): the brow's outer two thirds rise in an arch."""
    return 0.45 * face.unit("eyebrows-left-extern-up", race) + 0.9 * face.unit("eyebrows-left-up", race)
