"""How calm and how late is each smoothing preset? Measured on what the shipped encoder and animators read.

usage: python tools/measure_filters.py [--markdown docs/steadiness.md] [--json OUT.json] [--record tests/data/webcam_noise.npz]

Everything is read as live does, MediaPipe looking after the face once a second. Jitter: pictures of the shipped clip, each held
for two seconds before a webcam whose noise is drawn anew for every frame. Lag: the clip as it moves, without noise, against the
same frames filtered. --markdown writes the table between the lines <!-- filters --> and <!-- end --> of a file; --record keeps
the noisy read-outs, with which the tests run.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freeavatar.demo import CLIP
from freeavatar.errors import FreeAvatarError, OutputError
from freeavatar.face import FaceTracker
from freeavatar.filters import PRESETS, RigFilter, Smoothing
from freeavatar.follower import Follower
from freeavatar.output import replacing
from freeavatar.pipeline import load_models
from freeavatar.rig import Rig, load_rig
from freeavatar.sources import open_source
from freeavatar.types import Frame, RigFrame

RIGS = ("human", "robot")
RATE = 30
HELD = (5, 28, 58, 75, 95, 118, 185, 222)
"""Frames of the clip that are held: rest, smile, a wink of either eye, surprise, frown, pout, open smile."""
SECONDS, WARM_UP = 2.0, 1.5
"""Length of a hold that counts, and what is run before it, while tracker and filters settle."""
SIGMA = 5.0
"""Standard deviation of the noise, in steps of the picture's 255, each pixel and colour alone: a webcam in a lit room."""
REGIONS = {"brows": ("brows",), "lids": ("eyes",), "mouth": ("mouth", "nose", "cheeks", "tongue"), "jaw": ("jaw",)}
MOVES = 0.2
"""Share of its range that a control must go in the clip for its lag to be measured."""
Rows = Mapping[str, Sequence[RigFrame]]
"""Frames by the name of the rig."""
Figures = dict[str, float]


@dataclass(frozen=True)
class Readings:
    """What was read: holds with noise, and the moving clip without."""

    holds: Sequence[Rows]
    clip: Rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--record", type=Path, metavar="OUT.npz")
    args = parser.parse_args()
    try:
        before, after = page(args.markdown) if args.markdown else ("", "")
        rigs = [load_rig(name) for name in RIGS]
        readings = read(rigs)
        table = {name: figures(readings, rigs, PRESETS.get(name)) for name in ("unfiltered", *PRESETS)}
        print(markdown(table))
        if args.record:
            record(readings.holds, args.record)
        if args.json:
            write(args.json, json.dumps(table, indent=1) + "\n")
        if args.markdown:
            write(args.markdown, f"{before}{markdown(table)}\n{after}")
    except FreeAvatarError as error:
        sys.exit(f"error: {error}")


def read(rigs: Sequence[Rig]) -> Readings:
    """Run the shipped networks on the clip and on noisy holds of some of its pictures."""
    encoder, animator = load_models(threads=1)

    def rows(frames: Iterable[Frame]) -> Rows:
        with FaceTracker(size=encoder.size) as tracker:
            follow = Follower(tracker, encoder)
            faces = [face for frame in frames if (face := follow(frame))]
        return {rig.name: [animator.animate(face, rig) for face in faces] for rig in rigs}

    def noisy(frame: Frame) -> Iterable[Frame]:
        rng = np.random.default_rng(frame.index)
        for i in range(round((WARM_UP + SECONDS) * RATE)):
            noise = rng.normal(0, SIGMA, frame.image.shape)
            yield Frame((frame.image + noise).clip(0, 255).round().astype(np.uint8), i / RATE, i)

    with open_source(CLIP) as source:
        frames = list(source)
    return Readings([rows(noisy(frames[i])) for i in HELD], rows(frames))


def figures(readings: Readings, rigs: Sequence[Rig], smoothing: Smoothing | None) -> Figures:
    """Jitter (standard deviation of the most restless control of each hold, mean and largest over the holds), lag in
    milliseconds by region, gaze and head, and the share of a 100 ms blink that is reached. None: without a filter."""
    worst: dict[str, list[float]] = {"controls": [], "gaze": [], "head": []}
    lags: dict[str, list[float]] = {region: [] for region in REGIONS}
    for rig in rigs:
        for hold in readings.holds:
            shown = smoothed(rig, hold[rig.name], smoothing)[round(WARM_UP * RATE) :]
            worst["controls"].append(float(controls(rig, shown).std(0).max()))
            worst["gaze"].append(float(np.degrees([row.gaze for row in shown]).std(0).max()))
            worst["head"].append(float(np.degrees([row.head_pose[:3] for row in shown]).std(0).max()))
        seen, shown = readings.clip[rig.name], smoothed(rig, readings.clip[rig.name], smoothing)
        before, after = controls(rig, seen), controls(rig, shown)
        regions = [rig.controls[i].region for i in rig.driven]
        for name, parts in REGIONS.items():
            columns = [i for i, region in enumerate(regions) if region in parts and np.ptp(before[:, i]) > MOVES]
            lags[name] += [lag(before[:, i], after[:, i]) for i in columns]
    result = {
        "jitter, mean": float(np.mean(worst["controls"])), "jitter, worst": max(worst["controls"]),
        "gaze jitter °": max(worst["gaze"]), "head jitter °": max(worst["head"]),
    }  # fmt: skip
    result |= {f"{name} lag ms": float(np.mean(found)) for name, found in lags.items() if found}
    for name, part in (("gaze", "gaze"), ("head", "head_pose")):
        yaw = [np.array([getattr(row, part)[0] for row in rows]) for rows in (seen, shown)]
        result[f"{name} lag ms"] = lag(*yaw)
    return result | {"blink reached": blink(rigs[0], smoothing)}


def smoothed(rig: Rig, rows: Sequence[RigFrame], smoothing: Smoothing | None) -> Sequence[RigFrame]:
    """The rows as the preset shows them."""
    if smoothing is None:
        return rows
    smooth = RigFilter(rig, smoothing)
    return [smooth(row) for row in rows]


def controls(rig: Rig, rows: Sequence[RigFrame]) -> NDArray[np.float32]:
    """(T, N) values of the controls that the animator drives, as shares of their ranges."""
    return rig.normalise(np.stack([row.values for row in rows]))[:, rig.driven]


def lag(before: NDArray[np.floating], after: NDArray[np.floating]) -> float:
    """Milliseconds by which one curve must be moved to lie nearest to the other, to the tenth of a frame."""
    times = np.arange(len(before))
    delays = np.arange(0, 8, 0.1)
    errors = [float(np.mean((np.interp(times - delay, times, before) - after)[8:] ** 2)) for delay in delays]
    return float(delays[int(np.argmin(errors))] * 1000 / RATE)


def blink(rig: Rig, smoothing: Smoothing | None) -> float:
    """How far closed the lids are shown that close and open again within 100 ms (0.5, 1, 0.5), of 1."""
    name = "eyeBlinkLeft"
    weights, pose, gaze = (np.zeros(count, np.float32) for count in (52, 6, 2))
    rows = []
    for i in range(RATE):
        values = rig.neutral()
        values[rig.names.index(name)] = {15: 0.5, 16: 1.0, 17: 0.5}.get(i, 0.0)
        rows.append(RigFrame(rig.name, rig.names, values, weights, pose, gaze, 1.0, i / RATE, i))
    return max(row[name] for row in smoothed(rig, rows, smoothing))


def markdown(table: Mapping[str, Figures]) -> str:
    """One row a figure, one column a preset."""
    lines = [f"| | {' | '.join(table)} |", "|---" * (len(table) + 1) + "|"]
    for name in next(iter(table.values())):
        digits = 0 if name.endswith("ms") else 2 if name.endswith("°") or "blink" in name else 4
        lines.append(f"| {name} | {' | '.join(f'{column[name]:.{digits}f}' for column in table.values())} |")
    return "\n".join(lines)


def page(path: Path) -> tuple[str, str]:
    """What stands before and after the table in a file.

    Raises:
        OutputError: it cannot be read, or a mark is missing.
    """
    try:
        parts = re.split(r"(?<=<!-- filters -->\n).*?(?=<!-- end -->)", path.read_text(encoding="utf-8"), maxsplit=1, flags=re.DOTALL)
    except OSError as error:
        raise OutputError(f"{path}: cannot be read ({error.strerror}); name a file that is there") from error
    if len(parts) != 2:
        raise OutputError(f"{path}: has no lines <!-- filters --> and <!-- end -->; add them where the table shall stand")
    return parts[0], parts[1]


def record(holds: Sequence[Rows], path: Path) -> None:
    """Keep what was read of the noisy holds, for tests: hold, arkit, gaze, head_pose and one array a rig, row by row."""
    rows = [row for hold in holds for row in hold[RIGS[0]]]
    arrays = {"hold": np.repeat(np.arange(len(holds)), [len(hold[RIGS[0]]) for hold in holds]).astype(np.uint8)}
    arrays |= {key: np.stack([getattr(row, key) for row in rows]).astype(np.float16) for key in ("arkit", "gaze", "head_pose")}
    arrays |= {name: np.stack([row.values for hold in holds for row in hold[name]]).astype(np.float16) for name in RIGS}
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
