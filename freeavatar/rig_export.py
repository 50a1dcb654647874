"""Exports a rig as one GLB file that Blender, three.js and others open, and that imports again as the same rig.

The model stays byte by byte what it is; the rig.toml and the licence travel in its JSON, in ``extras``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from freeavatar.bounded import read_bounded
from freeavatar.errors import RigError
from freeavatar.output import check_output, replacing
from freeavatar.rig import find_rig, load_rig, read_rig

_MAX_LICENCE: Final = 1 << 20


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        file: the GLB file.
        controls: controls that it describes.
        morphs: morph targets that it holds.
        bytes: its size.
    """

    file: str
    controls: int
    morphs: int
    bytes: int


def export_rig(name: str | Path, output: Path) -> Exported:
    """Write a rig as one GLB file.

    Args:
        name: a shipped rig's name, the folder of a rig, or its rig.toml.
        output: the ``.glb`` file to write.

    Raises:
        RigError: there is no such rig, or its model is damaged.
        OutputError: the file cannot be written.
    """
    from freeavatar_renderer.glb_writer import with_rig
    from freeavatar_renderer.raster import load_model

    rig = load_rig(name)
    check_output(output, (".glb",), rig.model)
    morphs = len(load_model(rig).morphs)
    licence = rig.folder / "LICENSE"
    # A rig may come from a stranger: its licence is passed on, and must not be a way to other files of the disk.
    terms = _read(licence) if licence.is_file() and not licence.is_symlink() else ""
    data = with_rig(rig.model, read_rig(find_rig(name)), terms)
    with replacing(output) as temporary:
        temporary.write_bytes(data)
    return Exported(str(output), len(rig.controls), morphs, len(data))


def _read(licence: Path) -> str:
    return read_bounded(licence, _MAX_LICENCE, RigError, "shorten it, or make it readable").decode("utf-8", "replace")
