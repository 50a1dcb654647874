"""Files are read up to a limit and no further."""

from pathlib import Path

import pytest

from freeavatar.bounded import read_bounded
from freeavatar.errors import RigError


def test_a_file_up_to_the_limit_is_read_and_a_larger_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * (1 << 20))
    assert len(read_bounded(path, 1 << 20, RigError, "name another")) == 1 << 20
    path.write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(RigError, match="is larger than 1 MB; name another"):
        read_bounded(path, 1 << 20, RigError, "name another")


def test_an_endless_file_is_read_to_the_limit_only() -> None:
    with pytest.raises(RigError, match="is larger than 1 MB"):
        read_bounded(Path("/dev/zero"), 1 << 20, RigError, "name another")


@pytest.mark.parametrize("name", ["missing", "."])
def test_what_is_no_file_is_refused_with_advice(tmp_path: Path, name: str) -> None:
    with pytest.raises(RigError, match=r"cannot be read \(.*\); name another"):
        read_bounded(tmp_path / name, 10, RigError, "name another")
