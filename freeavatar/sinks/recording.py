"""A take: a live session on disk, complete enough to be sent again byte for byte or to drive another rig.

A take is a folder of two files. ``take.json`` says what was recorded: the rigs and their controls, the sizes of the encoder's
outputs, its sha256, the source. ``take.bin`` holds one record of fixed size a moment, little-endian, appended once a second:
if the program is killed all but the last second is there, and a record that was cut short is left out. When the session ends well,
``take.json`` is replaced by one that also counts the moments.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from freeavatar.arkit import NAMES
from freeavatar.bounded import read_bounded
from freeavatar.errors import OutputError, SourceError
from freeavatar.output import replacing
from freeavatar.rig import MAX_CONTROLS, Rig
from freeavatar.sinks.moment import Moment
from freeavatar.types import Expression, RigFrame, Tracking

FORMAT: Final = 1
HEADER: Final = "take.json"
RECORDS: Final = "take.bin"
_FLUSH: Final = 1.0
"""Seconds of moments that are kept in memory."""
_STATES: Final = tuple(Tracking)
"""A state is stored by its place here."""
_BLOCK: Final = 256
"""Records read at once."""
_MAX_HEADER: Final = 1 << 22
_MAX_RIGS: Final = 16
_MAX_FEATURES: Final = 1 << 14
_LARGEST: Final = 1e9
"""No number of a recording is larger; a time in seconds is the largest."""


@dataclass(frozen=True)
class TakeRig:
    """A rig of a take: its name and its controls, in the order of the values."""

    name: str
    controls: tuple[str, ...]


@dataclass(frozen=True)
class Take:
    """A recording; made by :func:`read_take`.

    Attributes:
        folder: where it lies.
        rigs: in the order of ``Moment.rows``.
        feature_size: length of ``Expression.feature``.
        embedding_size: length of ``Expression.embedding``.
        encoder_sha256: the encoder that read the expressions; empty if unknown.
        source: name of what was recorded.
        rate: frames a second of the source, 0 if unknown.
        mirror: the rows are the performer's mirror image; the expressions never are.
        count: moments in it.
        complete: the recording was ended, not cut short.
    """

    folder: Path
    rigs: tuple[TakeRig, ...]
    feature_size: int
    embedding_size: int
    encoder_sha256: str
    source: str
    rate: float
    mirror: bool
    count: int
    complete: bool

    def moments(self) -> Iterator[Moment]:
        """Everything recorded, in order, without pictures.

        Raises:
            SourceError: a record cannot be read, or holds something else than finite numbers.
        """
        layout = _layout(self.rigs, self.feature_size, self.embedding_size)
        path = self.folder / RECORDS
        try:
            with path.open("rb") as file:
                for start in range(0, self.count, _BLOCK):
                    wanted = min(_BLOCK, self.count - start)
                    data = file.read(wanted * layout.itemsize)
                    if len(data) < wanted * layout.itemsize:
                        raise SourceError(f"{path}: became shorter while it was read; copy it first")
                    records = np.frombuffer(data, layout)
                    for i, (record, sound) in enumerate(zip(records, _sound(records), strict=True)):
                        if not sound:
                            raise SourceError(f"{path}: record {start + i} is damaged; the {start + i} before it can be read")
                        yield self._moment(record)
        except OSError as error:
            raise SourceError(f"{path}: cannot be read ({error.strerror})") from error

    def _moment(self, record: np.void) -> Moment:
        rows = tuple(
            RigFrame(
                rig=rig.name,
                names=rig.controls,
                values=row["values"].copy(),
                arkit=row["arkit"].copy(),
                head_pose=row["head_pose"].copy(),
                gaze=row["gaze"].copy(),
                confidence=float(row["confidence"]),
                time=float(row["time"]),
                index=int(row["index"]),
                tracking=_STATES[row["tracking"]],
            )
            for rig, row in ((rig, record[f"row{i}"]) for i, rig in enumerate(self.rigs))
        )
        read = record["expression"]
        expression = Expression(
            **{name: read[name].copy() for name in ("feature", "embedding", "arkit", "gaze", "head_pose", "align")},
            confidence=float(read["confidence"]),
            time=float(read["time"]),
            index=int(read["index"]),
        )
        return Moment(float(record["time"]), int(record["index"]), None, expression if record["face"] else None, rows)


class RecordingSink:
    """Records moments; a context manager.

    Args:
        folder: where the take will lie; made if missing.
        rigs: the rigs, in the order of ``Moment.rows``.
        feature_size: length of ``Expression.feature``.
        embedding_size: length of ``Expression.embedding``.
        encoder_sha256: the encoder that reads the expressions.
        source: name of what is recorded.
        rate: frames a second of the source, 0 if unknown.
        mirror: the rows are the performer's mirror image.

    Attributes:
        name: what it is, for people.
        target: the folder.
        sent: moments on disk.
        dropped: moments that the disk did not take.

    Raises:
        OutputError: the folder holds a take already, or cannot be written; or no take could hold these rigs.
    """

    name = "recording"

    def __init__(
        self,
        folder: Path,
        rigs: Sequence[Rig],
        *,
        feature_size: int,
        embedding_size: int,
        encoder_sha256: str = "",
        source: str = "",
        rate: float = 0.0,
        mirror: bool = False,
    ) -> None:
        self.target = str(folder)
        self.sent = self.dropped = 0
        self._folder = folder
        self._header: dict[str, Any] = {
            "format": FORMAT,
            "rigs": [{"name": rig.name, "controls": list(rig.names)} for rig in rigs],
            "arkit": list(NAMES),
            "feature_size": feature_size,
            "embedding_size": embedding_size,
            "encoder_sha256": encoder_sha256,
            "source": "".join(filter(str.isprintable, source)),
            "rate": rate,
            "mirror": mirror,
        }
        try:
            self._layout = _layout(_rigs(self._header["rigs"]), _size(feature_size), _size(embedding_size))
        except ValueError as error:  # what cannot be read again is not written
            raise OutputError(f"{folder}: these rigs cannot be recorded; expected 1 to {_MAX_RIGS} of different printable names") from error
        self._records: list[bytes] = []
        self._since = 0.0

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what was written is the system's, whatever becomes of this process.
            self._file = (self._folder / RECORDS).open("xb", buffering=0)
        except FileExistsError as error:
            raise OutputError(f"{self._folder}: holds a take or is a file; name another folder") from error
        except OSError as error:
            raise OutputError(f"{self._folder}: cannot be written ({error.strerror}); choose another folder") from error
        try:
            self._write_header(self._header)
        except OutputError:
            self._file.close()
            (self._folder / RECORDS).unlink()
            raise
        return self

    def write(self, moment: Moment) -> None:
        """Keep one moment.

        Raises:
            OutputError: the disk did not take the last second; the next call goes on.
        """
        if self._records and not 0 <= moment.time - self._since < _FLUSH:
            self._flush()
        if not self._records:
            self._since = moment.time
        self._records.append(self._encode(moment))

    def __exit__(self, *exc: Any) -> None:
        # A failure to end well leaves a take that reads like one after a crash, and must not hide the session's own error.
        with suppress(OutputError) if exc[0] is not None else nullcontext(), self._file:
            self._flush()
            self._write_header(self._header | {"moments": self.sent})

    def _flush(self) -> None:
        records, self._records = self._records, []
        data = memoryview(b"".join(records))
        try:
            self._file.seek(self.sent * self._layout.itemsize)  # over what an earlier failure may have left
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            self.dropped += len(records)
            raise OutputError(f"{self._folder}: cannot be written ({error.strerror}); {len(records)} moments are lost") from error
        self.sent += len(records)

    def _encode(self, moment: Moment) -> bytes:
        record = np.zeros((), self._layout)
        record["time"], record["index"] = moment.time, moment.index
        if moment.expression is not None:
            record["face"] = 1
            for name in record.dtype["expression"].names or ():
                record["expression"][name] = getattr(moment.expression, name)
        for i, frame in enumerate(moment.rows):
            row = record[f"row{i}"]
            for name in ("time", "index", "confidence", "head_pose", "gaze", "arkit", "values"):
                row[name] = getattr(frame, name)
            row["tracking"] = _STATES.index(frame.tracking)
        return record.tobytes()

    def _write_header(self, header: dict[str, Any]) -> None:
        with replacing(self._folder / HEADER) as temporary:
            temporary.write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8")


def read_take(folder: Path) -> Take:
    """A recording, whole or cut short by a crash.

    Raises:
        SourceError: the folder holds no take, or a damaged one.
    """
    path = folder / HEADER
    text = read_bounded(path, _MAX_HEADER, SourceError, "expected a folder made by  freeavatar live --record")
    try:
        header = json.loads(text)
        rigs, feature_size, embedding_size = _rigs(header["rigs"]), _size(header["feature_size"]), _size(header["embedding_size"])
        mirror = header.get("mirror", False)  # the first takes do not say
        known = header["format"] == FORMAT and header["arkit"] == list(NAMES) and isinstance(mirror, bool)
        encoder, source, rate, moments = header["encoder_sha256"], header["source"], header["rate"], header.get("moments")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SourceError(f"{path}: is no take.json ({error!r:.80}); record again") from error
    if not known or not all(isinstance(word, str) and word.isprintable() for word in (encoder, source)) or not _is_number(rate):
        raise SourceError(f"{path}: is of another version (expected format {FORMAT}) or damaged; use the version that made it")
    layout = _layout(rigs, feature_size, embedding_size)
    try:
        found = (folder / RECORDS).stat().st_size // layout.itemsize
    except OSError as error:
        raise SourceError(f"{folder / RECORDS}: cannot be read ({error.strerror}); a take is the whole folder") from error
    if moments is not None and moments != found:
        raise SourceError(f"{folder / RECORDS}: holds {found} moments, expected {moments!r:.20}; copy the take again")
    return Take(folder, rigs, feature_size, embedding_size, encoder, source, float(rate), mirror, found, complete=moments is not None)


def _layout(rigs: Sequence[TakeRig], feature_size: int, embedding_size: int) -> np.dtype[np.void]:
    """One record."""
    pose: list[tuple[Any, ...]] = [("time", "<f8"), ("index", "<i8"), ("confidence", "<f8")]
    pose += [("head_pose", "<f4", (6,)), ("gaze", "<f4", (2,)), ("arkit", "<f4", (len(NAMES),))]
    expression = [*pose, ("feature", "<f4", (feature_size,)), ("embedding", "<f4", (embedding_size,)), ("align", "<f4", (4,))]
    rows = [(f"row{i}", [*pose, ("tracking", "u1"), ("values", "<f4", (len(rig.controls),))]) for i, rig in enumerate(rigs)]
    return np.dtype([("time", "<f8"), ("index", "<i8"), ("face", "u1"), ("expression", expression), *rows])


def _sound(records: NDArray[np.void]) -> NDArray[np.bool_]:
    """(n,) which of n records hold numbers of a size that they can have (so none is NaN) and states that are known."""
    sound = np.ones(len(records), np.bool_)
    for name in records.dtype.names or ():
        values = records[name]
        if values.dtype.names:
            sound &= _sound(values)
        else:
            sound &= ((values >= -_LARGEST) & (values <= _LARGEST)).all(axis=tuple(range(1, values.ndim)))
        if name == "tracking":
            sound &= values < len(_STATES)
    return sound


def _rigs(entries: Any) -> tuple[TakeRig, ...]:
    if not isinstance(entries, list) or not 0 < len(entries) <= _MAX_RIGS:
        raise ValueError("rigs")
    rigs = tuple(_rig(entry["name"], entry["controls"]) for entry in entries)
    if len({rig.name for rig in rigs}) < len(rigs):
        raise ValueError("rigs twice")
    return rigs


def _rig(name: Any, controls: Any) -> TakeRig:
    # Controls are addresses of OSC and columns of tables, as in a rig.toml.
    valid = isinstance(name, str) and 0 < len(name) <= 256 and name.isprintable()
    valid &= isinstance(controls, list) and 0 < len(controls) <= MAX_CONTROLS
    if not valid or not all(isinstance(c, str) and re.fullmatch(r"[A-Za-z0-9_]{1,64}", c) for c in controls):
        raise ValueError("names")
    if len(set(controls)) != len(controls):
        raise ValueError("names twice")
    return TakeRig(name, tuple(controls))


def _size(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value <= _MAX_FEATURES:
        raise ValueError("sizes")
    return int(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value <= _LARGEST
