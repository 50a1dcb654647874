"""Render the clip that ships for the demo and the tests: a synthetic person, held out from training, performing.

usage: python tools/render_clip.py [OUT.mp4] [--truth TRUTH.npz] [--person NAME]      (needs FREEAVATAR_DATA)

The truth of every frame goes to the tests: time, arkit (T,52), mask (52,), head (yaw, pitch, roll), gaze.
"""

import argparse
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from freeavatar import arkit
from freeavatar.output import replacing
from freeavatar_renderer import head_map
from freeavatar_renderer.heads import load_valid
from freeavatar_renderer.portrait import PortraitRenderer, Scene

RATE, SIDE = 30, 512
SMILE = {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0, "cheekSquintLeft": 0.5, "cheekSquintRight": 0.5}
BROWS = {"browInnerUp": 1.0, "browOuterUpLeft": 1.0, "browOuterUpRight": 1.0}
BLINK = {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}
FROWN = {"browDownLeft": 1.0, "browDownRight": 1.0, "noseSneerLeft": 0.5, "noseSneerRight": 0.5}
FROWN |= {"mouthFrownLeft": 0.6, "mouthFrownRight": 0.6}
SURPRISE = {**BROWS, "eyeWideLeft": 0.8, "eyeWideRight": 0.8, "jawOpen": 0.8}
TONGUE = {"tongueOut": 1.0, "jawOpen": 0.45}
SCRIPT: tuple[tuple[float, dict[str, float], tuple[float, float, float], tuple[float, float]], ...] = (
    # seconds, ARKit weights, head (yaw, pitch, roll), gaze (yaw, pitch): held in between, eased over a fifth of a second
    (0.0, {}, (0, 0, 0), (0, 0)),
    (0.5, SMILE, (0, 0, 0.03), (0, 0)),
    (1.3, {}, (0, 0, 0), (0, 0)),
    (1.5, {"eyeBlinkLeft": 1.0, "mouthSmileLeft": 0.3}, (0, 0, 0.06), (0, 0)),
    (2.0, {}, (0, 0, 0), (0, 0)),
    (2.15, {"eyeBlinkRight": 1.0, "mouthSmileRight": 0.3}, (0, 0, -0.06), (0, 0)),
    (2.65, SURPRISE, (0, -0.08, 0), (0, -0.1)),
    (3.4, FROWN, (0, 0.08, 0), (0, 0)),
    (4.1, BLINK, (0, 0.03, 0), (0, 0)),
    (4.35, {"jawOpen": 0.55}, (0.25, 0, 0), (0.2, 0)),
    (4.6, {"mouthPucker": 0.9}, (0.45, 0, 0.03), (0.25, 0)),
    (4.85, {"jawOpen": 0.35, "mouthStretchLeft": 0.4, "mouthStretchRight": 0.4}, (0.3, 0, 0), (0.1, 0)),
    (5.1, {"mouthFunnel": 0.9, "jawOpen": 0.2}, (-0.2, 0, 0), (-0.2, 0)),
    (5.4, {}, (-0.45, 0.05, -0.03), (-0.25, 0)),
    (5.75, {"mouthPucker": 1.0}, (-0.1, 0, 0), (0, 0)),
    (6.25, TONGUE, (0.05, 0, 0), (0, 0)),
    (6.9, {**SMILE, "jawOpen": 0.3, "eyeSquintLeft": 0.4, "eyeSquintRight": 0.4}, (0, -0.05, 0.04), (0, 0)),
    (7.7, {}, (0, 0, 0), (0, 0)),
    (8.0, {}, (0, 0, 0), (0, 0)),
)
EASE = 0.2


def moment(time: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ARKit weights (52,), head (3,) and gaze (2,) at a time of the script."""

    def state(i: int) -> np.ndarray:
        _, shapes, head, gaze = SCRIPT[i]
        values = np.zeros(len(arkit.NAMES))
        for name, value in shapes.items():
            values[arkit.INDEX[name]] = value
        return np.concatenate([values, head, gaze])

    now = max(i for i, entry in enumerate(SCRIPT) if entry[0] <= time)
    share = min((time - SCRIPT[now][0]) / EASE, 1.0) if now else 1.0
    share = share * share * (3 - 2 * share)
    values = state(now) * share + state(max(now - 1, 0)) * (1 - share)
    sway = 0.02 * np.sin(2 * np.pi * time * np.array([0.31, 0.43, 0.23]))
    return values[:52], values[52:55] + sway, values[55:]


def render(person: str, out: Path) -> dict[str, Any]:
    """Write the clip of a VALID person as H.264 mp4; its folder is made if missing.

    Returns:
        The truth of every frame, as arrays by name.

    Raises:
        SourceError: there is no such person.
    """
    head = load_valid(person)
    renderer = PortraitRenderer(SIDE, samples=4)
    y = np.linspace(0, 1, SIDE)[:, None, None]
    wall = np.broadcast_to((1 - y) * [206, 214, 218] + y * [150, 160, 172], (SIDE, SIDE, 3)).astype(np.uint8)
    rows: dict[str, list[object]] = {k: [] for k in ("time", "arkit", "head", "gaze")}
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "19", "preset": "slow"})
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for i in range(int(SCRIPT[-1][0] * RATE)):
            shapes, pose, gaze = moment(i / RATE)
            weights = head.express(dict(zip(arkit.NAMES, shapes, strict=True)))
            look = (float(gaze[0]), float(gaze[1]))
            scene = Scene(
                weights, gaze=look, pose=tuple(pose), offset=(0.0, -0.02, 0.0), fov=np.radians(24), height=0.31, background=wall,
                key=(0.62, 0.6, 0.57), sky=(0.5, 0.5, 0.52), ground=(0.28, 0.26, 0.25), fill=(0.14, 0.14, 0.16), shine=0.04,
            )  # fmt: skip
            picture = np.asarray(cv2.GaussianBlur(renderer.render(head, scene), (0, 0), 0.5), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            container.mux(stream.encode(frame))
            for key, value in (("time", i / RATE), ("arkit", head.arkit(weights, look)), ("head", pose), ("gaze", gaze)):
                rows[key].append(value)
        container.mux(stream.encode())
    return {"mask": head_map.expressible(head.family), **{k: np.array(v, np.float32) for k, v in rows.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", default=Path("freeavatar/assets/demo.mp4"))
    parser.add_argument("--truth", type=Path, default=Path("tests/data/demo_truth.npz"))
    parser.add_argument("--person", default="Hispanic_F_3")
    args = parser.parse_args()
    truth = render(args.person, args.out)
    args.truth.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(args.truth, **truth)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB, {len(truth['time'])} frames")


if __name__ == "__main__":
    main()
