"""MediaPipe's Face Landmarker behind one small class: an image in, arrays out.

The only module that imports mediapipe, and only when a landmarker is made.
"""

import contextlib
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final

import numpy as np

from freeavatar import arkit
from freeavatar.errors import FaceModelError, SourceError
from freeavatar.face.model_file import find_model
from freeavatar.types import Image, Vector

COUNT: Final = 478
"""Landmarks of one face: 468 of the mesh and 5 for each iris."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One face as the landmarker sees it.

    Attributes:
        points: (478, 3) x and y as shares of the image's width and height, z as a share of its width.
        matrix: (4, 4) facial transformation in centimetres, see :mod:`freeavatar.face.pose`.
        scores: (52,) blendshape scores in the order of :data:`freeavatar.arkit.NAMES`, if asked for.
    """

    points: Vector
    matrix: Vector
    scores: Vector | None


class Landmarker:
    """One instance of the landmarker, in video mode (it follows the face) or image mode (each image is new)."""

    def __init__(self, video: bool, scores: bool = False, model: Path | None = None, faces: int = 1) -> None:
        """Load the model.

        Args:
            video: follow one face through a clip, instead of searching it in each image.
            scores: also compute the blendshape scores.
            model: the model file; found by :func:`freeavatar.face.find_model` when omitted.
            faces: how many faces to find at most; more than one costs more, even where only one is seen.

        Raises:
            FaceModelError: the model file is missing, or MediaPipe cannot be loaded.
        """
        # The checked bytes are handed over, not the name: MediaPipe cannot open every path on every system.
        content = find_model(model).read_bytes()
        self._video = video
        self._time = 0
        with _quiet():
            try:
                landmarker, base_options, running_mode, self._images = _import_mediapipe()
                options = landmarker.FaceLandmarkerOptions(
                    base_options=base_options.BaseOptions(model_asset_buffer=content),
                    running_mode=running_mode.VisionTaskRunningMode["VIDEO" if video else "IMAGE"],
                    num_faces=faces,
                    output_face_blendshapes=scores,
                    output_facial_transformation_matrixes=True,
                )
                self._task = landmarker.FaceLandmarker.create_from_options(options)
            except (ImportError, AttributeError, OSError, RuntimeError, ValueError) as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
                raise FaceModelError(f"MediaPipe's face landmarker cannot start ({reason}): reinstall the mediapipe package") from error
            # A blank image makes the graph write its start-up messages now, and prepares its kernels.
            self.detect(np.zeros((64, 64, 3), np.uint8), 0)

    def detect(self, image: Image, milliseconds: int = 0) -> Detection | None:
        """The face in an image, or None; see :meth:`detect_all`."""
        return next(iter(self.detect_all(image, milliseconds)), None)

    def detect_all(self, image: Image, milliseconds: int = 0) -> list[Detection]:
        """The faces in an image.

        Args:
            image: (H, W, 3) RGB uint8.
            milliseconds: video mode only; a time not after the last one is moved just behind it.

        Raises:
            SourceError: the array is not an image.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise SourceError(f"an image must be (height, width, 3) RGB uint8, got {image.shape} {image.dtype}")
        picture = self._images.Image(self._images.ImageFormat.SRGB, np.ascontiguousarray(image))
        if self._video:
            self._time = max(milliseconds, self._time + 1)
            result = self._task.detect_for_video(picture, self._time)
        else:
            result = self._task.detect(picture)
        scores = result.face_blendshapes or [None] * len(result.face_landmarks)
        return [
            Detection(
                points=np.array([(p.x, p.y, p.z) for p in points], np.float32),
                matrix=np.asarray(matrix, np.float32),
                scores=_scores(categories) if categories else None,
            )
            for points, matrix, categories in zip(result.face_landmarks, result.facial_transformation_matrixes or [], scores, strict=False)
        ]

    def close(self) -> None:
        """Release the model; may be called twice."""
        self._task.close()

    def __enter__(self) -> "Landmarker":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _scores(categories: Any) -> Vector:
    scores = np.zeros(len(arkit.NAMES), np.float32)
    for category in categories:
        if category.category_name in arkit.INDEX:  # all but _neutral
            scores[arkit.INDEX[category.category_name]] = category.score
    return scores


_MODULES: Final = ("vision.face_landmarker", "core.base_options", "vision.core.vision_task_running_mode", "vision.core.image")
"""What is needed of ``mediapipe.tasks.python``."""


def _import_mediapipe() -> list[Any]:
    """The modules named by :data:`_MODULES`, without the rest of mediapipe.

    ``import mediapipe`` imports every other task, too, with matplotlib, cv2 and an audio library: over ten times
    slower, and heavier by some 50 MB. Empty packages therefore stand in for the parents during the import. They are
    removed afterwards, so that a later ``import mediapipe`` elsewhere is the ordinary one.
    """
    spec = importlib.util.find_spec("mediapipe") if "mediapipe" not in sys.modules else None
    if spec is not None and spec.submodule_search_locations:
        root = Path(next(iter(spec.submodule_search_locations)))
        try:
            for parent in ("mediapipe", "mediapipe.tasks", "mediapipe.tasks.python", "mediapipe.tasks.python.vision"):
                package = ModuleType(parent)
                package.__path__ = [str(root.joinpath(*parent.split(".")[1:]))]
                package.__spec__ = ModuleSpec(parent, None, is_package=True)
                sys.modules[parent] = package
            modules = [importlib.import_module(f"mediapipe.tasks.python.{name}") for name in _MODULES]
            # Its C library is looked up through the packages, so it is loaded while they stand.
            importlib.import_module("mediapipe.tasks.python.core.mediapipe_c_bindings").load_raw_library()
            return modules
        except (ImportError, AttributeError):
            pass  # laid out in another way than known: the ordinary import below decides
        finally:
            for name in [m for m in sys.modules if m == "mediapipe" or m.startswith("mediapipe.")]:
                del sys.modules[name]
    return [importlib.import_module(f"mediapipe.tasks.python.{name}") for name in _MODULES]


_NOISE: Final = re.compile(rb"[IW]\d{4} |INFO: Created TensorFlow|WARNING: (Logging before|All log messages)")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drop the information lines that MediaPipe's C++ side writes to standard error; let all else through."""
    try:
        terminal = os.dup(2)
    except OSError:  # no standard error at all
        yield
        return
    with tempfile.TemporaryFile() as log:
        try:
            os.dup2(log.fileno(), 2)
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            log.seek(0)
            for line in log.read(1 << 20).splitlines(keepends=True):
                if not _NOISE.match(line):
                    os.write(2, line)
