"""A gallery: every avatar in the same expressions, through its own map from ARKit; what a rig cannot show stays grey."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from freeavatar import arkit
from freeavatar.errors import OutputError
from freeavatar.output import check_output, replacing
from freeavatar.progress import progress
from freeavatar.rig import Rig, list_rigs, load_rig
from freeavatar.types import Image, Vector

GALLERY_SUFFIXES: Final = (".png",)
EXPRESSIONS: Final[dict[str, Mapping[str, float]]] = {
    "neutral": {},
    "broad smile": {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0, "cheekSquintLeft": 0.6, "cheekSquintRight": 0.6},
    "left wink": {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.5, "mouthSmileLeft": 0.4},
    "raised brows": {"browInnerUp": 1.0, "browOuterUpLeft": 1.0, "browOuterUpRight": 1.0, "eyeWideLeft": 0.5, "eyeWideRight": 0.5},
    "frown": {"mouthFrownLeft": 1.0, "mouthFrownRight": 1.0, "browDownLeft": 0.7, "browDownRight": 0.7, "mouthShrugLower": 0.4},
    "puffed cheeks": {"cheekPuff": 1.0},
    "pucker": {"mouthPucker": 1.0},
    "tongue out": {"tongueOut": 1.0, "jawOpen": 0.4},
}
"""ARKit weights by label. Those of 1 are the expression itself, the others come with it."""
LEAST_REACH: Final = 0.3
"""A rig shows an expression if it brings a control this far from rest to the end of its range."""
SIZE: Final = 192
_SMALLEST, _LARGEST = 32, 1024

_PAPER: Final = (255, 255, 255)
_EMPTY: Final = (226, 227, 230)
_INK: Final = (40, 44, 52)
_FAINT: Final = (168, 170, 176)


def shows(rig: Rig, shapes: Mapping[str, float]) -> bool:
    """Whether a rig's map can show an expression: what the expression itself is reaches a control, on the right side.

    Args:
        rig: the avatar.
        shapes: ARKit weights; those of 1 are the expression itself.
    """
    itself = {name: weight for name, weight in shapes.items() if weight == 1.0}
    if not itself:
        return True
    values = rig.from_arkit(arkit.weights(itself))
    end = np.where(values < 0, rig.minimum, rig.maximum)
    if np.max(np.divide(values, end, out=np.zeros_like(values), where=end != 0), initial=0.0) < LEAST_REACH:
        return False
    mirrored = {arkit.mirrored(name): weight for name, weight in itself.items()}
    return mirrored == itself or not np.allclose(rig.from_arkit(arkit.weights(mirrored)), values, atol=1e-3)


def pose(rig: Rig, shapes: Mapping[str, float]) -> Vector:
    """(N,) control values of a rig for ARKit weights by name, the head straight and the eyes ahead."""
    return rig.pose(rig.from_arkit(arkit.weights(shapes)), np.zeros(6, np.float32), np.zeros(2, np.float32))


def gallery(rigs: Sequence[Rig], size: int = SIZE) -> tuple[Image, dict[str, list[str]]]:
    """One picture of all rigs in all expressions.

    Args:
        rigs: one row each.
        size: side of a cell in pixels, 32 to 1024.

    Returns:
        (H, W, 3) RGB uint8, and by rig the labels of the expressions that it shows.

    Raises:
        OutputError: no gallery has cells of that size.
        MissingExtraError, RenderError: no OpenGL.
        RigError: a model is damaged.
    """
    if not _SMALLEST <= size <= _LARGEST:
        raise OutputError(f"a gallery with cells of {size} pixels: expected {_SMALLEST} to {_LARGEST}")
    from freeavatar_renderer.raster import STILL, AvatarRenderer

    gap, margin, head = max(size // 48, 1), round(0.82 * size), round(0.22 * size)
    sheet = np.full((head + len(rigs) * (size + gap), margin + len(EXPRESSIONS) * (size + gap), 3), _PAPER, np.uint8)
    for column, label in enumerate(EXPRESSIONS):
        _write(sheet, label, (margin + column * (size + gap) + size // 2, round(0.62 * head)), size / 400)
    shown: dict[str, list[str]] = {}
    for row, rig in enumerate(progress(rigs, len(rigs), "gallery")):
        top = head + row * (size + gap)
        _write(sheet, rig.name, (margin // 2, top + round(0.48 * size)), size / 300)
        _write(sheet, f"{len(rig.controls)} controls", (margin // 2, top + round(0.60 * size)), size / 520)
        shown[rig.name] = [label for label, shapes in EXPRESSIONS.items() if shows(rig, shapes)]
        renderer = AvatarRenderer(rig, size, size, STILL)
        for column, (label, shapes) in enumerate(EXPRESSIONS.items()):
            left = margin + column * (size + gap)
            cell = sheet[top : top + size, left : left + size]
            cell[:] = renderer.render(pose(rig, shapes)) if label in shown[rig.name] else _EMPTY
            if label not in shown[rig.name]:
                _write(sheet, "no control", (left + size // 2, top + size // 2), size / 480, _FAINT)
        renderer.release()
    return sheet, shown


def write_gallery(path: Path, rigs: Sequence[Rig] | None = None, size: int = SIZE) -> dict[str, list[str]]:
    """Write :func:`gallery` as a PNG.

    Args:
        path: the file.
        rigs: None takes all that are shipped.
        size: side of a cell in pixels, 32 to 1024.

    Returns:
        By rig, the labels of the expressions that it shows.

    Raises:
        OutputError: the file cannot be written, or no gallery has cells of that size.
        MissingExtraError, RenderError, RigError: as for :func:`gallery`.
    """
    check_output(path, GALLERY_SUFFIXES)
    picture, shown = gallery([load_rig(name) for name in list_rigs()] if rigs is None else rigs, size)
    done, data = cv2.imencode(".png", picture[..., ::-1])
    if not done:
        raise OutputError(f"{path}: the picture of {picture.shape[1]} x {picture.shape[0]} cannot be encoded; choose a smaller size")
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())
    return shown


def _write(sheet: Image, text: str, centre: tuple[int, int], scale: float, ink: tuple[int, int, int] = _INK) -> None:
    thick = max(round(scale), 1)
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    cv2.putText(sheet, text, (centre[0] - width // 2, centre[1]), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thick, cv2.LINE_AA)
