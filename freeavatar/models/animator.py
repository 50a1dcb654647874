"""The animator: an expression feature and an avatar's code -> a value for each of the avatar's controls."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, width)
        self.down = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.gelu(self.up(self.norm(x))))  # type: ignore[no-any-return]


class Animator(nn.Module):
    """One network for all avatars; what differs between them are codes and queries, not weights.

    The feature and the avatar's code pass a residual MLP, as in FreeAvatar (Qiu et al. 2024, animator with identity
    injection); every control then asks the result with a query of its own, so that an avatar may have any number
    of controls.

    Args:
        feature: size F of the encoder's feature.
        code: size K of an avatar's code.
        query: size Q of a control's query.
        width: hidden size.
        blocks: residual blocks.
        answer: hidden size of a control's answer.
    """

    def __init__(self, feature: int = 256, code: int = 16, query: int = 32, width: int = 256, blocks: int = 2, answer: int = 96) -> None:
        super().__init__()
        self.inject = nn.Linear(feature + code, width)
        self.blocks = nn.ModuleList([_Residual(width) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)
        self.from_state = nn.Linear(width, answer)
        self.from_query = nn.Linear(query, answer, bias=False)
        self.gate = nn.Linear(query, answer)
        self.value = nn.Linear(answer, 1)
        self.bias = nn.Linear(query, 1, bias=False)

    def forward(self, feature: Tensor, code: Tensor, queries: Tensor) -> Tensor:
        """Normalised control values.

        Args:
            feature: (B, F).
            code: (B, K).
            queries: (N, Q).

        Returns:
            (B, N) in 0..1.
        """
        state = F.gelu(self.inject(torch.cat([feature, code], dim=1)))
        for block in self.blocks:
            state = block(state)
        state = self.from_state(self.norm(state))[:, None]  # (B, 1, A)
        asked = F.gelu(state * self.gate(queries) + self.from_query(queries))  # (B, N, A)
        return torch.sigmoid(self.value(asked).squeeze(2) + self.bias(queries).squeeze(1))
