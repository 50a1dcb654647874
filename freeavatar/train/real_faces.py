"""Real faces with emotion labels and a teacher's scores (``tools/weak_labels``), jittered and degraded like the synthetic ones."""

import hashlib
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from freeavatar import arkit
from freeavatar.errors import SourceError
from freeavatar.train import pictures, webcam
from freeavatar.train.emotion import EMOTIONS
from freeavatar.train.shards import JITTER, augment, cut, decode, stored_matrix
from freeavatar.types import Image

COLOURED: Final = 0.5
"""Share of grey photographs that are shown in colour."""
SELECTION: Final = 0.08
"""Share of people that choose between models and are never trained on."""
_SALT: Final = 18
"""Of the ways to carve people off, one that gives the selection many people with rare emotions and nobody with hundreds of pictures."""

BROWS: Final = (("browInnerUp",), ("browOuterUpLeft", "browOuterUpRight"), ("browDownLeft", "browDownRight"))
"""What brows do, as shapes that are judged together: of two pictures of a person the teacher knows in which they do more of it."""
CLEAR: Final = 0.3
"""Difference of two of the teacher's brow scores of one person from which their order is believed."""


def for_selection(person: str) -> bool:
    """Does this person belong to the people that models are selected on? Depends on the name alone."""
    digest = hashlib.sha256(f"{_SALT} {person}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < SELECTION * 2**64


class RealFaces:
    """Batches of real faces, each a pure function of seed, rank and step.

    Rare emotions and rarely seen people are drawn more often than they occur: a face's chance is inverse to the square
    root of how many faces share its label, and of how many its person has. A quarter of a batch are such faces' partners:
    other pictures of the same people, in which the teacher sees the brows clearly higher or lower.

    Args:
        path: file written by ``tools/weak_labels``.
        size: side of the crops in pixels.
        batch: faces a batch.
        seed: seed of all chance.
        people: whose faces.
        rank: number of the process in distributed training; each draws its own faces.

    Attributes:
        jpegs: the stored crops of these people.
        labels: (N,) emotion names; ``persons``: (N,) names of the people.
        arkit: (N, 52) the teacher's scores; ``mask``: (N, 52) 1 where the teacher is to be believed.

    Raises:
        SourceError: the file is missing or damaged, or more than 1 % of its pictures are.
    """

    def __init__(
        self, path: Path, size: int, batch: int, seed: int, people: Literal["training", "selection"] = "training", rank: int = 0
    ) -> None:
        command = f"python tools/weak_labels.py {path}"
        jpegs, arrays = pictures.load(path, ("arkit", "mask", "label", "person"), command)
        n = len(jpegs)
        shapes = {"arkit": (n, 52), "mask": (n, 52), "label": (n,), "person": (n,)}
        wrong = [k for k, shape in shapes.items() if arrays[k].shape != shape or (len(shape) == 1) != (arrays[k].dtype.kind == "U")]
        if wrong or not (np.isfinite(arrays["arkit"]).all() and np.isin(arrays["label"], EMOTIONS).all()):
            raise SourceError(f"{path}: {wrong[0] if wrong else 'a score or a label'} is not as expected; make it again with  {command}")
        rows = pictures.intact(jpegs, path)
        rows = rows[[for_selection(str(p)) == (people == "selection") for p in arrays["person"][rows]]]
        if not len(rows):
            raise SourceError(f"{path}: has no faces of people for {people}; make it again with  {command}")
        self.jpegs = [jpegs[i] for i in rows]
        self.labels, self.persons = arrays["label"][rows], arrays["person"][rows]
        self.arkit, self.mask = (torch.from_numpy(arrays[k][rows].astype(np.float32)) for k in ("arkit", "mask"))
        self._size, self._batch, self._seed = size, batch, [seed, rank]
        self._label = torch.tensor([EMOTIONS.index(label) for label in self.labels])
        _, person, pictures_of = np.unique(self.persons, return_inverse=True, return_counts=True)
        self._person = torch.from_numpy(person.astype(np.int64))
        chance = 1 / np.sqrt(np.bincount(self._label)[self._label] * pictures_of[person])
        self._chance = chance / chance.sum()
        self._partners = _partners(brows(self.arkit, self.mask).numpy(), person)

    def __len__(self) -> int:
        return len(self.jpegs)

    def batch(self, step: int) -> dict[str, Tensor]:
        """The faces of one step.

        Returns:
            ``image (B,3,S,S) uint8``, displaced; ``view (B,3,S,S) uint8``, the same faces displaced, bent and degraded anew;
            ``arkit (B,52)``, ``mask (B,52)``; ``label (B,) int64``, places in
            :data:`freeavatar.train.emotion.EMOTIONS`; ``person (B,) int64``.
        """
        rng, rows = self._draw(step)
        image, view = (self._views(rows, rng, spoilt) for spoilt in (False, True))
        labels = {"arkit": self.arkit, "mask": self.mask, "label": self._label, "person": self._person}
        return {"image": image, "view": view, **{k: v[rows] for k, v in labels.items()}}

    def images(self, step: int) -> Tensor:
        """(B, 3, S, S) uint8: ``image`` of :meth:`batch`, without the work for the rest."""
        rng, rows = self._draw(step)
        return self._views(rows, rng, spoilt=False)

    def _draw(self, step: int) -> tuple[np.random.Generator, NDArray[np.integer]]:
        rng = np.random.default_rng([*self._seed, step])
        rows = rng.choice(len(self), self._batch, p=self._chance)
        able = np.array(sorted(self._partners), np.int64)
        if len(able):
            first = rng.choice(able, self._batch // 4, p=self._chance[able] / self._chance[able].sum())
            rows[: 2 * len(first)] = [row for i in first for row in (i, rng.choice(self._partners[i]))]
        return rng, rows

    def _views(self, rows: NDArray[np.integer], rng: np.random.Generator, spoilt: bool) -> Tensor:
        return stack([view_of(self.jpegs[i], self._size, rng, spoilt) for i in rows])

    def straight(self, start: int = 0, stop: int | None = None) -> Tensor:
        """(n, 3, S, S) uint8: the ideal crops of the rows ``start`` to ``stop``, to judge a model by."""
        return stack([_cut(decode(jpeg), np.zeros(4), self._size) for jpeg in self.jpegs[start:stop]])


def brows(scores: Tensor, mask: Tensor) -> Tensor:
    """(B, 3) scores of :data:`BROWS` from (B, 52) ones of all shapes; NaN for faces that the teacher is not believed on."""
    columns = [scores[:, [arkit.INDEX[name] for name in names]].mean(1) for names in BROWS]
    return torch.where(mask.any(1, keepdim=True), torch.stack(columns, 1), torch.nan)


def _partners(scores: NDArray[np.floating], person: NDArray[np.integer]) -> dict[int, NDArray[np.int64]]:
    """By row, the rows of the same person whose brow scores clearly differ; rows that have none are left out."""
    partners: dict[int, NDArray[np.int64]] = {}
    order = np.argsort(person, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(person[order])) + 1):
        own = scores[rows]
        apart = np.asarray((np.abs(own[:, None] - own[None]) > CLEAR).any(2))  # NaN is apart from nothing
        partners |= {int(row): rows[others] for row, others in zip(rows, apart, strict=True) if others.any()}
    return partners


def view_of(jpeg: pictures.Jpeg, size: int, rng: np.random.Generator, spoilt: bool = True) -> Image:
    """(size, size, 3) crop of a stored picture, displaced by chance, and coloured if grey; augmented as well if ``spoilt``."""
    jitter = rng.normal(0, JITTER)
    crop = _cut(decode(jpeg), jitter, size)
    if rng.random() < COLOURED:
        crop = webcam.colourise(crop, rng)
    return augment(crop, rng, jitter) if spoilt else crop


def stack(images: list[Image]) -> Tensor:
    """(B, 3, S, S) uint8 batch of (S, S, 3) images."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


def _cut(image: Image, jitter: NDArray[np.floating], size: int) -> Image:
    return cut(image, stored_matrix(jitter, size, image.shape[0]), size)
