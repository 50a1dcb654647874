"""Writes the folder of a person's rig: model, rig.toml and preview."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2

from gltf_writer import Node, write_glb


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
    preview(out, shown)


def preview(folder: Path, shown: Mapping[str, float]) -> None:
    """Render preview.png of a rig with some of its controls set."""
    from freeavatar.rig import load_rig
    from freeavatar_renderer.raster import AvatarRenderer

    rig = load_rig(folder)
    values = rig.neutral()
    for name, value in shown.items():
        values[rig.names.index(name)] = value
    cv2.imwrite(str(folder / "preview.png"), AvatarRenderer(rig).render(values)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
