"""Pictures of an avatar with the control values that they show: drawn by the raster, or brought from any engine."""

import csv
import hashlib
import io
import json
import math
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from freeavatar.arkit import NAMES
from freeavatar.bounded import read_bounded
from freeavatar.errors import SourceError
from freeavatar.face.alignment import warp
from freeavatar.output import replacing
from freeavatar.progress import progress
from freeavatar.rig import ANIMATOR, Rig
from freeavatar.sources.images import read_image
from freeavatar.train.loop import Batch
from freeavatar.types import Image, Vector
from freeavatar_renderer.performance import glance, lidded, natural_shapes

SHARD: Final = 128
"""Pictures a shard."""
LEAST: Final = 64
"""No renderer is trained from fewer pictures."""
MOST: Final = 100_000
"""Pictures that are taken at most; they are kept in memory."""
BLOCK: Final = 8
"""Rows in sequence that are held out together, since neighbours in a recording look alike."""
HELD_OUT: Final = 1 / 16
WHOLE: Final[Vector] = np.eye(2, 3, dtype=np.float32)
"""The view that shows all that the camera sees."""
_MAX_TABLE: Final = 256 << 20
_SUFFIXES: Final = (".png", ".jpg", ".jpeg")
_TOLERANCE: Final = 1e-3
"""Share of a control's range by which a table may exceed it: rounding."""


@dataclass(frozen=True)
class Pictures:
    """Pictures and what they show.

    Attributes:
        images: (M, S, S, 3) RGB uint8.
        values: (M, N) normalised control values, in the rig's order.
    """

    images: NDArray[np.uint8]
    values: Vector

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, rows: NDArray[np.intp]) -> "Pictures":
        """Some of them."""
        return Pictures(self.images[rows], self.values[rows])

    def split(self, seed: int) -> "tuple[Pictures, Pictures]":
        """Those to learn from, and those held out: blocks of :data:`BLOCK` neighbours.

        The seed alone chooses, so that what a run learnt from is never held out when it goes on with more pictures.
        """
        draw = np.random.default_rng(seed).random(math.ceil(len(self) / BLOCK))
        held = (draw <= max(HELD_OUT, draw.min()))[np.arange(len(self)) // BLOCK]
        return self.rows(np.flatnonzero(~held)), self.rows(np.flatnonzero(held))


class PictureBatches:
    """Batches of ``image (B,3,S,S) uint8`` and ``values (B,N) float32``.

    Args:
        pictures: what to draw from.
        batch: pictures a batch.
        seed: seed of all chance.
        rank: number of the process; each draws its own.
    """

    def __init__(self, pictures: Pictures, batch: int, seed: int, rank: int = 0) -> None:
        self.pictures, self.rows, self.seed = pictures, batch, [seed, rank]

    def batch(self, step: int) -> Batch:
        """The batch of a step, a function of the seed, the rank and the step."""
        some = self.pictures.rows(np.random.default_rng([*self.seed, step]).integers(len(self.pictures), size=self.rows))
        return {"image": as_tensor(some.images), "values": torch.from_numpy(some.values)}


def as_tensor(images: NDArray[np.uint8]) -> torch.Tensor:
    """(M, S, S, 3) pictures as (M, 3, S, S)."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def draw_values(rig: Rig, rng: np.random.Generator) -> Vector:
    """(N,) random control values in their ranges.

    One in 25 is the face at rest; 40 % are natural expressions through the rig's own map; 40 % are up to six controls alone,
    most with their mirror partner; the others are all controls at once. In two thirds the head is at rest: an animator's face is
    judged with the head straight, since head and gaze are computed and not the animator's.
    """
    draw, count = rng.random(), len(rig.controls)
    pose = rng.normal(0, (0.25, 0.15, 0.1)).astype(np.float32) * (rng.random() < 1 / 3)
    gaze = np.array(glance(rng), np.float32)
    if draw < 0.04:
        return rig.neutral()
    if draw < 0.44:
        return rig.pose(rig.from_arkit(_weights(lidded(natural_shapes(rng), (float(gaze[0]), float(gaze[1]))))), pose, gaze)
    unit = rig.denormalise(rng.random(count).astype(np.float32))
    if draw < 0.84:
        chosen = set(rng.integers(count, size=rng.integers(1, 7)).tolist())
        partners = {i for i in chosen if rig.controls[i].mirror and rng.random() < 0.6}
        for i in partners:
            other = rig.names.index(rig.controls[i].mirror)
            unit[other] = unit[i]
            chosen.add(other)
        unit = np.where(np.isin(np.arange(count), list(chosen)), unit, rig.neutral()).astype(np.float32)
    head = rig.pose(unit, pose, gaze)
    return np.where([c.source.startswith("head.") for c in rig.controls], head, unit).astype(np.float32)


def at_rest(rig: Rig, values: Vector) -> NDArray[np.bool_]:
    """(M,) whether the head is at rest, of normalised values (M, N)."""
    head = [i for i, c in enumerate(rig.controls) if c.source.startswith("head.")]
    return np.asarray((np.abs(values - rig.normalise(rig.neutral()))[:, head] < 0.01).all(1))


class Painter:
    """Draws an avatar by the raster, as its neural renderer shows it.

    Args:
        rig: the avatar.
        size: side S of the pictures in pixels.
        view: (2, 3) affine map from what the camera sees to the picture, both as the unit square with y down.

    Raises:
        MissingExtraError, RenderError, RigError: as for :class:`freeavatar_renderer.raster.AvatarRenderer`.
    """

    def __init__(self, rig: Rig, size: int, view: Vector) -> None:
        from freeavatar_renderer.raster import AvatarRenderer

        self.rig, self.size, self.view = rig, size, view
        side = size * _drawn(view)
        self._renderer = AvatarRenderer(rig, side, side)

    def __enter__(self) -> "Painter":
        return self

    def __exit__(self, *_: object) -> None:
        self._renderer.release()

    def paint(self, values: Vector) -> Image:
        """(S, S, 3) picture of (N,) normalised values."""
        return cut(self._renderer.render(self.rig.denormalise(values)), self.view, self.size)


def cut(image: Image, view: Vector, size: int) -> Image:
    """The part of a square image that a map of unit squares shows, ``size`` wide; beyond the image its border is repeated."""
    if np.array_equal(view, WHOLE):
        return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if len(image) > size else cv2.INTER_LINEAR)  # type: ignore[return-value]
    # A pixel's coordinate is that of its centre, a unit square starts at its edge.
    linear = view[:, :2].astype(np.float64) * size / len(image)
    return warp(image, np.column_stack([linear, size * view[:, 2] - 0.5 + linear.sum(1) / 2]), size)


def _drawn(view: Vector) -> int:
    """How much larger than the picture the raster draws, so that nothing is enlarged by more than a fifth."""
    return min(4, math.ceil(float(np.hypot(view[0, 0], view[1, 0])) / 1.2))


def render_pictures(rig: Rig, folder: Path, count: int, size: int, seed: int, view: Vector = WHOLE, still: bool = False) -> Pictures:
    """Raster renders of random values, kept in a folder of shards; those that are there already are not drawn again.

    Args:
        rig: the avatar.
        folder: where the shards lie.
        count: pictures, rounded up to whole shards of :data:`SHARD`.
        size: side in pixels.
        seed: seed of the values; a shard is a function of the seed and its number.
        view: (2, 3) map from what the camera sees to the picture, both as the unit square with y down.
        still: only what the animator drives moves; head and gaze rest.

    Raises:
        SourceError: a shard is damaged, or of another avatar, size, view or seed.
        MissingExtraError, RenderError, RigError: as for :class:`Painter`.
    """
    made, shards = _identity(rig, size, seed, view, still), math.ceil(count / SHARD)
    paths = [folder / f"shard_{i:05}.npz" for i in range(shards)]
    if missing := [(i, path) for i, path in enumerate(paths) if not path.is_file()]:
        folder.mkdir(parents=True, exist_ok=True)
        free = np.array([c.source == ANIMATOR or not still for c in rig.controls])
        with Painter(rig, size, view) as painter:
            for i, path in progress(missing, len(missing), f"{rig.name}: drawing"):
                rng = np.random.default_rng([seed, i])
                values = rig.normalise(np.stack([np.where(free, draw_values(rig, rng), rig.neutral()) for _ in range(SHARD)]))
                images = np.stack([painter.paint(v) for v in values])
                with replacing(path) as temporary:
                    np.savez_compressed(temporary, image=images, values=values, made=made)
    parts = [_read_shard(path, made, len(rig.controls), size) for path in paths]
    return Pictures(np.concatenate([p.images for p in parts]), np.concatenate([p.values for p in parts]))


def read_pictures(folder: Path, rig: Rig, size: int, view: Vector = WHOLE) -> Pictures:
    """Pictures and controls that a user brings; docs/training/renderer.md has the format.

    Args:
        folder: holds ``images/`` and ``controls.csv`` or ``controls.jsonl``.
        rig: names the controls and their ranges; a control that the table leaves out is at rest.
        size: side in pixels that the pictures are brought to.
        view: (2, 3) map from the pictures to what is kept of them, both as the unit square with y down.

    Raises:
        SourceError: anything is missing, damaged, out of range or not named by the rig.
    """
    tables = [path for path in (folder / "controls.csv", folder / "controls.jsonl") if path.is_file()]
    if len(tables) != 1:
        found = "both controls.csv and controls.jsonl" if tables else "neither controls.csv nor controls.jsonl"
        raise SourceError(f"{folder}: has {found}; expected one of them, beside the folder images")
    table = tables[0]
    try:
        text = read_bounded(table, _MAX_TABLE, SourceError, "split it").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{table}: is no UTF-8 text ({error.reason}); save it as UTF-8") from error
    names, rows = list[str](), list[Vector]()
    for line, name, shown in (_csv if table.suffix == ".csv" else _jsonl)(table, text):
        where = f"{table}, line {line}"
        if len(rows) == MOST:
            raise SourceError(f"{table}: has more than {MOST} rows; expected at most that many")
        if Path(name).name != name or Path(name).suffix.lower() not in _SUFFIXES or name.startswith("."):
            raise SourceError(f"{where}: {name!r:.80} names no picture in images; expected a file that ends in {', '.join(_SUFFIXES)}")
        names.append(name)
        rows.append(_values(rig, shown, where))
    if len(rows) < LEAST:
        raise SourceError(f"{table}: has {len(rows)} rows; expected at least {LEAST}, better thousands")
    if len(set(names)) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise SourceError(f"{table}: names {twice!r:.80} twice; expected one row a picture")
    images = np.empty((len(names), size, size, 3), np.uint8)
    for i, name in enumerate(progress(names, len(names), "reading")):
        images[i] = cut(_square(folder / "images" / name), view, size)
    return Pictures(images, rig.normalise(np.stack(rows)).clip(0, 1))


def _csv(table: Path, text: str) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Line, file and values by control of each row."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        if header[:1] != ["file"] or len(set(header)) != len(header) or len(header) < 2:
            raise SourceError(f"{table}: the first line is {','.join(header)!r:.80}; expected file,CONTROL,CONTROL,... each once")
        for row in reader:
            if len(row) != len(header):
                raise SourceError(f"{table}, line {reader.line_num}: has {len(row)} columns; expected {len(header)}")
            yield reader.line_num, row[0], dict(zip(header[1:], row[1:], strict=True))
    except csv.Error as error:
        raise SourceError(f"{table}, line {reader.line_num}: is not valid CSV ({error}); write it again") from error


def _jsonl(table: Path, text: str) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{table}, line {number}: is not valid JSON ({error}); write it again") from error
        if not isinstance(entry, dict) or entry.keys() != {"file", "controls"} or not isinstance(entry["controls"], dict):
            raise SourceError(f'{table}, line {number}: is {line!r:.80}; expected {{"file": NAME, "controls": {{CONTROL: VALUE}}}}')
        yield number, str(entry["file"]), entry["controls"]


def _values(rig: Rig, shown: Mapping[str, Any], where: str) -> Vector:
    """(N,) values of a row, checked against the rig."""
    values = rig.neutral()
    for name, given in shown.items():
        if name not in rig.names:
            raise SourceError(f"{where}: rig {rig.name!r} has no control {name!r:.80}; expected some of {', '.join(rig.names)}"[:600])
        i = rig.names.index(name)
        low, high = rig.controls[i].minimum, rig.controls[i].maximum
        try:
            number = math.nan if isinstance(given, bool) else float(given)
        except (TypeError, ValueError):
            number = math.nan
        if not low - _TOLERANCE * (high - low) <= number <= high + _TOLERANCE * (high - low):
            raise SourceError(f"{where}: {name} is {given!r:.40}; expected a number from {low:g} to {high:g}")
        values[i] = number
    return values


def _square(path: Path) -> Image:
    image = read_image(path)
    if image.shape[0] != image.shape[1] or len(image) < 16:
        raise SourceError(f"{path}: is {image.shape[1]} x {image.shape[0]} pixels; expected a square of at least 16")
    return image


def _weights(shapes: Mapping[str, float]) -> Vector:
    return np.array([shapes.get(name, 0.0) for name in NAMES], np.float32)


def _identity(rig: Rig, size: int, seed: int, view: Vector, still: bool) -> str:
    """What the pixels of a shard depend on, as a hash."""
    shown = rig.camera_target, rig.camera_height, view.tolist(), still
    settings = repr((2, rig.controls, rig.correctives, shown, size, seed, SHARD))
    return hashlib.sha256(settings.encode() + rig.model.read_bytes()).hexdigest()


def _read_shard(path: Path, made: str, controls: int, size: int) -> Pictures:
    try:
        with np.load(path, allow_pickle=False) as z:
            if str(z["made"]) != made:
                raise SourceError(f"{path}: was drawn from another avatar, size, view or seed; delete it or choose another --out")
            images, values = z["image"], z["values"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise SourceError(f"{path}: not a readable shard ({error}); delete it, and it is drawn again") from error
    wanted = ((SHARD, size, size, 3), np.uint8), ((SHARD, controls), np.float32)
    if tuple((array.shape, array.dtype) for array in (images, values)) != wanted:
        raise SourceError(f"{path}: its arrays have another shape or type than this version writes; delete it, and it is drawn again")
    return Pictures(images, values)
