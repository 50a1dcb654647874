"""Render aligned synthetic people with known expression into shards; stops and resumes anywhere.

usage: python tools/render_dataset.py OUT [--images 25600] [--seed 1] [--workers 2] [--people training|held_out]

Needs FREEAVATAR_DATA. A shard depends on the seed and its number alone, so the same command makes the same pictures and
an interrupted run goes on where it stopped. Pictures come in comparisons of four (freeavatar_renderer.comparisons): rows
4i to 4i+3 belong together. Each shard is one npz:

    jpeg, offsets     the JPEG bytes of all crops, image i = jpeg[offsets[i]:offsets[i+1]]; crops are RGB
                      and have a margin around the crop template (freeavatar.train.pictures), so that training can jitter them
    movement (N,72)   skin movement (freeavatar_renderer.head_map.movement)
    arkit, mask (N,52) ARKit truth and what of it the head family can express
    gaze (N,2)        yaw, pitch, radians
    pose (N,3)        yaw, pitch, roll in the crop's own upright frame, radians
    centre (N,3)      x, y of the head's centre as fractions of the template crop, and the crop's side in metres
    person (N,)       identity; family (N,) the head family
    kind (N/4,2)      kind of each comparison's two triplets (freeavatar_renderer.comparisons.KINDS)
"""

import argparse
import itertools
import multiprocessing
import os
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from freeavatar import rotation
from freeavatar.face import FaceTracker, alignment
from freeavatar.output import replacing
from freeavatar.train.pictures import INNER, stored_crop
from freeavatar.types import Frame
from freeavatar_renderer import head_map
from freeavatar_renderer.comparisons import compare
from freeavatar_renderer.heads import Head, valid_people
from freeavatar_renderer.people import Cast
from freeavatar_renderer.portrait import PortraitRenderer, Scene, place

PER_SHARD = 400
PER_PAIR = 4
"""Comparisons of one invented pair of people before the next pair is drawn."""
RENDER_SIDE = 384
SINGLE_THREADED = {"LP_NUM_THREADS": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
SPLITS = Path(__file__).with_name("splits.toml")


def people(split: str) -> tuple[list[str], tuple[int, int]]:
    """Names of the VALID people and the range of ICT seeds of a split: ``training`` or ``held_out``."""
    table = tomllib.loads(SPLITS.read_text())
    held_out = set(table["valid"]["held_out"])
    names = [n for n in valid_people() if (n in held_out) == (split == "held_out")]
    first, last = table["ict"][f"{split}_seeds"]
    return names, (first, last)


def cast(split: str) -> Cast:
    """Who appears in a split: ``training`` people are varied, ``held_out`` ones appear as they are."""
    names, ict = people(split)
    first, last = tomllib.loads(SPLITS.read_text())["anny"][f"{split}_seeds"]
    return Cast(tuple(names), ict, (first, last), invent=split == "training")


def geometry(head: Head, scene: Scene, matrix: NDArray[np.floating], render_side: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Head pose (yaw, pitch, roll) and centre (x, y, side in metres) as seen in a unit crop given by ``matrix``."""
    turn, shift = place(head, scene)
    spin = float(np.arctan2(matrix[1, 0], matrix[0, 0]))  # clockwise in the image, whose y points down
    upright = rotation.matrix(0, 0, -spin) @ turn
    focal = render_side / 2 / np.tan(scene.fov / 2)
    eyes = turn @ head.eyes.mean(0) + shift
    pixel = np.array([render_side / 2 + focal * eyes[0] / -eyes[2], render_side / 2 - focal * eyes[1] / -eyes[2]]) - 0.5
    centre = alignment.transform(pixel[None], np.asarray(matrix))[0]
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    return rotation.angles(upright), (float(centre[0]), float(centre[1]), -eyes[2] / focal / scale)


def render_shard(out: Path, seed: int, shard: int, split: str) -> int:
    """Render one shard unless it exists; returns the number of images in it."""
    path = out / f"shard_{shard:05d}.npz"
    if path.is_file():
        return PER_SHARD
    rng = np.random.default_rng([seed, shard])
    players = cast(split)
    renderer = PortraitRenderer(RENDER_SIDE)
    rows: list[dict[str, Any]] = []
    kinds: list[tuple[int, int]] = []
    with FaceTracker(still=True) as tracker:
        for tries in itertools.count():
            if len(rows) >= PER_SHARD:
                break
            if tries > PER_SHARD:
                raise SystemExit(f"shard {shard}: only {len(rows)} faces found in {4 * tries} renders; is the landmarker's model right?")
            if tries % PER_PAIR == 0:
                pair = players.person(rng), players.person(rng)
            drawn = compare(*(pair if rng.random() < 0.5 else pair[::-1]), rng)
            four = [_row(head, scene, renderer, tracker) for head, scene in zip(drawn.heads, drawn.scenes, strict=True)]
            if all(four):
                rows += [row for row in four if row]
                kinds.append(drawn.kinds)
    jpegs = [row.pop("jpeg") for row in rows]
    arrays: dict[str, Any] = {k: np.array([row[k] for row in rows]) for k in rows[0]}
    arrays = {k: v if v.dtype.kind == "U" else v.astype(np.float32) for k, v in arrays.items()}
    offsets = np.cumsum([0, *(len(j) for j in jpegs)])
    arrays |= {"jpeg": np.concatenate(jpegs), "offsets": offsets, "kind": np.array(kinds, np.int8)}
    with replacing(path) as temporary:
        np.savez(temporary, **arrays)
    return PER_SHARD


def _row(head: Head, scene: Scene, renderer: PortraitRenderer, tracker: FaceTracker) -> dict[str, Any] | None:
    """Crop and labels of one picture; None where the landmarker finds no face or locks on to something else."""
    picture = renderer.render(head, scene)
    found = tracker.track(Frame(picture, 0.0, 0))
    if found is None:
        return None
    assert found.landmarks is not None  # a tracker's crop has them
    matrix = alignment.crop_matrix(found.landmarks, INNER).astype(np.float64)
    # Pixel coordinates count from pixel centres; fractions of the crop count from its edge.
    unit = (matrix + [[0, 0, 0.5]] * 2) / INNER
    pose, centre = geometry(head, scene, unit, RENDER_SIDE)
    if np.abs(np.array(centre[:2]) - np.mean(alignment.EYES, axis=0)).max() > 0.18:
        return None
    return {
        "jpeg": stored_crop(picture, found.landmarks),
        "movement": scene.weights @ head_map.movement(head.family, head.names),
        "arkit": head.arkit(scene.weights, scene.gaze),
        "mask": head_map.expressible(head.family),
        "gaze": scene.gaze, "pose": pose, "centre": centre, "person": head.name, "family": head.family,
    }  # fmt: skip


def _job(job: tuple[Path, int, int, str]) -> int:
    return render_shard(*job)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=25600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--people", choices=("training", "held_out"), default="training")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    # One thread a process: those of llvmpipe and of the linear algebra would only get in each other's way.
    for name, threads in SINGLE_THREADED.items():
        os.environ.setdefault(name, threads)
    jobs = [(args.out, args.seed, shard, args.people) for shard in range(-(-args.images // PER_SHARD))]
    start = time.perf_counter()
    done = 0
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool, tqdm(total=len(jobs) * PER_SHARD, unit="image") as bar:
        for count in pool.imap_unordered(_job, jobs):
            done += count
            bar.update(count)
    print(f"{done} images in {time.perf_counter() - start:.0f} s with {args.workers} processes")


if __name__ == "__main__":
    main()
