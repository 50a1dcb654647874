"""Compressed buffer views are decoded as the specification of EXT_meshopt_compression says; damaged ones are refused."""

import numpy as np
import pytest

from freeavatar.errors import RigError
from freeavatar_renderer import meshopt


def zigzag(differences: np.ndarray) -> np.ndarray:
    signed = differences.astype(np.int8).astype(int)
    return np.where(signed < 0, -2 * signed - 1, 2 * signed)


def group(values: list[int]) -> tuple[int, bytes]:
    """The mode and the bytes of 16 numbers, as small as they can be."""
    best = (3, bytes(values))
    for mode, bits in ((2, 4), (1, 2)):
        last = (1 << bits) - 1
        packed = sum(min(v, last) << (16 - 1 - i) * bits for i, v in enumerate(values)).to_bytes(2 * bits, "big")
        best = min(best, (mode, packed + bytes(v for v in values if v >= last)), key=lambda b: len(b[1]))
    return (0, b"") if not any(values) else best


def compress(elements: np.ndarray) -> bytes:
    """A plain writer of the attribute stream, (N, stride) uint8."""
    count, stride = elements.shape
    block = min(8192 // stride & ~15, 256)
    out, before = b"\xa0", elements[0]
    for first in range(0, count, block):
        part = elements[first : first + block]
        codes = zigzag(np.diff(np.concatenate([before[None], part]), axis=0))
        for channel in range(stride):
            numbers = codes[:, channel].tolist() + [0] * (-len(part) % 16)
            groups = [group(numbers[i : i + 16]) for i in range(0, len(numbers), 16)]
            heads = bytearray(-(-len(groups) // 4))
            for i, (mode, _) in enumerate(groups):
                heads[i // 4] |= mode << i % 4 * 2
            out += bytes(heads) + b"".join(data for _, data in groups)
        before = part[-1]
    return out + bytes(max(32 - stride, 0)) + elements[0].tobytes()


@pytest.mark.parametrize(("count", "stride", "spread"), [(1, 4, 9), (16, 4, 1), (1000, 8, 2), (700, 12, 20), (300, 64, 128), (70, 256, 5)])
def test_attributes_come_back(count: int, stride: int, spread: int) -> None:
    rng = np.random.default_rng(count)
    elements = np.cumsum(rng.integers(-spread, spread + 1, (count, stride)) * (rng.random((count, stride)) < 0.4), axis=0).astype(np.uint8)
    data = compress(elements)
    assert np.array_equal(meshopt.decode(memoryview(data), "ATTRIBUTES", "NONE", count, stride).reshape(count, stride), elements)


def test_triangles_follow_edges_vertices_and_numbers() -> None:
    # By the specification: 0xf0 with the table's 0x00 makes three new vertices; 0x00 takes the last edge and a new vertex;
    # 0x1f the edge before and a number; 0xff with 0x0f reads numbers; 0x0e is the number after the last one.
    table = bytes([0x00] + [0x11] * 15)
    body = bytes([0xE1, 0xF0, 0x00, 0x1F, 0x0E, 0xFF]) + bytes([20, 0xFF, 2, 2, 2])
    found = meshopt.decode(memoryview(body + table), "TRIANGLES", "NONE", 15, 2).view("<u2").reshape(-1, 3)
    assert found.tolist() == [[0, 1, 2], [0, 2, 3], [3, 2, 10], [3, 10, 11], [12, 13, 14]]


def test_index_sequences_come_back() -> None:
    # Two counters: bit 0 chooses, the rest is a zigzag difference.
    data = bytes([0xD1, 4 << 1 | 0, 201 & 127 | 128, 1, 2 << 1 | 0]) + bytes(4)
    assert meshopt.decode(memoryview(data), "INDICES", "NONE", 3, 4).view("<u4").tolist() == [2, 50, 3]


def test_octahedral_normals_are_of_unit_length() -> None:
    packed = np.array([[127, 0, 127, 0], [0, 0, 127, 7], [-64, 63, 127, 0], [100, 100, 127, 0]], np.int8).view(np.uint8)
    found = meshopt.decode(memoryview(compress(packed)), "ATTRIBUTES", "OCTAHEDRAL", 4, 4).view(np.int8).reshape(4, 4)
    assert np.linalg.norm(found[:, :3].astype(float), axis=1) == pytest.approx(127, abs=1)
    assert found[:2].tolist() == [[127, 0, 0, 0], [0, 0, 127, 7]]
    assert found[3, 2] < 0  # folded over: beyond the diagonal lies the lower half


def test_exponential_numbers_are_floats() -> None:
    words = np.array([[3], [-5 & 0xFFFFFF | 0xFF << 24]], np.uint32).view(np.uint8)
    found = meshopt.decode(memoryview(compress(words)), "ATTRIBUTES", "EXPONENTIAL", 2, 4).view("<f4")
    assert found.tolist() == [3.0, -2.5]


@pytest.mark.parametrize("kept", [0, 1, 20, 36, 60])
def test_truncated_data_are_refused(kept: int) -> None:
    data = compress(np.random.default_rng(0).integers(0, 256, (200, 8)).astype(np.uint8))[:kept]
    for mode, stride in (("ATTRIBUTES", 8), ("TRIANGLES", 4), ("INDICES", 4)):
        with pytest.raises(RigError):
            meshopt.decode(memoryview(data), mode, "NONE", 201, stride)


@pytest.mark.parametrize(
    ("mode", "filter", "stride"), [("POINTS", "NONE", 4), ("ATTRIBUTES", "NONE", 3), ("ATTRIBUTES", "SECRET", 4), ("TRIANGLES", "NONE", 8)]
)
def test_unknown_kinds_are_refused(mode: str, filter: str, stride: int) -> None:
    with pytest.raises(RigError):
        meshopt.decode(memoryview(compress(np.zeros((9, 4), np.uint8))), mode, filter, 9, stride)
