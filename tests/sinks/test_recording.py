"""A take holds all that was sent and read, loses at most a second, and is not believed before it is checked."""

import errno
import json
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freeavatar.errors import OutputError, SourceError
from freeavatar.rig import Control, Rig
from freeavatar.sinks.moment import Moment
from freeavatar.sinks.recording import RecordingSink, read_take
from freeavatar.types import Expression, RigFrame, Tracking

FEATURES, EMBEDDING = 8, 4


def floats(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(size=shape).astype(np.float32)


def make_moment(index: int, rigs: list[Rig], rate: float = 30.0, face: bool = True) -> Moment:
    """A moment full of numbers, none of which is there twice."""
    rng = np.random.default_rng(index)
    time = 1234.5 + index / rate
    read = {"feature": FEATURES, "embedding": EMBEDDING, "arkit": 52, "gaze": 2, "head_pose": 6, "align": 4}
    expression = Expression(**{name: floats(rng, n) for name, n in read.items()}, confidence=rng.random(), time=time, index=index)
    rows = tuple(
        RigFrame(rig.name, rig.names, floats(rng, len(rig.names)), floats(rng, 52), floats(rng, 6), floats(rng, 2), rng.random(),
                 time + i, index, tuple(Tracking)[(index + i) % 4])
        for i, rig in enumerate(rigs)
    )  # fmt: skip
    return Moment(time, index, None, expression if face else None, rows)


@pytest.fixture
def rigs(rig: Rig) -> list[Rig]:
    return [rig, Rig("other", "Other", "CC0-1.0", rig.folder, rig.model, (Control("a"),))]


@pytest.fixture
def open_sink(tmp_path: Path, rigs: list[Rig]) -> Callable[..., RecordingSink]:
    def make(folder: Path = tmp_path / "take") -> RecordingSink:
        return RecordingSink(
            folder, rigs, feature_size=FEATURES, embedding_size=EMBEDDING, encoder_sha256="ab" * 32, source="camera 0", rate=29.97
        )

    return make


@pytest.fixture
def take(tmp_path: Path, rigs: list[Rig], open_sink: Callable[..., RecordingSink]) -> Path:
    """A take of 70 moments."""
    with open_sink() as sink:
        for i in range(70):
            sink.write(make_moment(i, rigs))
    return tmp_path / "take"


def same(a: Any, b: Any) -> bool:
    """Whether two moments, expressions or rows are equal to the last bit."""
    if isinstance(a, Moment | Expression | RigFrame):
        return type(a) is type(b) and all(same(getattr(a, field.name), getattr(b, field.name)) for field in fields(a))
    if isinstance(a, np.ndarray):
        return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(type(a) is type(b) and a == b)


def test_everything_comes_back_to_the_last_bit(tmp_path: Path, rigs: list[Rig], open_sink: Callable[..., RecordingSink]) -> None:
    moments = [make_moment(i, rigs, face=i % 3 > 0) for i in range(600)]
    with open_sink() as sink:
        for moment in moments:
            sink.write(moment)
    assert (sink.sent, sink.dropped, sink.name, sink.target) == (600, 0, "recording", str(tmp_path / "take"))
    take = read_take(tmp_path / "take")
    found = list(take.moments())
    assert len(found) == take.count == 600 and take.complete
    for a, b in zip(moments, found, strict=True):
        if a.expression is None:
            assert b.expression is None and same(a.rows, b.rows) and a.time == b.time
        else:
            assert same(a, b)
    assert [(rig.name, rig.controls) for rig in take.rigs] == [("tiny", rigs[0].names), ("other", ("a",))]
    assert (take.source, take.rate, take.encoder_sha256, take.feature_size, take.embedding_size) == ("camera 0", 29.97, "ab" * 32, 8, 4)


def test_a_record_is_laid_out_as_the_documentation_says(take: Path, rigs: list[Rig]) -> None:
    record = damaged(take).dtype
    pose = ("time", "index", "confidence", "head_pose", "gaze", "arkit")
    assert record.names == ("time", "index", "face", "expression", "row0", "row1")
    assert record["expression"].names == (*pose, "feature", "embedding", "align") and record["row1"].names == (*pose, "tracking", "values")
    fixed = 8 + 8 + 8 + 4 * (6 + 2 + 52)
    rows = sum(fixed + 1 + 4 * len(rig.names) for rig in rigs)
    assert record.itemsize == 8 + 8 + 1 + fixed + 4 * (FEATURES + EMBEDDING + 4) + rows
    start = struct.unpack_from("<dqB", (take / "take.bin").read_bytes(), 69 * record.itemsize)
    assert start == (make_moment(69, rigs).time, 69, 1)


def test_pictures_are_not_recorded(take: Path) -> None:
    assert all(moment.picture is None for moment in read_take(take).moments())
    assert sorted(path.name for path in take.iterdir()) == ["take.bin", "take.json"]


@pytest.mark.parametrize("rate", [1.0, 24.0, 60.0])
def test_at_any_time_all_but_the_last_second_is_on_disk(
    tmp_path: Path, rigs: list[Rig], open_sink: Callable[..., RecordingSink], rate: float
) -> None:
    with open_sink() as sink:
        for i in range(int(3 * rate) + 2):
            sink.write(make_moment(i, rigs, rate))
            found = read_take(tmp_path / "take")
            assert not found.complete and (i + 1 - found.count) / rate <= 1.0
    assert read_take(tmp_path / "take").complete


def test_a_clock_that_jumps_back_loses_no_more(tmp_path: Path, rigs: list[Rig], open_sink: Callable[..., RecordingSink]) -> None:
    with open_sink() as sink:
        for i in (100, 101, 0, 1):
            sink.write(make_moment(i, rigs))
        assert read_take(tmp_path / "take").count == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_process_that_is_killed_leaves_a_take(tmp_path: Path) -> None:
    program = f"""
import os, signal, sys
from pathlib import Path
import numpy as np
from freeavatar.rig import Control, Rig
from freeavatar.sinks.moment import Moment
from freeavatar.sinks.recording import RecordingSink
from freeavatar.types import RigFrame
rig = Rig("tiny", "", "", Path(), Path(), (Control("a"),))
zeros = [np.zeros(n, np.float32) for n in (1, 52, 6, 2)]
with RecordingSink(Path({str(tmp_path / "take")!r}), [rig], feature_size=4, embedding_size=2) as sink:
    for i in range(100):
        sink.write(Moment(i / 30, i, None, None, (RigFrame("tiny", ("a",), *zeros, 0.0, i / 30, i),)))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    found = read_take(tmp_path / "take")
    assert not found.complete and [m.index for m in found.moments()] == list(range(found.count)) and 70 <= found.count < 100


def test_a_record_that_was_cut_short_is_left_out(take: Path) -> None:
    cut = take.with_name("cut")
    shutil.copytree(take, cut)
    header = json.loads((cut / "take.json").read_text())
    del header["moments"]
    (cut / "take.json").write_text(json.dumps(header))
    data = (cut / "take.bin").read_bytes()
    size = len(data) // 70
    for length in (0, 1, size - 1, size, 5 * size + 7):
        (cut / "take.bin").write_bytes(data[:length])
        found = read_take(cut)
        assert found.count == len(list(found.moments())) == length // size and not found.complete


class Disk:
    """A file that takes some bytes more, then no more until there is room."""

    def __init__(self, file: Any, room: int) -> None:
        self._file, self.room = file, room

    def write(self, data: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = min(len(data), self.room, 1000)
        self.room -= count
        return int(self._file.write(data[:count]))

    def seek(self, place: int) -> None:
        self._file.seek(place)

    def __enter__(self) -> "Disk":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def test_a_full_disk_loses_whole_moments_and_no_others(
    tmp_path: Path, rigs: list[Rig], open_sink: Callable[..., RecordingSink], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_sink() as sink:
        disk = Disk(sink._file, 2500)
        monkeypatch.setattr(sink, "_file", disk)
        refused = []
        for i in range(120):
            try:
                sink.write(make_moment(i, rigs))
            except OutputError as error:
                refused.append(i)
                assert "No space left on device" in str(error) and "30 moments are lost" in str(error)
                disk.room = 10**9
    assert refused == [30] and (sink.sent, sink.dropped) == (89, 30)
    assert [moment.index for moment in read_take(tmp_path / "take").moments()] == list(range(31, 120))


def test_a_take_is_not_overwritten(take: Path, open_sink: Callable[..., RecordingSink]) -> None:
    before = (take / "take.bin").read_bytes()
    with pytest.raises(OutputError, match="holds a take or is a file; name another folder"), open_sink():
        pass
    assert (take / "take.bin").read_bytes() == before


def test_places_that_cannot_be_written_are_refused(tmp_path: Path, open_sink: Callable[..., RecordingSink]) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        with pytest.raises(OutputError, match="another folder"), open_sink(folder):
            pass


@pytest.mark.parametrize("count", [0, 17])
def test_what_could_not_be_read_again_is_refused(tmp_path: Path, rig: Rig, count: int) -> None:
    with pytest.raises(OutputError, match="these rigs cannot be recorded; expected 1 to 16 of different"):
        RecordingSink(tmp_path / "take", [rig] * count, feature_size=8, embedding_size=4)


def test_a_source_of_any_name_can_be_read_again(tmp_path: Path, rig: Rig) -> None:
    with RecordingSink(tmp_path / "take", [rig], feature_size=8, embedding_size=4, source="a\nb\x1b.mp4"):
        pass
    take = read_take(tmp_path / "take")
    assert (take.source, take.count, take.complete) == ("ab.mp4", 0, True) and list(take.moments()) == []


def test_folders_are_made(tmp_path: Path, rigs: list[Rig], open_sink: Callable[..., RecordingSink]) -> None:
    with open_sink(tmp_path / "a" / "b") as sink:
        sink.write(make_moment(0, rigs))
    assert read_take(tmp_path / "a" / "b").count == 1


def change(folder: Path, **entries: Any) -> None:
    path = folder / "take.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


@pytest.mark.parametrize(
    "entries",
    [
        {"format": 2}, {"arkit": ["jawOpen"]}, {"rigs": []}, {"rigs": 3}, {"rigs": ["a"]}, {"rigs": [{}]}, {"rate": "fast"}, {"rate": -1},
        {"rigs": [{"name": "", "controls": ["a"]}]}, {"rigs": [{"name": "a\nb", "controls": ["a"]}]},
        {"rigs": [{"name": "a", "controls": ["a", "a"]}]}, {"rigs": [{"name": "a", "controls": ["../a"]}]},
        {"rigs": [{"name": "a", "controls": ["a"]}] * 2}, {"mirror": 1},
        {"rigs": [{"name": "a", "controls": ["x" * 65]}]}, {"rigs": [{"name": "a", "controls": [f"c{i}" for i in range(1001)]}]},
        {"rigs": [{"name": f"r{i}", "controls": ["a"]} for i in range(17)]}, {"feature_size": -1}, {"feature_size": 10**9},
        {"feature_size": 1.5}, {"embedding_size": "4"}, {"encoder_sha256": 1}, {"source": "a\x1b[31mb"}, {"source": None},
        {"moments": 69}, {"moments": "many"}, {"moments": {}},
    ],
)  # fmt: skip
def test_a_header_that_cannot_be_is_one_line(take: Path, entries: dict[str, Any]) -> None:
    change(take, **entries)
    with pytest.raises(SourceError) as error:
        read_take(take)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400 + len(str(take)) and str(take) in str(error.value)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"format": NaN}'])
def test_a_header_of_something_else_is_one_line(take: Path, text: bytes) -> None:
    (take / "take.json").write_bytes(text)
    with pytest.raises(SourceError, match=r"take\.json: is no take\.json"):
        read_take(take)


def test_what_is_no_take_is_refused(tmp_path: Path, take: Path) -> None:
    with pytest.raises(SourceError, match="expected a folder made by  freeavatar live --record"):
        read_take(tmp_path)
    (take / "take.bin").unlink()
    with pytest.raises(SourceError, match="a take is the whole folder"):
        read_take(take)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("place", [("row0", "values"), ("row1", "time"), ("expression", "feature"), ("time",)])
def test_numbers_that_cannot_be_are_refused(take: Path, value: float, place: tuple[str, ...]) -> None:
    records = damaged(take)
    part = records
    for name in place[:-1]:
        part = part[name]
    part[place[-1]][33] = value
    (take / "take.bin").write_bytes(records.tobytes())
    moments = read_take(take).moments()
    with pytest.raises(SourceError, match="record 33 is damaged; the 33 before it can be read"):
        for i, moment in enumerate(moments):
            assert moment.index == i < 33


def damaged(take: Path) -> Any:
    """The records of a take, to be changed."""
    from freeavatar.sinks.recording import _layout

    found = read_take(take)
    return np.fromfile(take / "take.bin", _layout(found.rigs, found.feature_size, found.embedding_size))


def test_unknown_states_are_refused(take: Path) -> None:
    records = damaged(take)
    records["row0"]["tracking"][3] = 4
    (take / "take.bin").write_bytes(records.tobytes())
    with pytest.raises(SourceError, match="record 3 is damaged"):
        list(read_take(take).moments())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_header_is_refused_or_read_never_worse(take: Path, data: st.DataObject) -> None:
    whole = take / "whole.json"
    if not whole.exists():
        (take / "take.json").rename(whole)
    text = whole.read_bytes()
    at = data.draw(st.integers(0, len(text) - 1))
    (take / "take.json").write_bytes(text[:at] + data.draw(st.binary(max_size=6)) + text[at + data.draw(st.integers(0, 40)) :])
    try:
        moments = list(read_take(take).moments())
    except SourceError as error:
        assert str(take) in str(error) and "\n" not in str(error)
    else:
        assert all(np.isfinite(row.values).all() for moment in moments for row in moment.rows)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.binary(max_size=4000))
def test_any_bytes_are_moments_or_an_error(take: Path, data: bytes) -> None:
    (take / "take.bin").write_bytes(data)
    header = json.loads((take / "take.json").read_text())
    header.pop("moments", None)
    (take / "take.json").write_text(json.dumps(header))
    try:
        for moment in read_take(take).moments():
            assert all(np.isfinite(row.values).all() for row in moment.rows)
    except SourceError:
        pass


def test_a_failure_of_the_session_is_not_hidden(
    rigs: list[Rig], open_sink: Callable[..., RecordingSink], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyError, match="mine"), open_sink() as sink:
        sink.write(make_moment(0, rigs))
        monkeypatch.setattr(sink, "_file", Disk(sink._file, 0))
        raise KeyError("mine")
