"""A progress bar on standard error for whatever takes longer than two seconds, on terminals only."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(items: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    """The same items, with a bar once two seconds have passed."""
    if not sys.stderr.isatty():
        yield from items
        return
    from tqdm import tqdm

    yield from tqdm(items, total=total, desc=label, unit=" frames", delay=2.0, leave=False, dynamic_ncols=True, file=sys.stderr)
