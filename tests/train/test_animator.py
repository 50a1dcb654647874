"""The stages ``animator`` and ``avatar``: what they aim at, where they start, what they write, and what they leave alone."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from freeavatar.animator import FITTED, Animator
from freeavatar.arkit import INDEX, weights
from freeavatar.encoder import Encoder
from freeavatar.errors import RigError, WeightsError
from freeavatar.models.animator import NETWORKS
from freeavatar.models.expression import ExpressionEncoder
from freeavatar.rig import Rig, list_rigs, load_rig
from freeavatar.train import animator, avatar
from freeavatar.train.controls import closed, goal, truth
from freeavatar.train.export import export_encoder
from freeavatar.train.features import Features, read_features
from freeavatar.train.pictures import SIDE
from freeavatar.train.stages import main
from freeavatar.types import Expression

ARCHITECTURE = {"stem": (4, 4, 8, 8), "width": 24, "depth": 1, "heads": 3, "token": 4, "feature": 32}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty crops whose brightness is their expression."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    level = rng.uniform(0, 1, 40).astype(np.float32)
    images = [np.clip(60 + 120 * v + rng.normal(0, 5, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8) for v in level]
    jpegs = [cv2.imencode(".jpg", image)[1].ravel() for image in images]
    np.savez(
        folder / "shard_00000.npz", jpeg=np.concatenate(jpegs), offsets=np.cumsum([0, *map(len, jpegs)]),
        movement=np.zeros((40, 72), np.float32), arkit=np.tile(level[:, None], 52), mask=np.ones((40, 52), np.float32),
        gaze=np.zeros((40, 2), np.float32), pose=np.zeros((40, 3), np.float32),
        centre=np.tile(np.float32([0.5, 0.37, 0.2]), (40, 1)), kind=np.tile(np.int8([0, 1]), (10, 1)), person=np.array(["a"] * 40),
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights folder of an encoder that has learnt nothing."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    export_encoder(ExpressionEncoder(**ARCHITECTURE).eval(), folder, "test", ARCHITECTURE)
    return folder


@pytest.fixture(scope="module")
def trained(shards: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An animator's weights folder after two passes."""
    folder = tmp_path_factory.mktemp("run")
    return animator.train(animator.AnimatorConfig((shards,), encoder, folder / "animator", features=folder, epochs=2, batch=16))


@pytest.fixture(scope="module")
def features() -> Features:
    """Features in which the ARKit weights are hidden linearly."""
    torch.manual_seed(1)
    feature = torch.randn(256, 32)
    shapes = torch.sigmoid(feature @ torch.randn(32, 52) * 0.5).numpy()
    twin = feature + 0.01 * torch.randn_like(feature)
    return Features(feature, twin, nn.functional.normalize(feature[:, :16], dim=1), shapes, np.ones_like(shapes))


def config(**changes: object) -> animator.AnimatorConfig:
    return replace(animator.AnimatorConfig((), Path(), Path(), epochs=2, batch=64), **changes)  # type: ignore[arg-type]


def face(feature: np.ndarray) -> Expression:
    zeros = np.zeros(6, np.float32)
    return Expression(feature, np.zeros(16, np.float32), np.zeros(52, np.float32), zeros[:2], zeros, 1.0, zeros[:4], 0.0, 0)


def test_the_exported_animator_knows_its_rigs_and_its_encoder(trained: Path, encoder: Path) -> None:
    loaded = Animator.load(trained)
    loaded.check_encoder(Encoder.load(encoder))
    for name in list_rigs():
        rig = load_rig(name)
        assert loaded.knows(rig)
        row = loaded.animate(face(np.zeros(32, np.float32)), rig)
        assert ((row.values >= rig.minimum) & (row.values <= rig.maximum)).all()


@pytest.mark.parametrize("kind", NETWORKS)
def test_two_avatars_are_driven_differently_by_one_network(kind: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[kind](32, 16, 64)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.2)
    feature, queries = torch.randn(3, 32), torch.randn(7, 64)
    a, b = (network(feature, torch.randn(1, 16), queries) for _ in range(2))
    assert a.shape == (3, 7) and (a - b).abs().max() > 1e-4
    few, all_of_them = (network(feature, torch.zeros(1, 16), asked).detach() for asked in (queries[:2], queries))
    np.testing.assert_allclose(few, all_of_them[:, :2], atol=1e-5)  # a control's value does not depend on its neighbours


@pytest.mark.parametrize("kind", ["tokens", "attention"])
def test_control_tokens_start_from_the_read_out_through_the_rigs_map(kind: str, features: Features) -> None:
    read, rigs = nn.Linear(32, 52), [load_rig("robot")]
    model, avatars = animator.fit(config(network=kind, rate=1e-9, epochs=1), rigs, features, read)
    with torch.inference_mode():
        values = model(features.feature, avatars.codes["robot"][None], avatars.queries["robot"]).clamp(0, 1)
        weights52 = torch.sigmoid(read(features.feature)).numpy()
    expected = rigs[0].normalise(rigs[0].from_arkit(weights52))[:, rigs[0].driven]
    np.testing.assert_allclose(values, expected, atol=1e-4)


def test_an_animator_learns_what_features_tell(features: Features) -> None:
    rigs = [load_rig("human"), load_rig("pixel")]

    def error(epochs: int, rate: float) -> float:
        model, avatars = animator.fit(config(epochs=epochs, rate=rate), rigs, features, nn.Linear(32, 52))
        goals = {rig.name: goal(rig, features.arkit, features.mask) for rig in rigs}
        return animator.losses(model, avatars, goals, features, torch.arange(256), animator.SHARES)["control"].item()

    assert error(20, 5e-3) < 0.5 * error(1, 1e-9)


class Brightness:
    """Takes the mean of the controls for what the avatar shows."""

    def __init__(self, *rigs: str) -> None:
        self.rigs, self.seen, self.checked = set(rigs), [], []

    def loss(self, rig: str, values: Tensor, wanted: Tensor) -> Tensor:
        assert values.min() >= 0 and values.max() <= 1 and len(values) == len(wanted)
        self.seen.append(rig)
        return (values.mean(1) - wanted[:, 0]).square().mean()

    def check(self, rig: str, values: Tensor) -> float:
        self.checked.append(rig)
        return 0.1


def test_the_perceptual_loss_alone_trains_and_looks_at_one_judged_avatar_a_step(features: Features) -> None:
    only = animator.Shares(0, 0, 0, 0, 0, perceptual=1.0)
    rigs, judge = [load_rig(name) for name in ("human", "pixel", "robot")], Brightness("human", "robot")
    models = [
        animator.fit(config(shares=shares), rigs, features, nn.Linear(32, 52), judge)[0] for shares in (only, replace(only, perceptual=0))
    ]
    moved = [(a - b).abs().max() for a, b in zip(*(list(model.parameters()) for model in models), strict=True)]
    assert max(moved) > 1e-3
    assert judge.seen[:4] == ["human", "robot", "human", "robot"] and set(judge.checked) == {"human", "robot"}


def test_a_masked_shape_is_not_taken_for_truth() -> None:
    rig = load_rig("human")
    shapes, mask = np.ones((2, 52), np.float32), np.ones((2, 52), np.float32)
    column = [rig.controls[i].name for i in rig.driven].index("mouthClose")
    mask[1, INDEX["mouthClose"]] = 0
    values, known = truth(rig, shapes, mask)
    assert values[0, column] == 1 and known[:, column].tolist() == [True, False]


def test_a_control_without_a_map_is_to_rest() -> None:
    rig = load_rig("anime")
    column = [rig.controls[i].name for i in rig.driven].index("blink")
    values, known = truth(rig, np.ones((1, 52), np.float32), np.ones((1, 52), np.float32))
    assert values[0, column] == 0 and known[0, column]


def test_each_loss_sees_what_it_is_named_after(rig: Rig) -> None:
    shapes = np.stack([weights({"mouthSmileLeft": 0.6}), weights({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}), weights({})])
    aim = goal(rig, shapes, np.ones_like(shapes))
    names = [rig.controls[i].name for i in rig.driven]

    def terms(row: int, **values: float) -> dict[str, float]:
        wrong = aim.wanted[[row]].clone()
        for name, value in values.items():
            wrong[0, names.index(name)] = value
        return {name: round(float(term), 4) for name, term in aim.losses(wrong, torch.tensor([row])).items()}

    assert terms(0) == {"control": 0, "asymmetry": 0, "closure": 0, "sparsity": 0}
    assert terms(0, smileLeft=0.3, smileRight=0.3)["asymmetry"] > 0.1 > terms(0, smileLeft=0.5, smileRight=-0.1)["asymmetry"]
    assert terms(1, lids=0.7)["closure"] > terms(1, lids=0.9)["closure"] > 0 == terms(1, smileLeft=0.2)["closure"]
    assert terms(2, lids=0.2)["closure"] > 0 < terms(2, smileLeft=0.1)["sparsity"]


def test_closed_eyes_and_lips_are_told_from_weights() -> None:
    shapes = np.stack([weights({"eyeBlinkLeft": 0.9, "jawOpen": 0.5}), weights({"jawOpen": 0.5, "mouthClose": 0.5})])
    assert closed(shapes).tolist() == [[True, False, False], [False, False, True]]


def test_features_are_read_once(shards: Path, encoder: Path, tmp_path: Path) -> None:
    first = read_features(encoder, [shards], None, tmp_path)
    (kept,) = tmp_path.rglob("*.npz")
    before = kept.stat().st_mtime_ns
    again = read_features(encoder, [shards], None, tmp_path)
    assert kept.stat().st_mtime_ns == before and torch.equal(first.feature, again.feature) and 30 < len(first) <= 40
    kept.write_bytes(b"damaged")
    assert torch.equal(read_features(encoder, [shards], None, tmp_path).feature, first.feature)


def test_a_new_avatar_is_fitted_beside_its_rig_and_nothing_else_changes(trained: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(load_rig("robot").folder, tmp_path / "newcomer"))
    toml = folder / "rig.toml"
    toml.write_text(toml.read_text().replace('name = "robot"', 'name = "newcomer"', 1))
    newcomer, robot = load_rig(folder), load_rig("robot")
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in trained.iterdir()}
    seen = face(np.linspace(-1, 1, 32, dtype=np.float32))
    shown = Animator.load(trained).animate(seen, robot).values
    assert not Animator.load(trained).knows(newcomer)
    done = avatar.train(folder, avatar.AvatarConfig(trained, steps=60, rate=5e-3))
    assert done.rig == "newcomer" and done.after["active"] < done.before["active"]
    assert {path: hashlib.sha256(path.read_bytes()).digest() for path in trained.iterdir()} == before
    loaded = Animator.load(trained)
    assert loaded.knows(newcomer)
    loaded.animate(seen, newcomer)
    np.testing.assert_array_equal(loaded.animate(seen, robot).values, shown)


def test_the_network_that_fits_is_the_one_that_runs(trained: Path) -> None:
    network, examples, sha256 = avatar.load(trained)
    loaded = Animator.load(trained)
    robot = load_rig("robot")
    assert sha256 == loaded.sha256
    known = loaded._known["robot"]
    queries = torch.from_numpy(np.stack([known.queries[robot.controls[i].name] for i in robot.driven]))
    with torch.inference_mode():
        values = network(examples["feature"][:1], torch.from_numpy(known.code)[None], queries).clamp(0, 1)[0]
    row = robot.normalise(loaded.animate(face(examples["feature"][0].numpy()), robot).values)[robot.driven]
    np.testing.assert_allclose(row, values, atol=1e-5)


def test_what_cannot_be_fitted_is_refused(trained: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(trained, tmp_path / "old"))
    settings = json.loads((old / "config.json").read_text())
    (old / "config.json").write_text(json.dumps({k: v for k, v in settings.items() if k != "examples"}))
    with pytest.raises(WeightsError, match="nothing to fit an avatar with"):
        avatar.load(old)
    (old / "config.json").write_text(json.dumps(settings | {"examples": 7}))
    with pytest.raises(WeightsError, match="feature has shape"):
        avatar.load(old)
    folder = Path(shutil.copytree(load_rig("pixel").folder, tmp_path / "mute"))
    toml = folder / "rig.toml"
    toml.write_text("\n".join(line for line in toml.read_text().splitlines() if not line.startswith("arkit")))
    with pytest.raises(RigError, match="none of its controls has an arkit map"):
        avatar.train(folder, avatar.AvatarConfig(trained))
    assert not (folder / FITTED).exists()


def test_a_renderer_of_no_trained_rig_is_refused(shards: Path, encoder: Path, tmp_path: Path) -> None:
    settings = animator.AnimatorConfig((shards,), encoder, tmp_path / "out", features=tmp_path, renderers=(tmp_path / "ghost",))
    with pytest.raises(RigError, match="ghost is no rig that is trained"):
        animator.train(settings)


def test_the_command_says_what_fitting_brought(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(shutil.copytree(load_rig("pixel").folder, tmp_path / "pixel"))
    assert main(["avatar", str(folder), "--animator", str(trained), "--steps", "5", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["rig"] == "pixel" and said["controls"] == 5 and Path(said["output"]) == folder / FITTED
    assert Animator.load(trained).knows(load_rig(folder))
