"""Does an avatar show what the person shows? The animator beside MediaPipe's scores through the rig's ARKit map.

usage: python tools/retrieval.py [VIDEO ...] [--rigs human robot ...] [--judge WEIGHTS] [--encoder WEIGHTS] [--animator WEIGHTS]
                                 [--json OUT.json]                                             (by default the shipped clip)

Of every clip, up to 50 frames spread evenly: each looks for its own picture among the avatar's, raster renders with the head
at rest, by the embeddings of an encoder. The mean place counts, 1 is perfect, 25.5 chance; `first` is the share of the frames
that find their own at once. A judge other than the encoder that drives the avatars says most.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from freeavatar.animator import Animator
from freeavatar.demo import CLIP
from freeavatar.encoder import Encoder
from freeavatar.errors import FreeAvatarError
from freeavatar.face import FaceTracker
from freeavatar.network import WEIGHTS
from freeavatar.output import replacing
from freeavatar.rig import list_rigs, load_rig
from freeavatar.sources import open_source
from freeavatar.types import FaceCrop
from measure.retrieval import Portraits, embed, ranks, spread_frames


def crops_of(video: Path, size: int) -> list[FaceCrop]:
    """The faces of evenly spread frames, with MediaPipe's scores."""
    with open_source(video) as source, FaceTracker(size=size, peer=True) as tracker:
        found = [crop for frame in source if (crop := tracker.track(frame)) is not None]
    if len(found) < 2:
        raise FreeAvatarError(f"{video}: a face is seen in {len(found)} frames; expected at least 2")
    return [found[i] for i in spread_frames(len(found))]


def measure(
    videos: Sequence[Path], rigs: Sequence[str], judge: Encoder, encoder: Encoder, animator: Animator
) -> dict[str, dict[str, float]]:
    """Mean place and share of first places by rig and way, over all clips."""
    if judge.size != encoder.size:
        raise FreeAvatarError(f"the judge {judge.name} takes crops of {judge.size} pixels; expected {encoder.size}, choose another --judge")
    clips = [crops_of(video, encoder.size) for video in videos]
    people = [embed([crop.image for crop in clip], judge) for clip in clips]
    result = {}
    for name in rigs:
        rig = load_rig(name)
        portraits, places = Portraits(rig, judge), dict[str, list[float]]()
        for clip, person in zip(clips, people, strict=True):
            ways = {
                "animator": [animator.animate(encoder.encode([crop])[0], rig).values for crop in clip],
                "MediaPipe": [rig.from_arkit(np.asarray(crop.peer)) for crop in clip],
            }
            for way, values in ways.items():
                places.setdefault(way, []).extend(ranks(person, portraits.embed(np.stack(values))).tolist())
        for way, found in places.items():
            result[f"{name}, {way}"] = {"place": float(np.mean(found)), "first": float(np.mean(np.array(found) == 1))}
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path, default=[CLIP])
    parser.add_argument("--rigs", nargs="+", default=list_rigs())
    parser.add_argument("--judge", type=Path, default=WEIGHTS / "encoder")
    parser.add_argument("--encoder", type=Path, default=WEIGHTS / "encoder")
    parser.add_argument("--animator", type=Path, default=WEIGHTS / "animator")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    try:
        encoder, animator = Encoder.load(args.encoder), Animator.load(args.animator)
        animator.check_encoder(encoder)
        result = measure(args.videos, args.rigs, Encoder.load(args.judge), encoder, animator)
    except FreeAvatarError as error:
        print(f"retrieval: {error}", file=sys.stderr)
        return 2
    for name, row in result.items():
        print(f"{name:24} place {row['place']:6.2f}   first {row['first']:.2f}")
    if args.json:
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
