"""The perceptual loop: does the avatar that the animator moves express what the person expresses?

The animator's controls become a picture by a neural renderer, the picture an embedding by the encoder; both are frozen, and
the gradient passes through them to the controls. As FreeAvatar proposes (Qiu et al. 2024), whose public code lacks it.

An avatar is no person: its embeddings lie elsewhere and spread less. So each domain is centred on its own mean and measured in
its own spread, both taken over the same expressions, and only what is left is compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from freeavatar.models.expression import ExpressionEncoder
from freeavatar.rig import Rig, load_rig
from freeavatar.train.avatar_pictures import Painter, as_tensor
from freeavatar.train.export import load_weights
from freeavatar.train.renderer import frozen, load_trained, look
from freeavatar_renderer.neural import Renderer

LARGEST_GAP: Final = 0.2
"""Largest distance of neural from raster embeddings, as a share of the distance between two expressions."""
_READ: Final = 32
"""Pictures that are read at once."""


@dataclass(frozen=True)
class Domain:
    """Where the embeddings of a person or of an avatar lie.

    Attributes:
        mean: (D,).
        spread: root mean square distance from the mean.
    """

    mean: Tensor
    spread: Tensor

    @classmethod
    def of(cls, embeddings: Tensor) -> "Domain":
        """The domain of embeddings (M, D)."""
        mean = embeddings.mean(0)
        return cls(mean, (embeddings - mean).square().sum(1).mean().sqrt().clamp(min=1e-6))

    def place(self, embeddings: Tensor) -> Tensor:
        """(B, D) the embeddings, from the mean and in units of the spread."""
        return (embeddings - self.mean) / self.spread


class Avatar:
    """An avatar as the encoder sees it through a neural renderer.

    Args:
        rig: the avatar.
        renderer: trained for it; it and the encoder are frozen here.
        encoder: reads expressions.
        values: (M, N) normalised animator-driven controls of the expressions that the avatar's domain is taken over.
    """

    def __init__(self, rig: Rig, renderer: Renderer, encoder: ExpressionEncoder, values: Tensor) -> None:
        self.rig = rig
        self.renderer, self.encoder = renderer.eval().requires_grad_(False), frozen(encoder)
        self._driven = torch.tensor(rig.driven)
        self._rest = torch.from_numpy(rig.normalise(rig.neutral()))
        with torch.no_grad():
            self.domain = Domain.of(torch.cat([self.read(part) for part in torch.split(values, _READ)]))

    def read(self, values: Tensor) -> Tensor:
        """(B, D) embeddings of the neural pictures of normalised animator-driven controls (B, N), with the gradient."""
        return self._embed(self.renderer(self._whole(values)))

    @torch.no_grad()
    def gap(self, values: Tensor) -> float:
        """Mean distance of neural from raster embeddings of controls (B, N), as a share of that between two expressions."""
        with Painter(self.rig, self.renderer.size, self.renderer.view.numpy()) as painter:
            true = as_tensor(np.stack([painter.paint(row) for row in self._whole(values).numpy()]))
        off = torch.linalg.vector_norm(self.read(values) - self._embed(true.float() / 255), dim=1)
        # Two independent members of a domain are the root of two spreads apart.
        return float(off.mean() / (2**0.5 * self.domain.spread))

    def _whole(self, values: Tensor) -> Tensor:
        """(B, all controls): those that the animator does not drive are at rest."""
        return self._rest.expand(len(values), -1).index_copy(1, self._driven, values)

    def _embed(self, pictures: Tensor) -> Tensor:
        return look(self.encoder, self.renderer.crop(pictures, self.encoder.size)).embedding.float()


class Perceptual:
    """The loss between people's faces and the avatars that show them.

    Args:
        avatars: by the name of their rig.
        people: (M, D) embeddings of people who show the expressions that the avatars' domains were taken over.
    """

    def __init__(self, avatars: Mapping[str, Avatar], people: Tensor) -> None:
        self._avatars, self._people = dict(avatars), Domain.of(people)

    @property
    def rigs(self) -> frozenset[str]:
        """Names of the rigs that can be judged; :meth:`check` takes away those that no longer can."""
        return frozenset(self._avatars)

    def loss(self, rig: str, values: Tensor, wanted: Tensor) -> Tensor:
        """Mean squared distance of what the avatars express from what the people do: 0 if alike, about 2 if unrelated.

        Args:
            rig: one of :attr:`rigs`.
            values: (B, N) normalised animator-driven controls, in the rig's order.
            wanted: (B, D) embeddings of the people's faces.
        """
        shown = self._avatars[rig]
        off = shown.domain.place(shown.read(values)) - self._people.place(wanted)
        return off.square().sum(1).mean()

    def check(self, rig: str, values: Tensor) -> float:
        """The guard against exploitation: :meth:`Avatar.gap` at the animator's own controls (B, N).

        Above :data:`LARGEST_GAP` the animator has found pictures that only the neural renderer draws, and the avatar is dropped
        from :attr:`rigs`.

        Raises:
            MissingExtraError, RenderError, RigError: as for :class:`freeavatar.train.avatar_pictures.Painter`.
        """
        gap = self._avatars[rig].gap(values.detach())
        if gap > LARGEST_GAP:
            del self._avatars[rig]
        return gap


def load(weights: Path, checkpoints: Mapping[str, Path], people: Tensor, values: Mapping[str, Tensor]) -> Perceptual:
    """The loss through trained neural renderers.

    Args:
        weights: the encoder's weights folder.
        checkpoints: of the stage ``renderer``, by the names of their rigs.
        people: (M, D) embeddings of people.
        values: by rig, (M, N) normalised animator-driven controls of what those people express.

    Raises:
        RigError, WeightsError: a rig, the encoder or a checkpoint is unusable.
    """
    encoder = load_weights(weights)
    rigs = {name: load_rig(name) for name in checkpoints}
    avatars = {name: Avatar(rig, load_trained(checkpoints[name], rig), encoder, values[name]) for name, rig in rigs.items()}
    return Perceptual(avatars, people)
