"""The map back from the mirror is found by least squares, and refused where there is none."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from freeavatar.encoder import Encoder
from freeavatar.errors import WeightsError
from freeavatar.looks import FILE
from freeavatar.models.expression import ExpressionEncoder
from freeavatar.train import accurate
from freeavatar.train.accurate import add_looks, fit_mirror
from freeavatar.train.export import export_encoder
from freeavatar.types import FaceCrop

SIZE = 32
ARCHITECTURE = {
    "size": SIZE, "stem": (16, 16, 32, 32), "width": 32, "depth": 1, "heads": 2, "token": 16, "feature": 32, "embedding": 8,
    "movements": 4, "emotions": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def crops() -> NDArray[np.uint8]:
    """(240, SIZE, SIZE, 3) halves of random brightness."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (240, 1, 2, 3)).repeat(SIZE, 1).repeat(SIZE // 2, 2).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    export_encoder(ExpressionEncoder(**ARCHITECTURE).eval(), tmp_path, "test", ARCHITECTURE)
    return tmp_path


def test_the_way_back_from_the_mirror_swaps_sides() -> None:
    own = np.random.default_rng(0).normal(size=(400, 2))
    weight, bias, explained = fit_mirror(own, own[:, ::-1])
    np.testing.assert_allclose(weight, [[0, 1], [1, 0]], atol=0.01)
    np.testing.assert_allclose(bias, 0, atol=0.01)
    assert explained > 0.99


def test_of_a_face_whose_mirror_image_says_nothing_nothing_is_explained() -> None:
    rng = np.random.default_rng(0)
    assert fit_mirror(rng.normal(size=(400, 3)), rng.normal(size=(400, 3)))[2] < 0.1


def test_the_folder_gets_looks_that_keep_its_identity_and_read_the_same(
    folder: Path, crops: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accurate, "LEAST_EXPLAINED", 0.2)  # a network of random weights is less symmetric than a trained one
    before = Encoder.load(folder)
    assert add_looks(folder, crops) > 0.2
    after, many = Encoder.load(folder), Encoder.load(folder, variant="accurate")
    assert before.sha256 == after.sha256 == many.sha256
    nowhere, nobody = np.eye(2, 3, dtype=np.float32), np.zeros(6, np.float32)
    faces = [FaceCrop(np.ascontiguousarray(c), nowhere, None, nobody, 0.0, i) for i, c in enumerate(crops[100:140])]
    one, several = (np.stack([read.feature for read in encoder.encode(faces)]) for encoder in (after, many))
    assert np.corrcoef(one.ravel(), several.ravel())[0, 1] > 0.6
    assert np.abs(one - several).max() > 1e-3  # it does look again


def test_a_map_that_explains_too_little_is_refused_and_nothing_is_written(
    folder: Path, crops: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    monkeypatch.setattr(accurate, "LEAST_EXPLAINED", 1.0)
    with pytest.raises(WeightsError, match=r"a map found on 240 crops explains 0\.\d\d of it, expected at least 1"):
        add_looks(folder, crops)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_another_export_takes_the_looks_away(folder: Path, crops: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accurate, "LEAST_EXPLAINED", 0.2)
    add_looks(folder, crops)
    export_encoder(ExpressionEncoder(**ARCHITECTURE).eval(), folder, "another", ARCHITECTURE)
    assert not (folder / FILE).exists() and "looks" not in json.loads((folder / "config.json").read_text())
