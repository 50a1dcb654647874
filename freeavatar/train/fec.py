"""Human judgements of which two of three faces are alike, in the CSV format of FEC.

FEC is Google's Facial Expression Comparison dataset (Vemulapalli and Agarwala, CVPR 2019). A line has no header and holds

    url, left, right, top, bottom    of image 1, then of images 2 and 3; the face's box as shares of width and height
    type                             ONE_CLASS_TRIPLET, TWO_CLASS_TRIPLET or THREE_CLASS_TRIPLET
    rater, annotation                of up to six raters or more; 1, 2 or 3 is the image that differs most from the other two

The images are not part of the dataset. They are expected in one folder, each named as the last part of its address:
``http://farm9.staticflickr.com/8461/8048823381_0fbc2d8efb.jpg`` is ``8048823381_0fbc2d8efb.jpg``.
"""

import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np
import torch
from torch import Tensor

from freeavatar.errors import SourceError
from freeavatar.train import pictures
from freeavatar.train.real_faces import stack, view_of
from freeavatar.train.triplets import margins

TYPES: Final = {"ONE_CLASS_TRIPLET": 1, "TWO_CLASS_TRIPLET": 2, "THREE_CLASS_TRIPLET": 3}
"""Number of emotion classes among the three faces, by the name of the triplet's type."""
MOST_LINES: Final = 5_000_000
"""Ten times FEC; a longer file is refused."""
_MOST_COLUMNS: Final = 16 + 2 * 32
_NAME: Final = re.compile(r"[\w%+@=~-][\w.%+@=~-]{0,254}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Face:
    """A face in an image file.

    Attributes:
        file: the image's plain file name.
        box: left, right, top, bottom as shares of width and height, 0..1.
    """

    file: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Three faces, of which ``negative`` is the odd one out; ``classes`` is the number of emotion classes among them, 1 to 3."""

    anchor: Face
    positive: Face
    negative: Face
    classes: int


@dataclass(frozen=True)
class Comparisons:
    """All triplets that the raters agree on, and how many were dropped because they do not."""

    triplets: tuple[Comparison, ...]
    undecided: int


def read_comparisons(path: Path) -> Comparisons:
    """Read a CSV in FEC's format; a triplet counts where at least two thirds of its raters agree (FEC's strong majority).

    Raises:
        SourceError: the file cannot be read, is too long, or a line is not in the format; the message has its number.
    """
    triplets: list[Comparison] = []
    undecided = 0
    known: dict[Face, Face] = {}  # most faces are in several triplets
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            reader = csv.reader(lines)
            for row in reader:
                if not any(row):
                    continue
                if reader.line_num > MOST_LINES:
                    raise SourceError(f"{path}: longer than {MOST_LINES} lines; split it")
                try:
                    faces = [_face(row[i : i + 5]) for i in (0, 5, 10)]
                    classes, odd = _judged(row)
                except ValueError as error:
                    raise SourceError(f"{path}: line {reader.line_num}: {error}") from error
                if odd is None:
                    undecided += 1
                    continue
                negative = faces.pop(odd - 1)
                anchor, positive, negative = (known.setdefault(face, face) for face in (*faces, negative))
                triplets.append(Comparison(anchor, positive, negative, classes))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path}: cannot be read as CSV ({error}); expected the format of FEC") from error
    if not triplets:
        raise SourceError(f"{path}: has no triplet that two thirds of its raters agree on; expected the format of FEC")
    return Comparisons(tuple(triplets), undecided)


def _face(fields: list[str]) -> Face:
    """A face from url, left, right, top, bottom; ValueError says what is wrong."""
    if len(fields) < 5:
        raise ValueError("expected 3 times url,left,right,top,bottom, then the type, then pairs of rater,annotation")
    name = urlsplit(fields[0]).path.rpartition("/")[2]
    if not _NAME.fullmatch(name):
        raise ValueError(f"the address {fields[0][:80]!r} does not end in a plain file name")
    box = [float(v) for v in fields[1:]]
    # Detectors give boxes that reach beyond the image; NaN fails both comparisons.
    left, right, top, bottom = (min(max(v, 0.0), 1.0) if -1 <= v <= 2 else float("nan") for v in box)
    if not (left < right and top < bottom):
        raise ValueError(f"the box {box} is not left < right, top < bottom as shares of width and height")
    return Face(name, (left, right, top, bottom))


def _judged(row: list[str]) -> tuple[int, int | None]:
    """Number of classes, and which image (1 to 3) is the odd one out, None without a strong majority."""
    if len(row) < 18 or len(row) > _MOST_COLUMNS:
        raise ValueError(f"{len(row)} columns; expected the type and at least one pair of rater,annotation after the 15 of the images")
    if row[15] not in TYPES:
        raise ValueError(f"the type {row[15][:40]!r} is unknown; expected {', '.join(TYPES)}")
    votes = Counter(vote.strip() for vote in row[17::2])
    del votes[""]  # lines may be padded
    if not votes or not votes.keys() <= {"1", "2", "3"}:
        raise ValueError(f"the annotations {row[17::2]} are not 1, 2 or 3")
    odd, agreeing = votes.most_common(1)[0]
    return TYPES[row[15]], int(odd) if 3 * agreeing >= 2 * votes.total() else None


class TripletCrops:
    """Batches of compared faces, each a pure function of seed, rank and step.

    Args:
        path: file written by ``tools/pack_triplets``.
        size: side of the crops in pixels.
        batch: triplets a batch.
        seed: seed of all chance.
        rank: number of the process in distributed training.

    Raises:
        SourceError: the file is missing or damaged, or more than 1 % of its pictures are.
    """

    def __init__(self, path: Path, size: int, batch: int, seed: int, rank: int = 0) -> None:
        command = f"python tools/pack_triplets.py CSV IMAGES {path}"
        self.jpegs, arrays = pictures.load(path, ("triplets", "classes"), command)
        triplets, classes = arrays["triplets"], arrays["classes"]
        integers = triplets.dtype.kind in "iu" and classes.dtype.kind in "iu"
        if not integers or triplets.shape != (len(classes), 3) or not np.isin(classes, (1, 2, 3)).all():
            raise SourceError(f"{path}: its triplets are not (N, 3) with 1 to 3 classes each; make it again with  {command}")
        if not ((triplets >= 0) & (triplets < len(self.jpegs))).all():
            raise SourceError(f"{path}: a triplet names a picture that is not there; make it again with  {command}")
        whole = np.isin(triplets, pictures.intact(self.jpegs, path)).all(axis=1)
        if not whole.any():
            raise SourceError(f"{path}: has no triplet of readable pictures; make it again with  {command}")
        self.triplets = triplets[whole].astype(np.int64)
        self.classes = torch.from_numpy(classes[whole].astype(np.int64))
        self._size, self._batch, self._seed = size, batch, [seed, rank]

    def __len__(self) -> int:
        return len(self.triplets)

    def batch(self, step: int) -> dict[str, Tensor]:
        """The triplets of one step: ``anchor``, ``positive``, ``negative (B,3,S,S) uint8``, ``margin (B,)``, ``classes (B,) int64``."""
        rng = np.random.default_rng([*self._seed, step])
        rows = rng.integers(0, len(self), self._batch)
        parts = zip(("anchor", "positive", "negative"), self.triplets[rows].T, strict=True)
        images = {part: stack([view_of(self.jpegs[i], self._size, rng) for i in column]) for part, column in parts}
        return {**images, "margin": margins(self.classes[rows]), "classes": self.classes[rows]}
