"""How well is a face read? FreeAvatar beside MediaPipe on the same pictures in the same run.

usage: python tools/benchmark.py [--only movement,emotions] [--weights DIR] [--markdown OUT.md ...] [--json OUT.json]
                                 [--images-cache DIR] [--workers 2] [--seed 31] [--quick] [--accurate]      (needs FREEAVATAR_DATA)

Pictures of people held out from training (tools/splits.toml) are drawn once a seed and kept with what MediaPipe read in
--images-cache (default data/benchmark_SEED); to judge another encoder only the encoder runs. tools/measure/ holds the
protocols. --markdown writes the report; into a file with lines

    <!-- benchmark summary -->        or        <!-- benchmark details -->
    <!-- end -->

it writes only between these, so that the tables of README.md and docs/benchmark.md are its output.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from freeavatar.encoder import ACCURATE, Encoder
from freeavatar.errors import FreeAvatarError
from measure import command
from measure.sections import SECTIONS
from measure.tables import summary


def run(args: argparse.Namespace) -> None:
    """Measure, print, write."""
    unknown = [name for name in args.only if name not in SECTIONS]
    if unknown:
        raise FreeAvatarError(f"--only: no section {', '.join(unknown)}; expected some of {', '.join(SECTIONS)}")
    bench = command.opened(args)
    encoder = Encoder.load(args.weights, threads=1)
    # Only the shipped encoder has an animator that takes it.
    chosen = args.only or [name for name in SECTIONS if name != "driven" or args.weights is None]
    tables = {name: SECTIONS[name](bench) for name in chosen}
    more = replace(bench, variant=ACCURATE, _sets={})
    accurate = {name: SECTIONS[name](more) for name in chosen} if args.accurate else {}
    parts = {
        "summary": summary(list(tables.values()), list(accurate.values())),
        "details": "\n".join(table.markdown() for table in tables.values()),
    }
    print(parts["summary"], *(table.markdown() for table in tables.values()), sep="\n")
    for path in args.markdown:
        command.write_markdown(path, parts, f"# Benchmark of {encoder.name}\n\n{parts['summary']}\n{parts['details']}")
    if args.json:
        report = {"encoder": encoder.name, "sha256": encoder.sha256, "seed": args.seed, "quick": args.quick}
        report |= {"summary": [vars(line) for table in tables.values() for line in table.summary]}
        report |= {"accurate": [vars(line) for table in accurate.values() for line in table.summary]} if accurate else {}
        command.write_json(args.json, report | {name: table.plain() for name, table in tables.items()})


def main() -> None:
    parser = command.options(__doc__ or "")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], metavar="NAME,...", help=f"some of {', '.join(SECTIONS)}")
    parser.add_argument("--accurate", action="store_true", help="measure the encoder's accurate variant, too")
    parser.add_argument("--markdown", type=Path, nargs="+", default=[], metavar="OUT")
    command.main(run, parser)


if __name__ == "__main__":
    main()
