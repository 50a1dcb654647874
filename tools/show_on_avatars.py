"""A rendered dataset in which avatars take the place of some people: what a judge of avatars learns to read them from.

usage: python tools/show_on_avatars.py DATA OUT [--rigs human robot ...] [--shards 16] [--share 0.5] [--seed 1]

DATA and OUT are folders as tools/render_dataset writes them. In a share of the pictures an avatar shows, through its rig's own
ARKit map, the ARKit weights of the person who was there, seen from the front; the labels of expression and gaze stay, so an
avatar is compared with people and with other avatars. A shard depends on its data, its number, the rigs and the seed alone.
"""

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from freeavatar.errors import FreeAvatarError
from freeavatar.face.alignment import EYES
from freeavatar.output import replacing
from freeavatar.rig import list_rigs, load_rig
from freeavatar.train.avatar_pictures import Painter
from freeavatar.train.pictures import INNER, SIDE, Jpeg, load
from freeavatar.train.renderer import RendererConfig, find_face
from freeavatar.types import Vector

LABELS: Final = ("movement", "arkit", "mask", "gaze", "pose", "centre", "person", "family", "kind")
CROP_METRES: Final = 0.17
"""Side of an avatar's crop, if its face were as large as a person's."""


def painter(name: str) -> Painter:
    """Draws a rig's face as datasets store it, with a margin around the crop template.

    Raises:
        FreeAvatarError: there is no such rig, or it cannot be drawn.
    """
    rig = load_rig(name)
    with TemporaryDirectory() as scratch:
        view = find_face(RendererConfig(rig.name, Path(scratch)), rig)
    share = INNER / SIDE
    return Painter(rig, SIDE, np.column_stack([view[:, :2] * share, view[:, 2] * share + (1 - share) / 2]).astype(np.float32))


def show(
    jpegs: Sequence[Jpeg], labels: dict[str, NDArray[Any]], painters: Sequence[Painter], share: float, rng: np.random.Generator
) -> dict[str, Any]:
    """The arrays of one shard, with avatars in a share of its pictures."""
    labels = {key: rows.copy() for key, rows in labels.items()}
    labels["person"] = labels["person"].astype("U64")
    shown, straight = list(jpegs), np.zeros(3, np.float32)
    for row in np.flatnonzero(rng.random(len(jpegs)) < share):
        draws = painters[int(rng.integers(len(painters)))]
        values: Vector = draws.rig.pose(draws.rig.from_arkit(labels["arkit"][row]), straight, labels["gaze"][row])
        picture = draws.paint(draws.rig.normalise(values))
        shown[row] = np.asarray(cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 93])[1].ravel(), np.uint8)
        labels["pose"][row], labels["person"][row] = 0, draws.rig.name
        labels["centre"][row] = *np.mean(EYES, axis=0), CROP_METRES
    return {**labels, "jpeg": np.concatenate(shown), "offsets": np.cumsum([0, *map(len, shown)])}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rigs", nargs="+", default=list_rigs())
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    command = f"python tools/render_dataset.py {args.data}"
    try:
        painters = [painter(name) for name in args.rigs]
        args.out.mkdir(parents=True, exist_ok=True)
        paths = sorted(p for p in args.data.glob("shard_*.npz") if ".tmp" not in p.name)
        for number, path in enumerate(tqdm(list(itertools.islice(paths, args.shards)), unit="shard")):
            if (args.out / path.name).is_file():
                continue
            jpegs, labels = load(path, LABELS, command)
            arrays = show(jpegs, labels, painters, args.share, np.random.default_rng([args.seed, number]))
            with replacing(args.out / path.name) as temporary:
                np.savez(temporary, **arrays)
    except FreeAvatarError as error:
        print(f"show_on_avatars: {error}", file=sys.stderr)
        return 2
    if not paths:
        print(f"show_on_avatars: no shards in {args.data}: make them with  {command}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
