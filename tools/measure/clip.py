"""The sections that run the shipped clip: what a frame costs, and how well an avatar is driven."""

import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from freeavatar import arkit
from freeavatar.demo import CLIP
from freeavatar.encoder import ACCURATE, Encoder
from freeavatar.face import FaceTracker
from freeavatar.face.landmarks import Landmarker
from freeavatar.follower import Follower
from freeavatar.retarget import retarget
from freeavatar.sources import open_source
from freeavatar.stopwatch import Stopwatch

from . import metrics
from .bench import PEER, Bench
from .tables import Line, Table

_WARM_UP: Final = 10
"""Frames at the start that are run but not counted."""
_RECORDED: Final = "face and encoder, recorded"
_ENCODER: Final = "- encoder, one thread"
_LIVE: Final = "face and encoder, live"
CLIP_TRUTH: Final = Path(__file__).parents[2] / "tests" / "data" / "demo_truth.npz"
"""What the shipped clip was rendered from."""


def cost(bench: Bench) -> Table:
    """Milliseconds a frame on the shipped clip."""
    encoder, watch, warm_up = Encoder.load(bench.weights, threads=1, variant=bench.variant), Stopwatch(), Stopwatch()
    with (
        open_source(CLIP) as source, FaceTracker(size=encoder.size) as tracker, FaceTracker(size=encoder.size) as seldom,
        Landmarker(video=True, scores=True) as peer,
    ):  # fmt: skip
        follower = Follower(seldom, encoder)
        for number, frame in enumerate(source):
            lap = watch if number >= _WARM_UP else warm_up
            with lap.measure(_RECORDED):
                with lap.measure("- face: landmarker, alignment, crop"):
                    crop = tracker.track(frame)
                if crop is None:
                    continue
                with lap.measure(_ENCODER):
                    encoder.encode([crop])
            with lap.measure(_LIVE):
                follower(frame)
            with lap.measure(f"{PEER}'s landmarker with its scores"):
                peer.detect(frame.image, round(frame.time * 1000))
    result = {stage: {"p50 ms": times["p50_ms"], "p95 ms": times["p95_ms"]} for stage, times in watch.summary().items()}
    live, recorded, alone = (result[k]["p50 ms"] for k in (_LIVE, _RECORDED, _ENCODER))
    theirs = result[f"{PEER}'s landmarker with its scores"]["p50 ms"]
    return Table(
        "Cost of a frame",
        f"The shipped clip, frame after frame, all in turn; the encoder {encoder.name!r} by ONNX Runtime ({encoder.provider}) on one "
        "thread, MediaPipe with as many threads as it takes. The animator comes on top; `freeavatar bench` times it as well. Live, the "
        "landmarker looks at one frame a second; recorded jobs let it look at every frame.",
        result, [
            Line("face and encoder, live, median", live, theirs, higher=False, unit=" ms"),
            Line("face and encoder, recorded, median", recorded, theirs, higher=False, unit=" ms"),
            Line("- of it the encoder, on one core", alone, None, unit=" ms"),
        ], digits=2,
    )  # fmt: skip


def driven(bench: Bench) -> Table:
    """The ``human``'s controls on the shipped clip, by the shipped encoder and animator."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.npz"
        retarget(CLIP, "human", [out], accurate=bench.variant == ACCURATE)
        with np.load(out, allow_pickle=False) as data, np.load(CLIP_TRUTH, allow_pickle=False) as truth:
            names, controls, wanted, mask = data["control_names"].tolist(), data["controls"], truth["arkit"], truth["mask"]
    moving = [i for i in range(len(arkit.NAMES)) if mask[i] > 0 and wanted[:, i].max() > 0.2]
    read, wanted = controls[:, [names.index(arkit.NAMES[i]) for i in moving]], wanted[:, moving]
    mean = metrics.mean_of([metrics.correlation(a, b) or 0.0 for a, b in zip(read.T, wanted.T, strict=True)])
    error = float(np.abs(read - wanted)[wanted > 0.1].mean())
    return Table(
        "An avatar on the shipped clip",
        "Controls of the `human`, animator included, against the truth that the clip was rendered from; its person was held out. Only the "
        "controls that move.",
        {"human": {"controls": len(moving), "mean correlation": mean, "error where truth > 0.1": error}},
        [Line("avatar on the shipped clip: mean correlation of the controls that move", mean, None)],
    )
