"""Files that appear complete or not at all: checked before any work, written aside, renamed at the end."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from freeavatar.errors import OutputError


def check_output(path: Path, suffixes: Iterable[str], source: str | Path | None = None) -> Path:
    """Refuse an output that could not be written, before any work is done.

    Args:
        path: the file to write.
        suffixes: the suffixes that are allowed, with their dots.
        source: the input of the job, which an output must never replace.

    Raises:
        OutputError: unknown suffix, missing or unwritable folder, a folder in the way, or the input itself.
    """
    if path.suffix.lower() not in (allowed := list(suffixes)):
        raise OutputError(f"{path}: unknown output format {path.suffix or '(none)'!r}; use one of {', '.join(allowed)}")
    try:
        _check_place(path, source)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); check the names and the permissions") from error
    return path


def _check_place(path: Path, source: str | Path | None) -> None:
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path}: the folder {path.parent} is not writable; choose another")
    if source is not None and path.exists() and Path(source).exists() and path.samefile(source):
        raise OutputError(f"{path}: is the input itself; choose another name for the output")
    if source is not None and Path(source).is_dir() and path.parent.samefile(source) and path.suffix.lower() in (".png", ".jpg", ".jpeg"):
        raise OutputError(f"{path}: lies in the input folder and would become an input; choose another folder")


def check_outputs(paths: Iterable[Path], suffixes: Iterable[str], source: str | Path | None = None) -> None:
    """:func:`check_output` for several files, which must all differ."""
    allowed, seen = list(suffixes), set[Path]()
    for path in paths:
        check_output(path, allowed, source)
        if path.resolve() in seen:
            raise OutputError(f"{path}: named twice; give every output its own name")
        seen.add(path.resolve())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well, and is removed when it does not.

    Raises:
        OutputError: the file cannot be written, or the disk is full.
    """
    # The suffix stays last, so that writers that go by suffix write the right format.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)
