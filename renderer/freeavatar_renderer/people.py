"""Invented people: who may appear in a picture, and how a new face is made from known ones.

A :class:`Cast` holds the identities of one split (``tools/splits.toml``). To train, hardly anybody appears as he is:
VALID heads are bent, wear varied skins (:mod:`freeavatar_renderer.skins`) and other people's hair; ICT-FaceKit and Anny
give identities without limit; some of them are stylised, so that an avatar is not foreign to the encoder.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from freeavatar.types import Image
from freeavatar_renderer import skins
from freeavatar_renderer.anny import load_anny
from freeavatar_renderer.heads import Head, dress, lay_tongue, load_ict, load_valid, reshape
from freeavatar_renderer.stylised import stylise

SHARES: Final[Mapping[str, float]] = {"valid": 0.42, "ict": 0.22, "anny": 0.22, "stylised": 0.14}
"""Share of each kind of person in training."""


@dataclass(frozen=True)
class Cast:
    """The identities of one split.

    Attributes:
        valid: names of VALID heads; they lend skins and hair as well.
        ict: first and last + 1 seed of ICT-FaceKit identities.
        anny: the same of Anny identities.
        invent: bend, dress and stylise; False shows everybody as he is.
    """

    valid: tuple[str, ...]
    ict: tuple[int, int]
    anny: tuple[int, int]
    invent: bool = True

    def person(self, rng: np.random.Generator, kind: str | None = None) -> Head:
        """A person of the given kind (a key of :data:`SHARES`), or of a kind drawn by its share."""
        kind = kind or str(rng.choice(list(SHARES), p=list(SHARES.values())))
        if kind == "valid":
            head = self._known(rng)
            return self._changed(head, rng) if self.invent else head
        if kind == "stylised":
            return stylise(self.person(rng, "ict" if rng.random() < 0.4 else "anny"), rng)
        if kind == "anny":
            # Painted skins are many but simple; a photographed one now and then ties them to the others.
            return load_anny(int(rng.integers(*self.anny)), self._skin(rng) if self.invent and rng.random() < 0.4 else None)
        head = dress(load_ict(int(rng.integers(*self.ict))), self._skin(rng) if self.invent else self._known(rng).textures["body"])
        return _wear(head, self._known(rng)) if rng.random() < 0.6 else head

    def _known(self, rng: np.random.Generator) -> Head:
        return load_valid(self.valid[rng.integers(len(self.valid))])

    def _skin(self, rng: np.random.Generator) -> Image:
        return skins.vary(self._known(rng).textures["body"], self._known(rng).textures["body"], rng)

    def _changed(self, head: Head, rng: np.random.Generator) -> Head:
        if rng.random() < 0.5:
            head = _wear(head, self._known(rng))
        return reshape(dress(lay_tongue(head, rng), self._skin(rng)), rng, rng.uniform(0.5, 1.6))


def _wear(head: Head, lender: Head) -> Head:
    """The head with the lender's hair instead of its own; hair that is painted on the skin stays."""
    hair = next((p for p in lender.parts if p.name == "hair"), None)
    if hair is None:
        return head
    scale = head.eye_distance / lender.eye_distance * 1.02
    moved = (hair.vertices - lender.eyes.mean(0)) * scale + head.eyes.mean(0)
    texture = lender.textures["hair" if hair.skin == "hair" else "body"]
    parts = (*(p for p in head.parts if p.name != "hair"), replace(hair, vertices=moved.astype(np.float32), skin="hair"))
    return replace(head, parts=parts, textures={**head.textures, "hair": texture})
