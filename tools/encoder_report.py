"""What an encoder sees, in pictures: the figures and tables of docs/encoder.md, and sheets of real people to look at.

usage: python tools/encoder_report.py [--weights DIR] [--only SECTION ...] [--docs DIR] [--private DIR]

Needs FREEAVATAR_DATA. Sections: sweeps, neighbours, saliency and failures show held-out synthetic people and avatars
only; their pictures go to DOCS/images and their tables between the marks of DOCS/encoder.md. ``faces`` and ``clips``
show real people: they go to the folder ``--private``, which must stay out of the repository.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from freeavatar.errors import FreeAvatarError
from freeavatar.output import replacing
from measure.tables import Table, insert
from render_dataset import cast
from report import failures, neighbours, real, saliency, sweeps
from report.subjects import Desk, Reader, Studio

SECTIONS: Final[Mapping[str, Callable[[Desk], Table | None]]] = {
    "sweeps": sweeps.make,
    "neighbours": neighbours.make,
    "saliency": saliency.make,
    "failures": failures.make,
    "faces": real.faces,
    "clips": real.clips,
}


def report(names: Sequence[str], weights: Path | None, docs: Path, private: Path, size: float = 1.0) -> None:
    """Make sections of the report.

    Args:
        names: keys of :data:`SECTIONS`.
        weights: the encoder's folder; None takes the shipped one.
        docs: folder of encoder.md and images/.
        private: folder for everything that shows real people.
        size: less than 1 takes fewer pictures.

    Raises:
        FreeAvatarError: the weights or the data are not usable, or a file cannot be written.
    """
    page, parts = docs / "encoder.md", dict[str, str]()
    private.mkdir(parents=True, exist_ok=True)
    with Reader(weights) as reader:
        desk = Desk(reader, Studio(), cast("held_out"), docs / "images", private, size)
        for name in names:
            start = time.perf_counter()
            table = SECTIONS[name](desk)
            if table is not None:
                parts[name] = table.markdown()
                print(parts[name])
            print(f"{name}: {time.perf_counter() - start:.0f} s")
    if parts:
        with replacing(page) as temporary:
            temporary.write_text(insert(page.read_text(encoding="utf-8"), parts), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", type=Path, help="an encoder's folder; default: the shipped one")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    parser.add_argument("--private", type=Path, default=Path("out/encoder"))
    args = parser.parse_args()
    try:
        report(args.only, args.weights, args.docs, args.private)
    except FreeAvatarError as error:
        print(f"encoder_report: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
