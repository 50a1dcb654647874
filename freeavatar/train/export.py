"""From a trained network to the folder that ships: config.json, model.onnx, fp16 model.safetensors."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from freeavatar.errors import WeightsError
from freeavatar.face.alignment import TEMPLATE
from freeavatar.models.expression import OUTPUTS, ExpressionEncoder

PARITY = 1e-3
"""Largest difference allowed between the exported graph and the network."""


class _EncoderGraph(nn.Module):
    """The encoder with the outputs of the fixed graph, in order."""

    def __init__(self, model: ExpressionEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        read = self.model(image)
        return tuple(getattr(read, name) for name in OUTPUTS)


def write_onnx(
    graph: nn.Module,
    example: Sequence[Tensor],
    path: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
) -> None:
    """Export a graph and check it against ONNX Runtime.

    Raises:
        WeightsError: the exported graph differs by more than :data:`PARITY`.
    """
    import onnxruntime

    graph.eval()
    torch.onnx.export(
        graph, tuple(example), str(path), input_names=list(inputs), output_names=list(outputs),
        dynamic_axes={k: dict(v) for k, v in axes.items()}, opset_version=17, dynamo=False,
    )  # fmt: skip
    with torch.inference_mode():
        expected = graph(*example)
    expected = expected if isinstance(expected, tuple) else (expected,)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    actual = session.run(None, {k: v.numpy() for k, v in zip(inputs, example, strict=True)})
    for name, a, b in zip(outputs, expected, actual, strict=True):
        if not (worst := float(np.abs(a.numpy() - b).max())) <= PARITY:
            raise WeightsError(f"{name} of the exported graph differs by {worst:.1e}; expected at most {PARITY}")


def write_folder(folder: Path, fill: Callable[[Path], dict[str, object]]) -> None:
    """Fill a folder of weights in a temporary place, then move its files in; ``fill`` returns the config.

    Other files of the folder, such as the model card, stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        config = fill(Path(scratch))
        config["sha256"] = hashlib.sha256((Path(scratch) / "model.onnx").read_bytes()).hexdigest()
        (Path(scratch) / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        # The config goes last: it names the graph's hash, so a folder is whole once the config is there.
        for file in sorted(Path(scratch).iterdir(), key=lambda f: f.name == "config.json"):
            staged = folder / f".{file.name}.tmp"
            shutil.copyfile(file, staged)
            os.replace(staged, folder / file.name)


def export_encoder(model: ExpressionEncoder, size: int, folder: Path, name: str) -> None:
    """Write the encoder's weights folder.

    Args:
        model: trained, in evaluation mode.
        size: side of its crop in pixels.
        folder: such as ``freeavatar/weights/encoder``.
        name: what the weights call themselves.
    """
    from safetensors.torch import save_file

    def fill(place: Path) -> dict[str, object]:
        example = torch.rand(2, 3, size, size) * 255
        axes = {key: {0: "batch"} for key in ("image", *OUTPUTS)}
        write_onnx(_EncoderGraph(model), [example], place / "model.onnx", ["image"], OUTPUTS, axes)
        half = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in model.state_dict().items()}
        save_file(half, place / "model.safetensors")
        return {
            "format": 1, "name": name, "size": size, "crop_template": TEMPLATE, "feature_version": 1,
            "feature_size": model.to_feature.out_features, "embedding_size": model.to_embedding.out_features,
        }  # fmt: skip

    write_folder(folder, fill)
