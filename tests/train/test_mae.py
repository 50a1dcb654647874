"""The masked autoencoder is MAE as published, takes its public weights and nothing else, and learns."""

import json
from argparse import Namespace
from collections import OrderedDict
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from freeavatar.errors import FreeAvatarError, SourceError, WeightsError
from freeavatar.models.vit import IMAGE_MEAN, IMAGE_STD, PRESETS, MaskedAutoencoder, VisionTransformer, positions
from freeavatar.train import mae
from freeavatar.train.emotion import EMOTIONS
from freeavatar.train.pretrained import load_pretrained
from freeavatar.train.real_faces import for_selection
from freeavatar.train.stages import main

SMALL = {"size": 64, "width": 48, "depth": 2, "heads": 4, "decoder_width": 32, "decoder_depth": 2, "decoder_heads": 2}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve crops of random lines and discs."""
    folder = tmp_path_factory.mktemp("shards")
    rng, jpegs = np.random.default_rng(0), []
    for _ in range(12):
        image = np.full((180, 180, 3), rng.integers(60, 200, 3), np.uint8)
        for _ in range(6):
            colour = tuple(int(c) for c in rng.integers(0, 255, 3))
            a, b = (tuple(int(v) for v in rng.integers(0, 180, 2)) for _ in range(2))
            cv2.circle(image, a, int(rng.integers(10, 50)), colour, -1)
            cv2.line(image, a, b, colour[::-1], 5)
        jpegs.append(cv2.imencode(".jpg", image)[1].ravel())
    np.savez(folder / "shard_00000.npz", jpeg=np.concatenate(jpegs), offsets=np.cumsum([0, *map(len, jpegs)]))
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny preset that learns in seconds."""
    monkeypatch.setitem(PRESETS, "tiny", replace(PRESETS["tiny"], width=48, depth=2, heads=4, decoder_width=32, decoder_depth=1))


def vit_base() -> dict[str, Tensor]:
    """Names and shapes of the published ViT-B with its decoder, as a synthesised state dict."""
    width, narrow, state = 768, 512, OrderedDict[str, tuple[int, ...]]()
    state |= {"cls_token": (1, 1, width), "pos_embed": (1, 197, width), "mask_token": (1, 1, narrow), "decoder_pos_embed": (1, 197, narrow)}
    state |= {"patch_embed.proj.weight": (width, 3, 16, 16), "patch_embed.proj.bias": (width,)}
    for prefix, count, d in (("blocks", 12, width), ("decoder_blocks", 8, narrow)):
        for i in range(count):
            for name, shape in {
                "norm1": (d,), "attn.qkv": (3 * d, d), "attn.proj": (d, d), "norm2": (d,), "mlp.fc1": (4 * d, d), "mlp.fc2": (d, 4 * d),
            }.items():  # fmt: skip
                state |= {f"{prefix}.{i}.{name}.weight": shape, f"{prefix}.{i}.{name}.bias": shape[:1]}
    for name, shape in {
        "norm": (width,),
        "decoder_embed": (narrow, width),
        "decoder_norm": (narrow,),
        "decoder_pred": (768, narrow),
    }.items():
        state |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return {name: torch.full(shape, 0.001 * i) for i, (name, shape) in enumerate(state.items())}


def for_transformers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights under the names of ``transformers``, which keeps query, key and value apart."""
    part = {
        "cls_token": "vit.embeddings.cls_token", "pos_embed": "vit.embeddings.position_embeddings", "norm": "vit.layernorm",
        "patch_embed.proj": "vit.embeddings.patch_embeddings.projection", "mask_token": "decoder.mask_token",
        "norm1": "layernorm_before", "norm2": "layernorm_after", "attn.proj": "attention.o_proj",
    }  # fmt: skip
    renamed = {}
    for name, value in state.items():
        stem, kind = name.rsplit(".", 1) if name.endswith((".weight", ".bias")) else (name, "")
        prefix = ""
        if ".".join(stem.split(".")[::2][:1]) in ("blocks", "decoder_blocks"):
            group, number, stem = stem.split(".", 2)
            prefix = {"blocks": "vit.layers", "decoder_blocks": "decoder.decoder_layers"}[group] + f".{number}."
        tail = f".{kind}" if kind else ""
        if stem == "attn.qkv":
            renamed |= {f"{prefix}attention.{p}_proj{tail}": v for p, v in zip("qkv", value.chunk(3), strict=True)}
        else:
            renamed[prefix + part.get(stem, f"decoder.{stem}" if stem.startswith("decoder_") else stem) + tail] = value
    return renamed


@pytest.fixture(scope="module")
def peer() -> "tuple[MaskedAutoencoder, torch.nn.Module]":
    """Ours and that of ``transformers``, with the same random weights."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    ours = MaskedAutoencoder(**SMALL).eval()
    with torch.no_grad():
        for p in ours.parameters():  # biases and norms count, too
            p.add_(0.1 * torch.randn_like(p))
    theirs = transformers.ViTMAEForPreTraining(
        transformers.ViTMAEConfig(
            image_size=64, patch_size=16, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=192,
            decoder_hidden_size=32, decoder_num_hidden_layers=2, decoder_num_attention_heads=2, decoder_intermediate_size=128,
            norm_pix_loss=True, mask_ratio=0.75, layer_norm_eps=1e-6,
        )
    ).eval()  # fmt: skip
    theirs.load_state_dict(for_transformers(ours.state_dict()))
    return ours, theirs


def test_positions_are_sine_and_cosine_of_x_then_y() -> None:
    table, speed = positions(48, 4)[0], 10000.0 ** -(np.arange(12) / 12)
    for x, y in ((0, 0), (3, 1), (1, 2)):
        wave = np.concatenate([np.sin(x * speed), np.cos(x * speed), np.sin(y * speed), np.cos(y * speed)])
        np.testing.assert_allclose(table[1 + 4 * y + x], wave, atol=1e-6)
    assert not table[0].any()


@torch.inference_mode()
def test_the_forward_pass_is_that_of_transformers(peer: "tuple[MaskedAutoencoder, torch.nn.Module]") -> None:
    ours, theirs = peer
    image, noise = torch.rand(3, 3, 64, 64) * 255, torch.rand(3, 16)
    normal = (image - torch.tensor(IMAGE_MEAN).view(3, 1, 1)) / torch.tensor(IMAGE_STD).view(3, 1, 1)
    expected = theirs(normal, noise=noise)
    read = ours(image, noise)
    torch.testing.assert_close(read.patches, expected.logits, atol=1e-4, rtol=0)
    torch.testing.assert_close(read.hidden, expected.mask)
    torch.testing.assert_close(read.loss, expected.loss, atol=1e-4, rtol=0)
    seen = noise.argsort(dim=1)[:, :4]
    tokens = VisionTransformer.forward(ours, image, seen)
    torch.testing.assert_close(tokens, theirs.vit(normal, noise=noise).last_hidden_state, atol=1e-4, rtol=0)
    torch.testing.assert_close(read.feature, tokens[:, 1:].mean(1))


def test_public_weights_of_vit_b_load(tmp_path: Path) -> None:
    model, public, path = MaskedAutoencoder(size=224, **asdict(PRESETS["base"])), vit_base(), tmp_path / "mae_face.pth"
    torch.save({"model": public, "epoch": 1, "args": Namespace(lr=1.0)}, path)
    load_pretrained(model, path)
    path.unlink()  # half a gigabyte
    own = model.state_dict()
    assert own.keys() == public.keys() and all(torch.equal(own[name], value) for name, value in public.items())


def test_an_encoder_that_is_published_alone_leaves_the_decoder_as_it_is(tmp_path: Path) -> None:
    source, model = MaskedAutoencoder(**SMALL).state_dict(), MaskedAutoencoder(**SMALL)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    alone = {k for k in source if not k.startswith(("decoder_", "mask_token"))}
    torch.save({"model": {k: source[k] for k in alone}}, tmp_path / "w.pth")
    load_pretrained(model, tmp_path / "w.pth")
    assert all(torch.equal(value, source[k] if k in alone else before[k]) for k, value in model.state_dict().items())


def test_a_plain_encoder_takes_the_encoder_of_a_whole_autoencoder(tmp_path: Path) -> None:
    whole = MaskedAutoencoder(**SMALL)
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    plain = VisionTransformer(size=64, width=48, depth=2, heads=4)
    load_pretrained(plain, tmp_path / "w.safetensors")
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in plain.state_dict().items())
    assert plain(torch.rand(2, 3, 64, 64)).shape == (2, 17, 48)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("blocks.1.attn.qkv.weight", None, r"no tensor 'blocks.1.attn.qkv.weight'.*\(144, 48\)"),
        ("decoder_norm.bias", None, "no tensor 'decoder_norm.bias'"),
        ("norm.weight", torch.ones(49), r"tensor 'norm.weight' is \(49,\), not \(48,\)"),
        ("pos_embed", torch.zeros(1, 5, 48), r"tensor 'pos_embed' is \(1, 5, 48\)"),
        ("cls_token", torch.full((1, 1, 48), torch.nan), "tensor 'cls_token' holds values that are not finite"),
        ("mask_token", torch.ones(1, 1, 32, dtype=torch.long), "'mask_token' is no tensor of floating-point"),
        ("head.weight", torch.ones(7, 48), "unknown tensor 'head.weight'"),
    ],
)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_wrong_tensor_is_refused_by_name(tmp_path: Path, name: str, value: Tensor | None, said: str, suffix: str) -> None:
    model = MaskedAutoencoder(**SMALL)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = {k: v for k, v in {**before, name: value}.items() if v is not None}
    path = tmp_path / f"w.{suffix}"
    save_file(state, path) if suffix == "safetensors" else torch.save({"model": state}, path)
    with pytest.raises(WeightsError, match=said):
        load_pretrained(model, path)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x80\x02cos\nsystem\n."])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load_pretrained(MaskedAutoencoder(**SMALL), path)
    with pytest.raises(WeightsError, match="no such file"):
        load_pretrained(MaskedAutoencoder(**SMALL), tmp_path / "none.pth")


def test_every_part_of_the_autoencoder_learns() -> None:
    model = MaskedAutoencoder(**SMALL)
    model(torch.rand(2, 3, 64, 64) * 255, torch.rand(2, 16)).loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_a_hidden_patch_changes_nothing_that_is_seen() -> None:
    torch.manual_seed(0)
    model, image, noise = MaskedAutoencoder(**SMALL), torch.rand(1, 3, 64, 64) * 255, torch.arange(16.0)[None]
    other = image.clone()
    other[:, :, 48:] = 0  # patches 12 to 15; only 0 to 3 are seen
    assert torch.equal(model(image, noise).patches, model(other, noise).patches)
    assert not torch.equal(model(image, noise).loss, model(other, noise).loss)


def test_a_random_crop_lies_inside_the_picture_and_half_are_mirrored() -> None:
    rng, mirrored = np.random.default_rng(0), 0
    for _ in range(400):
        back = cv2.invertAffineTransform(mae.random_crop(128, 180, rng))
        corners = back @ np.array([[-0.5, 127.5], [-0.5, 127.5], [1, 1]])
        assert corners.min() > -0.5 - 1e-9 and corners.max() < 179.5 + 1e-9
        wide, high = corners[:, 1] - corners[:, 0]
        assert 0.2 < abs(wide * high) / 180**2 <= 1 and 0.74 < abs(wide) / high < 1.34
        mirrored += wide < 0
    assert 150 < mirrored < 250


def test_the_batch_of_a_step_is_its_own(shards: Path) -> None:
    jpegs = mae.read_shards([shards])
    first, again, other, peer = (
        mae.Faces(jpegs, jpegs[:1], 64, 4, 0, rank).batch(step)["image"] for rank, step in ((0, 3), (0, 3), (0, 4), (1, 3))
    )
    assert first.shape == (4, 3, 64, 64) and first.dtype == torch.uint8 and torch.equal(first, again)
    assert not torch.equal(first, other) and not torch.equal(first, peer)


def test_the_loss_falls_below_that_of_the_mean_patch(small: None, shards: Path, tmp_path: Path) -> None:
    config = mae.MaeConfig((shards,), tmp_path, size=64, steps=150, batch=16, rate=6e-2, threads=1, workers=0)
    last = mae.train(config)
    model, images = mae.load_trained(last), mae.straight(mae.read_shards([shards]), 64)
    model.load_state_dict(torch.load(last, weights_only=True)["model"])  # a run as short as this has moved its average little
    scores = mae.evaluate(model, images)
    assert scores["loss"] < 0.97 * scores["mean_patch"] and scores["images"] == 12
    for p in model.decoder_pred.parameters():
        torch.nn.init.zeros_(p)
    assert mae.evaluate(model, images)["loss"] == pytest.approx(1, abs=0.15)  # grey paint


def test_the_stage_goes_on_exactly_and_its_weights_start_another(small: None, shards: Path, tmp_path: Path) -> None:
    config = mae.MaeConfig((shards,), tmp_path / "a", size=64, steps=3, batch=4, threads=1, workers=0)
    last = mae.train(config)
    once = mae.load_trained(last).state_dict()
    twice = mae.load_trained(mae.train(replace(config, out=tmp_path / "b"))).state_dict()
    assert all(torch.equal(once[k], twice[k]) for k in once)
    started = mae.train(replace(config, out=tmp_path / "c", start=last, steps=1, rate=0.0))
    assert all(torch.equal(once[k], v) for k, v in torch.load(started, weights_only=True)["model"].items())


def test_the_command_reports_both_kinds_of_faces_that_it_has_not_seen(
    small: None, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(shards / "shard_00000.npz") as z:
        jpeg, offsets, n = z["jpeg"], z["offsets"], len(z["offsets"]) - 1
    copies = 5
    people = np.array([f"person {i}" for i in range(copies * n)])
    kept = sum(map(for_selection, people))
    np.savez(
        tmp_path / "real.npz", jpeg=np.tile(jpeg, copies), person=people, label=np.array([EMOTIONS[0]] * copies * n),
        offsets=np.concatenate([offsets[:-1] + i * len(jpeg) for i in range(copies)] + [[copies * len(jpeg)]]),
        arkit=np.zeros((copies * n, 52), np.float32), mask=np.zeros((copies * n, 52), np.float32),
    )  # fmt: skip
    words = ["mae", "--data", str(shards), "--held-out", str(shards), "--real", str(tmp_path / "real.npz"), "--out", str(tmp_path / "run")]
    assert main([*words, "--steps", "1", "--batch", "2", "--size", "64", "--threads", "1", "--workers", "0"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert {kind: score["images"] for kind, score in scores.items()} == {"synthetic": n, "real": kept} and 0 < kept < copies * n
    assert all(0 < score["mean_patch"] <= 1.01 and 0 < score["loss"] < 2 for score in scores.values())


@pytest.mark.parametrize(("change", "said"), [({"size": 100}, "--size is 100.*multiple of 16"), ({"mask": 1.0}, "--mask is 1.0"),
                                              ({"mask": 0.0}, "--mask is 0.0"), ({"mask": float("nan")}, "--mask is nan")])  # fmt: skip
def test_settings_that_make_no_sense_are_refused(shards: Path, tmp_path: Path, change: dict[str, float], said: str) -> None:
    with pytest.raises(FreeAvatarError, match=said):
        mae.train(replace(mae.MaeConfig((shards,), tmp_path), **change))


def test_a_folder_without_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no shards; make them with  python tools/render_dataset.py"):
        mae.read_shards([tmp_path])
