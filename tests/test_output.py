"""Outputs appear whole or not at all, and never where the input is."""

from pathlib import Path

import pytest

from freeavatar.errors import OutputError
from freeavatar.output import check_output, check_outputs, replacing

SUFFIXES = (".csv", ".npz")


def test_an_unknown_suffix_names_the_valid_ones(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"'\.txt'; use one of \.csv, \.npz"):
        check_output(tmp_path / "a.txt", SUFFIXES)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        check_output(tmp_path / "no" / "a.csv", SUFFIXES)


def test_a_folder_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path / "a.csv", SUFFIXES)


@pytest.mark.parametrize("name", ["in.csv", "link.csv", "./in.csv"])
def test_the_input_is_never_an_output(tmp_path: Path, name: str) -> None:
    (tmp_path / "in.csv").write_text("precious")
    (tmp_path / "link.csv").symlink_to(tmp_path / "in.csv")
    with pytest.raises(OutputError, match="is the input itself"):
        check_output(tmp_path / name, SUFFIXES, tmp_path / "in.csv")


def test_one_name_for_two_outputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="named twice"):
        check_outputs([tmp_path / "a.csv", tmp_path / "." / "a.csv"], SUFFIXES)


def test_upper_case_suffixes_are_accepted(tmp_path: Path) -> None:
    assert check_output(tmp_path / "a.CSV", SUFFIXES) == tmp_path / "a.CSV"


def test_a_file_takes_its_place_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old" and temporary.suffix == ".csv"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_an_operating_system_error_becomes_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"), replacing(tmp_path / "a.csv"):
        raise OSError(28, "No space left on device")
