"""Several looks at one crop, half of them in a mirror: the accurate variant of an encoder.

Looks err in different ways, so their mean is nearer to the truth than any of them. The feature of a mirrored face says the
mirrored expression; that of the face itself follows from it by a linear map, found by least squares (``tools/add_looks.py``).
The mean lies in the encoder's own feature space, so whatever stands on the encoder takes it as it is. The network runs as it is,
on four crops instead of one; beside it lie only that map and the read-outs.
"""

from pathlib import Path
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar.arkit import NAMES
from freeavatar.errors import WeightsError
from freeavatar.network import read_checked
from freeavatar.tensors import parse_tensors

FILE: Final = "looks.safetensors"
ZOOMS: Final = (-0.02, 0.02)
"""By how much of a crop's side each border moves outwards or inwards in a look; they even out, and so does what is read as ``align``."""
GEOMETRY: Final = ("gaze", "head_pose", "confidence", "align")
"""Outputs of which only the looks that are not mirrored are averaged."""

Floats = NDArray[np.float32]


class Looks:
    """What is done before and after the network runs.

    Args:
        tensors: as :func:`shapes` names them.
    """

    def __init__(self, tensors: dict[str, Floats]) -> None:
        self._tensors = tensors

    @classmethod
    def load(cls, folder: Path, sha256: str | None, feature: int, embedding: int) -> Self:
        """Those of an encoder's weights folder.

        Args:
            folder: holds :data:`FILE`.
            sha256: its hash by the folder's config; None where the config names none.
            feature: length of the feature; ``embedding``: of the embedding.

        Raises:
            WeightsError: the folder has none, or they are damaged or of another encoder.
        """
        path = folder / FILE
        if sha256 is None:
            raise WeightsError(f"{folder}: these weights have no accurate variant; add it with  python tools/add_looks.py {folder}")
        return cls(parse_tensors(read_checked(path, sha256), shapes(feature, embedding), path))

    def merge(self, out: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Outputs for B crops from those for their 4 B :func:`views`."""
        looks = {name: value.reshape(2, len(ZOOMS), -1, *value.shape[1:]).mean(1) for name, value in out.items()}
        own, mirrored = looks["feature"]
        feature = (own + self._linear("mirror", mirrored)) / 2
        embedding = self._linear("embedding", feature)
        return {
            **{name: looks[name][0] for name in GEOMETRY},
            "feature": feature,
            "embedding": embedding / np.linalg.norm(embedding, axis=1, keepdims=True).clip(1e-12),
            "arkit": 1 / (1 + np.exp(-self._linear("arkit", feature))),
        }

    def _linear(self, name: str, x: Floats) -> Floats:
        return np.asarray(x @ self._tensors[f"{name}.weight"].T + self._tensors[f"{name}.bias"], np.float32)


def shapes(feature: int, embedding: int) -> dict[str, tuple[int, ...]]:
    """Tensors of :data:`FILE`: the map back from the mirror, and the read-outs of the feature that it changes."""
    sizes = {"mirror": feature, "embedding": embedding, "arkit": len(NAMES)}
    return {f"{name}.{part}": shape for name, n in sizes.items() for part, shape in (("weight", (n, feature)), ("bias", (n,)))}


def views(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(4 B, S, S, 3) looks at (B, S, S, 3) crops: every zoom of all, then the same mirrored."""
    straight = [zoomed(image, share) for share in ZOOMS for image in images]
    return np.stack([*straight, *(image[:, ::-1] for image in straight)])


def zoomed(image: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """(S, S, 3) crop whose borders have moved inwards by a share of their side, outwards where it is negative."""
    side = image.shape[0]
    margin = round(abs(share) * side)
    if share > 0:
        cut = np.ascontiguousarray(image[margin : side - margin, margin : side - margin])
    else:
        cut = np.asarray(cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_REPLICATE), np.uint8)
    return np.asarray(cv2.resize(cut, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
