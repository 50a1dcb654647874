"""Public weights of the MAE family (ViT encoders, with or without their decoder), checked tensor by tensor."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from freeavatar.errors import WeightsError
from freeavatar.models.vit import VisionTransformer


def load_pretrained(model: VisionTransformer, path: Path) -> None:
    """Fill a model with weights from elsewhere.

    The decoder is optional on both sides: published encoders often come without, and a plain encoder needs none.

    Args:
        model: of the architecture that the file holds.
        path: ``.safetensors``; or a torch file whose ``model`` is a state dict, as MAE (He et al. 2022) and MAE-Face
            (Ma et al. 2022) publish; or a checkpoint of the stage ``mae``, whose averaged weights are taken.

    Raises:
        WeightsError: the file cannot be read; a tensor is missing, unknown, of another size or not finite.
    """
    tensors, wanted = _read(path), model.state_dict()
    decoded = any(map(_of_decoder, tensors))
    for name, own in wanted.items():
        if name in tensors:
            _check(path, name, tensors[name], own)
        elif decoded or not _of_decoder(name):
            raise WeightsError(f"{path}: has no tensor {name!r}, expected one of {tuple(own.shape)}; name weights of this architecture")
    if unknown := [name for name in tensors if name not in wanted and not _of_decoder(name)]:
        raise WeightsError(f"{path}: holds an unknown tensor {str(unknown[0])[:80]!r}; name weights of this architecture")
    model.load_state_dict({name: tensors[name] for name in wanted if name in tensors}, strict=False)


def _of_decoder(name: object) -> bool:
    return str(name).startswith(("decoder_", "mask_token"))


def _check(path: Path, name: str, value: object, own: Tensor) -> None:
    if not isinstance(value, Tensor) or value.layout != torch.strided or not value.is_floating_point():
        raise WeightsError(f"{path}: {name!r} is no tensor of floating-point numbers; name another file")
    if value.shape != own.shape:
        raise WeightsError(f"{path}: tensor {name!r} is {tuple(value.shape)}, not {tuple(own.shape)}; choose --model and --size to fit")
    if not torch.isfinite(value.float()).all():
        raise WeightsError(f"{path}: tensor {name!r} holds values that are not finite; get the file again")


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; expected weights (.pth, .pt or .safetensors)")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Checkpoints of the published training script carry its arguments, which are harmless.
        with torch.serialization.safe_globals([Namespace]):
            state = torch.load(path, map_location="cpu", weights_only=True)
        if "average" in state:
            return {name.removeprefix("module."): v for name, v in state["average"].items() if name.startswith("module.")}
        return dict(state["model"])
    except Exception as error:  # unpickling hostile bytes raises anything
        raise WeightsError(f"{path}: cannot be read as weights ({type(error).__name__}); expected 'model' or safetensors") from error
