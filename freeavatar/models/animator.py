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


class TokenAnimator(nn.Module):
    """Control tokens: each control is a query, modulated by the avatar's code, that attends to the expression.

    The first numbers of a query say what ARKit shapes move the control by how much, and where it rests. A control's value
    is that mix of ARKit weights read from the feature, corrected by what its token finds in the expression. So the
    network starts from the encoder's read-out through the avatar's own map, for avatars that it has never seen as well.

    Args:
        feature: size F of the encoder's feature.
        code: size K of an avatar's code.
        query: size Q of a control's query; more than :data:`SHAPES` + 1.
        tokens: T, how many tokens the feature is turned into.
        width: size of a token.
        depth: layers of attention.
        heads: attention heads.
    """

    def __init__(
        self, feature: int = 256, code: int = 16, query: int = 64, tokens: int = 8, width: int = 64, depth: int = 1, heads: int = 4
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.read = nn.Linear(feature, SHAPES)
        self.trunk = nn.Linear(feature, tokens * width)
        self.think = _Residual(tokens * width, 256)
        self.token_norm = nn.LayerNorm(width)
        self.from_query = nn.Linear(query, width)
        self.modulate = nn.Linear(code, 2 * width)
        self.attend = nn.ModuleList([_CrossAttention(width, heads) for _ in range(depth)])
        self.answer = nn.ModuleList([_Residual(width, 2 * width) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.value = nn.Linear(width, 1)
        nn.init.zeros_(self.value.weight)  # at first there is nothing to correct
        nn.init.zeros_(self.value.bias)

    def forward(self, feature: Tensor, code: Tensor, queries: Tensor) -> Tensor:
        """Normalised control values.

        Args:
            feature: (B, F).
            code: (B, K), or (1, K) where all are of one avatar.
            queries: (N, Q).

        Returns:
            (B, N), 0..1 but for a little at the ends, which is to be cut off.
        """
        mixed = torch.sigmoid(self.read(feature)) @ queries[:, :SHAPES].T + queries[:, SHAPES]  # (B, N)
        expression = self.token_norm(self.think(self.trunk(feature)).unflatten(1, (self.tokens, -1)))  # (B, T, W)
        scale, shift = self.modulate(code)[:, None].chunk(2, 2)  # (B, 1, W)
        controls = self.from_query(queries) * (1 + scale) + shift  # (B, N, W)
        for attend, answer in zip(self.attend, self.answer, strict=True):
            controls = answer(attend(controls, expression))
        values = mixed + self.value(self.norm(controls)).squeeze(2)
        bounded = values.clamp(0, 1)
        return bounded + _LEAK * (values - bounded)  # type: ignore[no-any-return]


class MlpAnimator(nn.Module):
    """The residual MLP of FreeAvatar (Qiu et al. 2024, animator with identity injection), asked by queries.

    Args:
        feature: size F of the encoder's feature.
        code: size K of an avatar's code.
        query: size Q of a control's query.
        width: hidden size.
        blocks: residual blocks.
        answer: hidden size of a control's answer.
    """

    def __init__(self, feature: int = 256, code: int = 16, query: int = 64, width: int = 256, blocks: int = 2, answer: int = 96) -> None:
        super().__init__()
        self.inject = nn.Linear(feature + code, width)
        self.blocks = nn.ModuleList([_Residual(width, width) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)
        self.from_state = nn.Linear(width, answer)
        self.from_query = nn.Linear(query, answer, bias=False)
        self.gate = nn.Linear(query, answer)
        self.value = nn.Linear(answer, 1)
        self.bias = nn.Linear(query, 1, bias=False)

    def forward(self, feature: Tensor, code: Tensor, queries: Tensor) -> Tensor:
        """Normalised control values; arguments and result are those of :meth:`TokenAnimator.forward`."""
        state = F.gelu(self.inject(torch.cat([feature, code.expand(len(feature), -1)], dim=1)))
        for block in self.blocks:
            state = block(state)
        state = self.from_state(self.norm(state))[:, None]  # (B, 1, A)
        asked = F.gelu(state * self.gate(queries) + self.from_query(queries))  # (B, N, A)
        return torch.sigmoid(self.value(asked).squeeze(2) + self.bias(queries).squeeze(1))


NETWORKS: Final[Mapping[str, type[TokenAnimator | MlpAnimator]]] = {"tokens": TokenAnimator, "mlp": MlpAnimator}
"""Animators by name; all take what :class:`TokenAnimator` takes."""
