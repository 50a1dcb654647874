"""What the commands that measure on the benchmark's pictures share: options, pictures, and reports written whole or not at all."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from freeavatar.errors import FreeAvatarError
from freeavatar.output import replacing

from .bench import Bench
from .parallel import SINGLE_THREADED
from .pictures import QUICK, Size
from .tables import insert

DATA: Final = Path(__file__).parents[2] / "data"


def options(description: str) -> argparse.ArgumentParser:
    """The options that they share."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="the encoder's folder (default: the shipped one)")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--images-cache", type=Path, metavar="DIR")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--quick", action="store_true", help="a tiny run that only shows that everything works")
    return parser


def opened(args: argparse.Namespace) -> Bench:
    """The pictures that are asked for."""
    folder = args.images_cache or DATA / f"benchmark_{args.seed}{'_quick' if args.quick else ''}"
    return Bench(QUICK if args.quick else Size(), args.seed, folder, DATA, args.weights, args.workers)


def write_markdown(path: Path, parts: Mapping[str, str], otherwise: str) -> None:
    """Write the parts between the marks of a file (:func:`insert`), or the other text where it has none."""
    old = path.read_text(encoding="utf-8") if path.is_file() else ""
    with replacing(path) as temporary:
        temporary.write_text(insert(old, parts) if "<!-- benchmark " in old else otherwise, encoding="utf-8")


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1, default=float) + "\n", encoding="utf-8")


def main(run: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Run a command; an error ends it in one line."""
    args = parser.parse_args()
    os.environ.update({name: os.environ.get(name, threads) for name, threads in SINGLE_THREADED.items()})
    try:
        run(args)
    except FreeAvatarError as error:
        sys.exit(f"error: {error}")
