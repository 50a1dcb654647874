"""Times of every stage on this machine, beside MediaPipe's own face landmarker on the same frames in the same run."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2

from freeavatar.errors import SourceError
from freeavatar.face import FaceTracker
from freeavatar.face.landmarks import Landmarker
from freeavatar.follower import Follower
from freeavatar.pipeline import load_models
from freeavatar.progress import progress
from freeavatar.rig import load_rig
from freeavatar.sources import open_source
from freeavatar.stopwatch import Stopwatch
from freeavatar.types import Expression, Frame

WARM_UP = 10
"""Frames at the start that are run but not counted."""
TURN = 12
"""Frames after which ours and MediaPipe take turns: in use, neither finds the processor's caches full of the other's data."""


@dataclass(frozen=True)
class Report:
    """Times in milliseconds, and what they were measured on."""

    source: str
    size: str
    """Width x height of the frames."""
    frames: int
    """Frames with a face that were counted."""
    machine: dict[str, str | int]
    stages: dict[str, dict[str, float]]
    """``total`` is face, encoder and animator of the first rig together, as ``live`` runs them; ``others`` is what the other
    rigs add; ``mediapipe`` is the landmarker with its scores."""


def bench(
    spec: str | Path,
    rig: str | Path | Sequence[str | Path] = "human",
    frames: int = 300,
    threads: int | None = None,
    provider: str | None = None,
) -> Report:
    """Run a clip through all stages one after the other; ours and MediaPipe take turns of :data:`TURN` frames.

    Args:
        spec: a video with a face.
        rig: the rig to drive, or several.
        frames: at most so many frames.
        threads: CPU threads of the encoder; None leaves the choice to ONNX Runtime.
        provider: what runs the encoder; None takes the best one that starts.

    Raises:
        FreeAvatarError: the clip, the rig or the weights are not usable, or no face is found.
    """
    if frames < 1 or (threads is not None and threads < 1):
        raise SourceError("frames and threads must be 1 or more")
    avatar, *others = [load_rig(name) for name in ([rig] if isinstance(rig, str | Path) else rig)]
    encoder, animator = load_models(threads, provider)
    size, counted, watch, warm_up = "", 0, Stopwatch(), Stopwatch()
    with (
        open_source(spec) as source,
        FaceTracker(still=source.still, size=encoder.size) as tracker,
        Landmarker(video=not source.still, scores=True) as peer,
    ):
        if source.live:
            raise SourceError(f"{spec}: is a camera; bench needs a video, so that both see the same frames")

        follower = Follower(tracker, encoder)

        def ours(frame: Frame, watch: Stopwatch) -> Expression | None:
            follower.watch = watch
            expression = follower(frame)
            if expression is not None:
                with watch.measure("animator"):
                    animator.animate(expression, avatar)
            return expression

        def theirs(frame: Frame, watch: Stopwatch) -> None:
            with watch.measure("mediapipe"):
                peer.detect(frame.image, round(frame.time * 1000))

        known = None if source.count is None else min(source.count, frames + WARM_UP)
        numbered = enumerate(progress(islice(source, frames + WARM_UP), known, "bench"))
        while turn := [(frame, watch if number >= WARM_UP else warm_up) for number, frame in islice(numbered, TURN)]:
            size = f"{turn[0][0].image.shape[1]}x{turn[0][0].image.shape[0]}"
            for frame, lap in turn:
                with lap.measure("total"):
                    expression = ours(frame, lap)
                if expression is not None and others:
                    with lap.measure("others"):
                        for other in others:
                            animator.animate(expression, other)
                counted += expression is not None and lap is watch
            for frame, lap in turn:
                theirs(frame, lap)
        if not counted:
            raise SourceError(f"{spec}: no face found after the first {WARM_UP} frames; bench needs a longer clip of a face")
        machine: dict[str, str | int] = {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count() or 1,
            "encoder_provider": encoder.provider,
            "encoder_threads": threads or "automatic",
            "opencv_threads": cv2.getNumThreads(),
            "mediapipe_threads": "automatic",
        }
    return Report(source.name, size, counted, machine, watch.summary())
