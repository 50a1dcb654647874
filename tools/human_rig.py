"""Writes the folder of a person's rig: model, rig.toml and preview."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gltf_writer import Node, write_glb
from human_bust import TURNS
from rig_preview import draw_controls


def build(
    folder: Path,
    tree: Callable[[], Sequence[Node]],
    rig_toml: Callable[[], str],
    copyright: str,
    doc: str | None,
    shown: Mapping[str, float],
) -> None:
    """Build an avatar as the command line asks.

    Args:
        folder: where it goes by default.
        tree: makes the model's nodes.
        rig_toml: makes the text of rig.toml.
        copyright: for the model.
        doc: what the builder's help says.
        shown: control values of the preview.
    """  # fmt: skip
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", type=Path, default=folder, help="output folder")
    out: Path = parser.parse_args().o
    out.mkdir(parents=True, exist_ok=True)
    size = write_glb(out / "avatar.glb", tree(), copyright)
    (out / "rig.toml").write_text(rig_toml())
    print(f"{out / 'avatar.glb'}: {size / 1e6:.2f} MB")
    draw_controls(out, shown)


def heading(name: str, comment: Sequence[str], made: str) -> list[str]:
    """The first lines of a person's rig.toml.

    Args:
        name: the rig's.
        comment: lines about it.
        made: what of it is ours.
    """
    return [
        *(f"# {line}" for line in comment),
        "format = 1", f'name = "{name}"', f'title = "{name.title()}"', 'licence = "CC0-1.0"',
        f'authors = ["The MakeHuman team (base mesh and targets)", "The FreeAvatar authors ({made})"]',
        'model = "avatar.glb"', "",
        "[camera]", "target = [0.0, 0.026, 0.02]", "height = 0.345",
    ]  # fmt: skip


def head_control(turn: str, name: str) -> list[str]:
    """The lines of the control that turns a person's head: ``turn`` is one of :data:`human_bust.TURNS`."""
    _, axis, limit = TURNS[turn]
    return [
        "[[control]]", f'name = "{name}"', 'region = "head"', f"range = [{-limit}, {limit}]", f'source = "head.{turn.lower()}"',
        'node = "head"', f'axis = "{axis}"', f"morphs = {{ neck{turn}Plus = 1.0, neck{turn}Minus = -1.0 }}",
    ]  # fmt: skip
