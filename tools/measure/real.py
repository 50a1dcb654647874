"""Real faces with emotion labels: what MediaPipe reads from them, kept in a file of its own so that it is read once."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from freeavatar.errors import SourceError
from freeavatar.face import FaceTracker
from freeavatar.face.landmarks import COUNT
from freeavatar.output import replacing
from freeavatar.sources import open_source
from freeavatar.types import Frame
from freeavatar_renderer.heads import data_root

from .parallel import spread

Rows = dict[str, NDArray[Any]]
"""Arrays of one row a picture; see :mod:`.pictures` for the keys."""
_AT_ONCE: Final = 100


def faces(split: str, cache: Path, workers: int) -> Rows:
    """The faces of ``faces_wild/<split>``.

    Args:
        split: ``train`` or ``dev``.
        cache: folder of the file that keeps what the landmarker found; made when missing.
        workers: processes.

    Returns:
        ``files``, ``label``, ``person`` (N,) str, ``landmarks`` (N,478,3), ``peer`` (N,52); NaN where no face was found.

    Raises:
        SourceError: the pictures or their labels are missing.
    """
    table, path = data_root() / "faces_wild" / f"{split}.csv", cache / f"faces_wild_{split}.npz"
    if not table.is_file():
        raise SourceError(f"{table}: not found; real faces need faces_wild/ with its labels, or leave this section out with --only")
    with table.open(newline="") as file:
        labels = list(csv.DictReader(file))
    rows: Rows = {
        key: np.array([row[name] for row in labels]) for key, name in (("files", "file"), ("label", "label"), ("person", "person"))
    }
    if path.is_file():
        with np.load(path, allow_pickle=False) as kept:
            if np.array_equal(kept["files"], rows["files"]):
                return rows | {"landmarks": kept["landmarks"], "peer": kept["peer"]}
    jobs = [[table.with_suffix("") / f for f in rows["files"][i : i + _AT_ONCE]] for i in range(0, len(labels), _AT_ONCE)]
    found = spread(_track, jobs, workers, f"MediaPipe, {split}")
    rows |= {"landmarks": np.concatenate([f[0] for f in found]), "peer": np.concatenate([f[1] for f in found])}
    cache.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        np.savez(temporary, files=rows["files"], landmarks=rows["landmarks"], peer=rows["peer"])
    return rows


def picture(split: str, file: str) -> Frame:
    """One of the pictures."""
    with open_source(data_root() / "faces_wild" / split / file) as source:
        return next(iter(source))


def _track(paths: Sequence[Path]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    landmarks, peer = np.full((len(paths), COUNT, 3), np.nan, np.float32), np.full((len(paths), 52), np.nan, np.float32)
    with FaceTracker(still=True, peer=True) as tracker:
        for i, path in enumerate(paths):
            with open_source(path) as source:
                crop = tracker.track(next(iter(source)))
            if crop is not None and crop.peer is not None:
                landmarks[i], peer[i] = crop.landmarks, crop.peer
    return landmarks, peer
