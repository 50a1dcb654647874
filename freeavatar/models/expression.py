"""The expression encoder: an aligned face crop -> feature, embedding and read-outs.

A convolutional stem turns the shrunk crop into 8 x 8 tokens and another turns the strip of eyes and brows, at the crop's
full resolution, into 4 x 8 more. A few transformer blocks (timm names) let regions talk to each other, and every token
keeps a say of its own in the feature: crops are aligned, so position carries meaning.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from freeavatar.models.vit import IMAGE_MEAN, IMAGE_STD, PRESETS, Block

OUTPUTS: Final = ("feature", "embedding", "arkit", "gaze", "head_pose", "confidence", "align")
"""Names and order of the exported graph's outputs."""
POSE_SCALE: Final = (1.0, 1.0, 1.0, 0.1, 0.1, 1.0)
"""Radians and metres that one unit of the head-pose read-out stands for."""
EYES: Final = (1 / 12, 5 / 12, 1 / 6, 5 / 6)
"""Top, bottom, left and right of the strip of eyes and brows, in shares of the crop."""
SIZES: Final[Mapping[str, Mapping[str, Any]]] = {
    "fast": {"size": 192, "whole": 128, "stem": (24, 48, 96, 192), "eyes": (24, 48, 96), "width": 192, "depth": 2, "heads": 3},
    "large": {"size": 192, "stem": (32, 64, 128, 256), "width": 384, "depth": 6, "heads": 6},
    "compact": {"size": 96, "stem": (16, 32, 64, 128), "width": 128, "depth": 0, "heads": 1},
    **{name: {"size": 128, "stem": (), "width": p.width, "depth": p.depth, "heads": p.heads} for name, p in PRESETS.items()},
}
"""Encoders by name: two with a convolutional stem; a small convolutional one, which serves as an independent judge; and plain
vision transformers that go on from the stage ``mae``."""


class Readings(NamedTuple):
    """Outputs of the encoder for a batch of B crops.

    Attributes:
        feature: (B, F) what the animator consumes.
        embedding: (B, D) unit length.
        arkit: (B, 52) in 0..1.
        gaze: (B, 2) yaw, pitch in radians relative to the head.
        head_pose: (B, 6) yaw, pitch, roll, x, y, z in the crop's own camera
            (:data:`freeavatar.face.pose.CROP_FIELD_OF_VIEW`).
        confidence: (B,) in 0..1.
        align: (B, 4) dx, dy (fractions of the crop), log scale, roll (radians) of this crop from the ideal one.
        movement: (B, M) skin movement; training only.
        change: (B, M) skin movement up to an offset of the person's own; training only.
        emotion: (B, E) logits of emotion classes; training only.
    """

    feature: Tensor
    embedding: Tensor
    arkit: Tensor
    gaze: Tensor
    head_pose: Tensor
    confidence: Tensor
    align: Tensor
    movement: Tensor
    change: Tensor
    emotion: Tensor


def _conv(inside: int, outside: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(inplace=True))


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(width, width, 1), nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


def _stem(channels: Sequence[int]) -> nn.Sequential:
    """Stages of stride 2, each but the first with a residual block."""
    first, *rest = channels
    stages = [layer for a, b in itertools.pairwise((first, *rest)) for layer in (_conv(a, b, 2), _Residual(b))]
    return nn.Sequential(_conv(3, first, 2), *stages)


class EyeStrip(nn.Module):
    """Eyes and brows at full resolution: much of what they do moves them by less than a pixel of the shrunk face.

    Args:
        size: side of the crop in pixels; a multiple of 48.
        channels: of its stages of stride 2, three of them.
        width: token size.
        token: numbers that each token contributes to the feature.
        feature: F.
    """

    def __init__(self, size: int, channels: Sequence[int], width: int, token: int, feature: int) -> None:
        super().__init__()
        self.top, self.bottom, self.left, self.right = (round(size * share) for share in EYES)
        tokens = (self.bottom - self.top) // 16 * ((self.right - self.left) // 16)
        self.stem = _stem(channels)
        self.proj = nn.Conv2d(channels[-1], width, 2, 2)
        self.pos_embed = nn.Parameter(torch.randn(1, tokens, width) * 0.02)
        self.to_feature = nn.Linear(tokens * token, feature, bias=False)
        nn.init.zeros_(self.to_feature.weight)  # so that an encoder that goes on with a strip goes on from what it was

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) normalised :meth:`cut` -> (B, N, W) tokens."""
        return self.proj(self.stem(x)).flatten(2).transpose(1, 2) + self.pos_embed  # type: ignore[no-any-return]

    def cut(self, image: Tensor) -> Tensor:
        """The strip of (B, 3, S, S) crops."""
        return image[:, :, self.top : self.bottom, self.left : self.right]


class ExpressionEncoder(nn.Module):
    """The encoder.

    Args:
        size: side of the crop in pixels; a multiple of 16, with ``eyes`` of 48.
        whole: side in pixels to which the crop is shrunk before the whole face is looked at; a multiple of 16; 0 for ``size``.
        stem: channels of the four stride-2 stages; empty for a plain vision transformer with patches of 16 pixels.
        eyes: channels of the three stride-2 stages that look at eyes and brows at full resolution; empty for none.
        width: token size.
        depth: transformer blocks.
        heads: attention heads.
        token: numbers that each token contributes to the feature.
        feature: F.
        embedding: D.
        movements: M.
        emotions: E.
        drop_path: stochastic depth of the last block; earlier ones less.
    """

    mean: Tensor
    std: Tensor
    pose_scale: Tensor

    def __init__(
        self, size: int = 128, stem: Sequence[int] = (24, 48, 96, 192), width: int = 192, depth: int = 2, heads: int = 3,
        whole: int = 0, eyes: Sequence[int] = (), token: int = 24, feature: int = 256, embedding: int = 16, movements: int = 72,
        emotions: int = 8, drop_path: float = 0.05,
    ) -> None:  # fmt: skip
        super().__init__()
        self.size, self.whole = size, whole or size
        self.stem = _stem(stem) if stem else nn.Sequential()
        tokens = (self.whole // 16) ** 2
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(stem[-1], width, 1) if stem else nn.Conv2d(3, width, 16, 16)
        self.pos_embed = nn.Parameter(torch.randn(1, tokens, width) * 0.02)
        self.eyes = EyeStrip(size, eyes, width, token, feature) if eyes else None
        self.blocks = nn.ModuleList([Block(width, heads, drop_path=drop_path * i / max(depth - 1, 1)) for i in range(depth)])
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.squeeze = nn.Linear(width, token)
        self.to_feature = nn.Linear(tokens * token, feature)
        self.feature_norm = nn.LayerNorm(feature, eps=1e-6)
        self.to_embedding = nn.Linear(feature, embedding)
        self.to_movement = nn.Linear(feature, movements)
        self.to_change = nn.Linear(feature, movements, bias=False)
        self.to_emotion = nn.Linear(feature, emotions)
        self.to_arkit = nn.Linear(feature, 52)
        self.to_gaze = nn.Linear(feature, 2)
        self.to_pose = nn.Linear(feature, 6)
        self.to_confidence = nn.Linear(feature, 1)
        self.to_align = nn.Linear(feature, 4)
        nn.init.constant_(self.to_arkit.bias, -2.0)  # most shapes rest most of the time
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGE_STD).view(1, 3, 1, 1))
        self.register_buffer("pose_scale", torch.tensor(POSE_SCALE))

    def forward(self, image: Tensor) -> Readings:
        """``image`` is (B, 3, size, size) RGB in 0..255; normalisation happens inside."""
        whole = image if self.whole == self.size else F.interpolate(image, (self.whole, self.whole), mode="bilinear")
        x = self.patch_embed.proj(self.stem((whole - self.mean) / self.std)).flatten(2).transpose(1, 2) + self.pos_embed  # type: ignore[operator]  # (B, N, W)
        count = x.shape[1]
        if self.eyes is not None:
            x = torch.cat([x, self.eyes((self.eyes.cut(image) - self.mean) / self.std)], 1)
        for block in self.blocks:
            x = block(x)
        x = F.gelu(self.squeeze(self.norm(x)))  # (B, N, token)
        feature = self.to_feature(x[:, :count].flatten(1))
        if self.eyes is not None:
            feature = feature + self.eyes.to_feature(x[:, count:].flatten(1))
        feature = self.feature_norm(feature)
        return Readings(
            feature=feature,
            embedding=F.normalize(self.to_embedding(feature), dim=1),
            arkit=torch.sigmoid(self.to_arkit(feature)),
            gaze=self.to_gaze(feature) * 0.3,
            head_pose=self.to_pose(feature) * self.pose_scale,
            confidence=torch.sigmoid(self.to_confidence(feature)).squeeze(1),
            align=self.to_align(feature) * 0.1,
            movement=self.to_movement(feature),
            change=self.to_change(feature),
            emotion=self.to_emotion(feature),
        )
