"""Settings files: what is written is read back, and what strangers write is refused in one line."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeavatar.errors import FreeAvatarError
from freeavatar.toml_file import SettingsError, Table, read_toml, to_toml

plain = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-1000, 1000), st.text(max_size=20))
documents = st.recursive(
    st.dictionaries(st.text(max_size=8), st.one_of(plain, st.lists(plain, max_size=4)), max_size=4),
    lambda inner: st.dictionaries(st.text(max_size=8), st.one_of(plain, inner), max_size=4),
    max_leaves=6,
)


@given(documents)
def test_what_is_written_is_read_back(document: dict[str, object]) -> None:
    def without_empty(table: object) -> object:  # a table of nothing leaves no trace
        if not isinstance(table, dict):
            return table
        return {k: v for k, v in ((k, without_empty(v)) for k, v in table.items()) if v != {}}

    assert without_empty(tomllib.loads(to_toml(document))) == without_empty(document)


@pytest.mark.parametrize("text", ["a = ", "a = 1\na = 2", "[" * 3000, "a = " + "[" * 5000, "\ud800x", "a = 0x" + "f" * 9000])
def test_what_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text, errors="surrogatepass")
    with pytest.raises(SettingsError, match="not valid TOML"):
        read_toml(path, 1 << 20, "look")


def test_large_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("# " + "x" * (1 << 20))
    with pytest.raises(SettingsError, match="larger than 1 MB; look"):
        read_toml(tmp_path / "x.toml", 1 << 20, "look")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_toml(tmp_path / "y.toml", 1 << 20, "look")


def test_a_table_takes_what_it_knows_and_refuses_the_rest() -> None:
    table = Table("t", {"a": 2, "b": [1, 2.5], "c": "x", "d": {"e": 1}, "f": 1})
    assert (table.number("a", 0, 0, 5), table.numbers("b", 2, 0, 5), table.text("c", "")) == (2, (1, 2.5), "x")
    assert table.table("d").names() == ["e"] and table.number("missing", 7, 0, 9) == 7
    with pytest.raises(SettingsError, match="t: unknown key 'f'"):
        table.end()


@pytest.mark.parametrize("value", [True, "1", float("nan"), float("inf"), 6, -1, [1], {}, 10**400])
def test_no_number_is_refused(value: object) -> None:
    with pytest.raises(SettingsError, match="expected a number from 0 to 5"):
        Table("t", {"a": value}).number("a", 0, 0, 5)
    with pytest.raises(SettingsError):
        Table("t", {"a": [value, 1]}).numbers("a", 2, 0, 5)
    with pytest.raises(SettingsError):
        Table("t", {"a": [[value, 1]]}).rows("a", 2, 0, 5)


class OtherError(FreeAvatarError):
    """What another kind of file raises."""


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (lambda t: t.take("none", str), "t: none is missing"),
        (lambda t: t.number("none", None, 0, 1), "t: none is missing"),
        (lambda t: t.take("a", str), "t: a is 2, expected str"),
        (lambda t: t.take("b", int), "t: b is True, expected int"),
        (lambda t: t.choice("c", ("y", "z")), "t: c is 'x', expected one of y, z"),
        (lambda t: t.weights("d", 0, 1), "t: d.e is 3, expected a number from 0 to 1"),
        (lambda t: t.table("a"), r"t: \[a\]: expected a table, not 2"),
        (lambda t: t.end(), "t: unknown key 'a', 'b', 'c', 'd'"),
    ],
)
def test_a_table_says_what_is_wrong_with_the_error_of_its_file(take: Callable[[Table], object], message: str) -> None:
    with pytest.raises(OtherError, match=message):
        take(Table("t", {"a": 2, "b": True, "c": "x", "d": {"e": 3}}, OtherError))


def test_what_is_missing_takes_its_default() -> None:
    table = Table("t", {"d": {"e": 3}})
    assert (table.take("a", str, "x"), table.choice("b", ("y",), "y"), table.weights("c", 0, 1, {})) == ("x", "y", {})
    assert table.weights("d", 0, 5) == {"e": 3}
