"""What lies in the mouth: teeth that lips can bare, and a tongue that rests behind the lower ones and follows the jaw."""

import numpy as np

from human_base import BaseMesh, Points

TEETH_SHIFT = {"upper": np.array([0.0, -0.0030, -0.0020]), "lower": np.array([0.0, -0.0015, -0.0025])}
"""Metres from MakeHuman's teeth to ours: behind closed lips, and where a smile bares the upper ones."""
TEETH_SCALE = np.array([0.82, 1.0, 0.94])
_JAW = ("jawOpen", "jawForward", "jawLeft", "jawRight")

# The tongue's middle line from root to tip: share of its length, height above the lower teeth's edge, depth behind their front.
_REST = np.array([
    (0.0, -0.012, -0.062), (0.35, -0.0075, -0.044), (0.6, -0.0095, -0.030), (0.85, -0.0125, -0.018), (1.0, -0.0135, -0.013),
])  # fmt: skip
_OUT = np.array([
    (0.0, -0.010, -0.052), (0.30, -0.001, -0.024), (0.52, 0.0030, 0.001), (0.70, 0.0, 0.0145), (0.85, -0.0095, 0.0225),
    (1.0, -0.0200, 0.0245),
])  # fmt: skip
# Factors on its width and thickness along it.
_WIDE_REST = np.array([(0.0, 0.8), (1.0, 0.8)])
_WIDE_OUT = np.array([(0.0, 0.76), (0.6, 0.76), (0.85, 0.68), (0.95, 0.52), (1.0, 0.40)])
_THICK_REST = np.array([(0.0, 0.62), (1.0, 0.62)])
_THICK_OUT = np.array([(0.0, 0.7), (0.4, 0.5), (0.7, 0.36), (1.0, 0.34)])


def settle_teeth(points: Points, which: str) -> Points:
    """(V, 3) a row of teeth, `upper` or `lower`, moved from where MakeHuman has it to where it belongs."""
    middle = points.mean(axis=0)
    return np.asarray(middle + (points - middle) * TEETH_SCALE + TEETH_SHIFT[which])


def settle_tongue(base: BaseMesh, shapes: dict[str, Points]) -> None:
    """Lay the tongue behind the lower teeth, in place: at rest, with every movement of the jaw, and out over the lip.

    Args:
        base: the shaped mesh.
        shapes: ARKit shapes, (V, 3); those of the jaw and `tongueOut` are changed on the tongue's vertices.
    """
    index = np.unique(base.faces("helper-tongue"))
    lower = np.unique(base.faces("helper-lower-teeth"))
    row = settle_teeth(base.points[lower], "lower")
    front = row[np.abs(row[:, 0]) < 0.01]
    origin = np.array([0.0, front[:, 1].max(), front[:, 2].max()])
    points = base.points[index]
    along, height = _unrolled(points)
    bodily = np.stack([points[:, 0], height], axis=1)
    rest = origin + _bent(along, bodily, _REST, _WIDE_REST, _THICK_REST)
    out = origin + _bent(along, bodily, _OUT, _WIDE_OUT, _THICK_OUT)
    base.points[index] = rest
    shapes["tongueOut"][index] = out - rest
    for name in _JAW:
        carry_tongue(base, shapes[name])


def carry_tongue(base: BaseMesh, moved: Points) -> None:
    """Make the tongue follow the jaw in a movement (V, 3), in place."""
    index, lower = (np.unique(base.faces(f"helper-{part}")) for part in ("tongue", "lower-teeth"))
    moved[index] = _carried(base.points[lower], moved[lower], base.points[index])


def _unrolled(points: Points) -> tuple[Points, Points]:
    """Share of the length from root to tip (V,) and height above the middle line (V,), metres, of MakeHuman's tongue."""
    z = points[:, 2]
    along = (z - z.min()) / np.ptp(z)
    steps = np.linspace(0.0, 1.0, 9)
    near = np.abs(along[:, None] - steps) < 0.12
    middle = [0.5 * (points[n, 1].min() + points[n, 1].max()) for n in near.T]
    return along, points[:, 1] - np.interp(along, steps, middle)


def _bent(along: Points, across: Points, line: Points, wide: Points, thick: Points) -> Points:
    """(V, 3) a body laid along a middle line, in metres from the lower teeth's edge."""
    fine = np.linspace(0.0, 1.0, 101)
    y, z = (_smooth(np.interp(fine, line[:, 0], line[:, k])) for k in (1, 2))
    dy, dz = np.gradient(y), np.gradient(z)
    length = np.hypot(dy, dz)
    up_y, up_z = np.interp(along, fine, dz / length), np.interp(along, fine, -dy / length)
    x, height = across[:, 0] * np.interp(along, *wide.T), across[:, 1] * np.interp(along, *thick.T)
    return np.stack([x, np.interp(along, fine, y) + up_y * height, np.interp(along, fine, z) + up_z * height], axis=1)


def _smooth(values: Points, width: int = 15) -> Points:
    padded = np.concatenate([2 * values[0] - values[width:0:-1], values, 2 * values[-1] - values[-2 : -width - 2 : -1]])
    return np.convolve(padded, np.ones(2 * width + 1) / (2 * width + 1), mode="valid")


def _carried(teeth: Points, moved: Points, points: Points) -> Points:
    """(V, 3) how points move that are carried by the jaw, as the lower teeth show it: a linear field, still at the hinge."""
    field, *_ = np.linalg.lstsq(np.c_[teeth, np.ones(len(teeth))], moved, rcond=None)
    carried = np.c_[points, np.ones(len(points))] @ field
    share = np.clip((points[:, 2] - (points[:, 2].min() - 0.01)) / 0.025, 0.0, 1.0)
    return np.asarray(carried * share[:, None])
