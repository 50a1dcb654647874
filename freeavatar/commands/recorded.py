"""Recordings: ``demo``, ``retarget``, ``embed``."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from freeavatar.commands.common import Input, RigNames, flat, optional, report


def demo(
    input: Annotated[Positional[str | None], arg(metavar="[CLIP]")] = None,
    output: Annotated[Path, arg(aliases=["-o"], metavar="DIR")] = Path("out/demo"),
    json: bool = False,
) -> int:
    """Run the main job on a clip for three avatars: curves, a side-by-side video and a contact sheet.

    Args:
        input: a video of a person; the shipped clip of a synthetic person if omitted.
        output: folder for the results, made if missing.
        json: print the summary as JSON.
    """
    from freeavatar import demo as job

    done = job.demo(input or job.CLIP, output)
    return report(
        done,
        json,
        f"{done.frames} frames in {done.seconds:.1f} s ({done.frames / done.seconds:.1f} a second, rendering included), "
        f"a face in {done.faces}; avatars: {', '.join(done.rigs)}",
        *(f"  {path}" for path in done.outputs),
    )


def retarget(
    input: Positional[Input],
    output: Annotated[list[Path], arg(aliases=["-o"], metavar="OUT [OUT...]")] = [],  # noqa: B006  (read only)
    rig: RigNames = (),
    preview: Annotated[Path | None, optional(metavar="OUT.mp4")] = None,
    accurate: bool = False,
    json: bool = False,
) -> int:
    """Turn a video, an image folder or an image into the control curves of an avatar, or of several at once.

    Args:
        input: video, image folder or image.
        output: files to write; .csv is Live Link Face, .jsonl one object a frame, .npz arrays. Of several rigs each has
            its own: me.csv becomes me.human.csv and me.robot.csv.
        rig: built-in rigs' names (see "freeavatar rigs") or rigs' folders; "human" if omitted.
        preview: also write a video of the input and the avatars side by side.
        accurate: look at each face four times, which takes longer and reads it better.
        json: print the summary as JSON.
    """
    from freeavatar.retarget import retarget as job

    done = job(input, flat(rig) or ["human"], output, preview, accurate)
    return report(
        done,
        json,
        f"{done.frames} frames in {done.seconds:.1f} s ({done.frames / done.seconds:.1f} a second), a face in {done.faces}",
        *(f"  {path}" for path in done.outputs),
    )


def embed(
    input: Positional[Annotated[list[str], arg(metavar="INPUT [INPUT...]")]],
    output: Annotated[Path, arg(aliases=["-o"], metavar="FEATURES.npz")],
    accurate: bool = False,
    json: bool = False,
) -> int:
    """Write the encoder's features of images and video frames, one row each, NaN where no face is found.

    Args:
        input: images, image folders (read in name order) and videos.
        output: the npz to write.
        accurate: look at each face four times, which takes longer and reads it better.
        json: print the summary as JSON.
    """
    from freeavatar.embed import embed as job

    done = job(input, output, accurate)
    return report(done, json, f"{done.rows} rows in {done.seconds:.1f} s, a face in {done.faces}", f"  {done.output}")
