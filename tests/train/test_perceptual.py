"""The perceptual loop closes: what the avatar shows changes the animator, and nothing else; and it is not to be fooled."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from freeavatar.errors import RenderError
from freeavatar.models.animator import MlpAnimator
from freeavatar.models.expression import ExpressionEncoder
from freeavatar.rig import ANIMATOR, Rig, load_rig
from freeavatar.train import perceptual
from freeavatar.train.perceptual import Avatar, Domain, Perceptual
from freeavatar_renderer.neural import PatchRenderer

RIG = "pixel"


def driven(rig: Rig) -> list[int]:
    return [i for i, control in enumerate(rig.controls) if control.source == ANIMATOR]


def small_encoder() -> ExpressionEncoder:
    return ExpressionEncoder(size=32, stem=(8, 8, 8, 8), width=16, depth=1, heads=2)


def lively_renderer(rig: Rig) -> PatchRenderer:
    """A renderer that no picture has taught anything, but whose controls change every pixel."""
    renderer = PatchRenderer(len(rig.controls), 32, width=8)
    torch.nn.init.normal_(renderer.paint, std=0.3)
    return renderer


@pytest.fixture(autouse=True)
def precise(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that nothing was taught tells expressions apart by less than 16 bits hold."""
    monkeypatch.setattr(perceptual, "look", lambda encoder, crops: encoder(255 * crops))


@pytest.fixture
def avatar() -> Avatar:
    torch.manual_seed(0)
    rig = load_rig(RIG)
    return Avatar(rig, lively_renderer(rig), small_encoder(), torch.rand(40, len(driven(rig))))


def test_the_expression_loss_alone_changes_the_animator_and_a_step_lowers_it(avatar: Avatar) -> None:
    animator = MlpAnimator(feature=8, code=4, query=6)
    feature, code, queries = torch.randn(12, 8), torch.randn(1, 4), torch.randn(len(driven(avatar.rig)), 6)
    people = F.normalize(torch.randn(50, 16), dim=1)
    loop, wanted = Perceptual({RIG: avatar}, people), people[:12]
    before = [weight.clone() for weight in animator.parameters()]
    optimiser = torch.optim.SGD(animator.parameters(), lr=0.005)

    def loss() -> torch.Tensor:
        return loop.loss(RIG, animator(feature, code, queries), wanted)

    first = loss()
    first.backward()
    optimiser.step()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in animator.parameters())
    assert not any(torch.equal(a, b) for a, b in zip(before, animator.parameters(), strict=True))
    with torch.no_grad():
        assert loss() < first


def test_no_loss_reaches_the_renderer_or_the_encoder(avatar: Avatar) -> None:
    frozen = [*avatar.renderer.state_dict().values(), *avatar.encoder.state_dict().values()]
    before = [value.clone() for value in frozen]
    values = torch.rand(4, len(driven(avatar.rig)), requires_grad=True)
    Perceptual({RIG: avatar}, torch.randn(9, 16)).loss(RIG, values, torch.randn(4, 16)).backward()
    assert values.grad is not None and (values.grad != 0).all()
    assert not avatar.renderer.training and not avatar.encoder.training  # statistics of batches would move, too
    for part in (avatar.renderer, avatar.encoder):
        assert all(weight.grad is None and not weight.requires_grad for weight in part.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, frozen, strict=True))


def test_domains_are_centred_and_measured_in_their_own_spread(avatar: Avatar) -> None:
    values = torch.rand(40, len(driven(avatar.rig)))
    with torch.no_grad():
        shown = avatar.read(values)
        avatar.domain = Domain.of(shown)
        # People who express the same, but look otherwise and move twice as much.
        people = 2 * shown + torch.randn(16)
        loop = Perceptual({RIG: avatar}, people)
        assert loop.loss(RIG, values, people).item() == pytest.approx(0, abs=1e-6)
        strangers = people[torch.randperm(40)]
        assert loop.loss(RIG, values, strangers).item() == pytest.approx(2, abs=0.8)
        assert loop.loss(RIG, values, people.mean(0).expand(40, -1)).item() == pytest.approx(1, abs=1e-4)


def test_only_what_the_animator_drives_moves(avatar: Avatar) -> None:
    rig, columns = avatar.rig, driven(avatar.rig)
    values = torch.rand(3, len(columns))
    rows = torch.from_numpy(np.tile(rig.normalise(rig.neutral()), (3, 1)))
    rows[:, columns] = values
    expected = avatar.encoder(255 * avatar.renderer.crop(avatar.renderer(rows), 32)).embedding
    torch.testing.assert_close(avatar.read(values), expected)


class Stand:
    """A raster that draws what the neural renderer does, or something else."""

    renderer: PatchRenderer
    off = 0.0

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> "Stand":
        return self

    def __exit__(self, *_: object) -> None: ...

    def paint(self, values: np.ndarray) -> np.ndarray:
        picture = self.renderer(torch.from_numpy(values)[None])[0].permute(1, 2, 0)
        return (255 * (picture + self.off * torch.randn_like(picture)).clamp(0, 1)).round().to(torch.uint8).numpy()


def test_an_avatar_whose_pictures_are_not_those_of_the_raster_is_dropped(avatar: Avatar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "Painter", Stand)
    with torch.no_grad():
        avatar.renderer.paint.mul_(0.1)  # so that no pixel leaves 0..1
        values = torch.rand(40, len(driven(avatar.rig)))
        avatar.domain = Domain.of(avatar.read(values))
    loop = Perceptual({RIG: avatar}, torch.randn(9, 16))
    monkeypatch.setattr(Stand, "renderer", avatar.renderer, raising=False)
    assert loop.check(RIG, values[:8].requires_grad_()) < perceptual.LARGEST_GAP and loop.rigs == {RIG}
    monkeypatch.setattr(Stand, "off", 0.5)
    assert loop.check(RIG, values[:8]) > perceptual.LARGEST_GAP and loop.rigs == frozenset()


def test_the_gap_is_measured_on_the_raster(avatar: Avatar) -> None:
    from freeavatar_renderer import gl

    try:
        gl.context()
    except RenderError as error:
        pytest.skip(str(error))
    assert avatar.gap(torch.rand(3, len(driven(avatar.rig)))) > 0


def test_it_loads_what_the_stages_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig, encoder = load_rig(RIG), small_encoder()
    renderer = PatchRenderer(len(rig.controls), 32)
    torch.nn.init.normal_(renderer.paint, std=0.3)
    state = {f"module.{name}": value for name, value in renderer.state_dict().items()}
    architecture = {"model": "patches", "size": 32, "controls": list(rig.names)}
    torch.save({"model": {}, "average": state, "optimiser": {}, "step": 1, "architecture": architecture}, tmp_path / "last.pt")
    monkeypatch.setattr(perceptual, "load_weights", lambda folder: encoder)
    values, people = torch.rand(12, len(driven(rig))), torch.randn(12, 16)
    loop = perceptual.load(tmp_path, {RIG: tmp_path / "last.pt"}, people, {RIG: values})
    same = Perceptual({RIG: Avatar(rig, renderer, encoder, values)}, people)
    torch.testing.assert_close(loop.loss(RIG, values, people), same.loss(RIG, values, people))
