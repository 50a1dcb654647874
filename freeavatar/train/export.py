"""From a trained network to the folder that ships: config.json, model.onnx, fp16 model.safetensors; and back.

What ships is the network as rounded to 16 bits: every file of the folder holds, or is quantised from, the same numbers.
"""

import copy
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from freeavatar.encoder import FIELDS, OPTIONAL
from freeavatar.errors import WeightsError
from freeavatar.face.alignment import TEMPLATE
from freeavatar.looks import FILE as LOOKS
from freeavatar.models.expression import OUTPUTS, ExpressionEncoder
from freeavatar.network import PRECISIONS, read_config
from freeavatar.output import replacing
from freeavatar.tensors import read_tensors
from freeavatar.train.quantise import Difference, quantise, store_half

PARITY: Final = 1e-4
"""Largest difference allowed between an output of the float graph and the network's, relative to the output's largest value.

Relative, because outputs have units of their own (a gaze of 0.1 rad, a feature of 3); to the largest value rather than to
each, because a sum that happens to come out near zero keeps the rounding error of its terms.
"""
_LARGEST: Final = 1024
"""No number of an encoder's architecture is larger."""


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
    folded: bool = False,
) -> None:
    """Export a graph and check it against ONNX Runtime.

    Args:
        graph: the network.
        example: its inputs, batches of two or more.
        path: file to write.
        inputs: names of the inputs.
        outputs: names of the outputs.
        axes: names of the free axes, by input or output and number.
        folded: batch normalisations become one with the convolutions before them, as quantisation wants them; otherwise
            tensors stay the network's own, and large ones that 16 bits hold exactly are stored so.

    Raises:
        WeightsError: the exported graph differs by more than :data:`PARITY`.
    """
    import onnxruntime

    graph.eval()
    torch.onnx.export(
        graph, tuple(example), str(path), input_names=list(inputs), output_names=list(outputs),
        dynamic_axes={k: dict(v) for k, v in axes.items()}, opset_version=17, dynamo=False,
        training=torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE, do_constant_folding=folded,
    )  # fmt: skip
    if not folded:
        store_half(path)
    with torch.inference_mode():
        expected = graph(*example)
    expected = expected if isinstance(expected, tuple) else (expected,)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    actual = session.run(None, {k: v.numpy() for k, v in zip(inputs, example, strict=True)})
    for name, a, b in zip(outputs, expected, actual, strict=True):
        worst = float(np.abs(a.numpy() - b).max() / np.abs(a.numpy()).max())
        if not worst <= PARITY:
            raise WeightsError(f"{name} of the exported graph differs by {worst:.1e} of its scale; expected at most {PARITY}")


def write_folder(folder: Path, fill: Callable[[Path], dict[str, object]]) -> None:
    """Fill a folder of weights in a temporary place, then move its files in; ``fill`` returns the config.

    Other files of the folder, such as the model card, stay; graphs and looks of an earlier export do not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        place = Path(scratch)
        config = fill(place)
        config["sha256"] = file_sha256(place / "model.onnx")
        if variants := {path.stem.removeprefix("model_"): file_sha256(path) for path in sorted(place.glob("model_*.onnx"))}:
            config["variants"] = variants
        (place / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        # The config goes last: it names the graph's hash, so a folder is whole once the config is there.
        for file in sorted(place.iterdir(), key=lambda f: f.name == "config.json"):
            staged = folder / f".{file.name}.tmp"
            shutil.copyfile(file, staged)
            os.replace(staged, folder / file.name)
        for stale in (*folder.glob("model_*.onnx"), *folder.glob(LOOKS)):
            if not (place / stale.name).exists():
                stale.unlink()


def export_encoder(
    model: ExpressionEncoder,
    folder: Path,
    name: str,
    architecture: Mapping[str, Any] | None = None,
    calibration: NDArray[np.uint8] | None = None,
    precision: str = "float32",
) -> Difference | None:
    """Write the encoder's weights folder.

    ``model.onnx`` is the graph at ``precision``, which a CPU runs unless told otherwise. Beside the float32 one, given
    ``calibration``, lies the int8 one as ``model_int8.onnx``; :func:`add_float_graph` puts the float32 one beside that of int8.

    Args:
        model: trained, in evaluation mode; stays as it is.
        folder: such as ``freeavatar/weights/encoder``.
        name: what the weights call themselves.
        architecture: what the model was built from, as its checkpoint has it; None leaves it out, and then
            :func:`load_weights` cannot build the model again.
        calibration: (N, 3, size, size) RGB crops as augmented for training; about twice ``quantise.CROPS``.
        precision: of ``model.onnx``: ``float32`` or, given calibration crops, ``int8``.

    Returns:
        What quantisation changes, given calibration crops.

    Raises:
        WeightsError: no such precision, a weight that 16 bits do not hold, a graph that differs from the network, or an int8
            graph that reads other expressions.
    """
    from safetensors.torch import save_file

    if precision not in PRECISIONS or (precision == "int8" and calibration is None):
        raise WeightsError(f"cannot export at precision {precision!r}; expected float32, or int8 with crops to calibrate on")
    if architecture is not None and _shapes(architecture) != {name: tuple(value.shape) for name, value in _learnt(model).items()}:
        raise WeightsError(f"the encoder {name} was not built from the architecture {architecture!r:.160}; export with its own")
    rounded = _rounded(model)
    difference = None

    def fill(place: Path) -> dict[str, object]:
        nonlocal difference
        graph, other = place / "model.onnx", place / "model_int8.onnx"
        _write_graph(rounded, graph)
        if calibration is not None:
            _write_graph(rounded, other, folded=True)
            difference = quantise(other, calibration, other)
        if precision == "int8":
            other.replace(graph)
        save_file(_half(rounded), place / "model.safetensors")
        config = {
            "format": 1, "name": name, "size": model.size, "crop_template": TEMPLATE, "feature_version": 1,
            "feature_size": model.to_feature.out_features, "embedding_size": model.to_embedding.out_features,
            "precision": precision,
        }  # fmt: skip
        return config if architecture is None else {**config, "architecture": dict(architecture)}

    write_folder(folder, fill)
    return difference


def add_float_graph(folder: Path) -> Path:
    """Write ``model_float32.onnx``, which accelerators run, beside the int8 graph of a weights folder, from its safetensors.

    The folder that ships leaves it out: it is the safetensors once more.

    Returns:
        The graph's path.

    Raises:
        WeightsError: as :func:`load_weights`; or the folder's own graph is of that precision.
    """
    model = load_weights(folder)
    config = read_config(folder, FIELDS, OPTIONAL)
    if config.get("precision", "float32") == "float32":
        raise WeightsError(f"{folder}: model.onnx is the float32 graph already; there is nothing to add")
    path = folder / "model_float32.onnx"
    with replacing(path) as temporary:
        _write_graph(model, temporary)
    add_to_config(folder, variants={**config.get("variants", {}), "float32": file_sha256(path)})
    return path


def add_to_config(folder: Path, **fields: object) -> None:
    """Set fields of an encoder's config, once what they name lies in its folder."""
    config = {**read_config(folder, FIELDS, OPTIONAL), **fields}
    with replacing(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(config, indent=1) + "\n")


def load_weights(folder: Path) -> ExpressionEncoder:
    """The encoder of a weights folder, to go on training or to look into; at the precision of its file, 16 bits.

    The folder may come from anywhere: nothing of it is run, and nothing is allocated beyond the size of its files.

    Raises:
        WeightsError: the config or the safetensors file is missing or damaged, or a tensor is missing, unknown, of another
            shape than the config's architecture gives it, or not finite.
    """
    config = read_config(folder, FIELDS, OPTIONAL)
    if "architecture" not in config:
        raise WeightsError(f"{folder / 'config.json'}: lacks architecture; export the weights again")
    arguments = {key: _checked(folder, key, value) for key, value in config["architecture"].items()}
    try:
        shapes = _shapes(arguments)
    except Exception as error:  # whatever torch makes of numbers that do not go together
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{folder / 'config.json'}: no encoder has this architecture ({reason:.120})") from error
    tensors = read_tensors(folder / "model.safetensors", shapes)
    model = ExpressionEncoder(**arguments)
    model.load_state_dict(model.state_dict() | {name: torch.from_numpy(value) for name, value in tensors.items()})
    _try(model.eval(), folder, config)
    return model


def _write_graph(model: ExpressionEncoder, path: Path, folded: bool = False) -> None:
    """The encoder's fixed graph (:func:`write_onnx`)."""
    example = torch.rand(2, 3, model.size, model.size) * 255
    axes = {key: {0: "batch"} for key in ("image", *OUTPUTS)}
    write_onnx(_EncoderGraph(model), [example], path, ["image"], OUTPUTS, axes, folded)


def _learnt(model: nn.Module) -> dict[str, Tensor]:
    """The tensors that a network needs to run; a batch normalisation's count of its steps is none of them."""
    return {name: value for name, value in model.state_dict().items() if value.is_floating_point()}


def _shapes(architecture: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of an encoder that is not built."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in _learnt(ExpressionEncoder(**architecture)).items()}


def _rounded(model: ExpressionEncoder) -> ExpressionEncoder:
    """A copy whose numbers are those that 16 bits hold."""
    rounded = copy.deepcopy(model).half().float()
    for name, value in _learnt(rounded).items():
        if not torch.isfinite(value).all():
            raise WeightsError(f"{name} holds numbers that 16 bits do not, beyond 65504 or not finite; train at a smaller rate")
    return rounded


def _half(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.half().cpu().contiguous() for name, value in _learnt(model).items()}


@torch.inference_mode()
def _try(model: ExpressionEncoder, folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse a network that does not take the config's crops or give its outputs: not every number shows in a shape."""
    size = config["size"]
    if model.size != size:
        raise WeightsError(f"{folder / 'config.json'}: size is {size}, that of the architecture {model.size}; export the weights again")
    try:
        read = model(torch.zeros(1, 3, size, size))
    except RuntimeError as error:
        raise WeightsError(f"{folder}: the network does not run on crops of {size} pixels; export the weights again") from error
    for name, wanted in (("feature", config["feature_size"]), ("embedding", config["embedding_size"])):
        if (found := getattr(read, name)).shape != (1, wanted) or not torch.isfinite(found).all():
            raise WeightsError(f"{folder}: {name} comes out as {tuple(found.shape)}, expected {(1, wanted)} finite numbers")


def _checked(folder: Path, key: str, value: Any) -> Any:
    """A value of an architecture that is safe to build a network with."""
    numbers = value if isinstance(value, list) and len(value) <= 16 else [value]
    if not all(type(n) in (int, float) and 0 <= n <= _LARGEST for n in numbers):
        raise WeightsError(f"{folder / 'config.json'}: architecture.{key:.40} must be numbers from 0 to {_LARGEST}, not {value!r:.60}")
    return tuple(numbers) if isinstance(value, list) else value


def file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
