"""One image, or all images of a folder in the order of their names."""

import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from freeavatar.errors import SourceError
from freeavatar.sources.source import IMAGE_SUFFIXES, NOMINAL_RATE, Recording, check_file, check_size
from freeavatar.types import Frame, Image


class Images(Recording):
    """Unrelated pictures; the time of picture i is i / :data:`NOMINAL_RATE`.

    Args:
        path: an image file, or a folder; its other files and its subfolders are passed over, and so are pictures of it that
            cannot be read: ``warning`` then tells how many.
        loop: start again after the last one.

    Raises:
        SourceError: missing, a folder without images, or (while iterating) no image that can be read.
    """

    still = True

    def __init__(self, path: Path, loop: bool = False) -> None:
        self.name = path.name or str(path)
        self.loop = loop
        if path.is_dir():
            self._files = _images_in(path)
        else:
            check_file(path)
            self._files = [path]
        self.count = None if loop else len(self._files)

    @property
    def files(self) -> tuple[str, ...]:
        """The file names in order."""
        return tuple(file.name for file in self._files)

    def _play(self) -> Iterator[Frame]:
        problems: list[SourceError] = []
        for index, file in enumerate(self._files):
            try:
                image = read_image(file)
            except SourceError as error:
                problems.append(error)
                continue
            yield Frame(image, index / NOMINAL_RATE, index, file.name)
        if len(problems) == len(self._files):
            raise problems[0]
        if problems:
            self.warning = f"{len(problems)} of {len(self._files)} pictures were left out, first: {problems[0]}"


def read_image(path: Path) -> Image:
    """An image file as (H, W, 3) RGB uint8, turned upright as its EXIF orientation says.

    Raises:
        SourceError: missing, damaged, not an image, or too large.
    """
    check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Pillow.DecompressionBombWarning)
            picture = Pillow.open(path)
        with picture:
            check_size(*picture.size, str(path))
            upright = ImageOps.exif_transpose(picture)
            if upright.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip instead of scale
                grey = (np.asarray(upright).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=2)
            return np.array(upright.convert("RGB"))
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise SourceError(f"{path}: the image has too many pixels: scale it down") from error
    except UnidentifiedImageError as error:
        raise SourceError(f"{path}: not a readable image; expected {', '.join(sorted(IMAGE_SUFFIXES))}") from error
    except (OSError, EOFError, SyntaxError, ValueError, struct.error) as error:  # what Pillow raises for damaged files
        raise SourceError(f"{path}: the image is damaged ({error}); replace or remove it") from error


def _images_in(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        raise SourceError(f"{folder}: the folder cannot be read ({error.strerror}); check the permissions") from error
    files = [e for e in entries if e.suffix.lower() in IMAGE_SUFFIXES and not e.name.startswith(".") and e.is_file()]
    if not files:
        raise SourceError(f"{folder}: no images in this folder; expected files ending in {', '.join(sorted(IMAGE_SUFFIXES))}")
    return files
