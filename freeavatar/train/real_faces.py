"""Real faces with a teacher's scores (``tools/weak_labels``), jittered and degraded like the synthetic ones."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from freeavatar.errors import SourceError
from freeavatar.train import webcam
from freeavatar.train.shards import jitter_matrix


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

    def _crop(self, i: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        image = np.asarray(cv2.imdecode(self.jpegs[i], cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
        jitter = self.rng.normal(0, (0.022, 0.022, 0.04, 0.05))
        margin = (image.shape[0] - self.size) / 2
        matrix = jitter_matrix(jitter, self.size) @ np.array([[1, 0, -margin], [0, 1, -margin], [0, 0, 1]])
        crop = cv2.warpAffine(np.ascontiguousarray(image), matrix, (self.size, self.size), borderMode=cv2.BORDER_REPLICATE)
        return webcam.degrade(np.asarray(crop, np.uint8), self.rng)
