"""How well is a face read? FreeAvatar beside MediaPipe on the same pictures in the same run.

usage: python tools/benchmark.py [--only movement,emotions] [--weights DIR] [--markdown OUT.md ...] [--json OUT.json]
                                 [--images-cache DIR] [--workers 2] [--seed 31] [--quick]      (needs FREEAVATAR_DATA)

Pictures of people held out from training (tools/splits.toml) are drawn once a seed and kept with what MediaPipe read in
--images-cache (default data/benchmark_SEED); to judge another encoder only the encoder runs. tools/measure/ holds the
protocols. --markdown writes the report; into a file with lines

    <!-- benchmark summary -->        or        <!-- benchmark details -->
    <!-- end -->

it writes only between these, so that the tables of README.md and docs/benchmark.md are its output.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from freeavatar.encoder import Encoder
from freeavatar.errors import FreeAvatarError
from measure.bench import Bench
from measure.parallel import SINGLE_THREADED
from measure.pictures import QUICK, Size
from measure.sections import SECTIONS
from measure.tables import insert, summary

DATA = Path(__file__).parents[1] / "data"


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


def run(args: argparse.Namespace) -> None:
    """Measure, print, write."""
    unknown = [name for name in args.only if name not in SECTIONS]
    if unknown:
        raise FreeAvatarError(f"--only: no section {', '.join(unknown)}; expected some of {', '.join(SECTIONS)}")
    folder = args.images_cache or DATA / f"benchmark_{args.seed}{'_quick' if args.quick else ''}"
    bench = Bench(QUICK if args.quick else Size(), args.seed, folder, DATA, args.weights, args.workers)
    encoder = Encoder.load(args.weights, threads=1)
    # Only the shipped encoder has an animator that takes it.
    chosen = args.only or [name for name in SECTIONS if name != "driven" or args.weights is None]
    tables = {name: SECTIONS[name](bench) for name in chosen}
    parts = {"summary": summary(list(tables.values())), "details": "\n".join(table.markdown() for table in tables.values())}
    print(parts["summary"], *(table.markdown() for table in tables.values()), sep="\n")
    for path in args.markdown:
        text = path.read_text() if path.is_file() else ""
        marked = "<!-- benchmark " in text
        write(path, insert(text, parts) if marked else f"# Benchmark of {encoder.name}\n\n{parts['summary']}\n{parts['details']}")
    if args.json:
        report = {"encoder": encoder.name, "sha256": encoder.sha256, "seed": args.seed, "quick": args.quick}
        report |= {"summary": [vars(line) for table in tables.values() for line in table.summary]}
        write(args.json, json.dumps(report | {name: table.plain() for name, table in tables.items()}, indent=1, default=float) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], metavar="NAME,...", help=f"some of {', '.join(SECTIONS)}")
    parser.add_argument("--weights", type=Path, help="the encoder's folder (default: the shipped one)")
    parser.add_argument("--markdown", type=Path, nargs="+", default=[], metavar="OUT")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--images-cache", type=Path, metavar="DIR")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--quick", action="store_true", help="a tiny run that only shows that everything works")
    args = parser.parse_args()
    os.environ.update({name: os.environ.get(name, threads) for name, threads in SINGLE_THREADED.items()})
    try:
        run(args)
    except FreeAvatarError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
