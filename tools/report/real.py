"""Real people, for looking only: nothing of this may be published.

Faces of people that no training sees (those that models are selected on), and clips frame by frame.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from tqdm import tqdm

from freeavatar import arkit
from freeavatar.errors import SourceError
from freeavatar.face import FaceTracker
from freeavatar.output import replacing
from freeavatar.sources import open_source
from freeavatar.train.real_faces import for_selection
from freeavatar.types import FaceCrop, Image
from freeavatar_renderer.heads import data_root

from . import plots, sheets
from .neighbours import NEAREST, nearest
from .subjects import Desk, Floats, Portrait

PER_CLASS: Final = 40
PER_SHEET: Final = 40
BARS: Final = 8
EVERY: Final = 2
"""Every how many frames of a clip are read."""
STILLS: Final = 12
RESPONDS: Final = 0.03
"""A region that moves less than this on every clip (standard deviation of its liveliest shape) does not respond."""
REGIONS: Final = {"brows": "brows", "lids": "eyes", "cheeks": "cheeks", "nose": "nose", "lips": "mouth", "jaw": "jaw"}


def faces(desk: Desk) -> None:
    """Sheets of real faces with their top read-outs, and of their nearest neighbours."""
    people = _selected(desk)
    unknown, folder = np.zeros(52, np.float32), data_root() / "faces_wild" / "train"
    portraits = (Portrait(_picture(folder / f), who, "real", label, unknown, unknown) for f, label, who in people)
    readings = desk.reader.read(portraits, len(people), "faces")
    tiles = [sheets.barred(r.crop, top(r.read.arkit), 128, r.portrait.expression) for r in readings]
    for number, first in enumerate(range(0, len(tiles), PER_SHEET)):
        sheets.save(sheets.grid(tiles[first : first + PER_SHEET], 5), desk.private / f"faces_{number}.webp")
    near = nearest(np.stack([r.read.embedding for r in readings]), [r.portrait.who for r in readings])
    rows = []
    for i in range(0, len(readings), max(1, len(readings) // 24)):
        wanted = readings[i].portrait.expression
        rows.append(sheets.captioned(readings[i].crop, [wanted], 112, sheets.INK))
        for j in near[i]:
            label = readings[j].portrait.expression
            rows.append(sheets.captioned(readings[j].crop, [label], 112, sheets.GOOD if label == wanted else sheets.BAD))
    sheets.save(sheets.grid(rows, 2 * (NEAREST + 1)), desk.private / "faces_neighbours.webp")


def _selected(desk: Desk) -> list[tuple[str, str, str]]:
    """File, label and person of faces of the people for selection, at most so many of each label."""
    table = data_root() / "faces_wild" / "train.csv"
    if not table.is_file():
        raise SourceError(f"{table}: not found; real faces need faces_wild/ with its labels, or leave them out with --only")
    with table.open(newline="", encoding="utf-8") as file:
        rows = [(row["file"], row["label"], row["person"]) for row in csv.DictReader(file) if for_selection(row["person"])]
    rng, most = np.random.default_rng(71), desk.count(PER_CLASS)
    chosen = []
    for label in sorted({label for _, label, _ in rows}):
        own = [row for row in rows if row[1] == label]
        chosen += [own[i] for i in np.sort(rng.permutation(len(own))[:most])]
    return chosen


def _picture(path: Path) -> Image:
    with open_source(path) as source:
        return next(iter(source)).image


def top(values: Floats) -> list[tuple[str, float]]:
    """The strongest read-outs, strongest first; looks are left out."""
    order = [i for i in np.argsort(-values) if arkit.region(arkit.NAMES[i]) != "gaze"]
    return [(arkit.NAMES[i], float(values[i])) for i in order[:BARS]]


@dataclass(frozen=True)
class Clip:
    """A clip as it was read: (T,) seconds, (T, 52) read-outs and MediaPipe's scores, and the crops."""

    name: str
    time: Floats
    read: Floats
    peer: Floats
    crops: list[FaceCrop]


def clips(desk: Desk) -> None:
    """Sheets of frames, curves of every region, and a table of how lively each region is."""
    folder = data_root() / "video"
    paths = sorted(p for p in folder.glob("*") if p.suffix in (".mp4", ".mov"))
    if not paths:
        raise SourceError(f"{folder}: has no clips; put .mp4 or .mov files there, or leave them out with --only")
    if desk.size < 1:
        paths = paths[:1]
    watched = [clip for path in tqdm(paths, desc="clips") if (clip := _watch(desk, path)) is not None]
    for clip in watched:
        some = np.unique(np.linspace(0, len(clip.crops) - 1, STILLS).astype(int))
        tiles = [sheets.barred(clip.crops[i].image, top(clip.read[i]), 128, f"{clip.time[i]:.2f} s") for i in some]
        sheets.save(sheets.grid(tiles, 4), desk.private / f"clip_{clip.name}.webp")
    rows = [row for clip in watched for row in liveliness(clip)]
    with replacing(desk.private / "clips.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    _draw(watched, desk)
    for region in REGIONS:
        most = max(float(row["std"]) for row in rows if row["region"] == region)
        print(f"{region:7s} liveliest std over clips {most:.3f}{'' if most >= RESPONDS else '   DOES NOT RESPOND'}")


def _watch(desk: Desk, path: Path) -> Clip | None:
    """A clip read frame by frame; None where nobody is seen."""
    with open_source(path) as source, FaceTracker(size=desk.reader.encoder.size, peer=True) as tracker:
        crops = [crop for frame in source if frame.index % EVERY == 0 and (crop := tracker.track(frame)) is not None]
    if len(crops) < 2:
        return None
    read = np.stack([e.arkit for e in desk.reader.encode(crops)])
    peer = np.stack([c.peer if c.peer is not None else np.zeros(52, np.float32) for c in crops])
    return Clip(path.stem, np.array([c.time for c in crops], np.float32), read, peer, crops)


def liveliness(clip: Clip) -> list[dict[str, str | float]]:
    """A row a region: its liveliest shape, how far that moves, and how far MediaPipe's score of the same shape does."""
    rows: list[dict[str, str | float]] = []
    for name, shape in ((name, liveliest(clip, region)) for name, region in REGIONS.items()):
        ours, peer = clip.read[:, shape], clip.peer[:, shape]
        low, high = np.quantile(ours, (0.05, 0.95))
        both = ours.std() > 1e-6 and peer.std() > 1e-6
        rows.append({
            "clip": clip.name, "region": name, "shape": arkit.NAMES[shape], "std": round(float(ours.std()), 4),
            "5 %": round(float(low), 3), "95 %": round(float(high), 3), "MediaPipe std": round(float(peer.std()), 4),
            "correlation": round(float(np.corrcoef(ours, peer)[0, 1]), 3) if both else 0.0,
        })  # fmt: skip
    return rows


def liveliest(clip: Clip, region: str) -> int:
    """The shape of a region that moves most over a clip."""
    shapes = [i for i, n in enumerate(arkit.NAMES) if arkit.region(n) == region]
    return shapes[int(clip.read[:, shapes].std(0).argmax())]


def _draw(watched: Sequence[Clip], desk: Desk) -> None:
    """A row a clip and a column a region: the liveliest shape over time, and MediaPipe's score of it."""
    figure, axes = plots.panels(len(watched), len(REGIONS), 2.4, 1.1)
    for axis, (clip, region) in zip(axes, ((clip, region) for clip in watched for region in REGIONS.values()), strict=True):
        shape = liveliest(clip, region)
        axis.plot(clip.time, clip.peer[:, shape], color="#bbbbbb", linewidth=0.8)
        axis.plot(clip.time, clip.read[:, shape], color="#2b6cb0", linewidth=0.9)
        axis.set(ylim=(-0.05, 1.05), yticks=[])
        axis.tick_params(labelsize=5)
        axis.set_title(f"{clip.name}: {arkit.NAMES[shape]}", fontsize=6, pad=2)
    plots.save(figure, desk.private / "clips.png")
