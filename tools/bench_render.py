"""Frames a second that avatars are drawn with.

    taskset -c 0,1 python tools/bench_render.py [RIG ...] [--size 512] [--frames 120] [--samples 2]

Every frame shows another random expression, head pose and gaze, and comes back as an array.
"""

import argparse
import os
import time

import numpy as np

from freeavatar.rig import Rig, list_rigs, load_rig
from freeavatar.types import Vector
from freeavatar_renderer import gl
from freeavatar_renderer.raster import AvatarRenderer

WARM_UP = 5


def poses(rig: Rig, count: int) -> list[Vector]:
    """Values with a third of the controls moved, and the head turned by up to a quarter of a radian."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        weights = rng.uniform(0, 1, 52) * (rng.random(52) < 1 / 3)
        head = np.concatenate([rng.uniform(-0.25, 0.25, 3), np.zeros(3)])
        values = rig.from_arkit(weights.astype(np.float32))
        found.append(rig.pose(values, head.astype(np.float32), rng.uniform(-0.3, 0.3, 2).astype(np.float32)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rigs", nargs="*", help="shipped names or folders; all that ship if none is given")
    parser.add_argument("--size", type=int, default=512, help="pixels")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--samples", type=float, default=2, help="points a pixel that are drawn")
    args = parser.parse_args()
    info, cores = gl.context().info, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{info['GL_RENDERER']}, {info['GL_VERSION']}; {cores} cores, {args.size} px, {args.samples:g} samples a pixel")
    print("| avatar | frames a second | median | 95 % |\n|---|---|---|---|")
    for name in args.rigs or list_rigs():
        rig = load_rig(name)
        renderer = AvatarRenderer(rig, args.size, args.size, args.samples)
        times = []
        for values in poses(rig, args.frames + WARM_UP):
            start = time.perf_counter()
            renderer.render(values)
            times.append(time.perf_counter() - start)
        counted = np.array(times[WARM_UP:])
        middle, most = np.quantile(counted, [0.5, 0.95]) * 1000
        print(f"| `{rig.name}` | {1 / counted.mean():.0f} | {middle:.1f} ms | {most:.1f} ms |", flush=True)
        renderer.release()


if __name__ == "__main__":
    main()
