"""The pictures of the README: all avatars in the same expressions, and the shipped clip, moving.

usage: python tools/make_pictures.py [DEMO.mp4]      (DEMO.mp4 as `freeavatar demo` writes it; default out/demo/demo.mp4)
"""

import argparse
from pathlib import Path

import av
from PIL import Image

from freeavatar.gallery import gallery
from freeavatar.rig import list_rigs, load_rig

OUT = Path("docs/images")


def moving(clip: Path, out: Path, height: int = 224, every: int = 2) -> None:
    """A clip as an animated WebP of every second frame."""
    frames = []
    with av.open(str(clip)) as container:
        rate = float(container.streams.video[0].average_rate or 30)
        for i, frame in enumerate(container.decode(video=0)):
            if i % every == 0:
                width = round(frame.width * height / frame.height)
                frames.append(Image.fromarray(frame.to_ndarray(format="rgb24")).resize((width, height)))
    frames[0].save(out, save_all=True, append_images=frames[1:], duration=round(1000 * every / rate), loop=0, quality=62, method=6)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("demo", type=Path, nargs="?", default=Path("out/demo/demo.mp4"))
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    Image.fromarray(gallery([load_rig(name) for name in list_rigs()], 160)[0]).save(OUT / "gallery.webp", quality=85)
    moving(args.demo, OUT / "demo.webp")
    for path in sorted(OUT.iterdir()):
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
