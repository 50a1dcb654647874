"""Where frames come from: a camera, a video, a folder of images, one image."""

from freeavatar.sources.source import ANY_MODE, IMAGE_SUFFIXES, LARGEST_SIDE, NOMINAL_RATE, CameraMode, Source, open_source

__all__ = ["ANY_MODE", "IMAGE_SUFFIXES", "LARGEST_SIDE", "NOMINAL_RATE", "CameraMode", "Source", "open_source"]
