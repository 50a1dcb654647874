"""A picture that knows where on a head each of its texels lies, so that a face can be painted in metres."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]

AXIS: Final = 0.005
"""Metres: the vertical axis that the layout is rolled around lies this far in front of the skull's joint."""
_LEVEL, _RADIUS = 0.05, 0.1
"""Metres: above this height the layout follows the elevation seen from the axis, below it the height in this unit."""


@dataclass(frozen=True)
class Canvas:
    """A texture layout and what lies under it.

    Attributes:
        uv: (V, 2) texture coordinates, origin at the top left.
        places: (N, N, 3) metres: the point of the average head under each texel.
        masks: (N, N) 0..1 by name.
    """

    uv: Floats
    places: Floats
    masks: dict[str, Floats]

    @property
    def size(self) -> int:
        """Side in texels."""
        return len(self.places)


def roll_out(points: Floats) -> Floats:
    """(V, 2) coordinates of points on a head with its skull's joint at the origin; the face gets most of the picture.

    The back of the middle line lies at the right edge; the caller gives the right half's twins ``1 - u``.
    """
    x, y, z = points.T
    z = z - AXIS
    # Rounding must not put a vertex of the middle line on the other side.
    turn = np.arctan2(np.where(np.abs(x) < 1e-6, 0, x), z)
    share = np.interp(np.abs(turn), [0, 1.05, 1.7, np.pi], [0, 0.76, 0.93, 0.995])
    above = y - _LEVEL
    rise = np.where(above > 0, np.arctan2(above, np.hypot(x, z)), above / _RADIUS)
    v = np.interp(rise, [-3.3, -1.35, 0.75, np.pi / 2], [0.995, 0.86, 0.14, 0.005])
    return np.stack([0.5 + 0.5 * np.sign(turn) * share, v], axis=1).astype(np.float32)


def bake(uv: Floats, triangles: Indices, layers: Floats, size: int) -> Floats:
    """(size, size, C) vertex layers (V, C) spread over a picture; texels outside take the nearest one inside.

    The first three layers are the point. Where the layout folds over, the point farthest from the vertical axis counts.
    """
    canvas, filled = np.zeros((size, size, layers.shape[1]), np.float32), np.zeros((size, size), bool)
    corners, away = uv * size - 0.5, np.hypot(layers[:, 0], layers[:, 2])
    # Painter's algorithm: the outermost triangles last.
    for triangle in triangles[np.argsort(away[triangles].mean(1))]:
        (ax, ay), (bx, by), (cx, cy) = corners[triangle].tolist()
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
            continue
        x0, x1 = max(int(min(ax, bx, cx)), 0), min(int(max(ax, bx, cx)) + 1, size - 1)
        y0, y1 = max(int(min(ay, by, cy)), 0), min(int(max(ay, by, cy)) + 1, size - 1)
        px, py = np.arange(x0, x1 + 1)[None], np.arange(y0, y1 + 1)[:, None]
        b = ((px - ax) * (cy - ay) - (py - ay) * (cx - ax)) / area
        c = ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) / area
        inside = (b >= -1e-3) & (c >= -1e-3) & (b + c <= 1.001)
        value = np.stack([1 - b - c, b, c], axis=-1)[inside] @ layers[triangle]
        canvas[y0 : y1 + 1, x0 : x1 + 1][inside] = value
        filled[y0 : y1 + 1, x0 : x1 + 1] |= inside
    _, labels = cv2.distanceTransformWithLabels((~filled).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    source = np.zeros(labels.max() + 1, dtype=np.int64)
    source[labels[filled]] = np.flatnonzero(filled.ravel())
    return np.asarray(canvas.reshape(size * size, -1)[source[labels]])
