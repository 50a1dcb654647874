"""Adds the float32 graph, which accelerators run fastest, to a weights folder that holds the int8 one only, as the shipped folder does.

usage: python tools/float_graph.py [FOLDER]     (default: the shipped encoder)
"""

import argparse
import sys
from pathlib import Path

from freeavatar.errors import FreeAvatarError
from freeavatar.network import WEIGHTS
from freeavatar.train.export import add_float_graph


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=WEIGHTS / "encoder")
    try:
        print(add_float_graph(parser.parse_args().folder))
    except FreeAvatarError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
