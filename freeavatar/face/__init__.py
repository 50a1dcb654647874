"""Finding the face: landmarks, the upright crop, the head pose."""

from freeavatar.face.model_file import find_model
from freeavatar.face.tracker import FaceTracker

__all__ = ["FaceTracker", "find_model"]
