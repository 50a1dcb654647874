"""The stages train, go on where they stopped, and export what the run time loads."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from freeavatar import arkit
from freeavatar.encoder import Encoder
from freeavatar.errors import WeightsError
from freeavatar.face.alignment import EYES
from freeavatar.models.expression import OUTPUTS, SIZES, ExpressionEncoder, EyeStrip
from freeavatar.models.vit import Block
from freeavatar.train import expression
from freeavatar.train.export import export_encoder, load_weights
from freeavatar.train.judge import judge, judge_real
from freeavatar.train.loop import load_average
from freeavatar.train.losses import metric
from freeavatar.train.pictures import SIDE
from freeavatar.types import FaceCrop


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty crops whose brightness is their expression."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    n = 40
    level = rng.uniform(0, 1, n).astype(np.float32)
    images = [np.clip(60 + 120 * v + rng.normal(0, 5, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8) for v in level]
    jpegs = [cv2.imencode(".jpg", image)[1].ravel() for image in images]
    np.savez(
        folder / "shard_00000.npz",
        jpeg=np.concatenate(jpegs), offsets=np.cumsum([0, *map(len, jpegs)]),
        movement=level[:, None] * np.ones((1, 72), np.float32), arkit=level[:, None] * np.ones((1, 52), np.float32),
        mask=np.ones((n, 52), np.float32), gaze=np.zeros((n, 2), np.float32), pose=np.zeros((n, 3), np.float32),
        centre=np.tile(np.float32([0.5, 0.37, 0.2]), (n, 1)), person=np.array(["a"] * n), family=np.array(["valid"] * n),
        kind=np.tile(np.int8([0, 1]), (n // 4, 1)),
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def trained(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint after a few steps and its exported weights folder."""
    out = tmp_path_factory.mktemp("run")
    last = expression.train(expression.ExpressionConfig((shards,), out, steps=4, batch=8, threads=1, workers=0))
    export_encoder(expression.load_trained(last), out / "encoder", "test", load_average(last)[0])
    return last, out / "encoder"


def test_a_stopped_run_goes_on_from_its_checkpoint(shards: Path, tmp_path: Path) -> None:
    config = expression.ExpressionConfig((shards,), tmp_path, steps=2, batch=8, threads=1, workers=0)
    expression.train(config)
    before = torch.load(tmp_path / "last.pt", weights_only=True)
    expression.train(replace(config, steps=3))
    after = torch.load(tmp_path / "last.pt", weights_only=True)
    assert (before["step"], after["step"]) == (2, 3)
    learnt = {name for name, _ in ExpressionEncoder(**SIZES["fast"]).named_parameters()}
    moved = [(after["model"][k] - v).abs().max().item() for k, v in before["model"].items() if k in learnt]
    assert 0 < max(moved) < 0.01  # one step of AdamW moves a weight by about the rate; a fresh start would be far away


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real faces' stand-ins: 60 people, two emotions that differ in brightness, a teacher who knows the jaw."""
    rng = np.random.default_rng(1)
    n = 240
    happy = rng.random(n) < 0.5
    images = [np.clip((160 if h else 70) + rng.normal(0, 5, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8) for h in happy]
    jpegs = [cv2.imencode(".jpg", image)[1].ravel() for image in images]
    path = tmp_path_factory.mktemp("faces") / "real.npz"
    np.savez(
        path, jpeg=np.concatenate(jpegs), offsets=np.cumsum([0, *map(len, jpegs)]), arkit=np.tile(happy[:, None], 52).astype(np.float32),
        mask=np.tile(np.arange(52) == 0, (n, 1)).astype(np.float32), label=np.where(happy, "happiness", "neutral"),
        person=np.array([f"p{i % 60}" for i in range(n)]),
    )  # fmt: skip
    return path


def test_real_faces_add_their_own_terms_and_the_teacher_leaves_early(shards: Path, faces: Path, tmp_path: Path) -> None:
    config = expression.ExpressionConfig((shards,), tmp_path, real=faces, steps=5, batch=16, threads=1, workers=0)
    model = expression.load_trained(expression.train(config))
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    terms = json.loads(line)
    assert {"teacher", "order", "emotion", "emotion_triplet", "agreement", "triplet", "effective_rank"} <= set(terms)
    scores = judge(model, [shards]) | judge_real(model, faces)
    assert scores["images"] == 40
    assert all(np.isfinite(v) for k, v in scores.items() if not k.startswith("triplets"))


def test_the_teacher_knows_whose_brows_are_higher_but_not_by_how_much() -> None:
    inner = arkit.INDEX["browInnerUp"]
    scores, read = torch.zeros(4, 52), torch.full((4, 52), 0.4)
    scores[:, inner] = torch.tensor([0.9, 0.1, 0.2, 0.9])  # two of one person, two of another
    batch = {"real_arkit": scores, "real_mask": torch.ones(4, 52), "real_person": torch.tensor([3, 3, 5, 5])}

    def order(*values: float) -> float:
        read[:, inner] = torch.tensor(values)
        return float(expression._order(read, batch))

    assert order(0.4, 0.4, 0.4, 0.4) == pytest.approx(1)
    assert order(0.5, 0.1, 0.2, 0.6) == order(1.0, 0.0, 0.3, 0.7) == 0  # any amount over the margin will do
    assert order(0.1, 0.5, 0.6, 0.2) > 2  # the wrong way round
    batch["real_mask"][:2] = 0
    assert order(0.1, 0.5, 0.2, 0.6) == 0  # on a face turned away it is not believed
    batch["real_person"] = torch.arange(4)
    assert order(0.1, 0.5, 0.6, 0.2) == 0  # two people's brows are not compared


def test_a_run_may_start_from_a_weights_folder(shards: Path, trained: tuple[Path, Path], tmp_path: Path) -> None:
    model = expression.load_trained(trained[0])
    fresh = ExpressionEncoder(**SIZES["fast"])
    expression.start(fresh, trained[1])
    for name, value in fresh.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-3, atol=1e-3)
    other = ExpressionEncoder(stem=(8, 16, 32, 64), width=64, heads=1)
    with pytest.raises(WeightsError, match="another encoder"):
        expression.start(other, trained[1])


def test_an_encoder_that_gets_a_strip_goes_on_from_what_it_was(tmp_path: Path) -> None:
    torch.manual_seed(0)
    before, fresh, after = (ExpressionEncoder(**kind).eval() for kind in ({}, SIZES["fast"], SIZES["fast"]))
    average = {f"module.{name}": value for name, value in before.state_dict().items()}
    torch.save({"architecture": {}, "average": average, "model": {}, "optimiser": {}, "step": 0}, tmp_path / "last.pt")
    expression.start(after, tmp_path / "last.pt")
    assert after.eyes is not None
    for name, value in after.eyes.stem.state_dict().items():
        torch.testing.assert_close(value, before.stem.state_dict()[name])
    flat = torch.rand(6, 3, 1, 1) * 255 * torch.ones(6, 3, 192, 192)  # the same at every resolution
    with torch.inference_mode():
        was, anew, now = before(flat[:, :, :128, :128]).feature, fresh(flat).feature, after(flat).feature
    # Only attention to the strip's tokens differs yet.
    assert torch.cosine_similarity(was, now).min() > 0.6 > 0.3 > torch.cosine_similarity(was, anew).abs().max()


def test_the_strip_holds_eyes_and_brows_and_sees_what_the_shrunk_face_does_not() -> None:
    torch.manual_seed(0)
    strip = EyeStrip(192, (8, 8, 8), 16, 4, 32)
    grid = torch.stack(torch.meshgrid(torch.arange(192), torch.arange(192), indexing="ij"))[None]
    rows, columns = strip.cut(grid)[0]
    for x, y in EYES:
        assert columns.min() + 12 < 192 * x < columns.max() - 12 and rows.min() + 24 < 192 * y < rows.max() - 12
    assert strip(strip.cut(torch.rand(2, 3, 192, 192))).shape == (2, 32, 16)
    model = ExpressionEncoder(size=192, whole=128, eyes=(24, 48, 96)).eval()
    assert model.eyes is not None
    nn.init.normal_(model.eyes.to_feature.weight)
    below = torch.rand(2, 3, 192, 192) * 255
    below[1] = below[0]
    below[1, :, 100:, 60:130] = 128  # a mouth
    with torch.inference_mode():
        a, b = model.eyes(model.eyes.cut(below))
    torch.testing.assert_close(a, b)  # what lies outside does not reach it


def test_another_process_may_prepare_the_crops(shards: Path, tmp_path: Path) -> None:
    last = expression.train(expression.ExpressionConfig((shards,), tmp_path, steps=1, batch=8, threads=1, workers=1))
    assert torch.load(last, weights_only=True)["step"] == 1


def test_the_exported_encoder_has_the_fixed_graph_and_loads_at_run_time(trained: tuple[Path, Path]) -> None:
    encoder = Encoder.load(trained[1])
    image = np.full((192, 192, 3), 90, np.uint8)
    crop = FaceCrop(image, np.zeros((2, 3), np.float32), np.zeros((478, 3), np.float32), np.arange(6, dtype=np.float32), 0.0, 0)
    (read,) = encoder.encode([crop])
    model = load_weights(trained[1])  # as it is stored, at 16 bits
    with torch.inference_mode():
        expected = model(torch.from_numpy(image).permute(2, 0, 1)[None].float())
    for name in ("feature", "embedding", "arkit", "gaze", "align"):
        np.testing.assert_allclose(getattr(read, name), getattr(expected, name)[0], atol=1e-4)
    assert OUTPUTS == ("feature", "embedding", "arkit", "gaze", "head_pose", "confidence", "align")
    assert np.linalg.norm(read.embedding) == pytest.approx(1, abs=1e-4)
    np.testing.assert_array_equal(read.head_pose, crop.head_pose)


def test_every_part_of_the_encoder_learns() -> None:
    torch.manual_seed(0)
    model = ExpressionEncoder(**SIZES["fast"])
    assert model.eyes is not None
    nn.init.normal_(model.eyes.to_feature.weight, std=0.02)  # starts at 0 and lets nothing through before its first step
    read = model(torch.rand(4, 3, 192, 192) * 255)
    sum(value.float().square().sum() for value in read).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


def test_block_parameters_have_the_names_of_timm() -> None:
    names = {name for name, _ in Block(24, 3).named_parameters()}
    linear = {f"{m}.{p}" for m in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2", "norm1", "norm2") for p in ("weight", "bias")}
    assert names == linear


def test_the_metric_follows_movement_not_people() -> None:
    movement = torch.tensor([[0.0, 0.0], [0.0, 0.0], [3.0, 0.0]])
    good = torch.ones(3, dtype=torch.bool)
    apart = 1.5 * (1 - np.exp(-3 / 1.2))
    angle = 2 * np.arcsin(apart / 2)
    right = torch.tensor([[1.0, 0.0], [1.0, 0.0], [np.cos(angle), np.sin(angle)]], dtype=torch.float32)
    wrong = right[[0, 2, 1]]
    assert metric(right, movement, good) < 1e-4 < metric(wrong, movement, good)
