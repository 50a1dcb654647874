"""Makes the accurate variant of an encoder (:mod:`freeavatar.looks`): the map from a mirrored face's feature to the face's own."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freeavatar.encoder import Encoder
from freeavatar.errors import WeightsError
from freeavatar.looks import FILE
from freeavatar.output import replacing
from freeavatar.train.export import add_to_config, file_sha256, load_weights
from freeavatar.types import FaceCrop

LEAST_EXPLAINED: Final = 0.5
"""Share of the features' variance that the map must explain on crops that it was not found on."""
_RIDGE: Final = 1e-3
_BATCH: Final = 50

Array = NDArray[np.float64]


def fit_mirror(own: Array, mirrored: Array) -> tuple[Array, Array, float]:
    """The map from the feature of a mirrored face to that of the face, by ridge regression.

    Args:
        own: (N, F) features of faces; every fourth one is kept for judging the map.
        mirrored: (N, F) features of their mirror images.

    Returns:
        (F, F) weight, (F,) bias, and the share of the features' variance that they explain on the faces kept.
    """
    kept = np.arange(len(own)) % 4 == 3
    x, y = mirrored[~kept], own[~kept]
    x_mean, y_mean = x.mean(0), y.mean(0)
    gram = (x - x_mean).T @ (x - x_mean) + _RIDGE * len(x) * np.eye(x.shape[1])
    weight = np.linalg.solve(gram, (x - x_mean).T @ (y - y_mean)).T
    bias = y_mean - weight @ x_mean
    error = mirrored[kept] @ weight.T + bias - own[kept]
    return weight, bias, float(1 - (error**2).sum() / ((own[kept] - own[kept].mean(0)) ** 2).sum())


def add_looks(folder: Path, crops: NDArray[np.uint8]) -> float:
    """Write ``looks.safetensors``, at 16 bits, beside the graph of an encoder's weights folder, and its hash into the config.

    Args:
        folder: the encoder's.
        crops: (N, S, S, 3) RGB to find the map back from the mirror on, a few thousand.

    Returns:
        The share of the features' variance that the map explains.

    Raises:
        WeightsError: as :meth:`Encoder.load` and :func:`freeavatar.train.export.load_weights`; or the map explains too little.
    """
    from safetensors.numpy import save_file

    encoder, model = Encoder.load(folder), load_weights(folder)
    weight, bias, explained = fit_mirror(_features(encoder, crops), _features(encoder, crops[:, :, ::-1]))
    if not explained >= LEAST_EXPLAINED:
        raise WeightsError(
            f"{folder}: the feature of a face is not to be had from that of its mirror image: a map found on {len(crops)} crops explains "
            f"{explained:.2f} of it, expected at least {LEAST_EXPLAINED}; give more crops, or train longer"
        )
    tensors = {"mirror.weight": weight, "mirror.bias": bias}
    for name, layer in (("embedding", model.to_embedding), ("arkit", model.to_arkit)):
        tensors |= {f"{name}.{part}": value.numpy() for part, value in layer.state_dict().items()}
    path = folder / FILE
    with replacing(path) as temporary:
        save_file({name: np.ascontiguousarray(value, np.float16) for name, value in tensors.items()}, temporary)
    add_to_config(folder, looks=file_sha256(path))
    return explained


def _features(encoder: Encoder, crops: NDArray[np.uint8]) -> Array:
    nowhere, nobody = np.eye(2, 3, dtype=np.float32), np.zeros(6, np.float32)
    parts = [crops[i : i + _BATCH] for i in range(0, len(crops), _BATCH)]
    read = [encoder.encode([FaceCrop(np.ascontiguousarray(c), nowhere, None, nobody, 0.0, 0) for c in part]) for part in parts]
    return np.stack([expression.feature for part in read for expression in part]).astype(np.float64)
