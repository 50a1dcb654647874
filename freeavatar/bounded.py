"""Files of unknown origin are read whole, but never more of them than they may hold."""

from pathlib import Path

from freeavatar.errors import FreeAvatarError


def read_bounded(path: Path, limit: int, error: type[FreeAvatarError], advice: str) -> bytes:
    """The bytes of a file.

    Args:
        path: the file.
        limit: the most bytes that it may hold.
        error: class of the error to raise.
        advice: what the user can do about a file that is missing or too large.

    Raises:
        FreeAvatarError: of the class ``error``: the file cannot be read or is larger.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as failure:
        raise error(f"{path}: cannot be read ({failure.strerror}); {advice}") from failure
    if len(data) > limit:
        raise error(f"{path}: is larger than {limit >> 20} MB; {advice}")
    return data
