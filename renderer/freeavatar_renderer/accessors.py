"""The data of a glTF file: accessors and pictures out of its buffers, every size and offset checked before use."""

import base64
import binascii
import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from freeavatar.errors import RigError
from freeavatar.types import Image
from freeavatar_renderer import meshopt

Floats = NDArray[np.float32]

_MAX_ELEMENTS: Final = 4_000_000
"""Elements of one accessor."""
_MAX_DECODED: Final = 256 << 20
"""Bytes that all arrays of a file may take in memory; stops small files that unpack to huge ones."""
_MAX_PIXELS: Final = 64 << 20
"""Of all pictures together, as they are in the file: four of the largest."""
_MAX_SIDE: Final = 4096
_KEPT_SIDE: Final = 2048
"""Pixels; larger pictures are reduced to this, which previews cannot tell apart."""
_PER_TRIANGLE: Final = 192
_PER_PACKED_BYTE: Final = 48
"""Bytes that a compressed triangle, and a byte of other compressed data, counts for: what their decoding takes is time."""
_MAX_PACKED: Final = 8_000_000
"""Elements of one compressed view, which many accessors may share."""
_COMPONENTS: Final[dict[int, type[np.generic]]] = {
    5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32,
}  # fmt: skip
_WIDTHS: Final = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Accessors:
    """Reads a file's arrays and pictures.

    Args:
        document: the JSON chunk.
        binary: the binary chunk: the buffer that has no URI.
    """

    def __init__(self, document: dict[str, Any], binary: memoryview) -> None:
        self._json, self._binary, self._decoded, self._pixels = document, binary, 0, 0
        self._buffers: dict[int, memoryview] = {}
        self._unpacked: dict[int, memoryview] = {}

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
        self.reserve(count * own * 4)
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
        """(H, W, 4) RGBA uint8 of an entry of ``images``, at most 2048 pixels a side."""
        entry = entry_at(self._json.get("images", []), image)
        data = self._view(entry["bufferView"])[0] if "bufferView" in entry else _data_uri(entry.get("uri"), "pictures")
        picture = bytes(data)
        width, height = _picture_size(picture)
        if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
            raise RigError(f"has a picture of {width} x {height} pixels; expected at most {_MAX_SIDE} a side")
        self._pixels += width * height
        if self._pixels > _MAX_PIXELS:
            raise RigError(f"has pictures of more than {_MAX_PIXELS >> 20} million pixels together; export it with smaller ones")
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
        """The bytes of a buffer view, unpacked, and its stride, 0 where its elements are close together."""
        entry = entry_at(self._json.get("bufferViews", []), index)
        packed = (entry.get("extensions") or {}).get("EXT_meshopt_compression")
        if packed is None:
            return self._slice(entry), _size(entry.get("byteStride", 0), 252)
        if index not in self._unpacked:
            # Decoded in full before it is used: a packed view has no addresses of its own.
            count, stride = _size(packed["count"], _MAX_PACKED), _size(packed["byteStride"], 256)
            data, mode = self._slice(packed), str(packed["mode"])
            self.reserve(2 * count * stride + _PER_PACKED_BYTE * len(data) + (count // 3 * _PER_TRIANGLE if mode != "ATTRIBUTES" else 0))
            decoded = meshopt.decode(data, mode, str(packed.get("filter", "NONE")), count, stride)
            self._unpacked[index] = memoryview(decoded.tobytes())
        return self._unpacked[index], _size(entry.get("byteStride", 0), 252)

    def _slice(self, entry: dict[str, Any]) -> memoryview:
        data = self._buffer(entry.get("buffer", 0))
        start, size = entry.get("byteOffset", 0), entry["byteLength"]
        if not all(type(v) is int and v >= 0 for v in (start, size)) or start + size > len(data):
            raise RigError("has a buffer view that reaches beyond its data; export it again")
        return data[start : start + size]

    def _buffer(self, index: int) -> memoryview:
        entry = entry_at(self._json.get("buffers", []), index)
        if "uri" not in entry:
            return self._binary if index == 0 else memoryview(b"")
        if index not in self._buffers:
            data, size = _data_uri(entry["uri"], "data"), entry["byteLength"]
            if type(size) is not int or not size <= len(data) <= size + 3:
                raise RigError(f"has a data URI of {len(data)} bytes where {size} are announced; export it again")
            self._buffers[index] = data
        return self._buffers[index]

    def reserve(self, size: int) -> None:
        """Count bytes that the model takes, or the work that stands for them.

        Raises:
            RigError: it is too much.
        """
        self._decoded += size
        if self._decoded > _MAX_DECODED:
            raise RigError(f"takes more than {_MAX_DECODED >> 20} MB in memory; export a lighter model")


def entry_at(entries: list[Any], index: Any) -> Any:
    """``entries[index]``, without Python's negative indices."""
    if type(index) is not int or not 0 <= index < len(entries):
        raise RigError(f"names entry {index!r} of a list of {len(entries)}; export it again")
    return entries[index]


def _size(value: Any, limit: int) -> int:
    if type(value) is not int or not 0 <= value <= limit:
        raise RigError(f"has a buffer view of size {str(value)[:20]}, which reaches beyond its data (0 to {limit}); export it again")
    return value


def _data_uri(uri: Any, what: str) -> memoryview:
    """The bytes that a URI itself holds; other URIs are never followed."""
    head, _, text = uri.partition(",") if isinstance(uri, str) else ("", "", "")
    if not head.startswith("data:") or not head.endswith(";base64"):
        raise RigError(f"keeps its {what} in other files; export it as one GLB file")
    try:
        return memoryview(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise RigError("has a damaged data URI; export it again") from error


def numbers(values: Any, count: int) -> list[float]:
    """``count`` finite numbers."""
    found = [float(v) for v in values]
    if len(found) != count or not np.isfinite(found).all():
        raise RigError(f"has {str(values)[:60]} where {count} numbers are expected; export it again")
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
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= 30:
        # RFC 9649: VP8X holds the sizes less 1 in 24 bits each, VP8L in 14 bits, VP8 the sizes in 14 bits.
        kind, bits = data[12:16], int.from_bytes(data[21:25], "little")
        if kind == b"VP8X":
            return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
        if kind == b"VP8L":
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if kind == b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
    raise RigError("has a picture that is neither PNG nor JPEG nor WebP; export it again")


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
    if max(size) > _KEPT_SIDE:
        scale = _KEPT_SIDE / max(size)
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(image, code), np.uint8)
