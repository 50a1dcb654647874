"""The neural renderer learns, passes gradients on to the controls and keeps none, and cuts the crop that the run time cuts."""

import numpy as np
import pytest
import torch
from torch import nn

from freeavatar.face import alignment
from freeavatar_renderer.neural import MODELS, PUBLISHED_SIZE, NeuralRenderer, PatchRenderer, PublishedRenderer, Renderer


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("model", ["patches", "small"])
@pytest.mark.parametrize(("controls", "size"), [(1, 32), (8, 64), (55, 128), (101, 128)])
def test_a_picture_has_the_size_asked_for_whatever_the_number_of_controls(model: str, controls: int, size: int) -> None:
    with torch.inference_mode():
        image = MODELS[model](controls, size)(torch.rand(2, controls))
    assert image.shape == (2, 3, size, size) and image.dtype == torch.float32
    assert image.min() >= 0 and image.max() <= 1


def test_each_has_the_parameters_that_it_says() -> None:
    assert 1.3e6 < parameters(NeuralRenderer(55)) < 1.7e6 and 3.5e6 < parameters(PatchRenderer(55)) < 4e6
    published = PublishedRenderer(61)
    up = [m for m in published.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [m.out_channels for m in up] == [1024, 512, 256, 128, 128, 128, 3] and {m.kernel_size for m in up} == {(4, 4)}
    with torch.inference_mode():
        assert published.eval()(torch.rand(1, 61)).shape == (1, 3, PUBLISHED_SIZE, PUBLISHED_SIZE)


@pytest.mark.parametrize(
    ("model", "size"),
    [("small", 100), ("small", 16), ("small", 0), ("small", 1024), ("published", 128)] + [("patches", size) for size in (0, 100, 520)],
)
def test_another_size_is_refused_with_those_that_there_are(model: str, size: int) -> None:
    with pytest.raises(ValueError, match=rf"size is {size}, expected .*(256|from 8 to 512)"):
        MODELS[model](4, size)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("kind", [NeuralRenderer, PatchRenderer])
def test_a_step_lowers_the_loss(kind: type[NeuralRenderer] | type[PatchRenderer], half: bool) -> None:
    torch.manual_seed(0)
    model, controls, wanted = kind(4, 32, width=16), torch.rand(8, 4), torch.rand(8, 3, 32, 32)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.01 * torch.randn_like(weight)  # a network that starts from a picture has layers that say nothing yet
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)

    def loss() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            return (model(controls) - wanted).square().mean()

    before = loss()
    before.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    optimiser.step()
    with torch.inference_mode():
        assert loss() < before


@pytest.mark.parametrize("kind", [NeuralRenderer, PatchRenderer])
def test_a_frozen_renderer_passes_the_gradient_of_a_picture_to_the_controls_and_keeps_none(
    kind: type[NeuralRenderer] | type[PatchRenderer],
) -> None:
    torch.manual_seed(0)
    model = kind(6, 32, width=16).eval().requires_grad_(False)
    for weight in model.parameters():
        weight += 0.01 * torch.randn_like(weight)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    controls = torch.full((2, 6), 0.5, requires_grad=True)
    wanted = model.crop(model(torch.rand(2, 6)), 24)
    optimiser = torch.optim.SGD([controls], lr=1.0)
    first = (model.crop(model(controls), 24) - wanted).abs().mean()
    first.backward()
    assert controls.grad is not None and (controls.grad != 0).all()
    optimiser.step()
    assert (model.crop(model(controls), 24) - wanted).abs().mean() < first
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_the_crop_is_that_of_the_run_time_and_has_a_gradient() -> None:
    size, side = 96, 64
    y, x = np.mgrid[:size, :size]
    image = np.stack([127 + 100 * np.sin(x / 9), 127 + 100 * np.cos(y / 7), 127 + 100 * np.sin((x + y) / 11)], axis=-1)
    image = image.round().astype(np.uint8)
    turn, scale = 0.2, 0.9  # the crop reaches beyond the picture's border, too
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.column_stack([linear, [-15.0, -3.0]])
    expected = alignment.warp(image, matrix, side)
    model = Renderer(1, size)
    # A pixel's coordinate is that of its centre, the unit square starts at its edge.
    offset = (matrix[:, 2] + 0.5 - linear.sum(1) / 2) / side
    model.face.copy_(torch.from_numpy(np.column_stack([linear * size / side, offset])))
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float().requires_grad_()
    found = model.crop(pixels, side)
    assert np.abs(found[0].permute(1, 2, 0).detach().numpy() - expected).max() < 3
    found.sum().backward()
    assert pixels.grad is not None and pixels.grad[:, :, size // 2, size // 2].abs().sum() > 0


def test_the_patches_lie_where_they_belong_and_do_not_see_each_other() -> None:
    model = PatchRenderer(2, 32, width=8)
    picture = torch.rand(3, 32, 32)
    model.start_from(picture)
    torch.testing.assert_close(model(torch.rand(2, 2)), picture.expand(2, -1, -1, -1))
    with torch.no_grad():
        model.paint[6] = 1.0  # row 1, column 2 of four
    changed = (model(torch.rand(1, 2))[0] - picture).abs().sum(0) > 1e-6
    assert changed[8:16, 16:24].all() and changed.sum() == 64


def test_it_starts_from_a_picture() -> None:
    model, image = NeuralRenderer(3, 32), torch.rand(3, 32, 32) * 0.9 + 0.05
    model.start_from(image)
    nn.init.zeros_(model.paint.weight)
    nn.init.zeros_(model.paint.bias)
    torch.testing.assert_close(model(torch.rand(2, 3)), image.expand(2, -1, -1, -1))
    assert model.canvas.requires_grad


def test_where_the_face_is_travels_with_the_weights() -> None:
    model, other = NeuralRenderer(2, 32), NeuralRenderer(2, 32)
    model.face.copy_(torch.tensor([[2.0, 0.1, -0.3], [-0.1, 2.0, -0.4]]))
    model.view.copy_(model.face + 1)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.face, model.face) and torch.equal(other.view, model.view)
