"""The encoder: what it reads, and what it refuses to load."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freeavatar.encoder import Encoder
from freeavatar.errors import WeightsError
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
    assert Encoder.load(weights / "encoder").encode([]) == []


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
        (lambda c: c.update(feature_size=9), "feature has shape"),
        (lambda c: c.update(embedding_size=5), "embedding has shape"),
        (lambda c: c.update(crop_template="upright-0"), "upright-0.*upright-1"),
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


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"null"])
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
    import hashlib

    (folder / "model.onnx").write_bytes(b"not a network")
    change(folder, lambda c: c.update(sha256=hashlib.sha256(b"not a network").hexdigest()))
    with pytest.raises(WeightsError, match="cannot be loaded"):
        Encoder.load(folder)


def test_another_graph_is_refused(weights: Path, folder: Path) -> None:
    shutil.copy(weights / "animator" / "model.onnx", folder / "model.onnx")
    sha256 = json.loads((weights / "animator" / "config.json").read_text())["sha256"]
    change(folder, lambda c: c.update(sha256=sha256))
    with pytest.raises(WeightsError, match="expected the inputs image"):
        Encoder.load(folder)
