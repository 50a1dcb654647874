"""The pictures of the README: contact sheets of the avatars, and the shipped clip on both of them, moving.

usage: python tools/make_pictures.py [DEMO.mp4]      (DEMO.mp4 as `freeavatar demo` writes it; default out/demo/demo.mp4)
"""

import argparse
from pathlib import Path

import av
import numpy as np
from PIL import Image

from freeavatar.rig import load_rig
from freeavatar_renderer.raster import contact_sheet

OUT = Path("docs/images")


def _pair(*names: str, value: float = 1.0) -> dict[str, float]:
    return {f"{name}{side}": value for name in names for side in ("Left", "Right")}


EXPRESSIONS = {
    "neutral": {},
    "smile": _pair("mouthSmile") | _pair("cheekSquint", value=0.5),
    "laugh": _pair("mouthSmile") | _pair("eyeSquint", "cheekSquint", value=0.6) | {"jawOpen": 0.5},
    "left wink": {"eyeBlinkLeft": 1.0, "mouthSmileLeft": 0.4},
    "surprise": _pair("browOuterUp", "eyeWide") | {"browInnerUp": 1.0, "jawOpen": 0.6},
    "anger": _pair("browDown") | _pair("noseSneer", "eyeSquint", value=0.6) | _pair("mouthFrown", value=0.5),
    "sad": _pair("mouthFrown") | {"browInnerUp": 1.0, "mouthShrugLower": 0.4},
    "kiss": {"mouthPucker": 1.0},
    "puff": {"cheekPuff": 1.0},
    "tongue": {"tongueOut": 1.0, "jawOpen": 0.5},
}


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
    for name in ("human", "robot"):
        sheet = contact_sheet(load_rig(name), EXPRESSIONS, size=200, columns=5)
        Image.fromarray(np.asarray(sheet)).save(OUT / f"{name}.webp", quality=85)
    moving(args.demo, OUT / "demo.webp")
    for path in sorted(OUT.iterdir()):
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
