"""Where frames come from: a camera, a video, a folder of images, one image."""

from freeavatar.sources.source import IMAGE_SUFFIXES, LARGEST_SIDE, NOMINAL_RATE, Source, open_source

__all__ = ["IMAGE_SUFFIXES", "LARGEST_SIDE", "NOMINAL_RATE", "Source", "open_source"]
