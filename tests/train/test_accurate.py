"""The accurate variant looks several times, also in the mirror, and speaks the encoder's own language."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from freeavatar.encoder import Encoder
from freeavatar.errors import WeightsError
from freeavatar.models.expression import ExpressionEncoder
from freeavatar.train import accurate
from freeavatar.train.accurate import Looks, add_accurate_graph, fit_mirror, zoomed
from freeavatar.train.export import export_encoder
from freeavatar.types import FaceCrop

SIZE = 32
ARCHITECTURE = {
    "size": SIZE, "stem": (16, 16, 32, 32), "width": 32, "depth": 1, "heads": 2, "token": 16, "feature": 32, "embedding": 8,
    "movements": 4, "emotions": 3,
}  # fmt: skip


class Halves(nn.Module):
    """Its feature is how bright the left and the right half of a crop are."""

    def look(self, image: Tensor) -> Tensor:
        return torch.stack([image[..., :16].mean((1, 2, 3)), image[..., 16:].mean((1, 2, 3))], 1) / 50


@pytest.fixture(scope="module")
def crops() -> NDArray[np.uint8]:
    """(240, 3, SIZE, SIZE) halves of random brightness."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (240, 3, 1, 2)).repeat(SIZE, 2).repeat(SIZE // 2, 3).astype(np.uint8)


@pytest.fixture(scope="module")
def model() -> ExpressionEncoder:
    torch.manual_seed(0)
    return ExpressionEncoder(**ARCHITECTURE).eval()


def test_the_way_back_from_the_mirror_swaps_sides(crops: NDArray[np.uint8]) -> None:
    back, explained = fit_mirror(Halves(), crops)  # type: ignore[arg-type]
    torch.testing.assert_close(back.weight, torch.tensor([[0.0, 1.0], [1.0, 0.0]]), atol=0.03, rtol=0)
    assert explained > 0.99


def test_of_a_face_whose_mirror_image_says_nothing_nothing_is_explained(crops: NDArray[np.uint8]) -> None:
    class Left(Halves):
        def look(self, image: Tensor) -> Tensor:
            return super().look(image)[:, :1]

    _, explained = fit_mirror(Left(), crops)  # type: ignore[arg-type]
    assert explained < 0.1


def test_looks_are_averaged_and_geometry_is_not_mirrored(model: ExpressionEncoder, crops: NDArray[np.uint8]) -> None:
    back = nn.Linear(32, 32)
    images = torch.from_numpy(crops[:6]).float()
    with torch.inference_mode():
        many = Looks(model, back)(images)
        own = torch.stack([model.look(zoomed(images, z)) for z in accurate.ZOOMS]).mean(0)
        mirrored = torch.stack([model.look(zoomed(images.flip(3), z)) for z in accurate.ZOOMS]).mean(0)
        expected = model.read((own + back(mirrored)) / 2)
        straight = model.read(own)
    for name in ("feature", "embedding", "arkit"):
        torch.testing.assert_close(getattr(many, name), getattr(expected, name), atol=1e-5, rtol=1e-4)
    for name in ("gaze", "head_pose", "confidence", "align"):
        torch.testing.assert_close(getattr(many, name), getattr(straight, name), atol=1e-5, rtol=1e-4)


def test_a_zoom_moves_the_borders_by_its_share() -> None:
    ramp = torch.arange(50.0).expand(1, 3, 50, 50)
    near, far = zoomed(ramp, 0.1), zoomed(ramp, -0.1)
    assert zoomed(ramp, 0.0) is ramp
    assert near.shape == far.shape == ramp.shape
    torch.testing.assert_close(near[0, 0, 0, 5:-5].diff(), torch.full((39,), 40 / 50), atol=1e-4, rtol=0)
    torch.testing.assert_close(far[0, 0, 0, 8:-8].diff(), torch.full((33,), 60 / 50), atol=1e-4, rtol=0)
    torch.testing.assert_close((near + far)[..., 25] / 2, ramp[..., 25], atol=0.02, rtol=0)


def test_the_folder_gets_a_graph_that_reads_what_the_network_reads_and_keeps_its_identity(
    model: ExpressionEncoder, crops: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accurate, "LEAST_EXPLAINED", 0.2)  # a network of random weights is less symmetric than a trained one
    export_encoder(model, tmp_path, "test", ARCHITECTURE)
    before = Encoder.load(tmp_path)
    explained, difference = add_accurate_graph(tmp_path, crops, crops[:64])
    assert explained > 0.2 and difference.embedding > 0.99
    after, many = Encoder.load(tmp_path), Encoder.load(tmp_path, variant="accurate")
    assert before.sha256 == after.sha256 == many.sha256
    faces = [
        FaceCrop(np.ascontiguousarray(c.transpose(1, 2, 0)), np.eye(2, 3, dtype=np.float32), None, np.zeros(6, np.float32), 0.0, i)
        for i, c in enumerate(crops[100:140])
    ]
    one, several = (np.stack([read.feature for read in encoder.encode(faces)]) for encoder in (after, many))
    assert np.corrcoef(one.ravel(), several.ravel())[0, 1] > 0.6
    assert np.abs(one - several).max() > 1e-3  # it does look again


def test_a_map_that_explains_too_little_is_refused_and_nothing_is_written(
    model: ExpressionEncoder, crops: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_encoder(model, tmp_path, "test", ARCHITECTURE)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    monkeypatch.setattr(accurate, "LEAST_EXPLAINED", 1.0)
    with pytest.raises(WeightsError, match=r"a map found on 240 crops explains 0\.\d\d of it, expected at least 1"):
        add_accurate_graph(tmp_path, crops, crops[:64])
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert "variants" not in json.loads(before["config.json"])
