"""Does an avatar show what the person shows? The animator beside MediaPipe's scores through the rig's ARKit map.

usage: python tools/retrieval.py [VIDEO ...] [--rigs human robot ...] [--judge WEIGHTS ...] [--encoder WEIGHTS]
                                 [--animator WEIGHTS ...] [--truth TRUTH.npz ...] [--json OUT.json]
       (by default the shipped clip and its truth)

Of every clip, up to 50 frames spread evenly: each looks for its own picture among the avatar's, raster renders with the head
at rest, by the embeddings of an encoder. The mean place counts, 1 is perfect, 25.5 chance; `first` is the share of the frames
that find their own at once. The encoder that drives the avatars judges, too, but the animator was trained to please it: the
judges that are given, which are in no loss, say more (docs/training/animator.md has the recipe of one). Of clips of synthetic
people the truth judges best: `--truth`, one file for each clip as tools/render_clip.py writes them, asks which of the avatar's
pictures is nearest, pixel by pixel, to that of the avatar doing through its own map what the person does.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from freeavatar.animator import Animator
from freeavatar.demo import CLIP
from freeavatar.encoder import Encoder
from freeavatar.errors import FreeAvatarError
from freeavatar.network import WEIGHTS
from freeavatar.output import replacing
from freeavatar.rig import Rig, list_rigs, load_rig
from freeavatar.types import Expression, FaceCrop, Vector
from measure.clip import CLIP_TRUTH
from measure.metrics import Array
from measure.retrieval import SIDE, Portraits, embed, faces_of, nearest, ranks, read_truth

PEER, TRUTH = "MediaPipe", "truth"
Figures = dict[str, dict[str, float]]
"""By judge, the mean place and the share of first places."""


def measure(
    videos: Sequence[Path], rigs: Sequence[Rig], judges: Sequence[Encoder], encoder: Encoder, animators: Mapping[str, Animator],
    truths: Sequence[Array] = (),
) -> dict[str, Figures]:  # fmt: skip
    """By rig and way, what every judge finds over all clips, and what their truths do, (T, 52) ARKit weights of every frame."""
    sizes = {encoder.size, *(judge.size for judge in judges)}
    clips = [faces_of(video, sizes) for video in videos]
    reads = [encoder.encode([face[encoder.size] for face in clip]) for clip in clips]
    people = [[embed([face[judge.size].image for face in clip], judge) for judge in judges] for clip in clips]
    known: Sequence[Array | None] = truths or [None] * len(clips)
    result: dict[str, Figures] = {}
    for rig in rigs:
        portraits, places = Portraits(rig), dict[tuple[str, str], list[float]]()
        for clip, read, seen, truth in zip(clips, reads, people, known, strict=True):
            crops = [face[encoder.size] for face in clip]
            real = None if truth is None else portraits.paint(rig.from_arkit(_rows(truth, crops)), {SIDE})[SIDE]
            for way, values in _driven(rig, crops, read, animators).items():
                pictures = portraits.paint(values, {*(judge.size for judge in judges), SIDE})
                found = {judge.name: ranks(person, embed(pictures[judge.size], judge)) for judge, person in zip(judges, seen, strict=True)}
                if real is not None:
                    found[TRUTH] = nearest(real, pictures[SIDE])
                for name, own in found.items():
                    places.setdefault((way, name), []).extend(own.tolist())
        for (way, name), every in places.items():
            figures = {"place": float(np.mean(every)), "first": float(np.mean(np.array(every) == 1))}
            result.setdefault(f"{rig.name}, {way}", {})[name] = figures
    return result


def _driven(rig: Rig, crops: Sequence[FaceCrop], reads: Sequence[Expression], animators: Mapping[str, Animator]) -> dict[str, Vector]:
    """(T, N) control values by way."""
    ways = {way: np.stack([animator.animate(read, rig).values for read in reads]) for way, animator in animators.items()}
    return ways | {PEER: np.stack([rig.from_arkit(np.asarray(crop.peer)) for crop in crops])}


def _rows(truth: Array, crops: Sequence[FaceCrop]) -> Array:
    if (last := max(crop.index for crop in crops)) >= len(truth):
        raise FreeAvatarError(
            f"--truth has {len(truth)} frames, its clip over {last}; expected the truth of the same clip, in the clips' order"
        )
    return truth[[crop.index for crop in crops]]


def _by_name(judges: Sequence[Encoder]) -> list[Encoder]:
    """The judges, each once."""
    named: dict[str, Encoder] = {}
    for judge in judges:
        if named.setdefault(judge.name, judge).sha256 != judge.sha256:
            raise FreeAvatarError(f"two judges are called {judge.name}; expected a name for each, choose another --judge")
    return list(named.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--rigs", nargs="+", default=list_rigs())
    parser.add_argument("--judge", nargs="+", type=Path, default=[])
    parser.add_argument("--encoder", type=Path, default=WEIGHTS / "encoder")
    parser.add_argument("--animator", nargs="+", type=Path, default=[WEIGHTS / "animator"])
    parser.add_argument("--truth", nargs="+", type=Path, default=[])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if not args.videos:
        args.videos, args.truth = [CLIP], args.truth or [CLIP_TRUTH]
    try:
        encoder = Encoder.load(args.encoder)
        judges = _by_name([encoder, *map(Encoder.load, args.judge)])
        animators = {folder.resolve().name: Animator.load(folder) for folder in args.animator}
        for animator in animators.values():
            animator.check_encoder(encoder)
        if args.truth and len(args.truth) != len(args.videos):
            raise FreeAvatarError(f"--truth has {len(args.truth)} files for {len(args.videos)} clips; expected one for each")
        rigs, truths = [load_rig(name) for name in args.rigs], [read_truth(path) for path in args.truth]
        result = measure(args.videos, rigs, judges, encoder, animators, truths)
    except FreeAvatarError as error:
        print(f"retrieval: {error}", file=sys.stderr)
        return 2
    for name, row in result.items():
        print(f"{name:24}" + "".join(f"  {judge}: place {own['place']:5.2f}, first {own['first']:.2f}" for judge, own in row.items()))
    if args.json:
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
