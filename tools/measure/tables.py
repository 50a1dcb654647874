"""Results as Markdown and as plain values for JSON."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from freeavatar.errors import OutputError

Value = float | int | None
Row = Mapping[str, Value]


@dataclass(frozen=True)
class Line:
    """One line of the summary: the same figure of both systems.

    Attributes:
        what: what was measured.
        ours, peer: None where it cannot be measured.
        higher: whether higher is better.
        unit: written behind the figures.
    """

    what: str
    ours: Value
    peer: Value
    higher: bool = True
    unit: str = ""


@dataclass(frozen=True)
class Table:
    """One section of the report.

    Attributes:
        title: heading.
        protocol: what was measured on what, in a sentence or two.
        rows: figures by row and column.
        summary: the lines that stand for the section.
        digits: behind the point.
    """

    title: str
    protocol: str
    rows: Mapping[str, Row]
    summary: Sequence[Line] = field(default_factory=tuple)
    digits: int = 3

    def markdown(self) -> str:
        """Heading, protocol and table."""
        columns = list(dict.fromkeys(column for row in self.rows.values() for column in row))
        lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        lines += [f"| {name} | {' | '.join(_text(row.get(c), self.digits) for c in columns)} |" for name, row in self.rows.items()]
        return f"### {self.title}\n\n{self.protocol}\n\n" + "\n".join(lines) + "\n"

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {"title": self.title, "rows": {name: dict(row) for name, row in self.rows.items()}}


def summary(tables: Sequence[Table], accurate: Sequence[Table] = ()) -> str:
    """The table of the tables: ours beside the peer, the better one bold; then the same lines of our accurate variant, if given."""
    more = [line for table in accurate for line in table.summary]
    lines = ["| | FreeAvatar | MediaPipe |" + " FreeAvatar, accurate |" * bool(more), "|---|---|---|" + "---|" * bool(more)]
    for i, line in enumerate(line for table in tables for line in table.summary):
        values = [line.ours, line.peer, *(m.ours for m in more[i : i + 1])]
        cells = [_text(value, 3) + (line.unit if value is not None else "") for value in values]
        if line.ours is not None and line.peer is not None and line.ours != line.peer:
            best = 0 if (line.ours > line.peer) == line.higher else 1
            cells[best] = f"**{cells[best]}**"
        lines.append(f"| {line.what} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def insert(text: str, parts: Mapping[str, str]) -> str:
    """The text with everything between ``<!-- benchmark NAME -->`` and ``<!-- end -->`` replaced by the part of that name.

    Raises:
        OutputError: there is no such mark.
    """
    marks = re.compile(r"(<!-- benchmark (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
    if not any(mark[2] in parts for mark in marks.finditer(text)):
        raise OutputError(f"no mark to write between: expected <!-- benchmark {'|'.join(parts)} --> and <!-- end --> on lines of their own")
    return marks.sub(lambda m: f"{m[1]}{parts[m[2]]}{m[3]}" if m[2] in parts else m[0], text)


def _text(value: Value, digits: int) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.{digits}f}"
