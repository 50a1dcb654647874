"""Adds the accurate variant, which looks at every crop four times (freeavatar.looks), to an encoder's weights folder.

usage: python tools/add_looks.py FOLDER --data data/train ... [--crops 4000]

The pictures are those that the encoder was trained on (tools/render_dataset.py).
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from freeavatar.encoder import Encoder
from freeavatar.errors import FreeAvatarError
from freeavatar.train.accurate import add_looks
from freeavatar.train.shards import Crops, Shards

BATCH = 200


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--crops", type=int, default=4000)
    args = parser.parse_args()
    try:
        source = Crops(Shards(args.data, most=12), Encoder.load(args.folder).size, BATCH, seed=0)
        crops = np.concatenate([source.batch(step)["image"].numpy() for step in range(-(-args.crops // BATCH))])
        explained = add_looks(args.folder, crops.transpose(0, 2, 3, 1))
    except FreeAvatarError as error:
        print(f"add_looks: {error}", file=sys.stderr)
        return 2
    print(f"the map back from the mirror explains {explained:.3f} of the feature on crops it was not found on")
    return 0


if __name__ == "__main__":
    sys.exit(main())
