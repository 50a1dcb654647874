"""The encoder: what it reads, and what it refuses to load."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from freeavatar.encoder import Encoder
from freeavatar.errors import WeightsError
from freeavatar.face.alignment import TEMPLATE
from freeavatar.types import FaceCrop


def crop(size: int = 32, value: int = 100, index: int = 7) -> FaceCrop:
    image = np.full((size, size, 3), value, np.uint8)
    pose = np.arange(6, dtype=np.float32)
    return FaceCrop(image, np.zeros((2, 3), np.float32), np.zeros((478, 3), np.float32), pose, 1.5, index)


@pytest.fixture
def folder(weights: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(weights / "encoder", tmp_path / "encoder"))


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / "config.json").read_text())
    edit(config)
    (folder / "config.json").write_text(json.dumps(config))


def test_an_expression_has_the_shapes_of_the_contract(weights: Path) -> None:
    encoder = Encoder.load(weights / "encoder")
    (found,) = encoder.encode([crop()])
    assert found.feature.shape == (encoder.feature_size,) and found.embedding.shape == (encoder.embedding_size,)
    assert found.arkit.shape == (52,) and found.gaze.shape == (2,) and found.align.shape == (4,)
    assert found.feature.dtype == np.float32 and 0 <= found.confidence <= 1
    assert np.linalg.norm(found.embedding) == pytest.approx(1, abs=1e-5)


def test_time_index_and_pose_come_from_the_crop(weights: Path) -> None:
    (found,) = Encoder.load(weights / "encoder").encode([crop()])
    assert (found.time, found.index) == (1.5, 7)
    np.testing.assert_array_equal(found.head_pose, np.arange(6))


def test_a_batch_gives_what_single_crops_give(weights: Path) -> None:
    encoder = Encoder.load(weights / "encoder")
    crops = [crop(value=v, index=v) for v in (0, 90, 255)]
    for alone, together in zip((encoder.encode([c])[0] for c in crops), encoder.encode(crops), strict=True):
        assert alone.index == together.index
        np.testing.assert_allclose(alone.feature, together.feature, atol=1e-6)
        np.testing.assert_allclose(alone.arkit, together.arkit, atol=1e-6)


def test_pixels_are_handed_over_as_rgb_in_planes(weights: Path) -> None:
    encoder = Encoder.load(weights / "encoder")
    image = np.zeros((32, 32, 3), np.uint8)
    image[..., 0] = 255
    red = FaceCrop(image, *[np.zeros(1, np.float32)] * 3, 0.0, 0)
    matrix = np.random.default_rng(1).normal(0, 2, (3, 8))  # the first matrix of the fixture
    np.testing.assert_allclose(encoder.encode([red])[0].feature, matrix[0], rtol=1e-4)


def test_no_crops_give_no_expressions(weights: Path) -> None:
    assert Encoder.load(str(weights / "encoder")).encode([]) == []


def test_a_crop_of_another_size_is_refused(weights: Path) -> None:
    with pytest.raises(WeightsError, match="takes crops of 32 pixels"):
        Encoder.load(weights / "encoder").encode([crop(size=31)])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.pop("size"), "lacks size"),
        (lambda c: c.update(extra=1), "unknown fields extra"),
        (lambda c: c.update(format=2), "format 1"),
        (lambda c: c.update(size="32"), "size must be a positive int"),
        (lambda c: c.update(size=True), "size must be a positive int"),
        (lambda c: c.update(size=0), "size must be a positive int"),
        (lambda c: c.update(size=64), "image has shape"),
        (lambda c: c.update(size=2048), "expected at most 1024"),
        (lambda c: c.update(feature_size=10**9), "up to 65536"),
        (lambda c: c.update(precision="int4"), "unknown variant 'int4'"),
        (lambda c: c.update(variants={"int4": "0" * 64}), "unknown variant 'int4'"),
        (lambda c: c.update(variants=[]), "variants must be a dict"),
        (lambda c: c.update(feature_size=9), "feature has shape"),
        (lambda c: c.update(embedding_size=5), "embedding has shape"),
        (lambda c: c.update(crop_template="upright-0"), f"upright-0.*{TEMPLATE}"),
        (lambda c: c.update(sha256="0" * 64), "has sha256"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(folder: Path, edit: Callable[[dict[str, Any]], object], message: str) -> None:
    change(folder, edit)
    with pytest.raises(WeightsError, match=message):
        Encoder.load(folder)


def test_a_missing_folder_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"config\.json: cannot be read"):
        Encoder.load(tmp_path / "nothing")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"null", b"[" * 100_000])
def test_a_damaged_config_is_refused(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(WeightsError, match=r"config\.json"):
        Encoder.load(folder)


def test_a_changed_model_is_refused_by_its_hash(folder: Path) -> None:
    model = folder / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\x00")
    with pytest.raises(WeightsError, match="sha256"):
        Encoder.load(folder)


def test_a_model_that_is_no_onnx_is_refused(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"not a network")
    change(folder, lambda c: c.update(sha256=hashlib.sha256(b"not a network").hexdigest()))
    with pytest.raises(WeightsError, match="cannot be loaded"):
        Encoder.load(folder)


def test_another_graph_is_refused(weights: Path, folder: Path) -> None:
    shutil.copy(weights / "animator" / "model.onnx", folder / "model.onnx")
    sha256 = json.loads((weights / "animator" / "config.json").read_text())["sha256"]
    change(folder, lambda c: c.update(sha256=sha256))
    with pytest.raises(WeightsError, match="should have the inputs image"):
        Encoder.load(folder)


def rewrite(folder: Path, edit: Callable[[Any], object]) -> None:
    """Edit the graph and let the config vouch for it, as somebody who means harm would."""
    path = folder / "model.onnx"
    graph = onnx.load(path)
    edit(graph)
    path.write_bytes(data := graph.SerializeToString())
    change(folder, lambda c: c.update(sha256=hashlib.sha256(data).hexdigest()))


def test_a_network_that_gives_nan_is_refused_by_the_outputs_name(folder: Path) -> None:
    def spoil(model: Any) -> None:
        (weight,) = (t for t in model.graph.initializer if t.name == "w_gaze")
        weight.CopyFrom(onnx.numpy_helper.from_array(np.full((3, 2), np.nan, np.float32), "w_gaze"))

    rewrite(folder, spoil)
    with pytest.raises(WeightsError, match="output gaze is not finite"):
        Encoder.load(folder)


def test_a_network_of_other_numbers_than_float32_is_refused(folder: Path) -> None:
    def spoil(model: Any) -> None:
        (node,) = (n for n in model.graph.node if "gaze" in n.output)
        node.output[0] = "gaze_float"
        model.graph.node.append(onnx.helper.make_node("Cast", ["gaze_float"], ["gaze"], to=onnx.TensorProto.DOUBLE))
        (output,) = (o for o in model.graph.output if o.name == "gaze")
        output.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE

    rewrite(folder, spoil)
    with pytest.raises(WeightsError, match=r"gaze has shape .* of tensor\(double\)"):
        Encoder.load(folder)


def test_an_output_that_comes_out_with_another_shape_than_declared_is_refused(folder: Path) -> None:
    def spoil(model: Any) -> None:
        (node,) = (n for n in model.graph.node if "gaze" in n.output)
        node.output[0] = "gaze_one"
        model.graph.node.append(onnx.helper.make_node("Concat", ["gaze_one", "gaze_one"], ["gaze"], axis=0))

    rewrite(folder, spoil)
    with pytest.raises(WeightsError, match=r"output gaze comes out with shape \(2, 2\)"):
        Encoder.load(folder)


@pytest.fixture
def two(folder: Path) -> Path:
    """A folder whose int8 graph, made up here, gives features twice those of the float one."""

    def double(model: Any) -> None:
        (weight,) = (t for t in model.graph.initializer if t.name == "w_feature")
        weight.CopyFrom(onnx.numpy_helper.from_array(2 * onnx.numpy_helper.to_array(weight), "w_feature"))

    shutil.copy(folder / "model.onnx", folder / "model_float32.onnx")
    sha256 = json.loads((folder / "config.json").read_text())["sha256"]
    rewrite(folder, double)
    change(folder, lambda c: c.update(precision="int8", variants={"float32": sha256}))
    return folder


def test_the_precision_may_be_chosen_and_leaves_the_identity(two: Path) -> None:
    default, exact, same = (Encoder.load(two, variant=p) for p in (None, "float32", "int8"))
    features = [e.encode([crop()])[0].feature for e in (default, exact, same)]
    np.testing.assert_allclose(features[0], 2 * features[1])
    np.testing.assert_array_equal(features[0], features[2])
    assert default.sha256 == exact.sha256 == same.sha256


def test_a_precision_that_the_folder_lacks_is_refused(folder: Path) -> None:
    with pytest.raises(WeightsError, match="no graph 'int8'; it holds float32"):
        Encoder.load(folder, variant="int8")


def test_a_changed_variant_is_refused_by_its_hash(two: Path) -> None:
    (two / "model_float32.onnx").write_bytes(b"something else")
    with pytest.raises(WeightsError, match=r"model_float32\.onnx: has sha256"):
        Encoder.load(two, variant="float32")


class Session(ort.InferenceSession):  # type: ignore[misc]
    """A CPU session that takes itself for one on the provider asked for; ``works`` is what the machine can do."""

    works = True

    def __init__(self, data: bytes, options: ort.SessionOptions, providers: list[str], enable_fallback: int) -> None:
        super().__init__(data, options, providers=["CPUExecutionProvider"], enable_fallback=enable_fallback)
        self.wanted = providers if self.works else ["CPUExecutionProvider"]

    def get_providers(self) -> list[str]:
        return self.wanted


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> type[Session]:
    """An ONNX Runtime built with TensorRT and CUDA."""

    class Machine(Session):
        pass

    built = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: built)
    monkeypatch.setattr(ort, "InferenceSession", Machine)
    monkeypatch.setattr(ort, "preload_dlls", lambda: print("noise"))
    return Machine


def test_without_another_provider_the_cpu_runs_it(folder: Path) -> None:
    assert Encoder.load(folder).provider == Encoder.load(folder, provider="cpu").provider == "cpu"


def test_the_best_provider_is_chosen_and_runs_the_float_graph(gpu: type[Session], two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen, cpu = Encoder.load(two), Encoder.load(two, provider="cpu")
    assert (chosen.provider, cpu.provider) == ("cuda", "cpu")
    np.testing.assert_allclose(cpu.encode([crop()])[0].feature, 2 * chosen.encode([crop()])[0].feature)
    assert capsys.readouterr().out == ""  # results go there


def test_a_chosen_provider_that_does_not_start_gives_way_to_the_cpu_with_a_note(
    gpu: type[Session], two: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gpu.works = False
    encoder = Encoder.load(two)
    assert encoder.provider == "cpu"
    assert "the provider cuda does not start" in caplog.text
    np.testing.assert_array_equal(
        encoder.encode([crop()])[0].feature, Encoder.load(two, provider="cpu", variant="int8").encode([crop()])[0].feature
    )


def test_a_provider_that_was_asked_for_and_does_not_start_is_an_error(gpu: type[Session], folder: Path) -> None:
    assert Encoder.load(folder, provider="tensorrt").provider == "tensorrt"
    gpu.works = False
    with pytest.raises(WeightsError, match=r"the provider tensorrt does not start .* pip install .*tensorrt"):
        Encoder.load(folder, provider="tensorrt")


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        ("tensorrt", "tensorrt is not installed: pip uninstall onnxruntime, then pip install .* tensorrt; available here: cpu"),
        ("abacus", "unknown provider 'abacus'; available here: cpu"),
        ("", "unknown provider ''"),
    ],
)
def test_a_provider_that_is_not_here_is_named_with_those_that_are(folder: Path, provider: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        Encoder.load(folder, provider=provider)
    assert "\n" not in str(caught.value)
