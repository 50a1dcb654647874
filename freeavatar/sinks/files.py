"""Curves in files. Every writer checks its path first, writes aside, and renames when the block ends well.

``.csv``    Live Link Face: 52 shapes and the nine pose columns, in radians, with our signs (see below).
``.jsonl``  one object a frame: rig, time (s), index, tracking, confidence, controls and arkit by name, head_pose
            (yaw, pitch, roll in radians, x, y, z in metres), gaze (yaw, pitch in radians).
``.npz``    the same as arrays, see :class:`Npz`.

Signs and units of the CSV: radians, with the axes of ARKit's face anchor, which are ours: +yaw to the subject's left,
+pitch down, +roll towards the subject's right shoulder. The shapes are the rig's own controls where the rig has all
52, else the encoder's read-out (:mod:`freeavatar.sinks.shapes`).
"""

import csv
import json
from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self, TextIO

import numpy as np

from freeavatar.arkit import LIVE_LINK_CSV_ORDER, LIVE_LINK_POSE, NAMES
from freeavatar.output import replacing
from freeavatar.rig import Rig
from freeavatar.sinks.shapes import pascal, pose_columns, shapes
from freeavatar.types import RigFrame, Vector

_STILL_RATE: Final = 30.0
"""Frames a second in the timecode of a source without a rate (pictures)."""


class FileSink(ABC):
    """A file of one rig's frames; a context manager.

    Args:
        path: the file to write.
        rig: the rig whose frames are written.
        source: name of the input, kept where the format has a place for it.
        rate: average frames a second of the input, 0 where unknown.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path, rig: Rig, source: str = "", rate: float = 0.0) -> None:
        self.path, self.rig, self.source, self.rate = path, rig, source, rate
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:  # a failure to open is reported under this file's name
            self._stack = stack
            self._open(stack.enter_context(replacing(self.path)))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: Any) -> None:
        if exc[0] is None:
            with self._stack:  # a failure to finish must not put a half-written file in place
                self._finish()
        else:
            self._stack.__exit__(*exc)

    @abstractmethod
    def write(self, frame: RigFrame) -> None:
        """Add one row."""

    @abstractmethod
    def _open(self, temporary: Path) -> None: ...

    def _finish(self) -> None:  # noqa: B027  (most formats are complete after every row)
        """Called once, when the block ended well."""


class LiveLinkCsv(FileSink):
    """Live Link Face CSV."""

    def write(self, frame: RigFrame) -> None:
        row = [f"{value:.6f}" for value in (*shapes(frame, LIVE_LINK_CSV_ORDER), *pose_columns(frame))]
        self._writer.writerow([timecode(frame.time, self.rate), len(row), *row])

    def _open(self, temporary: Path) -> None:
        file = self._stack.enter_context(temporary.open("w", newline="", encoding="utf-8"))
        self._writer = csv.writer(file, lineterminator="\n")
        names = [pascal(name) for name in LIVE_LINK_CSV_ORDER]
        self._writer.writerow(["Timecode", "BlendShapeCount", *names, *LIVE_LINK_POSE])


class JsonLines(FileSink):
    """JSON lines: one object a frame, complete in itself."""

    def write(self, frame: RigFrame) -> None:
        item = {
            "rig": frame.rig,
            "time": round(frame.time, 6),
            "index": frame.index,
            "tracking": frame.tracking.value,
            "confidence": _short(frame.confidence),
            "controls": dict(zip(frame.names, map(_short, frame.values), strict=True)),
            "arkit": dict(zip(NAMES, map(_short, frame.arkit), strict=True)),
            "head_pose": [_short(value) for value in frame.head_pose],
            "gaze": [_short(value) for value in frame.gaze],
        }
        self._file.write(json.dumps(item, separators=(",", ":"), allow_nan=False) + "\n")

    def _open(self, temporary: Path) -> None:
        self._file: TextIO = self._stack.enter_context(temporary.open("w", encoding="utf-8"))


class Npz(FileSink):
    """Arrays: time, index, tracking, confidence (T,), controls (T, N), arkit (T, 52), head_pose (T, 6), gaze (T, 2),
    with control_names (N,), arkit_names (52,), rig, source and rate.
    """

    def write(self, frame: RigFrame) -> None:
        self._frames.append(frame)

    def _open(self, temporary: Path) -> None:
        self._file = self._stack.enter_context(temporary.open("wb"))  # now, so that a bad place is found before the work
        self._frames: list[RigFrame] = []

    def _finish(self) -> None:
        frames = self._frames

        def stack(rows: list[Vector], width: int) -> Vector:
            return np.stack(rows) if rows else np.zeros((0, width), np.float32)

        np.savez_compressed(
            self._file,
            time=np.array([f.time for f in frames], np.float64),
            index=np.array([f.index for f in frames], np.int64),
            tracking=np.array([f.tracking.value for f in frames], "U8"),
            confidence=np.array([f.confidence for f in frames], np.float32),
            control_names=np.array(self.rig.names),
            controls=stack([f.values for f in frames], len(self.rig.names)),
            arkit_names=np.array(NAMES),
            arkit=stack([f.arkit for f in frames], len(NAMES)),
            head_pose=stack([f.head_pose for f in frames], 6),
            gaze=stack([f.gaze for f in frames], 2),
            rig=np.array(self.rig.name),
            source=np.array(self.source),
            rate=np.array(self.rate, np.float64),
        )


_SINKS: Final[dict[str, type[FileSink]]] = {".csv": LiveLinkCsv, ".jsonl": JsonLines, ".npz": Npz}
FILE_SUFFIXES: Final = tuple(_SINKS)
"""The suffixes :func:`open_file` knows."""


def open_file(path: Path, rig: Rig, source: str = "", rate: float = 0.0) -> FileSink:
    """The writer for a path's suffix, one of :data:`FILE_SUFFIXES` (see :func:`freeavatar.output.check_output`)."""
    return _SINKS[path.suffix.lower()](path, rig, source, rate)


def timecode(time: float, rate: float) -> str:
    """``HH:MM:SS:FF.sss``: whole seconds, then frames within the second at the stream's average rate, with thousandths."""
    rate = rate if rate > 0 else _STILL_RATE
    seconds = int(time)
    frames = round((time - seconds) * rate, 3)
    if frames >= rate:  # rounded up to the next second
        seconds, frames = seconds + 1, 0.0
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frames:06.3f}"


def _short(value: float) -> float:
    return round(float(value), 6)
