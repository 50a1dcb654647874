"""The animator: an expression feature and an avatar's code -> a value for each of the avatar's controls.

One network for all avatars; what differs between them are codes and queries, not weights. A query stands for a control,
so an avatar may have any number of them, and no control's value depends on which others are asked for.
"""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHAPES: Final = 52
"""ARKit shapes, whose weights begin a query."""
_LEAK: Final = 0.02
"""Slope of a value beyond its ends, so that it learns to come back."""


class _Residual(nn.Module):
    """Pre-norm two-layer perceptron around which the input is passed."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.gelu(self.up(self.norm(x))))  # type: ignore[no-any-return]


class _State(nn.Module):
    """The residual MLP of FreeAvatar (Qiu et al. 2024, animator with identity injection): feature and code to a state."""

    def __init__(self, feature: int, code: int, width: int, blocks: int, state: int) -> None:
        super().__init__()
        self.inject = nn.Linear(feature + code, width)
        self.blocks = nn.ModuleList([_Residual(width, width) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, state)

    def forward(self, feature: Tensor, code: Tensor) -> Tensor:
        """(B, state) of features (B, F) and a code (1 or B, K)."""
        x = F.gelu(self.inject(torch.cat([feature, code.expand(feature.shape[0], -1)], dim=1)))
        for block in self.blocks:
            x = block(x)
        return self.out(self.norm(x))  # type: ignore[no-any-return]


class _Ask(nn.Module):
    """Every control asks the state: its query opens and shifts what the state offers."""

    def __init__(self, state: int, query: int) -> None:
        super().__init__()
        self.gate = nn.Linear(query, state)
        self.shift = nn.Linear(query, state)
        self.value = nn.Linear(state, 1)

    def forward(self, state: Tensor, queries: Tensor) -> Tensor:
        """(B, N) answers of states (B, S) to queries (N, Q)."""
        return self.value(F.gelu(state[:, None] * self.gate(queries) + self.shift(queries))).squeeze(2)  # type: ignore[no-any-return]


class _CrossAttention(nn.Module):
    """Every control attends to the tokens of the expression (Vaswani et al. 2017, section 3.2), not to other controls."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.ask = nn.Linear(width, width)
        self.tell = nn.Linear(width, 2 * width)
        self.mix = nn.Linear(width, width)

    def forward(self, controls: Tensor, expression: Tensor) -> Tensor:
        """(B, N, W) controls after a look at (B, T, W) expression tokens; a batch of 1 stands for any."""
        asked = self.ask(self.norm(controls)).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, H, N, W/H)
        key, value = self.tell(expression).unflatten(2, (2 * self.heads, -1)).transpose(1, 2).chunk(2, 1)  # (B, H, T, W/H)
        share = (asked @ key.transpose(2, 3) * asked.shape[3] ** -0.5).softmax(3)
        return controls + self.mix((share @ value).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class MlpAnimator(nn.Module):
    """The published residual MLP, asked by queries: the baseline.

    Args:
        feature: size F of the encoder's feature.
        code: size K of an avatar's code.
        query: size Q of a control's query.
        width: hidden size.
        blocks: residual blocks.
        state: size of what controls ask.
    """

    def __init__(self, feature: int = 256, code: int = 16, query: int = 64, width: int = 256, blocks: int = 2, state: int = 96) -> None:
        super().__init__()
        self.state = _State(feature, code, width, blocks, state)
        self.ask = _Ask(state, query)

    def forward(self, feature: Tensor, code: Tensor, queries: Tensor) -> Tensor:
        """Normalised control values.

        Args:
            feature: (B, F).
            code: (B, K), or (1, K) where all are of one avatar.
            queries: (N, Q).

        Returns:
            (B, N) in 0..1.
        """
        return torch.sigmoid(self.ask(self.state(feature, code), queries))


class TokenAnimator(nn.Module):
    """Control tokens: each control is a query that knows what the control does, and corrects the encoder's read-out.

    The first numbers of a query say what ARKit shapes move the control by how much, and where it rests. A control's value
    is that mix of ARKit weights read from the feature, plus what it learns by asking the expression's state under the
    avatar's code. So the network starts from the read-out through the avatar's own map, for avatars that it has never
    seen as well.

    Args:
        feature: size F of the encoder's feature.
        code: size K of an avatar's code.
        query: size Q of a control's query; more than :data:`SHAPES`.
        width: hidden size.
        blocks: residual blocks.
        state: size of what controls ask.
    """

    def __init__(self, feature: int = 256, code: int = 16, query: int = 64, width: int = 256, blocks: int = 2, state: int = 96) -> None:
        super().__init__()
        self.read = nn.Linear(feature, SHAPES)
        self.state = _State(feature, code, width, blocks, state)
        self.ask = _Ask(state, query)
        _silence(self.ask.value)

    def forward(self, feature: Tensor, code: Tensor, queries: Tensor) -> Tensor:
        """Normalised control values; arguments as for :meth:`MlpAnimator.forward`.

        Returns:
            (B, N), 0..1 but for a little at the ends, which is to be cut off.
        """
        return _bounded(_mixed(self.read(feature), queries) + self.ask(self.state(feature, code), queries))


class AttentionAnimator(nn.Module):
    """As :class:`TokenAnimator`, but a control, modulated by the code, attends to tokens of the expression for its correction.

    Args:
        feature: size F of the encoder's feature.
        code: size K of an avatar's code.
        query: size Q of a control's query; more than :data:`SHAPES`.
        tokens: T, how many tokens the feature is turned into.
        width: size of a token.
        heads: attention heads.
    """

    def __init__(self, feature: int = 256, code: int = 16, query: int = 64, tokens: int = 8, width: int = 64, heads: int = 4) -> None:
        super().__init__()
        self.tokens = tokens
        self.read = nn.Linear(feature, SHAPES)
        self.trunk = nn.Linear(feature, tokens * width)
        self.think = _Residual(tokens * width, 256)
        self.token_norm = nn.LayerNorm(width)
        self.from_query = nn.Linear(query, width)
        self.modulate = nn.Linear(code, 2 * width)
        self.attend = _CrossAttention(width, heads)
        self.answer = _Residual(width, 2 * width)
        self.norm = nn.LayerNorm(width)
        self.value = nn.Linear(width, 1)
        _silence(self.value)

    def forward(self, feature: Tensor, code: Tensor, queries: Tensor) -> Tensor:
        """Normalised control values, see :meth:`TokenAnimator.forward`."""
        expression = self.token_norm(self.think(self.trunk(feature)).unflatten(1, (self.tokens, -1)))  # (B, T, W)
        scale, shift = self.modulate(code)[:, None].chunk(2, 2)  # (B, 1, W)
        controls = self.answer(self.attend(self.from_query(queries) * (1 + scale) + shift, expression))  # (B, N, W)
        return _bounded(_mixed(self.read(feature), queries) + self.value(self.norm(controls)).squeeze(2))


Network = TokenAnimator | AttentionAnimator | MlpAnimator
NETWORKS: Final[Mapping[str, type[Network]]] = {"tokens": TokenAnimator, "attention": AttentionAnimator, "mlp": MlpAnimator}
"""Animators by name; all are called as :class:`MlpAnimator` is."""


def _mixed(read: Tensor, queries: Tensor) -> Tensor:
    """(B, N) the mix of ARKit weights, given as logits (B, 52), that the queries begin with."""
    return torch.sigmoid(read) @ queries[:, :SHAPES].T + queries[:, SHAPES]


def _silence(last: nn.Linear) -> None:
    """Make a correction start from nothing."""
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)


def _bounded(values: Tensor) -> Tensor:
    ends = values.clamp(0, 1)
    return ends + _LEAK * (values - ends)
