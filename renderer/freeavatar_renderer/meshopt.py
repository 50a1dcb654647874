"""Decodes EXT_meshopt_compression, the compressed buffer views of glTF files.

Written from the bit streams that the extension's specification describes (Khronos glTF, EXT_meshopt_compression,
appendices A and B), vectorised where the stream allows it.
"""

from array import array
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freeavatar.errors import RigError

Bytes = NDArray[np.uint8]

_DAMAGED: Final = "has damaged compressed data; export it again"
_GROUP: Final = 16
_VALUES: Final = np.arange(256, dtype=np.uint8)
_PAIRS: Final = np.stack([_VALUES >> shift & 3 for shift in (6, 4, 2, 0)], axis=1)
"""(256, 4) the 2-bit numbers of a byte."""
_NIBBLES: Final = np.stack([_VALUES >> 4, _VALUES & 15], axis=1)
"""(256, 2) the 4-bit numbers of a byte."""


def decode(data: memoryview, mode: str, filter: str, count: int, stride: int) -> Bytes:
    """The bytes of a compressed buffer view.

    Args:
        data: the compressed bytes.
        mode: ATTRIBUTES, TRIANGLES or INDICES.
        filter: NONE, OCTAHEDRAL or EXPONENTIAL; quaternions occur in animations alone, which nobody reads here.
        count: elements.
        stride: bytes of an element.

    Returns:
        (count * stride,) bytes.

    Raises:
        RigError: the data are damaged or of an unknown kind.
    """
    try:
        if mode == "ATTRIBUTES" and stride % 4 == 0 and 4 <= stride <= 256:
            return _filtered(_attributes(data, count, stride), filter)
        if mode in ("TRIANGLES", "INDICES") and stride in (2, 4) and (mode == "INDICES" or count % 3 == 0):
            indices = (_triangles if mode == "TRIANGLES" else _indices)(bytes(data), count)
            return np.array(indices, np.uint64).astype("<u2" if stride == 2 else "<u4").view(np.uint8)
    except (IndexError, OverflowError) as error:
        raise RigError(_DAMAGED) from error
    raise RigError(f"has compressed data of mode {mode!r}, {stride} bytes an element, which glTF does not know; export it again")


def _attributes(data: memoryview, count: int, stride: int) -> Bytes:
    """(count, stride): every byte of an element is a stream of its own, of differences in groups of 16."""
    end = len(data) - max(stride, 32)
    if end < 1 or data[0] != 0xA0:
        raise RigError(_DAMAGED)
    block = min(8192 // stride & ~15, 256)
    groups = -(-count // _GROUP)
    differences = np.zeros((stride, groups, _GROUP), np.uint8)
    stream = np.frombuffer(data, np.uint8)
    # Where a group ends depends on how many of its numbers are too large for it and follow as bytes.
    escapes = [np.concatenate([[0], np.cumsum((table[stream] == last).sum(axis=1))]) for table, last in ((_PAIRS, 3), (_NIBBLES, 15))]
    many2, many4 = (memoryview(total.astype(np.int64).tobytes()).cast("q") for total in escapes)
    found = [array("q") for _ in range(4)]
    at = 1
    for first in range(0, groups, block // _GROUP):
        size = min(block // _GROUP, groups - first)
        heads = -(-size // 4)
        for channel in range(stride):
            modes = data[at : at + heads]
            at += heads
            if at > end:
                raise RigError(_DAMAGED)
            if not any(modes):
                continue
            for group in range(size):
                mode = modes[group >> 2] >> (group & 3) * 2 & 3
                if mode:
                    found[mode].extend((channel, first + group, at))
                    if mode == 1:
                        at += 4 + many2[at + 4] - many2[at]
                    elif mode == 2:
                        at += 8 + many4[at + 8] - many4[at]
                    else:
                        at += _GROUP
                    if at > end:
                        raise RigError(_DAMAGED)
    for mode, table, last in ((1, _PAIRS, 3), (2, _NIBBLES, 15), (3, _VALUES[:, None], 256)):
        if found[mode]:
            channels, places, starts = np.array(found[mode]).reshape(-1, 3).T
            differences[channels, places] = _unpack(stream, starts, table, last)
    flat = ((differences >> 1) ^ (-(differences & 1)).astype(np.uint8)).reshape(stride, -1)[:, :count]
    flat[:, 0] += stream[len(stream) - stride :]
    return np.ascontiguousarray(np.cumsum(flat, axis=1, dtype=np.uint8).T)


def _unpack(stream: Bytes, starts: NDArray[np.int64], table: Bytes, last: int) -> Bytes:
    """(N, 16) numbers of the groups at ``starts``; those equal to ``last`` stand for a byte behind their group."""
    width = _GROUP // table.shape[1]
    values = table[stream[starts[:, None] + np.arange(width)]].reshape(len(starts), _GROUP)
    large = values == last
    behind = starts[:, None] + width + np.cumsum(large, axis=1) - 1
    return np.where(large, stream[np.where(large, behind, 0)], values)


def _filtered(values: Bytes, filter: str) -> Bytes:
    stride = values.shape[1]
    if filter == "OCTAHEDRAL" and stride in (4, 8):
        whole = values.view("<i1" if stride == 4 else "<i2").copy()
        x, y, one = whole[:, :3].T.astype(np.float32)
        x, y = x / np.maximum(one, 1), y / np.maximum(one, 1)
        z = 1 - np.abs(x) - np.abs(y)
        fold = np.maximum(-z, 0)
        normal = np.stack([x - np.copysign(fold, x), y - np.copysign(fold, y), z], axis=1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        whole[:, :3] = np.round(normal * np.iinfo(whole.dtype).max)
        return whole.view(np.uint8).reshape(-1)
    if filter == "EXPONENTIAL" and stride % 4 == 0:
        words = values.view("<i4")
        with np.errstate(over="ignore"):
            floats = np.ldexp((words << 8 >> 8).astype(np.float32), words >> 24)
        return np.asarray(floats.astype("<f4").view(np.uint8).reshape(-1))
    if filter != "NONE":
        raise RigError(f"has compressed data with the filter {filter!r} at {stride} bytes, which is not supported; export it again")
    return values.reshape(-1)


def _triangles(data: bytes, count: int) -> list[int]:
    """Vertices of triangles, told by edges and vertices seen shortly before."""
    triangles = count // 3
    if len(data) < 1 + triangles + 16 or data[0] not in (0xE0, 0xE1):
        raise RigError(_DAMAGED)
    near = 13 if data[0] == 0xE1 else 15
    table, reader = data[-16:], _Numbers(data[: len(data) - 16], 1 + triangles)
    edges, vertices = [(0, 0)] * 16, [0] * 16
    edge = vertex = following = last = 0
    out: list[int] = []

    def keep(index: int) -> None:
        nonlocal vertex
        vertices[vertex & 15] = index
        vertex += 1

    for code in data[1 : 1 + triangles]:
        if code < 0xF0:
            a, b = edges[edge - 1 - (code >> 4) & 15]
            third = code & 15
            if third == 0:
                c = following
                following += 1
                keep(c)
            elif third < near:
                c = vertices[vertex - 1 - third & 15]
            else:
                c = last = reader.index(last) if third == 15 else last + (1 if third == 14 else -1)
                keep(c)
            edges[edge & 15], edges[edge + 1 & 15] = (c, b), (a, c)
            edge += 2
        else:
            extra = table[code & 15] if code < 0xFE else reader.byte()
            second, third = extra >> 4, extra & 15
            if code >= 0xFE and extra == 0:
                following = 0
            new = following, following + 1, following + 2
            read = code == 0xFF, code >= 0xFE and second == 15, code >= 0xFE and third == 15
            fresh = [not read[0], second == 0, third == 0]
            a = new[0]
            b = new[fresh[0]] if fresh[1] else vertices[vertex - second & 15]
            c = new[fresh[0] + fresh[1]] if fresh[2] else vertices[vertex - third & 15]
            following += sum(fresh)
            if read[0]:
                a = last = reader.index(last)
            if read[1]:
                b = last = reader.index(last)
            if read[2]:
                c = last = reader.index(last)
            keep(a)
            if fresh[1] or read[1]:
                keep(b)
            if fresh[2] or read[2]:
                keep(c)
            edges[edge & 15], edges[edge + 1 & 15], edges[edge + 2 & 15] = (b, a), (c, b), (a, c)
            edge += 3
        out += (a, b, c)
    return [index & 0xFFFFFFFF for index in out]


def _indices(data: bytes, count: int) -> list[int]:
    """Indices as differences from one of two before."""
    if len(data) < 1 + count + 4 or data[0] not in (0xD0, 0xD1):
        raise RigError(_DAMAGED)
    reader, last, out = _Numbers(data[: len(data) - 4], 1), [0, 0], []
    for _ in range(count):
        value = reader.number()
        which = value & 1
        last[which] += _signed(value >> 1)
        out.append(last[which] & 0xFFFFFFFF)
    return out


class _Numbers:
    """Reads numbers of 7 bits a byte, lowest first."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def byte(self) -> int:
        value = self._data[self._at]
        self._at += 1
        return value

    def number(self) -> int:
        value = 0
        for shift in range(0, 35, 7):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                break
        return value

    def index(self, last: int) -> int:
        return last + _signed(self.number())


def _signed(value: int) -> int:
    return value >> 1 ^ -(value & 1)
