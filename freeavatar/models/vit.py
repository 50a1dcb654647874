"""Vision transformer and masked autoencoder whose parameter names are those of timm and MAE, so that public weights load."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

IMAGE_MEAN: Final = (123.675, 116.28, 103.53)
IMAGE_STD: Final = (58.395, 57.12, 57.375)
"""Of ImageNet's pixels (0..255), which public weights expect their input to be normalised by."""


class Attention(nn.Module):
    """Multi-head self-attention over (B, N, D) tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)  # each (B, H, N, D/H)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(b, n, d))  # type: ignore[no-any-return]


class Mlp(nn.Module):
    """Two linear layers with GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Pre-norm transformer block (Dosovitskiy et al. 2021) with stochastic depth.

    Args:
        width: token size.
        heads: attention heads.
        ratio: hidden size of the MLP relative to ``width``.
        drop_path: probability of skipping a residual branch for a sample while training.
    """

    def __init__(self, width: int, heads: int, ratio: float = 4.0, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, int(width * ratio))
        self.drop_path = drop_path

    def _drop(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0.0:
            return branch
        keep = 1.0 - self.drop_path
        return branch * (torch.rand(len(branch), 1, 1, device=branch.device) < keep) / keep

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._drop(self.attn(self.norm1(x)))
        return x + self._drop(self.mlp(self.norm2(x)))


@dataclass(frozen=True)
class Preset:
    """Sizes of a transformer and of the decoder that it is pre-trained with: token size, blocks, attention heads."""

    width: int
    depth: int
    heads: int
    decoder_width: int
    decoder_depth: int
    decoder_heads: int


PRESETS: Final = {
    "tiny": Preset(192, 12, 3, 128, 4, 4),
    "small": Preset(384, 12, 6, 256, 4, 8),
    "base": Preset(768, 12, 12, 512, 8, 16),
}
"""ViT-Ti and ViT-S (Touvron et al. 2021) with light decoders, ViT-B as published with MAE."""


class PatchEmbed(nn.Module):
    """(B, 3, S, S) -> (B, N, D): a linear map of every patch, row by row."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


class VisionTransformer(nn.Module):
    """Plain vision transformer (Dosovitskiy et al. 2021) with fixed position embeddings, as MAE pre-trains it.

    Args:
        size: side of the image in pixels, a multiple of ``patch``.
        patch: side of a patch in pixels.
        width: token size, a multiple of 4 and of ``heads``.
        depth: transformer blocks.
        heads: attention heads.
        drop_path: stochastic depth of the last block; earlier ones less.
    """

    mean: Tensor
    std: Tensor
    pos_embed: Tensor

    def __init__(
        self, size: int = 224, patch: int = 16, width: int = 768, depth: int = 12, heads: int = 12, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.patch, self.patches = patch, (size // patch) ** 2
        self.patch_embed = PatchEmbed(patch, width)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.register_buffer("pos_embed", positions(width, size // patch))
        self.blocks = nn.ModuleList([Block(width, heads, drop_path=drop_path * i / max(depth - 1, 1)) for i in range(depth)])
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGE_STD).view(1, 3, 1, 1), persistent=False)
        self.apply(_initialise)
        nn.init.xavier_uniform_(self.patch_embed.proj.weight.view(width, -1))

    def forward(self, image: Tensor, kept: Tensor | None = None) -> Tensor:
        """Tokens of an image.

        Args:
            image: (B, 3, size, size) RGB in 0..255; normalisation happens inside.
            kept: (B, K) the patches to look at, by number; all N if None.

        Returns:
            (B, 1 + K, width) class token, then one token a patch.
        """
        x = self.patch_embed((image - self.mean) / self.std) + self.pos_embed[:, 1:]
        if kept is not None:
            x = pick(x, kept)
        x = torch.cat([(self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1), x], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)  # type: ignore[no-any-return]


class Reconstruction(NamedTuple):
    """What a masked autoencoder makes of a batch.

    Attributes:
        loss: scalar, mean squared error of the hidden patches, each normalised by its own mean and deviation.
        patches: (B, N, patch * patch * 3) normalised pixels, predicted.
        hidden: (B, N) 1 where a patch was hidden.
        feature: (B, width) mean token of what was seen.
    """

    loss: Tensor
    patches: Tensor
    hidden: Tensor
    feature: Tensor


class MaskedAutoencoder(VisionTransformer):
    """A vision transformer that sees few patches, and a decoder that paints the others (MAE, He et al. 2022).

    Args:
        size: side of the image in pixels, a multiple of ``patch``.
        patch: side of a patch in pixels.
        width: token size; ``depth``, ``heads``: blocks and attention heads of the encoder.
        decoder_width: token size; ``decoder_depth``, ``decoder_heads``: blocks and attention heads of the decoder.
        mask: share of the patches that is hidden.
    """

    decoder_pos_embed: Tensor

    def __init__(
        self, size: int = 224, patch: int = 16, width: int = 768, depth: int = 12, heads: int = 12,
        decoder_width: int = 512, decoder_depth: int = 8, decoder_heads: int = 16, mask: float = 0.75,
    ) -> None:  # fmt: skip
        super().__init__(size, patch, width, depth, heads)
        self.seen = int(self.patches * (1 - mask))
        self.decoder_embed = nn.Linear(width, decoder_width)
        self.mask_token = nn.Parameter(torch.randn(1, 1, decoder_width) * 0.02)
        self.register_buffer("decoder_pos_embed", positions(decoder_width, size // patch))
        self.decoder_blocks = nn.ModuleList([Block(decoder_width, decoder_heads) for _ in range(decoder_depth)])
        self.decoder_norm = nn.LayerNorm(decoder_width, eps=1e-6)
        self.decoder_pred = nn.Linear(decoder_width, patch * patch * 3)
        for part in (self.decoder_embed, self.decoder_blocks, self.decoder_pred):
            part.apply(_initialise)

    def forward(self, image: Tensor, noise: Tensor) -> Reconstruction:  # type: ignore[override]
        """Hide patches and paint them.

        Args:
            image: (B, 3, size, size) RGB in 0..255.
            noise: (B, N) chance; the patches with the smallest values are seen.
        """
        order = noise.argsort(dim=1)
        place = order.argsort(dim=1)
        tokens = super().forward(image, order[:, : self.seen])
        x = self.decoder_embed(tokens)
        unseen = self.mask_token.to(x.dtype).expand(len(x), self.patches - self.seen, -1)
        x = torch.cat([x[:, :1], pick(torch.cat([x[:, 1:], unseen], dim=1), place)], dim=1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            x = block(x)
        patches = self.decoder_pred(self.decoder_norm(x))[:, 1:].float()
        hidden = (place >= self.seen).float()
        error = (patches - self.target(image)).square().mean(dim=2)
        return Reconstruction((error * hidden).sum() / hidden.sum(), patches, hidden, tokens[:, 1:].mean(dim=1))

    def target(self, image: Tensor) -> Tensor:
        """(B, N, patch * patch * 3) what is to be painted: every patch normalised by its own mean and deviation."""
        p = self.patch
        pixels = F.pixel_unshuffle((image - self.mean) / self.std, p)  # (B, 3 * p * p, rows, columns), channel by channel
        x = pixels.reshape(len(image), 3, p * p, self.patches).permute(0, 3, 2, 1).flatten(2)
        spread: Tensor = (x.var(dim=2, keepdim=True) + 1e-6).sqrt()
        return (x - x.mean(dim=2, keepdim=True)) / spread


def pick(tokens: Tensor, index: Tensor) -> Tensor:
    """(B, K, D) the tokens (B, N, D) that ``index`` (B, K) names, in its order."""
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[2]))


def positions(width: int, side: int) -> Tensor:
    """(1, 1 + side * side, width) fixed embedding: zeros for the class token, then sine and cosine of x and of y (MAE, He et al. 2022)."""
    speed = 10000.0 ** (-torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    angle = torch.arange(side, dtype=torch.float64)[:, None] * speed
    line = torch.cat([angle.sin(), angle.cos()], dim=1)  # (side, width / 2)
    x, y = line.expand(side, -1, -1), line[:, None].expand(-1, side, -1)
    grid = torch.cat([x, y], dim=2).flatten(0, 1)
    return torch.cat([grid.new_zeros(1, width), grid])[None].float()


def _initialise(part: nn.Module) -> None:
    if isinstance(part, nn.Linear):
        nn.init.xavier_uniform_(part.weight)
        nn.init.zeros_(part.bias)
