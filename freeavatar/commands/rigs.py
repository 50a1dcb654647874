"""Avatars: ``rigs``, ``rig check``, ``rig import``, ``rig export``."""

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, Positional, arg, subcommand

from freeavatar.commands.common import optional, report


def rigs(
    gallery: Annotated[Path | None, optional(metavar="OUT.png")] = None,
    size: Annotated[int, arg(metavar="N")] = 192,
    json: bool = False,
) -> int:
    """List the built-in rigs, or draw them all in the same eight expressions.

    Args:
        gallery: the picture to draw; a cell is grey where the rig has no control for the expression.
        size: side of each of its cells in pixels.
        json: print the result as JSON.
    """
    from freeavatar.rig import list_rigs, load_rig

    if gallery is not None:
        from freeavatar.gallery import write_gallery

        shown = write_gallery(gallery, size=size)
        listed = [f"  {name}: {', '.join(expressions)}" for name, expressions in shown.items()]
        print(jsonlib.dumps({"file": str(gallery), "shown": shown}) if json else "\n".join([str(gallery), *listed]))
        return 0
    loaded = [load_rig(name) for name in list_rigs()]
    if json:
        print(jsonlib.dumps([{"name": r.name, "title": r.title, "controls": len(r.controls), "licence": r.licence} for r in loaded]))
        return 0
    for r in loaded:
        print(f"{r.name:<12} {len(r.controls):>4} controls  {r.licence:<12} {r.title}")
    return 0


def check_rig(
    path: Annotated[Positional[str], arg(metavar="NAME|DIR")],
    pictures: Annotated[Path | None, optional(metavar="DIR")] = None,
    json: bool = False,
) -> int:
    """Check a rig, and explain its problems.

    Args:
        path: a rig's name or folder.
        pictures: a folder for pictures of what was found.
        json: print the result as JSON.
    """
    from freeavatar.rig_check import check_rig as job

    done = job(path, pictures)
    found = [f"  {finding.message}" for finding in done.findings] + [f"  {picture}" for picture in done.pictures]
    return report(done, json, f"{path}: the rig {done.name} is valid, {done.controls} controls", *found)


def import_rig(
    path: Annotated[Positional[Path], arg(metavar="MODEL")],
    output: Annotated[Path | None, optional(aliases=["-o"], metavar="DIR")] = None,
    json: bool = False,
) -> int:
    """Make a rig of your own of a GLB, VRM or glTF model.

    Args:
        path: a model with morph targets.
        output: the folder to make; ./<name of the model>/ if omitted.
        json: print the result as JSON.
    """
    from freeavatar.rig_import import import_rig as job

    done = job(path, output)
    lines = [f"  measured, to be checked in report.md: {', '.join(done.measured)}"] if done.measured else []
    lines += [f"  without meaning, to be mapped by hand: {', '.join(done.unknown)}"] if done.unknown else []
    lines += [f"  {note}" for note in done.notes]
    return report(done, json, f"{done.folder}: {done.controls} controls, {done.mapped} of them driven", *lines)


def export_rig(
    path: Annotated[Positional[str], arg(metavar="NAME|DIR")],
    output: Annotated[Path, arg(aliases=["-o"], metavar="OUT.glb")],
    json: bool = False,
) -> int:
    """Write a rig as one GLB.

    Args:
        path: a rig's name or folder.
        output: the file to write.
        json: print the result as JSON.
    """
    from freeavatar.rig_export import export_rig as job

    done = job(path, output)
    return report(done, json, f"{done.file}: {done.controls} controls, {done.morphs} morph targets, {done.bytes / 1e6:.1f} MB")


_Action = (
    Annotated[Any, subcommand("check", constructor=check_rig)]
    | Annotated[Any, subcommand("import", constructor=import_rig)]
    | Annotated[Any, subcommand("export", constructor=export_rig)]
)


def rig(action: OmitArgPrefixes[OmitSubcommandPrefixes[_Action]]) -> int:
    """Check a rig, import a model (GLB, VRM, glTF) as a rig of your own, or export a rig as one GLB."""
    return int(action)
