"""Draws preview.png into a rig's folder: some controls set, or an expression through the rig's own map."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from freeavatar import arkit
from freeavatar.rig import Rig, load_rig
from freeavatar.types import Vector
from freeavatar_renderer.raster import STILL, AvatarRenderer


def draw_controls(folder: Path, shown: Mapping[str, float]) -> None:
    """The rig with some of its controls set."""
    rig = load_rig(folder)
    values = rig.neutral()
    for name, value in shown.items():
        values[rig.names.index(name)] = value
    _draw(rig, values)


def draw_expression(folder: Path, shapes: Mapping[str, float], head: tuple[float, float, float], gaze: tuple[float, float]) -> None:
    """The rig with ARKit weights, the head turned by yaw, pitch, roll and the eyes by yaw, pitch, in radians."""
    rig = load_rig(folder)
    _draw(rig, rig.pose(rig.from_arkit(arkit.weights(shapes)), np.array(head, np.float32), np.array(gaze, np.float32)))


def _draw(rig: Rig, values: Vector) -> None:
    picture = AvatarRenderer(rig, samples=STILL).render(values)
    cv2.imwrite(str(rig.folder / "preview.png"), picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
