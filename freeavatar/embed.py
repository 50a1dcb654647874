"""Features of pictures and video frames as one file of arrays."""

import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from freeavatar.arkit import NAMES
from freeavatar.encoder import ACCURATE, Encoder
from freeavatar.errors import SourceError
from freeavatar.interrupt import stop_on
from freeavatar.output import check_output, replacing
from freeavatar.pipeline import track_ahead
from freeavatar.progress import progress
from freeavatar.sources import open_source
from freeavatar.types import Expression, Frame

SUFFIXES = (".npz",)


@dataclass(frozen=True)
class Summary:
    """What the job did."""

    rows: int
    faces: int
    """Rows with a face; the others are NaN."""
    seconds: float
    output: str
    interrupted: bool
    warning: str | None


def embed(specs: Sequence[str | Path], output: Path, accurate: bool = False) -> Summary:
    """Write one row an image or video frame, in the order given; folders are read in name order.

    The file holds ``files`` (N,), ``feature`` (N, F), ``embedding`` (N, D), ``arkit`` (N, 52), ``arkit_names`` (52,),
    ``gaze`` (N, 2), ``head_pose`` (N, 6) and ``confidence`` (N,), all float32 and NaN where no face was found.
    ``files`` names images by their base names and video frames as ``name#index``. With ``accurate`` the encoder looks at each face
    four times.

    Raises:
        FreeAvatarError: an input, the output or the weights are not usable.
    """
    start = time.perf_counter()
    if not specs:
        raise SourceError("no input: name images, folders of images or videos")
    for spec in specs:
        check_output(output, SUFFIXES, spec)
    files: list[str] = []
    found: list[Expression | None] = []
    warnings: list[str] = []
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on(signal.SIGINT))
        temporary = stack.enter_context(replacing(output))
        encoder = Encoder.load(threads=1, variant=ACCURATE if accurate else None)
        for spec in specs:
            with open_source(spec) as source:
                if source.live:
                    raise SourceError(f"{spec}: is a camera; embed takes images, folders and videos")
                with track_ahead(source, encoder.size) as crops:
                    for frame, crop in progress(crops, source.count, source.name):
                        files.append(_name(frame, source.still, source.name))
                        found += encoder.encode([crop]) if crop else [None]
                        if stop.is_set():
                            break
                if source.warning:
                    warnings.append(source.warning)
            if stop.is_set():
                break
        with temporary.open("wb") as file:
            np.savez_compressed(file, files=np.array(files), arkit_names=np.array(NAMES), **_arrays(found, encoder))
    faces = sum(expression is not None for expression in found)
    return Summary(len(files), faces, time.perf_counter() - start, str(output), stop.is_set(), "; ".join(warnings) or None)


def _name(frame: Frame, still: bool, source: str) -> str:
    return Path(frame.name).name if still else f"{Path(source).name}#{frame.index}"


def _arrays(found: Sequence[Expression | None], encoder: Encoder) -> dict[str, Any]:
    shapes: dict[str, tuple[int, ...]] = {"feature": (encoder.feature_size,), "embedding": (encoder.embedding_size,)}
    shapes |= {"arkit": (len(NAMES),), "gaze": (2,), "head_pose": (6,), "confidence": ()}
    arrays = {name: np.full((len(found), *shape), np.nan, np.float32) for name, shape in shapes.items()}
    for i, expression in enumerate(found):
        if expression is not None:
            for name, rows in arrays.items():
                rows[i] = getattr(expression, name)
    return arrays
