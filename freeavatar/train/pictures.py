"""Pictures packed as JPEG bytes in npz files: a few broken ones are reported and skipped, many are an error."""

import itertools
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar.errors import SourceError
from freeavatar.face import alignment
from freeavatar.types import Image

MOST_BROKEN: Final = 0.01
"""Share of broken pictures above which a dataset is refused."""
INNER: Final = 192
"""Pixels that the crop template takes of a stored picture."""
SIDE: Final = 240
"""Pixels of a stored picture, whose margin leaves room for jitter."""
Jpeg = NDArray[np.uint8]


def stored_crop(image: Image, landmarks: NDArray[np.floating]) -> Jpeg:
    """JPEG bytes of the aligned face in an image, with its margin, as training expects it."""
    matrix = alignment.crop_matrix(landmarks, INNER).astype(np.float64)
    crop = alignment.warp(image, matrix + [[0, 0, (SIDE - INNER) / 2]] * 2, SIDE)
    return np.asarray(cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 93])[1].ravel(), np.uint8)


class Broken:
    """Counts the pictures of one dataset that cannot be read.

    Args:
        where: what to call the dataset.
        total: number of its pictures.
    """

    def __init__(self, where: str | Path, total: int) -> None:
        self.where, self.total = where, total
        self.problems: list[str] = []

    def add(self, problem: str) -> None:
        """One more broken picture.

        Raises:
            SourceError: more than :data:`MOST_BROKEN` of all pictures are broken.
        """
        self.problems.append(problem)
        if len(self.problems) > MOST_BROKEN * self.total:
            first = self.problems[0]
            raise SourceError(
                f"{self.where}: over {MOST_BROKEN:.0%} of {self.total} pictures are broken, first: {first}; get the data again"
            )

    def report(self) -> None:
        """One line on standard error if any picture was broken."""
        if self.problems:
            count = len(self.problems)
            print(f"{self.where}: {count} of {self.total} pictures are broken and skipped, first: {self.problems[0]}", file=sys.stderr)


def intact(jpegs: Sequence[Jpeg], where: str | Path) -> NDArray[np.intp]:
    """The rows of packed pictures that can be read and are as large as the first of them; the others are reported.

    Pictures are decoded at an eighth of their size: the same check at a quarter of the time.

    Raises:
        SourceError: more than :data:`MOST_BROKEN` are broken.
    """
    broken, rows, shape = Broken(where, len(jpegs)), [], None
    for row, jpeg in enumerate(jpegs):
        small = cv2.imdecode(jpeg, cv2.IMREAD_REDUCED_COLOR_8) if len(jpeg) else None
        if small is None:
            broken.add(f"picture {row} is not a readable JPEG")
            continue
        shape = shape or small.shape
        if small.shape != shape:
            broken.add(f"picture {row} has another size than the others")
            continue
        rows.append(row)
    broken.report()
    return np.array(rows, np.intp)


def load(path: Path, keys: Sequence[str], command: str) -> tuple[list[Jpeg], dict[str, NDArray[Any]]]:
    """The JPEG bytes of all pictures of a file, and its arrays ``keys``.

    Args:
        path: npz with ``jpeg`` (the bytes of all pictures) and ``offsets`` (picture i is ``jpeg[offsets[i]:offsets[i+1]]``).
        keys: names of further arrays.
        command: what makes such a file, for messages.

    Raises:
        SourceError: the file is missing, damaged, or lacks an array.
    """
    if not path.is_file():
        raise SourceError(f"{path}: no such file; make it with  {command}")
    try:
        with np.load(path, allow_pickle=False) as z:
            data, offsets, arrays = z["jpeg"], z["offsets"], {key: z[key] for key in keys}
    except KeyError as error:
        raise SourceError(f"{path}: has no {error.args[0]}; it was made by another version: make it again with  {command}") from error
    except (OSError, EOFError, ValueError, TypeError, MemoryError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path}: not a readable npz file ({error}); make it again with  {command}") from error
    ends = np.asarray(offsets)
    whole = data.dtype == np.uint8 and data.ndim == ends.ndim == 1 and ends.dtype.kind in "iu" and len(ends) > 1
    if not whole or ends[0] != 0 or ends[-1] != len(data) or (np.diff(ends.astype(np.int64)) < 0).any():
        raise SourceError(f"{path}: its pictures are not where its offsets say; make it again with  {command}")
    return [data[a:b] for a, b in itertools.pairwise(ends)], arrays
