"""The stages in a row: face, encoder, animator."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

import numpy as np

from freeavatar.animator import Animator
from freeavatar.encoder import ACCURATE, Encoder
from freeavatar.errors import SourceError
from freeavatar.face import FaceTracker
from freeavatar.prefetch import ahead
from freeavatar.rig import Rig, load_rig
from freeavatar.sources import Source
from freeavatar.types import FaceCrop, Frame, Image, RigFrame


class Pipeline:
    """Drives one rig from pictures of a person.

    >>> with Pipeline(rig="human") as pipeline:
    ...     frame = pipeline(rgb, time)

    Args:
        rig: a rig, its name, or its folder.
        still: the pictures have nothing to do with each other; False follows the face from one to the next.
        threads: CPU threads of the encoder; None leaves the choice to ONNX Runtime.
        provider: what runs the encoder, a name from :mod:`freeavatar.providers`; None takes the best one that starts.

    Raises:
        FreeAvatarError: the rig, the weights or the face model cannot be loaded.
    """

    def __init__(
        self, rig: Rig | str | Path = "human", *, still: bool = False, threads: int | None = None, provider: str | None = None
    ) -> None:
        self.rig = rig if isinstance(rig, Rig) else load_rig(rig)
        self.encoder, self.animator = load_models(threads, provider)
        self.tracker = FaceTracker(still=still, size=self.encoder.size)
        self._count = 0

    def __call__(self, rgb: Image, time: float) -> RigFrame | None:
        """The rig's values for one picture, or None where no face is found.

        Args:
            rgb: (H, W, 3) RGB uint8, not flipped.
            time: seconds, increasing from call to call.

        Raises:
            SourceError: the picture is not of that form.
        """
        if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
            found = f"{rgb.dtype} {rgb.shape}" if isinstance(rgb, np.ndarray) else type(rgb).__name__
            raise SourceError(f"expected an RGB picture, a uint8 array of shape (H, W, 3), not {found}; convert it first")
        frame = Frame(rgb, time, self._count)
        self._count += 1
        crop = self.tracker.track(frame)
        return self.animator.animate(self.encoder.encode([crop])[0], self.rig) if crop else None

    def close(self) -> None:
        """Free the face tracker."""
        self.tracker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def load_models(threads: int | None = None, provider: str | None = None, accurate: bool = False) -> tuple[Encoder, Animator]:
    """The shipped encoder, its accurate variant where that is wanted, and the animator that belongs to it.

    Raises:
        WeightsError: missing, damaged, or not made for each other.
    """
    encoder, animator = Encoder.load(threads=threads, provider=provider, variant=ACCURATE if accurate else None), Animator.load()
    animator.check_encoder(encoder)
    return encoder, animator


def track_ahead(source: Source, size: int) -> AbstractContextManager[Iterator[tuple[Frame, FaceCrop | None]]]:
    """Every frame of a source with its crop or None; read and tracked in a thread of its own, a few frames ahead."""

    def crops() -> Iterator[tuple[Frame, FaceCrop | None]]:
        with FaceTracker(still=source.still, size=size) as tracker:
            for frame in source:
                yield frame, tracker.track(frame)

    return ahead(crops(), depth=4)
