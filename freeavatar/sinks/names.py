"""Names of the user's own, for the protocols whose names are free: plain OSC and VMC.

A TOML file has one table a protocol. On the left stands what is sent without the file, on the right what is sent instead::

    [osc]
    jawOpen = "/face/jaw"                                         # the whole address
    mouthSmileLeft = "smile/left"                                 # after the prefix: /freeavatar/smile/left
    eyeBlinkLeft = { name = "openLeft", scale = -1, offset = 1 }  # the value times scale, plus offset

    [vmc]
    JawOpen = "MTH_A"

What is not named keeps its name.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from freeavatar.toml_file import SettingsError, Table, read_toml

PROTOCOLS: Final = ("osc", "vmc")
_MAX_TOML: Final = 1 << 20
_LARGEST: Final = 1e6


@dataclass(frozen=True)
class Alias:
    """What a control is sent as.

    Attributes:
        name: its name.
        scale: its value is multiplied by this.
        offset: then this is added.
    """

    name: str
    scale: float = 1.0
    offset: float = 0.0

    def __call__(self, value: float) -> float:
        """The value to send."""
        return self.scale * value + self.offset


@dataclass(frozen=True)
class NameMap:
    """The names in one protocol; an empty one changes nothing.

    Attributes:
        where: the file and its table, for messages.
        aliases: by the name that is sent without the file.
    """

    where: str = ""
    aliases: Mapping[str, Alias] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Alias:
        """What a control is sent as: its alias, or itself."""
        return self.aliases.get(name) or Alias(name)

    def check(self, known: Collection[str]) -> None:
        """Refuse names that are not sent anyway: a typing error must not pass unseen.

        Args:
            known: what is sent without the file.

        Raises:
            SettingsError: there is one.
        """
        for name in self.aliases:
            if name not in known:
                near = ", ".join(get_close_matches(name, known, 3, 0.0))
                raise SettingsError(f"{self.where}: nothing is sent as {name!r:.80}; expected names such as {near}")

    def check_apart(self, names: Iterable[str]) -> None:
        """Refuse two controls that are sent as the same.

        Args:
            names: as what all of them are sent.

        Raises:
            SettingsError: there are two.
        """
        for name, count in Counter(names).items():
            if count > 1:
                raise SettingsError(f"{self.where}: {count} controls are sent as {name!r:.160}; give each a name of its own")


def load_names(path: Path | None) -> dict[str, NameMap]:
    """The names in each of :data:`PROTOCOLS`; their usual ones without a file.

    Raises:
        SettingsError: the file is missing, damaged or not understood.
    """
    if path is None:
        return dict.fromkeys(PROTOCOLS, NameMap())
    document = Table(str(path), read_toml(path, _MAX_TOML, f"expected a TOML file with a table [{'] or ['.join(PROTOCOLS)}]"))
    maps = {}
    for protocol in PROTOCOLS:
        table = document.table(protocol)
        maps[protocol] = NameMap(f"{path}: [{protocol}]", {name: _alias(table, name) for name in table.names()})
    document.end()
    return maps


def _alias(table: Table, key: str) -> Alias:
    if table.holds(key, str):
        return Alias(_name(table, key))
    entry = table.table(key)
    alias = Alias(_name(entry, "name"), entry.number("scale", 1.0, -_LARGEST, _LARGEST), entry.number("offset", 0.0, -_LARGEST, _LARGEST))
    entry.end()
    return alias


def _name(table: Table, key: str) -> str:
    name = table.text(key, "")
    if not name or not name.isprintable():
        raise table.error(f"{key:.80} is {name!r:.80}, expected the name to send")
    return name
