"""The main job: a recording of a person to the control curves of avatars."""

import signal
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from freeavatar.errors import OutputError, SourceError
from freeavatar.interrupt import stop_on
from freeavatar.output import check_output, check_outputs
from freeavatar.pipeline import load_models, track_ahead
from freeavatar.presence import Presence
from freeavatar.preview import PREVIEW_SUFFIXES, Preview
from freeavatar.progress import progress
from freeavatar.rig import Rig, load_rigs
from freeavatar.sinks import FILE_SUFFIXES, open_file
from freeavatar.sources import Source, open_source
from freeavatar.types import Frame, RigFrame, Tracking


@dataclass(frozen=True)
class Summary:
    """What a job did."""

    source: str
    rigs: tuple[str, ...]
    """Their names."""
    frames: int
    faces: int
    """Frames in which a face was found."""
    seconds: float
    """Time the job took, loading included."""
    outputs: list[str]
    interrupted: bool
    """Stopped by Ctrl-C; the files hold the frames so far."""
    warning: str | None
    """Damage met in the input, on one line."""


def retarget(
    spec: str | Path, rig: str | Path | Sequence[str | Path], outputs: Sequence[Path], preview: Path | None = None, accurate: bool = False
) -> Summary:
    """Write the curves of one or several rigs for a video, a folder of images or an image; the encoder runs once for all.

    Args:
        spec: the input.
        rig: a rig's name or folder, or several of them.
        outputs: files to write; the suffix says the format, one of :data:`freeavatar.sinks.FILE_SUFFIXES`. Of several rigs
            each has its own: ``me.csv`` becomes ``me.human.csv`` and so on.
        preview: mp4 of the input and the avatars side by side.
        accurate: the encoder looks at each face four times.

    Raises:
        FreeAvatarError: the input, the rig, an output, the weights or the renderer is not usable.
    """
    start = time.perf_counter()
    avatars = load_rigs([rig] if isinstance(rig, str | Path) else rig)
    names = [avatar.name for avatar in avatars]
    files = [(_own(path, name if len(names) > 1 else ""), i) for path in outputs for i, name in enumerate(names)]
    check_outputs([path for path, _ in files], FILE_SUFFIXES, spec)
    if preview is not None:
        check_output(preview, PREVIEW_SUFFIXES, spec)
    elif not outputs:
        raise OutputError("nothing to write: name at least one output or a preview")
    frames = faces = 0
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on(signal.SIGINT))
        source = stack.enter_context(open_source(spec))
        if source.live:
            raise SourceError(f"{spec}: a camera never ends; use  freeavatar live")
        video = stack.enter_context(Preview(preview, avatars, source.rate)) if preview else None
        sinks = [(stack.enter_context(open_file(path, avatars[i], source.name, source.rate)), i) for path, i in files]
        performance = stack.enter_context(closing(perform(source, avatars, accurate)))
        for frame, rows in progress(performance, source.count, ", ".join(names)):
            for sink, i in sinks:
                sink.write(rows[i])
            if video is not None:
                video.write(frame, rows)
            frames, faces = frames + 1, faces + (rows[0].tracking is Tracking.TRACKED)
            if stop.is_set():
                break
    written = [str(path) for path in (*(path for path, _ in files), *([preview] if preview else []))]
    return Summary(str(spec), tuple(names), frames, faces, time.perf_counter() - start, written, stop.is_set(), source.warning)


def _own(path: Path, name: str) -> Path:
    return path.with_name(f"{path.stem}.{name}{path.suffix}") if name else path


def perform(source: Source, rigs: Sequence[Rig], accurate: bool = False) -> Generator[tuple[Frame, list[RigFrame]], None, None]:
    """Every frame of a source with one row a rig, with or without a face.

    Reading and face tracking run in their own thread, a few frames ahead of encoder and animator; none is dropped.
    """
    encoder, animator = load_models(threads=1, accurate=accurate)
    presences = [Presence(rig, source.still) for rig in rigs]
    with track_ahead(source, encoder.size) as crops:
        for frame, crop in crops:
            expression = encoder.encode([crop])[0] if crop else None
            tracked = [animator.animate(expression, rig) if expression else None for rig in rigs]
            yield frame, [presence(row, frame) for presence, row in zip(presences, tracked, strict=True)]
