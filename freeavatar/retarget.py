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
from freeavatar.rig import Rig, load_rig
from freeavatar.sinks import FILE_SUFFIXES, open_file
from freeavatar.sources import Source, open_source
from freeavatar.types import Frame, RigFrame, Tracking


@dataclass(frozen=True)
class Summary:
    """What a job did."""

    source: str
    rig: str
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


def retarget(spec: str | Path, rig: str | Path, outputs: Sequence[Path], preview: Path | None = None) -> Summary:
    """Write the curves of one rig for a video, a folder of images or an image.

    Args:
        spec: the input.
        rig: a rig's name or folder.
        outputs: files to write; the suffix says the format, one of :data:`freeavatar.sinks.FILE_SUFFIXES`.
        preview: mp4 of the input and the avatar side by side.

    Raises:
        FreeAvatarError: the input, the rig, an output, the weights or the renderer is not usable.
    """
    start = time.perf_counter()
    check_outputs(outputs, FILE_SUFFIXES, spec)
    if preview is not None:
        check_output(preview, PREVIEW_SUFFIXES, spec)
    elif not outputs:
        raise OutputError("nothing to write: name at least one output or a preview")
    avatar = load_rig(rig)
    frames = faces = 0
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on(signal.SIGINT))
        source = stack.enter_context(open_source(spec))
        if source.live:
            raise SourceError(f"{spec}: a camera never ends; use  freeavatar live")
        video = stack.enter_context(Preview(preview, [avatar], source.rate)) if preview else None
        sinks = [stack.enter_context(open_file(path, avatar, source.name, source.rate)) for path in outputs]
        rows = stack.enter_context(closing(perform(source, [avatar])))
        for frame, (row,) in progress(rows, source.count, avatar.name):
            for sink in sinks:
                sink.write(row)
            if video is not None:
                video.write(frame, [row])
            frames, faces = frames + 1, faces + (row.tracking is Tracking.TRACKED)
            if stop.is_set():
                break
    written = [str(path) for path in (*outputs, *([preview] if preview else []))]
    return Summary(str(spec), avatar.name, frames, faces, time.perf_counter() - start, written, stop.is_set(), source.warning)


def perform(source: Source, rigs: Sequence[Rig]) -> Generator[tuple[Frame, list[RigFrame]], None, None]:
    """Every frame of a source with one row a rig, with or without a face.

    Reading and face tracking run in their own thread, a few frames ahead of encoder and animator; none is dropped.
    """
    encoder, animator = load_models(threads=1)
    presences = [Presence(rig, source.still) for rig in rigs]
    with track_ahead(source, encoder.size) as crops:
        for frame, crop in crops:
            expression = encoder.encode([crop])[0] if crop else None
            tracked = [animator.animate(expression, rig) if expression else None for rig in rigs]
            yield frame, [presence(row, frame) for presence, row in zip(presences, tracked, strict=True)]
