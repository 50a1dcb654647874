"""What several commands share: kinds of arguments, and the way of printing."""

import json as jsonlib
import sys
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import UseAppendAction, arg

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

optional = partial(arg, help_behavior_hint="")
"""An option that may be left out; its help says what happens then."""

Input = Annotated[str, arg(metavar="INPUT")]
Seconds = Annotated[float, arg(metavar="S")]
RigNames = UseAppendAction[Annotated[tuple[tuple[str, ...], ...], arg(metavar="NAME|PATH [NAME|PATH...]")]]


def report(summary: "DataclassInstance", json: bool, *text: str) -> int:
    """Print a summary as JSON or as text; 2 where the input was damaged, 130 where the job was interrupted."""
    values: dict[str, Any] = asdict(summary)
    print(jsonlib.dumps(values) if json else "\n".join(text))
    if values.get("warning"):
        print(f"freeavatar: error: {values['warning']}; the files hold them", file=sys.stderr)
        return 2
    if not values.get("interrupted"):
        return 0
    print("freeavatar: interrupted; the files hold the frames so far", file=sys.stderr)
    return 130


def say(line: str) -> None:
    print(f"freeavatar: {line}", file=sys.stderr, flush=True)


def flat(rigs: RigNames) -> list[str]:
    """The names of ``--rig a b --rig c``."""
    return [name for names in rigs for name in names]
