"""Crops of real faces with a teacher's scores for jaw, smile and lids, for ``--real`` of the stage ``expression``.

usage: python tools/weak_labels.py OUT.npz [--faces FOLDER] [--images N]      (default folder: FREEAVATAR_DATA/faces_wild/train)

The teacher is MediaPipe's Face Landmarker. Only shapes it reads well are kept (jawOpen, smiles, blinks); all others are
masked. The pictures may be trained on, not redistributed: keep the result out of the repository.
Keys as in tools/render_dataset: jpeg, offsets, arkit, mask.
"""

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from freeavatar import arkit
from freeavatar.face import FaceTracker, alignment
from freeavatar.sources import open_source
from render_dataset import INNER, SIDE

TAUGHT = ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "eyeBlinkLeft", "eyeBlinkRight")
MOST_YAW = 0.5
"""Radians of head yaw beyond which the teacher is not believed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--faces", type=Path, default=Path(os.environ.get("FREEAVATAR_DATA", ".")) / "faces_wild" / "train")
    parser.add_argument("--images", type=int, default=None)
    args = parser.parse_args()
    mask = np.zeros(len(arkit.NAMES), np.float32)
    mask[[arkit.INDEX[n] for n in TAUGHT]] = 1
    jpegs, shapes = [], []
    with open_source(args.faces) as source, FaceTracker(still=True, peer=True) as tracker:
        for frame in tqdm(source, total=args.images or source.count, unit="image"):
            if args.images and frame.index >= args.images:
                break
            face = tracker.track(frame)
            if face is None or face.peer is None or abs(face.head_pose[0]) > MOST_YAW:
                continue
            matrix = alignment.crop_matrix(face.landmarks, INNER).astype(np.float64)
            crop = alignment.warp(frame.image, matrix + [[0, 0, (SIDE - INNER) / 2]] * 2, SIDE)
            jpegs.append(cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 93])[1].ravel())
            shapes.append(face.peer)
    temporary = args.out.with_suffix(".tmp.npz")
    np.savez(
        temporary, jpeg=np.concatenate(jpegs), offsets=np.cumsum([0, *(len(j) for j in jpegs)]),
        arkit=np.array(shapes, np.float32), mask=np.tile(mask, (len(shapes), 1)),
    )  # fmt: skip
    os.replace(temporary, args.out)
    print(f"{len(jpegs)} faces")


if __name__ == "__main__":
    main()
