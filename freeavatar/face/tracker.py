"""Frames in, upright crops of one face out."""

from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

import cv2
import numpy as np

from freeavatar.errors import SourceError
from freeavatar.face.alignment import align
from freeavatar.face.crowd import MOST, Crowd
from freeavatar.face.landmarks import Detection, Landmarker
from freeavatar.face.pose import head_pose
from freeavatar.types import FaceCrop, Frame, Image

BORDERS: Final = (0.0, 0.25, 0.6)
"""Borders to try, as shares of the longer side: the detector misses faces that fill the image."""
_GREY: Final = (128, 128, 128)
"""Colour of the border: found more faces than black, repeated or mirrored pixels."""
_LARGEST: Final = 1280
"""Longer side in pixels that a bordered image is shrunk to; the landmarker looks at 256 pixels a face anyway."""
_PATIENCE: Final = 15
"""In a stretch without a face, every how many frames the borders are tried again."""


class _View(NamedTuple):
    """An image as the landmarker sees it, and the way back."""

    image: Image
    scale: tuple[float, float]
    """Pixels of the view for one pixel of the frame, across and down."""
    border: int
    """Pixels of the view on each side."""


class FaceTracker:
    """Finds and follows one face.

    Clips use the landmarker's video mode. When it finds nothing, the frame is searched in image mode, as it is and
    with borders; a border that helps is kept for the next frames. While no face is found, this search becomes rarer.

    Args:
        still: treat every frame as an unrelated picture.
        size: side of the crops in pixels.
        peer: also return MediaPipe's blendshape scores.
        model: the landmarker's model file, see :func:`freeavatar.face.find_model`.
        face: of several faces in a clip follow the one that is so many from the left, see :class:`freeavatar.face.crowd.Crowd`;
            None takes the one that the landmarker finds first.

    Raises:
        FaceModelError: no usable model file, or MediaPipe cannot start.
        SourceError: there is no such face to follow.
    """

    def __init__(
        self, still: bool = False, size: int = 128, peer: bool = False, model: Path | None = None, face: int | None = None
    ) -> None:
        if still and face is not None:
            raise SourceError(f"--face {face}: unrelated pictures have no face to follow; leave it out")
        self.size = size
        self._peer = peer
        self._model = model
        self._crowd = None if face is None else Crowd(face)
        several = {} if face is None else {"faces": MOST}
        self._video = None if still else Landmarker(video=True, scores=peer, model=model, **several)
        self._image = Landmarker(video=False, scores=peer, model=model) if still else None
        self._border = BORDERS[0]
        self._missed = 0
        self._doubted = False

    def track(self, frame: Frame) -> FaceCrop | None:
        """The face in a frame, or None if there is none.

        Args:
            frame: in clips, frames come in the order of time.
        """
        found = self._search(frame.image) if self._video is None else self._follow(self._video, frame)
        if found is None:
            return None
        detection, view = found
        height, width = view.image.shape[:2]
        across, down = view.scale
        seen = detection.points * np.array([width, height, width]) - [view.border, view.border, 0]
        # MediaPipe counts from the edge of the first pixel; pixel coordinates count from its centre.
        landmarks = (seen / [across, down, across] - [0.5, 0.5, 0]).astype(np.float32)
        image, matrix = align(frame.image, landmarks, self.size)
        return FaceCrop(
            image=image,
            matrix=matrix,
            landmarks=landmarks,
            head_pose=head_pose(detection.matrix, height / (height - 2 * view.border)),
            time=frame.time,
            index=frame.index,
            peer=detection.scores,
        )

    def _choose(self, video: Landmarker, crowd: Crowd, frame: Frame) -> tuple[Detection, _View] | None:
        found = video.detect_all(frame.image, round(frame.time * 1000))
        size = np.array(frame.image.shape[1::-1])
        corners = [(points.min(0) * size, points.max(0) * size) for points in (detection.points[:, :2] for detection in found)]
        faces = np.array([(*(low + high) / 2, *(high - low)[:1]) for low, high in corners], np.float64).reshape(-1, 3)
        chosen = crowd.choose(faces, frame.time)
        return None if chosen is None else (found[chosen], _view(frame.image, 0.0))

    def _follow(self, video: Landmarker, frame: Frame) -> tuple[Detection, _View] | None:
        if self._crowd is not None:
            return self._choose(video, self._crowd, frame)
        view = _view(frame.image, self._border)
        detection = video.detect(view.image, round(frame.time * 1000))
        found = None if detection is None else (detection, view)
        # Searched at once, then after 2, 4 and 8 misses, then at a steady, low rate.
        if found is None and (self._missed + 1 in (1, 2, 4, 8) or (self._missed + 1) % _PATIENCE == 0):
            found = self._search(frame.image)
        if found is None:
            self._missed, self._doubted = self._missed + 1, False
        elif self._missed >= _PATIENCE and not self._doubted:
            # Clouds and curtains look like a face for a single frame: after a long loss the next frame must agree.
            self._doubted = True
            return None
        else:
            self._missed, self._doubted = 0, False
        return found

    def _search(self, image: Image) -> tuple[Detection, _View] | None:
        if self._image is None:
            self._image = Landmarker(video=False, scores=self._peer, model=self._model)
        cut: tuple[Detection, _View] | None = None
        for border in BORDERS:
            view = _view(image, border)
            detection = self._image.detect(view.image)
            if detection is None:
                continue
            self._border = border
            if border or _inside(detection):
                return detection, view
            # A face that the image's edge cuts is found, but a border makes its landmarks a quarter more accurate.
            cut = detection, view
        return cut

    def close(self) -> None:
        """Release the models; may be called twice."""
        for landmarker in (self._video, self._image):
            if landmarker is not None:
                landmarker.close()

    def __enter__(self) -> "FaceTracker":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _inside(detection: Detection) -> bool:
    places = detection.points[:, :2]
    return bool(places.min() >= 0 and places.max() <= 1)


def _view(image: Image, border: float) -> _View:
    if not border:
        return _View(image, (1.0, 1.0), 0)
    height, width = image.shape[:2]
    scale = _LARGEST / (max(height, width) * (1 + 2 * border))
    if scale < 1:
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    pixels = round(border * max(image.shape[:2]))
    padded = cv2.copyMakeBorder(image, pixels, pixels, pixels, pixels, cv2.BORDER_CONSTANT, value=_GREY)
    return _View(padded, (image.shape[1] / width, image.shape[0] / height), pixels)  # type: ignore[arg-type]
