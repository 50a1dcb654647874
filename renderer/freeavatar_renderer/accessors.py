"""The data of a GLB file: accessors and pictures out of its binary chunk, every size and offset checked before use."""

import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from freeavatar.errors import RigError
from freeavatar.types import Image

Floats = NDArray[np.float32]

_MAX_ELEMENTS: Final = 4_000_000
"""Elements of one accessor."""
_MAX_DECODED: Final = 1 << 30
"""Bytes that all accessors and pictures of a file may take in memory; stops small files that unpack to huge ones."""
_MAX_SIDE: Final = 8192
"""Pixels."""
_COMPONENTS: Final[dict[int, type[np.generic]]] = {
    5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32,
}  # fmt: skip
_WIDTHS: Final = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Accessors:
    """Reads a file's arrays and pictures.

    Args:
        document: the JSON chunk.
        binary: the binary chunk.
    """

    def __init__(self, document: dict[str, Any], binary: memoryview) -> None:
        self._json, self._binary, self._decoded = document, binary, 0

    def floats(self, index: int, width: int | None, count: int | None = None) -> Floats:
        """An accessor as float32 (count, width); integers are scaled to 0..1 or -1..1 where the file says so."""
        values = self.array(index, width)
        if count is not None and len(values) != count:
            raise RigError("has vertex attributes of different lengths; export it again")
        kind = values.dtype
        values = values.astype(np.float32).reshape(len(values), -1)
        if kind != np.float32 and self._json["accessors"][index].get("normalized"):
            values = np.maximum(values / np.float32(np.iinfo(kind).max), -1)
        if not np.isfinite(values).all():
            raise RigError("holds numbers that are not finite; export it again")
        return values

    def array(self, index: int, width: int | None) -> NDArray[Any]:
        """The elements of an accessor, (count,) for scalars, else (count, width)."""
        entry = entry_at(self._json.get("accessors", []), index)
        count, kind, own = entry["count"], _COMPONENTS[entry["componentType"]], _WIDTHS[entry["type"]]
        if type(count) is not int or not 0 < count <= _MAX_ELEMENTS:
            raise RigError(f"has an accessor of {count} elements; expected 1 to {_MAX_ELEMENTS}")
        if width is not None and own != width:
            raise RigError(f"has an accessor of type {entry['type']} where {width} components are expected; export it again")
        self._reserve(count * own * 4)
        if "bufferView" in entry:
            values = self._elements(entry["bufferView"], entry.get("byteOffset", 0), kind, count, own)
        else:
            values = np.zeros((count, own), kind)
        if "sparse" in entry:
            sparse = entry["sparse"]
            used = sparse["count"]
            if type(used) is not int or not 0 < used <= count:
                raise RigError("has a sparse accessor with more entries than elements; export it again")
            where, what = sparse["indices"], sparse["values"]
            indices = self._elements(where["bufferView"], where.get("byteOffset", 0), _COMPONENTS[where["componentType"]], used, 1)[:, 0]
            if indices.dtype.kind != "u" or int(indices.max()) >= count:
                raise RigError("has a sparse accessor that names missing elements; export it again")
            values = values.copy()
            values[indices] = self._elements(what["bufferView"], what.get("byteOffset", 0), kind, used, own)
        return values[:, 0] if own == 1 else values

    def picture(self, image: Any) -> Image:
        """(H, W, 4) RGBA uint8 of an entry of ``images``."""
        entry = entry_at(self._json.get("images", []), image)
        if "bufferView" not in entry:
            raise RigError("keeps its pictures in other files; export it as one GLB file")
        picture = bytes(self._view(entry["bufferView"])[0])
        width, height = _picture_size(picture)
        if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
            raise RigError(f"has a picture of {width} x {height} pixels; expected at most {_MAX_SIDE} a side")
        self._reserve(width * height * 4)
        return _decode(picture, (height, width))

    def _elements(self, view: int, offset: int, kind: type[np.generic], count: int, width: int) -> NDArray[Any]:
        data, stride = self._view(view)
        dtype = np.dtype(kind).newbyteorder("<")
        size = dtype.itemsize * width
        stride = stride or size
        if type(offset) is not int or offset < 0 or stride < size or offset + (count - 1) * stride + size > len(data):
            raise RigError("has an accessor that reaches beyond its data; export it again")
        return np.ndarray((count, width), dtype, data, offset, (stride, dtype.itemsize)).copy()

    def _view(self, index: int) -> tuple[memoryview, int]:
        entry = entry_at(self._json.get("bufferViews", []), index)
        if entry.get("buffer", 0) != 0 or "uri" in entry_at(self._json.get("buffers", []), 0):
            raise RigError("keeps its data in another file; export it as one GLB file")
        start, size, stride = entry.get("byteOffset", 0), entry["byteLength"], entry.get("byteStride", 0)
        if not all(type(v) is int and v >= 0 for v in (start, size, stride)) or stride > 252 or start + size > len(self._binary):
            raise RigError("has a buffer view that reaches beyond its data; export it again")
        return self._binary[start : start + size], stride

    def _reserve(self, size: int) -> None:
        self._decoded += size
        if self._decoded > _MAX_DECODED:
            raise RigError(f"takes more than {_MAX_DECODED >> 20} MB in memory; export a lighter model")


def entry_at(entries: list[Any], index: Any) -> Any:
    """``entries[index]``, without Python's negative indices."""
    if type(index) is not int or not 0 <= index < len(entries):
        raise RigError(f"names entry {index!r} of a list of {len(entries)}; export it again")
    return entries[index]


def numbers(values: Any, count: int) -> list[float]:
    """``count`` finite numbers."""
    found = [float(v) for v in values]
    if len(found) != count or not np.isfinite(found).all():
        raise RigError(f"has {values!r} where {count} numbers are expected; export it again")
    return found


def _picture_size(data: bytes) -> tuple[int, int]:
    """Width and height from the header alone, so that a picture is measured before it is unpacked."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        return width, height
    at = 2
    while data[:2] == b"\xff\xd8" and at + 9 <= len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + size
    raise RigError("has a picture that is neither PNG nor JPEG; export it again")


def _decode(picture: bytes, size: tuple[int, int]) -> Image:
    import cv2

    try:
        image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None or image.shape[:2] != size:
        raise RigError("has a damaged picture; export it again")
    if image.dtype == np.uint16:
        image = (image // 256).astype(np.uint8)
    code = {1: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}[1 if image.ndim == 2 else image.shape[2]]
    return np.asarray(cv2.cvtColor(image, code), np.uint8)
