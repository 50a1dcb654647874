"""Real faces with a teacher's scores (``tools/weak_labels``), jittered and degraded like the synthetic ones."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from freeavatar.errors import SourceError
from freeavatar.train import webcam
from freeavatar.train.shards import JITTER, cut, decode, stored_matrix
from freeavatar.types import Image


class RealFaces:
    """Endless batches of ``image (B,3,S,S) uint8``, ``arkit (B,52)`` and ``mask (B,52)``.

    Raises:
        SourceError: the file does not exist.
    """

    def __init__(self, path: Path, size: int, batch: int, seed: int) -> None:
        if not path.is_file():
            raise SourceError(f"no real faces at {path}: make them with  python tools/weak_labels.py {path}")
        with np.load(path, allow_pickle=False) as z:
            data, offsets = z["jpeg"], z["offsets"]
            self.jpegs = [data[a:b] for a, b in itertools.pairwise(offsets)]
            self.arkit, self.mask = torch.from_numpy(z["arkit"]), torch.from_numpy(z["mask"])
        self.size, self.batch, self.rng = size, batch, np.random.default_rng(seed)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        while True:
            rows = self.rng.integers(0, len(self.jpegs), self.batch)
            images = np.stack([self._crop(int(i)) for i in rows])
            yield {"image": torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), "arkit": self.arkit[rows], "mask": self.mask[rows]}

    def _crop(self, i: int) -> Image:
        image = decode(self.jpegs[i])
        matrix = stored_matrix(self.rng.normal(0, JITTER), self.size, image.shape[0])
        return webcam.degrade(cut(image, matrix, self.size), self.rng)
