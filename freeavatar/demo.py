"""The main job on one clip for several avatars: curves, a side-by-side video and a contact sheet."""

import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from freeavatar.arkit import EYE_LOOK, NAMES
from freeavatar.errors import OutputError, SourceError
from freeavatar.interrupt import stop_on
from freeavatar.output import check_outputs, replacing
from freeavatar.preview import Preview
from freeavatar.progress import progress
from freeavatar.retarget import perform
from freeavatar.rig import load_rig
from freeavatar.sinks import FILE_SUFFIXES, open_file
from freeavatar.sources import open_source
from freeavatar.types import Image, RigFrame, Tracking

CLIP: Final = Path(__file__).parent / "assets" / "demo.mp4"
"""The shipped clip: a synthetic person."""
RIGS: Final = ("human", "anime", "robot")
_TILES: Final = 6
"""Rows of the contact sheet."""
_TILE_HEIGHT: Final = 256


@dataclass(frozen=True)
class Summary:
    """What the demo did."""

    source: str
    rigs: list[str]
    frames: int
    faces: int
    """Frames in which a face was found."""
    seconds: float
    outputs: list[str]
    interrupted: bool
    warning: str | None


def demo(spec: str | Path = CLIP, output: Path = Path("out/demo"), rigs: Sequence[str | Path] = RIGS) -> Summary:
    """Write curves in every format for every rig, ``demo.mp4`` and ``contact.png`` into ``output`` (made if missing).

    Raises:
        FreeAvatarError: the clip, a rig, the weights, the folder or the renderer is not usable.
    """
    start = time.perf_counter()
    avatars = [load_rig(rig) for rig in rigs]
    video, sheet = output / "demo.mp4", output / "contact.png"
    curves = [(output / f"{avatar.name}{suffix}", i) for i, avatar in enumerate(avatars) for suffix in FILE_SUFFIXES]
    outputs = [*(path for path, _ in curves), video, sheet]
    frames = faces = 0
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on(signal.SIGINT))
        source = stack.enter_context(open_source(spec))
        if source.live:
            raise SourceError(f"{spec}: is a camera; the demo takes a clip")
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{output}: cannot be made ({error.strerror}); name another folder") from error
        check_outputs(outputs, [*FILE_SUFFIXES, ".mp4", ".png"], spec)
        preview = stack.enter_context(Preview(video, avatars, source.rate))
        sinks = [(stack.enter_context(open_file(path, avatars[i], source.name, source.rate)), i) for path, i in curves]
        contact = ContactSheet(source.count)
        for frame, rows in progress(stack.enter_context(closing(perform(source, avatars))), source.count, "demo"):
            for sink, i in sinks:
                sink.write(rows[i])
            contact.add(preview.write(frame, rows), rows[0])
            frames, faces = frames + 1, faces + (rows[0].tracking is Tracking.TRACKED)
            if stop.is_set():
                break
        contact.save(stack.enter_context(replacing(sheet)))
    return Summary(
        source=str(spec),
        rigs=[avatar.name for avatar in avatars],
        frames=frames,
        faces=faces,
        seconds=time.perf_counter() - start,
        outputs=[str(path) for path in outputs],
        interrupted=stop.is_set(),
        warning=source.warning,
    )


class ContactSheet:
    """The strongest expression of each of a few stretches of a clip, as one picture.

    Args:
        count: number of frames of the clip; None where unknown.
    """

    def __init__(self, count: int | None) -> None:
        self._stretch = max((count or 0) / _TILES, 30)
        self._best: dict[int, tuple[float, Image]] = {}

    def add(self, picture: Image, row: RigFrame) -> None:
        """Consider one frame."""
        stretch = int(row.index / self._stretch)
        strength = strength_of(row)
        if stretch not in self._best or strength > self._best[stretch][0]:
            scale = _TILE_HEIGHT / picture.shape[0]
            tile = cv2.resize(picture, (round(picture.shape[1] * scale), _TILE_HEIGHT), interpolation=cv2.INTER_AREA)
            self._best[stretch] = (strength, np.asarray(tile, np.uint8))

    def save(self, path: Path) -> None:
        """Write the picture.

        Raises:
            OutputError: it cannot be written.
        """
        tiles = [tile for _, (_, tile) in sorted(self._best.items())]
        sheet = np.concatenate(tiles) if tiles else np.zeros((_TILE_HEIGHT, _TILE_HEIGHT, 3), np.uint8)
        done, data = cv2.imencode(".png", sheet[..., ::-1])
        if not done:
            raise OutputError(f"{path}: the picture cannot be encoded")
        path.write_bytes(data.tobytes())


def strength_of(row: RigFrame) -> float:
    """How much the face does: the sum of the read-out without the looks of the eyes, 0 where no face was found."""
    if row.tracking is not Tracking.TRACKED:
        return 0.0
    return float(sum(weight for name, weight in zip(NAMES, row.arkit, strict=True) if name not in EYE_LOOK))
