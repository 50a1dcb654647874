"""Pictures of the documentation that show avatars, and of clips of your own, to see what the avatars make of them.

usage: python tools/make_pictures.py [gallery] [people]              into docs/images; default: both
       python tools/make_pictures.py --clips CLIP ... [--out DIR]    CLIP.mp4 and CLIP.webp into DIR (default out/clips)

``gallery`` has all avatars in the same expressions; ``people`` synthetic people held out from training beside all avatars, as
``live`` drives them (needs FREEAVATAR_DATA; their clips stay in ``out/people``). A clip of your own becomes a video, and a sheet
of every 15th frame: the frame, the strongest read-outs, the avatars' faces. What shows real people must stay out of the repository.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image as Pillow

from freeavatar import arkit
from freeavatar.calibration import Calibrator
from freeavatar.errors import FreeAvatarError
from freeavatar.face import FaceTracker
from freeavatar.filters import RigFilter
from freeavatar.follower import Follower
from freeavatar.gallery import gallery
from freeavatar.live import LIVE_LOSS, Performer
from freeavatar.output import replacing
from freeavatar.pipeline import load_models
from freeavatar.presence import Presence
from freeavatar.preview import HEIGHT, Preview, Stage
from freeavatar.profiles import Profile
from freeavatar.rig import Rig, list_rigs, load_rigs
from freeavatar.sinks.virtual_camera import fitted
from freeavatar.sources import open_source
from freeavatar.stopwatch import Stopwatch
from freeavatar.types import Expression, Frame, Image, RigFrame
from render_clip import render
from report import sheets

OUT: Final = Path("docs/images")
CAST: Final = {"Asian_M_2": ("human", "elder", "anime"), "Black_F_1": ("board", "robot", "pixel")}
"""Held-out people (``tools/splits.toml``), and the avatars beside each."""
SHOWN: Final = ("human", "anime", "elder")
"""Avatars beside a clip of your own."""
EVERY: Final = 15
"""A sheet shows one frame of so many."""
_TILE: Final = 176
_FACE: Final = (slice(80, 440), slice(76, 436))
"""Where the faces of our avatars are in a panel of 512 pixels."""


def act(clip: Path, rigs: Sequence[Rig]) -> Iterator[tuple[Frame, Expression | None, list[RigFrame]]]:
    """Every frame of a clip, what is read in it, and a row for each rig: as ``live`` does by default, without a profile.

    Raises:
        FreeAvatarError: the clip or the weights are not usable.
    """
    encoder, animator = load_models(threads=1)
    with open_source(clip) as source, FaceTracker(size=encoder.size) as tracker:
        follow = Follower(tracker, encoder)
        performers = [
            Performer(rig, animator, Stopwatch(), Calibrator(rig, animator, Profile()), Presence(rig, loss=LIVE_LOSS), RigFilter(rig))
            for rig in rigs
        ]
        for frame in source:
            expression = follow(frame)
            yield frame, expression, [perform(expression, frame) for perform in performers]


def staged(clip: Path, names: Sequence[str], height: int) -> Iterator[Image]:
    """The pictures (height, W, 3) of a clip beside avatars."""
    rigs = load_rigs(names)
    with closing(Stage(rigs, height)) as stage:
        for frame, _, rows in act(clip, rigs):
            yield stage.picture(frame, rows)


def moving(pictures: Iterable[Image], out: Path, milliseconds: int, quality: int) -> None:
    """An animated WebP that loops."""
    first, *others = [Pillow.fromarray(picture) for picture in pictures]
    with replacing(out) as temporary:
        first.save(temporary, save_all=True, append_images=others, duration=milliseconds, loop=0, quality=quality, method=6)


def make_gallery() -> None:
    with replacing(OUT / "gallery.webp") as temporary:
        Pillow.fromarray(gallery(load_rigs(list_rigs()), 160)[0]).save(temporary, quality=85)


def make_people(height: int = 200, every: int = 4) -> None:
    clips = {person: Path("out/people") / f"{person}.mp4" for person in CAST}
    for person, clip in clips.items():
        if not clip.is_file():
            render(person, clip)
    rows = zip(*(staged(clip, CAST[person], height) for person, clip in clips.items()), strict=True)
    pictures = (np.concatenate(row) for i, row in enumerate(rows) if i % every == 0)
    moving(pictures, OUT / "people.webp", 133, 36)


PICTURES: Final[Mapping[str, Callable[[], None]]] = {"gallery": make_gallery, "people": make_people}


def watch(clip: Path, out: Path) -> None:
    """Write the video and the sheet of a clip.

    Raises:
        FreeAvatarError: the clip, the weights or the renderer is not usable, or a file cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    rigs = load_rigs(SHOWN)
    with open_source(clip) as source:
        rate = source.rate
    tiles = []
    with Preview(out / f"{clip.stem}.mp4", rigs, rate) as preview:
        for frame, expression, rows in act(clip, rigs):
            picture = preview.write(frame, rows)
            if frame.index % EVERY == 0:
                face = fitted(frame.image, _TILE, _TILE)
                read = [] if expression is None else _strongest(expression)
                left = picture.shape[1] - HEIGHT * len(rigs)
                faces = [picture[:, left + HEIGHT * i :][_FACE] for i in range(len(rigs))]
                small = [cv2.resize(part, (_TILE, _TILE), interpolation=cv2.INTER_AREA) for part in faces]
                tiles.append(np.concatenate([sheets.barred(face, read, _TILE, f"{frame.index}"), *small], axis=1))
    sheets.save(sheets.grid(tiles, 2), out / f"{clip.stem}.webp")


def _strongest(expression: Expression, count: int = 12) -> list[tuple[str, float]]:
    shapes = [i for i in np.argsort(-expression.arkit) if arkit.NAMES[i] not in arkit.EYE_LOOK]
    return [(arkit.NAMES[i], float(expression.arkit[i])) for i in shapes[:count]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("picture", nargs="*", choices=[[], *PICTURES], default=[], help=f"{', '.join(PICTURES)}; default: all")
    parser.add_argument("--clips", type=Path, nargs="+", default=[], metavar="CLIP", help="clips of your own instead")
    parser.add_argument("--out", type=Path, default=Path("out/clips"), help="where those go")
    args = parser.parse_args()
    try:
        for clip in args.clips:
            watch(clip, args.out)
            print(args.out / f"{clip.stem}.mp4")
        for name in args.picture or ([] if args.clips else PICTURES):
            PICTURES[name]()
            path = OUT / f"{name}.webp"
            print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")
    except FreeAvatarError as error:
        print(f"make_pictures: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
