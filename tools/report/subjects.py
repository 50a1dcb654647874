"""Who the report looks at: held-out synthetic people and avatars, photographed and read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from freeavatar.encoder import Encoder
from freeavatar.face import FaceTracker
from freeavatar.rig import Rig
from freeavatar.types import Expression, FaceCrop, Frame, Image
from freeavatar_renderer import head_map
from freeavatar_renderer.heads import Head
from freeavatar_renderer.people import Cast
from freeavatar_renderer.portrait import PortraitRenderer, Scene
from freeavatar_renderer.raster import AvatarRenderer

Floats = NDArray[np.float32]
SIDE: Final = 256
_BATCH: Final = 16


@dataclass(frozen=True)
class Portrait:
    """A picture with truth.

    Attributes:
        picture: (H, W, 3) RGB uint8.
        who: identity.
        kind: kind of person (``freeavatar_renderer.people.SHARES``), or the name of a rig.
        expression: what it is called.
        truth: (52,) ARKit weights.
        mask: (52,) 1 where the truth is known.
    """

    picture: Image
    who: str
    kind: str
    expression: str
    truth: Floats
    mask: Floats


@dataclass(frozen=True)
class Reading:
    """A portrait, its (S, S, 3) crop, and what the encoder reads from it."""

    portrait: Portrait
    crop: Image
    read: Expression


class Studio:
    """Photographs people and avatars, 256 px square."""

    def __init__(self) -> None:
        self._people = PortraitRenderer(SIDE, samples=4)
        self._avatars: dict[str, AvatarRenderer] = {}

    def person(self, head: Head, kind: str, scene: Scene, expression: str = "") -> Portrait:
        """A synthetic person in a scene."""
        truth, mask = head.arkit(scene.weights, scene.gaze), head_map.expressible(head.family)
        return Portrait(self._people.render(head, scene), head.name, kind, expression, truth, mask)

    def avatar(self, rig: Rig, weights: Floats, pose: tuple[float, float, float], expression: str = "") -> Portrait:
        """An avatar: (52,) ARKit weights through its own map, and yaw, pitch, roll of the head in radians."""
        if rig.name not in self._avatars:
            self._avatars[rig.name] = AvatarRenderer(rig, SIDE, SIDE)
        values = rig.pose(rig.from_arkit(weights), np.array(pose, np.float32), np.zeros(2, np.float32))
        return Portrait(self._avatars[rig.name].render(values), rig.name, rig.name, expression, weights, np.ones(52, np.float32))


class Reader:
    """Reads pictures with one encoder, each as a still.

    Args:
        weights: the encoder's folder; None takes the shipped one.
    """

    def __init__(self, weights: Path | None) -> None:
        self.encoder = Encoder.load(weights)
        self._tracker = FaceTracker(still=True, size=self.encoder.size)

    def read(self, portraits: Iterable[Portrait], total: int, label: str) -> list[Reading]:
        """What is read from each portrait; those without a face are left out."""
        found: list[tuple[Portrait, FaceCrop]] = []
        for portrait in tqdm(portraits, total=total, desc=label):
            crop = self._tracker.track(Frame(portrait.picture, 0.0, 0))
            if crop is not None:
                found.append((portrait, crop))
        reads = self.encode([crop for _, crop in found])
        return [Reading(portrait, crop.image, read) for (portrait, crop), read in zip(found, reads, strict=True)]

    def encode(self, crops: list[FaceCrop]) -> list[Expression]:
        """What the encoder reads from any number of crops."""
        return [read for i in range(0, len(crops), _BATCH) for read in self.encoder.encode(crops[i : i + _BATCH])]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._tracker.close()


@dataclass(frozen=True)
class Desk:
    """What every section of the report works with.

    Attributes:
        reader: the encoder in question.
        studio: where pictures are taken.
        cast: the held-out people.
        images: folder of the pictures that documentation shows: synthetic people and avatars only.
        private: folder of what must not be published: everything with real people.
        size: 1 for the report; smaller takes that share of the pictures, to try it out.
    """

    reader: Reader
    studio: Studio
    cast: Cast
    images: Path
    private: Path
    size: float = 1.0

    def count(self, number: int) -> int:
        """So many pictures of ``number`` are taken; at least two."""
        return max(2, round(number * self.size))

    def people(self, counts: dict[str, int], seed: int) -> Iterator[tuple[str, Head]]:
        """Held-out people as (kind, head): so many of each kind, VALID ones all different."""
        rng = np.random.default_rng(seed)
        for kind, count in counts.items():
            seen: set[str] = set()
            for _ in range(50 * count):
                head = self.cast.person(rng, kind)
                if head.name not in seen:
                    seen.add(head.name)
                    yield kind, head
                if len(seen) == count:
                    break
