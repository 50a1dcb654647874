"""The accurate variant looks several times, also in the mirror, and speaks the encoder's own language."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from freeavatar.encoder import Encoder
from freeavatar.errors import WeightsError
from freeavatar.looks import FILE, ZOOMS, Looks, shapes, views, zoomed
from freeavatar.network import WEIGHTS
from freeavatar.types import FaceCrop


def _ramp(side: int = 50) -> NDArray[np.uint8]:
    """(S, S, 3) that brightens from left to right, and has a mark on its left."""
    ramp = np.tile((4 * np.arange(side)).astype(np.uint8)[None, :, None], (side, 1, 3))
    ramp[20:30, :5, 1] = 255
    return ramp


def test_a_zoom_moves_the_borders_by_its_share() -> None:
    ramp = _ramp()
    near, far = zoomed(ramp, 0.1), zoomed(ramp, -0.1)
    assert near.shape == far.shape == ramp.shape
    rows = [image[0, 10:-10, 0].astype(float) for image in (ramp, near, far)]
    slopes = [np.polyfit(np.arange(len(row)), row, 1)[0] for row in rows]
    np.testing.assert_allclose(slopes, [4, 4 * 40 / 50, 4 * 60 / 50], rtol=0.01)
    np.testing.assert_allclose((rows[1] + rows[2]) / 2, rows[0], atol=1.5)


def test_half_of_the_looks_are_mirrored_and_the_crops_stay_in_order() -> None:
    first, second = _ramp(), 255 - _ramp()
    seen = views(np.stack([first, second]))
    assert len(seen) == 4 * len(ZOOMS)
    np.testing.assert_array_equal(seen[1], zoomed(second, ZOOMS[0]))
    np.testing.assert_array_equal(seen[4:], seen[:4, :, ::-1])


def _tensors(swap: bool) -> dict[str, NDArray[np.float32]]:
    """Looks of a feature of two numbers, left and right, which a mirror swaps."""
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes(2, 2).items()}
    tensors["mirror.weight"] = np.eye(2, dtype=np.float32)[::-1] if swap else np.eye(2, dtype=np.float32)
    tensors["embedding.weight"][:] = 3 * np.eye(2)
    tensors["arkit.weight"][0, 0] = 1
    return tensors


def test_the_mean_of_all_looks_is_read_and_geometry_is_not_mirrored() -> None:
    feature = np.array([[1, 0], [0, 1], [3, 0], [0, 3], [0, 1], [1, 0], [0, 3], [3, 0]], np.float32)  # of two crops
    gaze = np.arange(16, dtype=np.float32).reshape(8, 2)
    out = {"feature": feature, "gaze": gaze, "head_pose": np.zeros((8, 6), np.float32), "confidence": np.ones(8, np.float32)}
    merged = Looks(_tensors(swap=True)).merge(
        {**out, "align": np.zeros((8, 4), np.float32), "embedding": np.zeros((8, 2), np.float32), "arkit": np.zeros((8, 52), np.float32)}
    )
    np.testing.assert_allclose(merged["feature"], [[2, 0], [0, 2]])
    np.testing.assert_allclose(merged["embedding"], [[1, 0], [0, 1]])
    np.testing.assert_allclose(merged["arkit"][:, 0], [1 / (1 + np.exp(-2)), 0.5], rtol=1e-6)
    np.testing.assert_allclose(merged["gaze"], gaze[:4].reshape(2, 2, 2).mean(0))
    assert merged["confidence"].shape == (2,) and merged["arkit"].shape == (2, 52)


def _copy(folder: Path) -> Path:
    for name in ("config.json", "model.onnx", FILE):
        (folder / name).write_bytes((WEIGHTS / "encoder" / name).read_bytes())
    return folder


def _face(encoder: Encoder) -> FaceCrop:
    image = np.random.default_rng(0).integers(0, 255, (encoder.size, encoder.size, 3)).astype(np.uint8)
    return FaceCrop(image, np.eye(2, 3, dtype=np.float32), None, np.zeros(6, np.float32), 0.0, 0)


def test_the_shipped_encoder_has_an_accurate_variant_of_the_same_identity() -> None:
    one, several = Encoder.load(), Encoder.load(variant="accurate")
    assert one.sha256 == several.sha256
    face = _face(one)
    (a,), (b,) = one.encode([face]), several.encode([face])
    assert b.feature.shape == a.feature.shape and np.abs(a.feature - b.feature).max() > 0
    np.testing.assert_allclose(np.linalg.norm(b.embedding), 1, rtol=1e-5)
    assert a.embedding @ b.embedding > 0.5  # it still sees the same


def test_weights_without_looks_say_how_to_add_them(tmp_path: Path) -> None:
    config = json.loads((_copy(tmp_path) / "config.json").read_text())
    config.pop("looks")
    (tmp_path / "config.json").write_text(json.dumps(config))
    Encoder.load(tmp_path)
    with pytest.raises(WeightsError, match=r"no accurate variant; add it with  python tools/add_looks\.py"):
        Encoder.load(tmp_path, variant="accurate")


def test_changed_looks_are_refused_by_their_hash(tmp_path: Path) -> None:
    file = _copy(tmp_path) / FILE
    tensors = load_file(file)
    tensors["mirror.bias"] = tensors["mirror.bias"] + 1
    save_file(tensors, file)
    with pytest.raises(WeightsError, match=r"looks\.safetensors: has sha256"):
        Encoder.load(tmp_path, variant="accurate")
