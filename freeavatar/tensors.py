"""Named tensors in a safetensors file, refused by name where one is not what was expected."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freeavatar.bounded import read_bounded
from freeavatar.errors import WeightsError

_MAX_BYTES: Final = 1 << 30
_AGAIN: Final = "install the weights again"


def read_tensors(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """All tensors of a file as float32.

    Args:
        path: the file; its tensors are float16 or float32.
        shapes: name and shape of every tensor that must be in it, and no other.

    Raises:
        WeightsError: not readable, or as :func:`parse_tensors`.
    """
    return parse_tensors(read_bounded(path, _MAX_BYTES, WeightsError, _AGAIN), shapes, path)


def parse_tensors(data: bytes, shapes: Mapping[str, tuple[int, ...]], path: Path) -> dict[str, NDArray[np.float32]]:
    """The same of a file's bytes; ``path`` names it in errors.

    Raises:
        WeightsError: not safetensors, or a tensor is missing, unknown, of another shape or type, or not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError) as error:  # KeyError: a type that numpy lacks
        raise WeightsError(f"{path}: is not a valid safetensors file ({error}); {_AGAIN}") from error
    if missing := [name for name in shapes if name not in tensors]:
        raise WeightsError(f"{path}: lacks the tensor {missing[0]} ({len(missing)} missing); {_AGAIN}")
    if unknown := sorted(tensors.keys() - shapes.keys()):
        raise WeightsError(f"{path}: has the unknown tensor {unknown[0]} ({len(unknown)} unknown); {_AGAIN}")
    for name, shape in shapes.items():
        value = tensors[name]
        if value.shape != shape:
            raise WeightsError(f"{path}: the tensor {name} has shape {value.shape}, expected {shape}; {_AGAIN}")
        if value.dtype not in (np.float16, np.float32):
            raise WeightsError(f"{path}: the tensor {name} is {value.dtype}, expected float16 or float32; {_AGAIN}")
        if not np.isfinite(value).all():
            raise WeightsError(f"{path}: the tensor {name} holds NaN or infinity; {_AGAIN}")
    return {name: tensors[name].astype(np.float32) for name in shapes}
