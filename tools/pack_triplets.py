"""Crops of the faces that human raters compared, for triplet training. Reads the CSV format of FEC (freeavatar.train.fec).

usage: python tools/pack_triplets.py CSV IMAGES OUT.npz

IMAGES is a folder with the images you downloaded, each named as the last part of its address. Missing images are counted
and passed over with their triplets: many addresses of FEC are gone. Images that cannot be read are reported and skipped;
more than 1 % of them are an error.

    jpeg, offsets    as in tools/render_dataset, every face once
    triplets (T,3)   rows of anchor, positive and negative
    classes (T,)     number of emotion classes among the three, 1 to 3
"""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from freeavatar.errors import FreeAvatarError, SourceError
from freeavatar.face import FaceTracker
from freeavatar.output import check_output, replacing
from freeavatar.sources.images import read_image
from freeavatar.train.fec import Face, read_comparisons
from freeavatar.train.pictures import Broken, Jpeg, stored_crop
from freeavatar.types import Frame, Image

MARGIN = 0.5
"""Room around a box that the face is searched in, as a share of the box."""


def crop(tracker: FaceTracker, image: Image, face: Face) -> Jpeg | None:
    """The aligned crop of the face in its box, or None if no face has its middle there."""
    height, width = image.shape[:2]
    left, right, top, bottom = np.array(face.box) * [width, width, height, height]
    x, y = MARGIN * (right - left), MARGIN * (bottom - top)
    first, last = max(int(left - x), 0), max(int(top - y), 0)
    part = np.ascontiguousarray(image[last : int(bottom + y) + 1, first : int(right + x) + 1])
    found = tracker.track(Frame(part, 0.0, 0))
    if found is None:
        return None
    assert found.landmarks is not None  # a tracker's crop has them
    across, down = found.landmarks[:, :2].mean(0)
    if not (left <= across + first <= right and top <= down + last <= bottom):
        return None  # a neighbour's face
    return stored_crop(part, found.landmarks)


def pack(table: Path, images: Path, out: Path) -> str:
    """Write the file; returns a line that says what is in it.

    Raises:
        SourceError: see :func:`freeavatar.train.fec.read_comparisons`; or nothing is left, or over 1 % of the images are broken.
    """
    comparisons = read_comparisons(table)
    by_file: dict[str, list[Face]] = {}
    for face in dict.fromkeys(f for t in comparisons.triplets for f in (t.anchor, t.positive, t.negative)):
        by_file.setdefault(face.file, []).append(face)
    present = [file for file in sorted(by_file) if (images / file).is_file()]
    broken = Broken(images, len(present))
    rows: dict[Face, int] = {}
    jpegs: list[Jpeg] = []
    with FaceTracker(still=True) as tracker:
        for file in tqdm(present, unit="image"):
            try:
                image = read_image(images / file)
            except SourceError as error:
                broken.add(str(error))
                continue
            for face in by_file[file]:
                jpeg = crop(tracker, image, face)
                if jpeg is not None:
                    rows[face] = len(jpegs)
                    jpegs.append(jpeg)
    broken.report()
    kept = [t for t in comparisons.triplets if {t.anchor, t.positive, t.negative} <= rows.keys()]
    counts = f"{len(present)} of {len(by_file)} images are there, {len(jpegs)} faces were found"
    if not kept:
        raise SourceError(f"{images}: no triplet has all its faces: {counts}; are the images named as the last part of their addresses?")
    with replacing(out) as temporary:
        np.savez(
            temporary, jpeg=np.concatenate(jpegs), offsets=np.cumsum([0, *map(len, jpegs)]),
            triplets=np.array([[rows[t.anchor], rows[t.positive], rows[t.negative]] for t in kept], np.int32),
            classes=np.array([t.classes for t in kept], np.int8),
        )  # fmt: skip
    dropped = f"{comparisons.undecided} dropped for want of agreement"
    return f"{len(kept)} of {len(comparisons.triplets)} triplets packed, {dropped}; {counts}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", type=Path, metavar="CSV")
    parser.add_argument("images", type=Path, metavar="IMAGES")
    parser.add_argument("out", type=Path, metavar="OUT.npz")
    args = parser.parse_args()
    check_output(args.out, [".npz"])
    print(pack(args.table, args.images, args.out))


if __name__ == "__main__":
    try:
        main()
    except FreeAvatarError as error:
        raise SystemExit(str(error)) from error
