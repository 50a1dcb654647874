"""A differentiable renderer of one avatar: normalised control values -> picture, learnt from the raster's pictures.

Training's perceptual loop needs the gradient of a picture with respect to the controls, which OpenGL does not give.
The raster stays the truth; this network only stands in for it while an animator trains.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BASE: Final = 16
"""Side in pixels of the map that the controls are spread on."""
CHANNELS: Final = (48, 64, 40, 24, 16)
"""Channels of that map and of each next one, twice as wide."""
PATCH: Final = 8
"""Side in pixels of the patches that a network of their own paints."""
PUBLISHED: Final = (1024, 512, 256, 128, 128, 128, 3)
"""Channels of the transposed convolutions of FreeAvatar's renderer (Qiu et al. 2024)."""
PUBLISHED_SIZE: Final = 256


class Renderer(nn.Module):
    """What both renderers share: how large their pictures are, and where the face is in them.

    Attributes:
        controls: number N of controls.
        size: side S of the pictures in pixels.
        view: (2, 3) affine map from what the avatar's camera sees to the picture, both as the unit square with y down.
        face: (2, 3) that from the picture to the encoder's crop. Both are buffers, so that they travel with the weights.
    """

    view: Tensor
    face: Tensor

    def __init__(self, controls: int, size: int) -> None:
        super().__init__()
        self.controls, self.size = controls, size
        self.register_buffer("view", torch.eye(2, 3))
        self.register_buffer("face", torch.eye(2, 3))

    def crop(self, image: Tensor, side: int) -> Tensor:
        """The encoder's crop of pictures, differentiable; beyond the picture its border is repeated.

        Args:
            image: (B, 3, H, W), of this network or of the raster that it learnt from.
            side: pixels of the crop.

        Returns:
            (B, 3, side, side) in the range of the pictures.
        """
        linear = torch.linalg.inv(self.face[:, :2])
        # To grid_sample both squares reach from -1 to 1.
        back = torch.cat([linear, 2 * linear @ (0.5 - self.face[:, 2:]) - 1], dim=1)
        grid = F.affine_grid(back.expand(len(image), -1, -1), [len(image), 3, side, side], align_corners=False)
        return F.grid_sample(image, grid.to(image.dtype), padding_mode="border", align_corners=False)


class PatchRenderer(Renderer):
    """The renderer for a head at rest: a small network for every patch of the picture, none of which sees the others.

    While the head rests, a patch depends on few controls, and morph targets move it along straight lines: two layers of a few
    units are enough to say what passes through it. There is no convolution, so a picture costs as many multiplications as
    there are parameters: 4 million at 128 pixels.

    Args:
        controls: number N of controls.
        size: side S of the pictures, a multiple of :data:`PATCH`.
        width: units of each of the two layers of a patch.

    Raises:
        ValueError: no such size.
    """

    def __init__(self, controls: int, size: int = 128, width: int = 48) -> None:
        super().__init__(controls, size)
        if not (PATCH <= size <= 512 and size % PATCH == 0):
            raise ValueError(f"size is {size}, expected a multiple of {PATCH} from {PATCH} to 512")
        patches = (size // PATCH) ** 2
        # Few controls are away from rest at a time, so their weights start larger than those of the units.
        self.first = nn.Parameter(torch.randn(patches, controls, width) / 2)
        self.first_bias = nn.Parameter(0.3 * torch.randn(patches, 1, width))
        self.second = nn.Parameter(torch.randn(patches, width, width) * math.sqrt(2 / width))
        self.second_bias = nn.Parameter(0.3 * torch.randn(patches, 1, width))
        self.paint = nn.Parameter(torch.zeros(patches, width, 3 * PATCH**2))
        self.canvas = nn.Parameter(torch.full((3, size, size), 0.5))

    @torch.no_grad()
    def start_from(self, image: Tensor) -> None:
        """Let the picture that is changed by the controls be this one: (3, S, S) in 0..1, usually the avatar at rest."""
        self.canvas.copy_(image)

    def forward(self, controls: Tensor) -> Tensor:
        """Pictures.

        Args:
            controls: (B, N) normalised, 0..1, in the rig's order.

        Returns:
            (B, 3, S, S) RGB, about 0..1: it is not cut off, so that gradients pass everywhere.
        """
        # Eight bits of mantissa would show in a picture.
        with torch.autocast(controls.device.type, enabled=False):
            x = controls.float().expand(len(self.first), -1, -1)
            x = F.silu(torch.baddbmm(self.first_bias, x, self.first))
            x = F.silu(torch.baddbmm(self.second_bias, x, self.second))
            side = self.size // PATCH
            patches = torch.bmm(x, self.paint).view(side, side, -1, 3, PATCH, PATCH)
            return self.canvas + patches.permute(2, 3, 0, 4, 1, 5).reshape(-1, 3, self.size, self.size)


class NeuralRenderer(Renderer):
    """The small renderer of any head pose: 1.6 million parameters at 128 pixels.

    The controls are spread on a small map, so that each finds its places; residual blocks enlarge it, modulated by the
    controls (FiLM, Perez et al. 2018), the last doubling by a sub-pixel convolution (Shi et al. 2016). As the avatar and its
    camera stay, each block has a learnt canvas, and so has the picture: the controls need only say what changes.

    Args:
        controls: number N of controls, those of head and eyes included.
        size: side S of the pictures: 32, 64, 128, 256 or 512.
        width: numbers that the controls become.

    Raises:
        ValueError: no such size.
    """

    def __init__(self, controls: int, size: int = 128, width: int = 96) -> None:
        super().__init__(controls, size)
        doublings = int(math.log2(max(size, 1) / BASE))
        if size != BASE * 2**doublings or not 1 <= doublings <= len(CHANNELS):
            raise ValueError(f"size is {size}, expected one of {', '.join(str(BASE * 2**n) for n in range(1, len(CHANNELS) + 1))}")
        channels = CHANNELS[:doublings]
        self.code = nn.Sequential(nn.Linear(controls, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.spread = nn.Linear(width, channels[0] * BASE**2)
        self.blocks = nn.ModuleList([_Block(a, b, BASE * 2**n, width) for n, (a, b) in enumerate(pairwise(channels), 1)])
        self.paint = nn.Conv2d(channels[-1], 12, 3, padding=1)
        self.canvas = nn.Parameter(torch.zeros(1, 3, size, size))

    @torch.no_grad()
    def start_from(self, image: Tensor) -> None:
        """Let the picture that is changed by the controls be this one: (3, S, S) in 0..1, usually the avatar at rest."""
        self.canvas.copy_(torch.logit(image, eps=0.01))

    def forward(self, controls: Tensor) -> Tensor:
        """Pictures.

        Args:
            controls: (B, N) normalised, 0..1, in the rig's order.

        Returns:
            (B, 3, S, S) RGB in 0..1.
        """
        code = self.code(2 * controls - 1)
        x = self.spread(code).unflatten(1, (-1, BASE, BASE))
        for block in self.blocks:
            x = block(x, code)
        # Eight bits of mantissa would show in a picture.
        with torch.autocast(x.device.type, enabled=False):
            return torch.sigmoid(F.pixel_shuffle(self.paint(F.silu(x.float())), 2) + self.canvas)


class _Block(nn.Module):
    """Twice as wide, with a canvas, in the light of the code (B, width)."""

    def __init__(self, inside: int, outside: int, side: int, width: int) -> None:
        super().__init__()
        self.skip = nn.Conv2d(inside, outside, 1)
        self.first = nn.Conv2d(inside, outside, 3, padding=1)
        self.second = nn.Conv2d(outside, outside, 3, padding=1)
        self.canvas = nn.Parameter(torch.zeros(1, outside, side, side))
        self.film = nn.Linear(width, 4 * outside)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        scale, shift, scale2, shift2 = self.film(code)[:, :, None, None].chunk(4, dim=1)
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear")
        h = (self.first(F.silu(x)) + self.canvas) * (1 + scale) + shift
        h = self.second(F.silu(h)) * (1 + scale2) + shift2
        return self.skip(x) + h  # type: ignore[no-any-return]


class PublishedRenderer(Renderer):
    """The renderer of FreeAvatar as published: seven transposed convolutions to 256 pixels; 12.5 million parameters.

    Args:
        controls: number N of controls.
        size: must be :data:`PUBLISHED_SIZE`.

    Raises:
        ValueError: another size.
    """

    def __init__(self, controls: int, size: int = PUBLISHED_SIZE) -> None:
        super().__init__(controls, size)
        if size != PUBLISHED_SIZE:
            raise ValueError(f"size is {size}, expected {PUBLISHED_SIZE}")
        inside, layers = controls, list[nn.Module]()
        for i, outside in enumerate(PUBLISHED[:-1]):
            up = nn.ConvTranspose2d(inside, outside, 4, *((2, 1) if i else (1, 0)), bias=False)
            layers += [up, nn.BatchNorm2d(outside), nn.ReLU(inplace=True)]
            inside = outside
        self.body = nn.Sequential(*layers)
        self.paint = nn.ConvTranspose2d(inside, PUBLISHED[-1], 4, 2, 1)

    def forward(self, controls: Tensor) -> Tensor:
        """Pictures (B, 3, 256, 256) RGB in 0..1 of normalised controls (B, N)."""
        x = self.body(controls[:, :, None, None])
        with torch.autocast(x.device.type, enabled=False):
            return torch.sigmoid(self.paint(x.float()))


MODELS: Final[dict[str, Callable[[int, int], Renderer]]] = {
    "patches": PatchRenderer, "small": NeuralRenderer, "published": PublishedRenderer,
}  # fmt: skip
"""Renderers by name, built from the number of controls and the side of the pictures."""
