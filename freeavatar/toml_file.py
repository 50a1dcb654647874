"""Settings files that people edit: TOML of bounded size, read strictly, written whole."""

import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from freeavatar.bounded import read_bounded
from freeavatar.errors import FreeAvatarError


class SettingsError(FreeAvatarError):
    """A settings file is missing, damaged, or says something that is not understood."""


def read_toml(path: Path, limit: int, advice: str) -> dict[str, Any]:
    """The document in a TOML file.

    Args:
        path: the file.
        limit: the most bytes that it may hold.
        advice: what the user can do about a file that is missing or too large.

    Raises:
        SettingsError: missing, too large, or not TOML.
    """
    data = read_bounded(path, limit, SettingsError, advice)
    try:
        return parse_toml(data.decode())
    except ValueError as error:
        raise SettingsError(f"{path}: is not valid TOML ({error!s:.160}); correct or delete it") from error


def parse_toml(text: str) -> dict[str, Any]:
    """The document in a text.

    Raises:
        ValueError: it is not TOML, is nested too deeply, or holds an integer of thousands of digits.
    """
    try:
        document = tomllib.loads(text)
        repr(document)  # hexadecimal numbers may have any length, but Python writes none of thousands of digits into a message
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return document


class Table:
    """One table of a document; every key is taken once, and what is left at the end is a mistake in the file.

    Args:
        where: the table's name in messages.
        entries: its keys and values.
        failure: the error that says what is wrong.
    """

    def __init__(self, where: str, entries: object, failure: type[FreeAvatarError] = SettingsError) -> None:
        self._where, self._failure = where, failure
        if not isinstance(entries, dict):
            raise self.error(f"expected a table, not {entries!r:.60}")
        self._entries = dict(entries)

    def take(self, key: str, kind: type, default: Any = None) -> Any:
        """A value of that type; the key must be there if ``default`` is None."""
        value = self._pop(key, default)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.error(f"{key} is {value!r:.60}, expected {kind.__name__}")
        return value

    def choice(self, key: str, choices: Sequence[str], default: str | None = None) -> str:
        """One of some strings; the key must be there if ``default`` is None."""
        value: str = self.take(key, str, default)
        if value not in choices:
            raise self.error(f"{key} is {value!r:.60}, expected one of {', '.join(choices)}")
        return value

    def weights(self, key: str, low: float, high: float, default: Mapping[str, float] | None = None) -> dict[str, float]:
        """Numbers by name; the key must be there if ``default`` is None."""
        return {name: self._number(f"{key}.{name:.60}", value, low, high) for name, value in self.take(key, dict, default).items()}

    def number(self, key: str, default: float | None, low: float, high: float) -> float:
        """A number within ``low`` to ``high``; the key must be there if ``default`` is None."""
        return self._number(key, self._pop(key, default), low, high)

    def numbers(self, key: str, count: int, low: float, high: float) -> tuple[float, ...]:
        """A list of ``count`` numbers that must be there."""
        return self._numbers(key, self._pop(key), count, low, high)

    def rows(self, key: str, count: int, low: float, high: float) -> tuple[tuple[float, ...], ...]:
        """A list of lists of ``count`` numbers; an empty one where the key is missing."""
        rows = self._entries.pop(key, [])
        if not isinstance(rows, list):
            raise self.error(f"{key} must be a list of lists")
        return tuple(self._numbers(key, row, count, low, high) for row in rows)

    def text(self, key: str, default: str) -> str:
        """A string of at most 200 characters."""
        value = self._entries.pop(key, default)
        if not isinstance(value, str) or len(value) > 200:
            raise self.error(f"{key} is {value!r:.60}, expected a string")
        return value

    def table(self, key: str) -> "Table":
        """The table of that name; an empty one where it is missing."""
        return Table(f"{self._where}: [{key:.60}]", self._entries.pop(key, {}), self._failure)

    def holds(self, key: str, kind: type) -> bool:
        """Whether the key is there with a value of that type."""
        return isinstance(self._entries.get(key), kind)

    def length(self, key: str) -> int:
        """How long the list of that name is; 0 where there is none."""
        return len(self._entries[key]) if self.holds(key, list) else 0

    def names(self) -> list[str]:
        """The keys that were not taken yet."""
        return list(self._entries)

    def end(self) -> None:
        """Refuse keys that nobody asked for.

        Raises:
            FreeAvatarError: there are some.
        """
        if self._entries:
            raise self.error(f"unknown key {', '.join(map(repr, sorted(self._entries))):.160}")

    def error(self, message: str) -> FreeAvatarError:
        """An error that says where in the file it is."""
        return self._failure(f"{self._where}: {message}")

    def _pop(self, key: str, default: object = None) -> object:
        value = self._entries.pop(key, default)
        if value is None:
            raise self.error(f"{key} is missing")
        return value

    def _numbers(self, key: str, values: object, count: int, low: float, high: float) -> tuple[float, ...]:
        if not isinstance(values, list) or len(values) != count:
            raise self.error(f"{key} is {values!r:.60}, expected a list of {count} numbers")
        return tuple(self._number(key, value, low, high) for value in values)

    def _number(self, key: str, value: object, low: float, high: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.error(f"{key} is {value!r:.60}, expected a number from {low:g} to {high:g}")
        return float(value)


def to_toml(document: Mapping[str, Any]) -> str:
    """TOML of nested tables of strings, finite numbers and lists of them; a key whose value is None is left out."""
    return "\n".join(_lines(document, ())) + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    plain = {key: value for key, value in table.items() if value is not None and not isinstance(value, Mapping)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    if path and lines:
        lines = ["", f"[{'.'.join(map(_key, path))}]", *lines]
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += _lines(value, (*path, key))
    return lines


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "").replace("-", "").isalnum() else _string(key)


def _value(value: object) -> str:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return repr(value if isinstance(value, int) else float(value))
    raise TypeError(f"no TOML for {value!r}")


def _string(text: str) -> str:
    escaped = "".join(f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else f"\\{c}" if c in '"\\' else c for c in text)
    return f'"{escaped}"'
