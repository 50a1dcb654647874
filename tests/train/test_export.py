"""Weights on their way out and back: parity, the int8 graph, and what a folder must not hold."""

import json
import shutil
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn

from freeavatar.encoder import Encoder
from freeavatar.errors import WeightsError
from freeavatar.models.expression import ExpressionEncoder
from freeavatar.train.export import add_float_graph, export_encoder, load_weights, write_onnx
from freeavatar.train.quantise import Difference, compare, quantise, store_half
from freeavatar.types import FaceCrop

SIZE = 32
ARCHITECTURE: dict[str, Any] = {
    "size": SIZE, "stem": (16, 16, 32, 32), "width": 32, "depth": 1, "heads": 2, "token": 16, "feature": 64, "embedding": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> ExpressionEncoder:
    torch.manual_seed(0)
    made = ExpressionEncoder(**ARCHITECTURE)
    for part in made.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_var, 0.1, 0.3)
            nn.init.uniform_(part.bias, -0.1, 0.1)
    return made.eval()


@pytest.fixture(scope="module")
def crops() -> NDArray[np.uint8]:
    """(64, 3, SIZE, SIZE): colour gradients, each in another direction."""
    rng = np.random.default_rng(0)
    across = np.linspace(-1, 1, SIZE)
    angle, level = rng.uniform(0, 6.3, (2, 64, 3, 1, 1))
    waves = np.cos(angle) * across + np.sin(angle) * across[:, None] + np.sin(level)
    return (127 + 60 * waves).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def exported(model: ExpressionEncoder, crops: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Difference]:
    """A folder whose model.onnx is int8 and its measured difference."""
    folder = tmp_path_factory.mktemp("export") / "encoder"
    difference = export_encoder(model, folder, "test", ARCHITECTURE, crops, "int8")
    assert difference is not None
    assert not (folder / "model_float32.onnx").exists()
    assert add_float_graph(folder) == folder / "model_float32.onnx"
    return folder, difference


@pytest.fixture
def folder(exported: tuple[Path, Difference], tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported[0], tmp_path / "encoder"))


def face(image: NDArray[np.uint8]) -> FaceCrop:
    image = np.ascontiguousarray(image.transpose(1, 2, 0))
    return FaceCrop(image, np.zeros((2, 3), np.float32), np.zeros((478, 3), np.float32), np.zeros(6, np.float32), 0.0, 0)


def test_the_float_graph_gives_what_the_stored_network_gives(exported: tuple[Path, Difference], crops: Any) -> None:
    encoder = Encoder.load(exported[0], variant="float32")
    (read,) = encoder.encode([face(crops[0])])
    with torch.inference_mode():
        expected = load_weights(exported[0])(torch.from_numpy(crops[:1]).float())
    for name in ("feature", "embedding", "gaze", "align"):
        np.testing.assert_allclose(getattr(read, name), getattr(expected, name)[0], atol=1e-5)


def test_what_ships_is_the_network_rounded_and_the_network_stays(model: ExpressionEncoder, crops: Any, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    export_encoder(model, tmp_path, "test", ARCHITECTURE)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    again = load_weights(tmp_path).state_dict()
    assert all(torch.equal(again[name], value.half().float()) for name, value in before.items() if value.is_floating_point())


def test_a_weight_that_16_bits_do_not_hold_is_refused(tmp_path: Path) -> None:
    model = ExpressionEncoder(**ARCHITECTURE).eval()
    torch.nn.init.constant_(model.to_gaze.bias, 1e5)
    with pytest.raises(WeightsError, match=r"to_gaze\.bias holds numbers that 16 bits do not"):
        export_encoder(model, tmp_path / "encoder", "test", ARCHITECTURE)
    assert not (tmp_path / "encoder").exists()


def test_large_tensors_take_half_the_room_and_are_constants_at_load(exported: tuple[Path, Difference], tmp_path: Path) -> None:
    folder, _ = exported
    for file in ("model.onnx", "model_float32.onnx"):
        large = [t for t in onnx.load(folder / file).graph.initializer if np.prod(t.dims) >= 1024]
        assert large and {t.data_type for t in large} <= {onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8}
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / file)
        options.log_severity_level = 3
        onnxruntime.InferenceSession(str(folder / file), options, providers=["CPUExecutionProvider"])
        runs = onnx.load(tmp_path / file).graph
        assert not {t.name for t in runs.initializer if t.data_type == onnx.TensorProto.FLOAT16}
        assert "BatchNormalization" not in {node.op_type for node in runs.node}
    assert (folder / "model_float32.onnx").stat().st_size < (folder / "model.safetensors").stat().st_size + 40_000


@pytest.mark.parametrize(("value", "half"), [(0.1, False), (0.5, True), (1e5, False)])
def test_only_what_16_bits_hold_exactly_is_stored_in_them(tmp_path: Path, value: float, half: bool) -> None:
    network = nn.Linear(32, 32)
    nn.init.constant_(network.weight, value)
    write_onnx(network, [torch.ones(2, 32)], path := tmp_path / "m.onnx", ["x"], ["y"], {"x": {0: "batch"}}, folded=True)
    before = path.stat().st_size
    store_half(path)
    assert (path.stat().st_size < before - 1900) == half
    (y,) = onnxruntime.InferenceSession(str(path)).run(None, {"x": np.ones((1, 32), np.float32)})
    np.testing.assert_allclose(y[0], network(torch.ones(1, 32))[0].detach(), rtol=1e-6)


class Moody(nn.Module):
    """Adds another number whenever it is asked, which no graph can do."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by, self.calls = by, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * 1000 + self.by * self.calls


@pytest.mark.parametrize(("by", "right"), [(0.01, True), (1.0, False)])
def test_parity_is_relative_to_the_scale_of_the_output(tmp_path: Path, by: float, right: bool) -> None:
    def write() -> None:
        write_onnx(Moody(by), [torch.ones(2, 3)], tmp_path / "m.onnx", ["x"], ["y"], {"x": {0: "batch"}})

    if right:
        write()
    else:
        with pytest.raises(WeightsError, match=r"y of the exported graph differs by 1\.\de-03 of its scale; expected at most 0\.0001"):
            write()


def test_the_int8_graph_is_near_the_float_one_and_its_difference_is_measured(exported: tuple[Path, Difference], crops: Any) -> None:
    folder, difference = exported
    assert 0 < difference.feature < 0.2 and 0 < difference.arkit < 0.01 and 0.99 < difference.embedding < 1
    assert difference.crops == 32
    again = compare(folder / "model_float32.onnx", folder / "model.onnx", crops[1::2])
    assert astuple(again) == pytest.approx(astuple(difference), rel=1e-3)
    own, exact = Encoder.load(folder), Encoder.load(folder, variant="float32")
    assert not np.array_equal(own.encode([face(crops[0])])[0].feature, exact.encode([face(crops[0])])[0].feature)


def test_weights_of_convolutions_and_blocks_are_int8_and_those_of_the_read_outs_float(exported: tuple[Path, Difference]) -> None:
    graph = onnx.load(exported[0] / "model.onnx").graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    convolutions = [made_by.get(node.input[1]) for node in graph.node if node.op_type == "Conv"]
    assert convolutions == [None] + ["DequantizeLinear"] * (len(convolutions) - 1)
    products = [node for node in graph.node if node.op_type == "MatMul"]
    learnt = [node for node in products if "attn/MatMul" not in node.name]
    assert len(products) - len(learnt) == 2 and all(made_by[node.input[1]] == "DequantizeLinear" for node in learnt)
    assert all(made_by.get(node.input[1]) != "DequantizeLinear" for node in products if node not in learnt)
    assert {made_by.get(node.input[1]) for node in graph.node if node.op_type == "Gemm"} <= {None, "Cast"}
    weights = [onnx.numpy_helper.to_array(t) for t in graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) > 1]
    assert weights and max(int(np.abs(w.astype(int)).max()) for w in weights) <= 64  # seven bits


def test_either_precision_may_be_the_default(model: ExpressionEncoder, crops: Any, tmp_path: Path) -> None:
    export_encoder(model, tmp_path, "test", ARCHITECTURE, crops)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["precision"] == "float32" and set(config["variants"]) == {"int8"}
    Encoder.load(tmp_path)
    Encoder.load(tmp_path, variant="int8")
    assert export_encoder(model, tmp_path, "test") is None
    assert not list(tmp_path.glob("model_*.onnx"))  # of the export before
    assert "variants" not in json.loads((tmp_path / "config.json").read_text())
    Encoder.load(tmp_path)


@pytest.mark.parametrize("precision", ["int8", "float16"])
def test_a_precision_that_cannot_be_made_is_refused(model: ExpressionEncoder, tmp_path: Path, precision: str) -> None:
    with pytest.raises(WeightsError, match=f"cannot export at precision '{precision}'"):
        export_encoder(model, tmp_path / "encoder", "test", precision=precision)


def test_too_few_crops_are_refused(exported: tuple[Path, Difference], crops: Any, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="got 31 crops; it needs at least 32"):
        quantise(exported[0] / "model_float32.onnx", crops[:31], tmp_path / "int8.onnx")


def test_a_float_graph_is_not_added_to_one(model: ExpressionEncoder, tmp_path: Path) -> None:
    export_encoder(model, tmp_path, "test", ARCHITECTURE)
    with pytest.raises(WeightsError, match="there is nothing to add"):
        add_float_graph(tmp_path)


def test_an_int8_graph_that_reads_other_expressions_is_not_written(model: ExpressionEncoder, crops: Any, tmp_path: Path) -> None:
    misleading = crops.copy()
    misleading[::2] = 127  # calibrates on grey, is judged on gradients
    with pytest.raises(WeightsError, match="int8 embeddings have a cosine of"):
        export_encoder(model, tmp_path / "encoder", "test", ARCHITECTURE, misleading, "int8")
    assert not list((tmp_path / "encoder").iterdir())


def test_a_folder_gives_back_the_network(model: ExpressionEncoder, folder: Path, crops: Any) -> None:
    again = load_weights(folder)
    with torch.inference_mode():
        a, b = (net(torch.from_numpy(crops[:4]).float()) for net in (model, again))
    assert not again.training
    np.testing.assert_allclose(a.feature, b.feature, atol=2e-2)  # 16-bit weights
    np.testing.assert_allclose(a.arkit, b.arkit, atol=2e-3)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop("norm.bias"), r"lacks the tensor norm\.bias \(1 missing\)"),
        (lambda t: t.update({"extra": t["norm.bias"]}), r"unknown tensor extra \(1 unknown\)"),
        (lambda t: t.update({"norm.bias": t["norm.bias"][:-1]}), r"norm\.bias has shape \(31,\), expected \(32,\)"),
        (lambda t: t.update({"norm.bias": np.full_like(t["norm.bias"], np.nan)}), r"norm\.bias holds NaN"),
        (lambda t: t.update({"norm.bias": np.full_like(t["norm.bias"], np.inf)}), r"norm\.bias holds NaN or infinity"),
        (lambda t: t.update({"norm.bias": t["norm.bias"].astype(np.int32)}), r"norm\.bias is int32"),
        (lambda t: t.update({"norm.bias": t["norm.bias"].astype(np.float64)}), r"norm\.bias is float64"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused_by_name(folder: Path, edit: Callable[[Any], object], message: str) -> None:
    tensors = load_file(path := folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, path)
    with pytest.raises(WeightsError, match=message) as caught:
        load_weights(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x80\x02}q\x00.", b"\x10\x00\x00\x00\x00\x00\x00\x00{" + b" " * 20])
def test_a_file_that_is_not_safetensors_is_refused(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=r"model\.safetensors: is not a valid safetensors file"):
        load_weights(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.pop("architecture"), "lacks architecture"),
        (lambda c: c.update(architecture=[]), "architecture must be a dict"),
        (lambda c: c["architecture"].update(wings=2), "no encoder has this architecture .*wings"),
        (lambda c: c["architecture"].update(width=64), r"patch_embed\.proj\.weight has shape|pos_embed has shape"),
        (lambda c: c["architecture"].update(width=10**9), r"architecture\.width must be numbers from 0 to 1024"),
        (lambda c: c["architecture"].update(depth=3), r"lacks the tensor blocks\.1\.norm1\.weight"),
        (lambda c: c["architecture"].update(stem=[16, 16]), r"no encoder has this architecture|unknown tensor stem\.3"),
        (lambda c: c["architecture"].update(stem="abcd"), r"architecture\.stem must be numbers"),
        (lambda c: c["architecture"].update(heads=5), "does not run on crops of 32 pixels"),
        (lambda c: c["architecture"].update(size=40), "size is 32, that of the architecture 40"),
        (lambda c: (c.update(size=40), c["architecture"].update(size=40)), "does not run on crops of 40 pixels"),
        (lambda c: c.update(feature_size=63), r"feature comes out as \(1, 64\), expected \(1, 63\)"),
    ],
)
def test_a_config_that_lies_is_refused(folder: Path, edit: Callable[[Any], object], message: str) -> None:
    config = json.loads((path := folder / "config.json").read_text())
    edit(config)
    path.write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=message) as caught:
        load_weights(folder)
    assert "\n" not in str(caught.value)


def test_an_architecture_that_is_not_the_models_is_not_exported(model: ExpressionEncoder, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="was not built from the architecture"):
        export_encoder(model, tmp_path / "encoder", "test", {**ARCHITECTURE, "depth": 2})
    assert not (tmp_path / "encoder").exists()
