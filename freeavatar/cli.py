"""The command line. Every command imports what it needs when it runs, so that ``--help`` is quick."""

import json as jsonlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg
from tyro.extras import subcommand_cli_from_dict

from freeavatar.errors import FreeAvatarError, MissingExtraError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Input = Annotated[str, arg(metavar="INPUT")]
_RigName = Annotated[str, arg(metavar="NAME|PATH")]
_Address = Annotated[str | None, arg(metavar="HOST:PORT")]


def main(args: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        args: the words after the program's name; those of the process if None.

    Returns:
        0, 2 after an error in the input or the arguments, 130 when interrupted.
    """
    commands: dict[str, Callable[..., Any]] = {
        "demo": demo,
        "retarget": retarget,
        "live": live,
        "embed": embed,
        "rigs": rigs,
        "rig": rig,
        "bench": bench,
        "train": train,
    }
    words = list(sys.argv[1:] if args is None else args)
    try:
        if words[:1] == ["train"] and len(words) > 1:
            return _train(words[1:])
        return int(
            subcommand_cli_from_dict(
                commands,
                prog="freeavatar",
                description="Drive any 3D avatar from a person's face.",
                args=words,
                config=(FlagCreatePairsOff,),
            )
        )
    except FreeAvatarError as error:
        print(f"freeavatar: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("freeavatar: interrupted", file=sys.stderr)
        return 130


def demo(
    input: Annotated[Positional[str | None], arg(metavar="[CLIP]")] = None,
    output: Annotated[Path, arg(aliases=["-o"], metavar="DIR")] = Path("out/demo"),
    json: bool = False,
) -> int:
    """Run the main job on a clip for both avatars: curves, a side-by-side video and a contact sheet.

    Args:
        input: a video of a person; the shipped clip of a synthetic person if omitted.
        output: folder for the results, made if missing.
        json: print the summary as JSON.
    """
    from freeavatar import demo as job

    done = job.demo(input or job.CLIP, output)
    return _report(
        done,
        json,
        f"{done.frames} frames in {done.seconds:.1f} s ({done.frames / done.seconds:.1f} a second, rendering included), "
        f"a face in {done.faces}; avatars: {', '.join(done.rigs)}",
        *(f"  {path}" for path in done.outputs),
    )


def retarget(
    input: Positional[_Input],
    output: Annotated[list[Path], arg(aliases=["-o"], metavar="OUT [OUT...]")] = [],  # noqa: B006  (read only)
    rig: _RigName = "human",
    preview: Annotated[Path | None, arg(metavar="OUT.mp4")] = None,
    json: bool = False,
) -> int:
    """Turn a video, an image folder or an image into the control curves of an avatar.

    Args:
        input: video, image folder or image.
        output: files to write; .csv is Live Link Face, .jsonl one object a frame, .npz arrays.
        rig: a built-in rig's name (see "freeavatar rigs") or a rig's folder.
        preview: also write a video of the input and the avatar side by side.
        json: print the summary as JSON.
    """
    from freeavatar.retarget import retarget as job

    done = job(input, rig, output, preview)
    return _report(
        done,
        json,
        f"{done.frames} frames in {done.seconds:.1f} s ({done.frames / done.seconds:.1f} a second), a face in {done.faces}",
        *(f"  {path}" for path in done.outputs),
    )


def live(
    source: Annotated[str, arg(metavar="CAMERA|FILE")] = "0",
    rig: _RigName = "human",
    osc: _Address = None,
    osc_prefix: Annotated[str, arg(metavar="/PATH")] = "/freeavatar",
    vmc: _Address = None,
    vmc_names: Literal["perfect-sync", "vrm0", "vrm1"] = "perfect-sync",
    live_link: _Address = None,
    live_link_subject: Annotated[str, arg(metavar="NAME")] = "Avatar",
    ifacialmocap: _Address = None,
    ifacialmocap_listen: _Address = None,
    openseeface: _Address = None,
    vrchat: _Address = None,
    vrchat_prefix: Annotated[str, arg(metavar="PATH/")] = "",
    vrchat_bits: Annotated[int, arg(metavar="N")] = 0,
    loop: bool = False,
    mirror: bool = False,
    frames: Annotated[int | None, arg(metavar="N")] = None,
    seconds: Annotated[float | None, arg(metavar="S")] = None,
    provider: Annotated[str | None, arg(metavar="NAME")] = None,
    json: bool = False,
) -> int:
    """Drive an avatar in other programs from a camera, until Ctrl-C: OSC to 127.0.0.1:9000 if no program is named.

    Args:
        source: camera number, or a video to play as if it were a camera.
        rig: a built-in rig's name or a rig's folder.
        osc: where to send plain OSC: one address a control, one bundle a frame.
        osc_prefix: start of every OSC address.
        vmc: where to send the VMC protocol: VSeeFace, Warudo and Unity receive on port 39539 or 39540.
        vmc_names: names of the VMC blends.
        live_link: where to send Live Link Face: Unreal receives on port 11111.
        live_link_subject: the name that Unreal lists.
        ifacialmocap: where to send as the app iFacialMocap does: receivers use port 49983.
        ifacialmocap_listen: wait there for a receiver's start word first.
        openseeface: where to send as the tracker OpenSeeFace does: receivers use port 11573.
        vrchat: where to send VRChat avatar parameters in the names of VRCFaceTracking: VRChat receives on port 9000.
        vrchat_prefix: what the avatar's parameters have before "v2/".
        vrchat_bits: also send each parameter as so many bools.
        loop: play a video again and again.
        mirror: send the mirror image: left and right swapped.
        frames: stop after so many frames.
        seconds: stop after so many seconds.
        provider: what runs the encoder: cpu, cuda, tensorrt, ...; the best one that starts if omitted.
        json: print the summary as JSON.
    """
    from freeavatar.live import live as job
    from freeavatar.sinks import DEFAULT_TARGETS, Targets
    from freeavatar.stopwatch import lines

    named = any(address is not None for address in (osc, vmc, live_link, ifacialmocap, openseeface, vrchat))
    targets = Targets(
        osc=osc if named else DEFAULT_TARGETS.osc,
        osc_prefix=osc_prefix,
        vmc=vmc,
        vmc_names=vmc_names,
        live_link=live_link,
        live_link_subject=live_link_subject,
        ifacialmocap=ifacialmocap,
        ifacialmocap_listen=ifacialmocap_listen,
        openseeface=openseeface,
        vrchat=vrchat,
        vrchat_prefix=vrchat_prefix,
        vrchat_bits=vrchat_bits,
    )

    def ready(line: str) -> None:
        print(f"freeavatar: {line}", file=sys.stderr, flush=True)

    done = job(source, rig, targets, loop=loop, mirror=mirror, frames=frames, seconds=seconds, provider=provider, ready=ready)
    summary = f"{done.frames} frames in {done.seconds:.1f} s, a face in {done.faces}, {done.skipped} skipped"
    sent = [f"{sink.name} to {sink.target}: {sink.sent} sent, {sink.unsent} unsent" for sink in done.sinks]
    return _report(done, json, summary, *sent, *lines(done.stages))


def embed(
    input: Positional[Annotated[list[str], arg(metavar="INPUT [INPUT...]")]],
    output: Annotated[Path, arg(aliases=["-o"], metavar="FEATURES.npz")],
    json: bool = False,
) -> int:
    """Write the encoder's features of images and video frames, one row each, NaN where no face is found.

    Args:
        input: images, image folders (read in name order) and videos.
        output: the npz to write.
        json: print the summary as JSON.
    """
    from freeavatar.embed import embed as job

    done = job(input, output)
    return _report(done, json, f"{done.rows} rows in {done.seconds:.1f} s, a face in {done.faces}", f"  {done.output}")


def rigs(json: bool = False) -> int:
    """List the built-in rigs.

    Args:
        json: print the list as JSON.
    """
    from freeavatar.rig import list_rigs, load_rig

    loaded = [load_rig(name) for name in list_rigs()]
    if json:
        print(jsonlib.dumps([{"name": r.name, "title": r.title, "controls": len(r.controls), "licence": r.licence} for r in loaded]))
        return 0
    for r in loaded:
        print(f"{r.name:<12} {len(r.controls):>4} controls  {r.licence:<12} {r.title}")
    return 0


def rig(
    action: Positional[Literal["check", "import"]],
    path: Annotated[Positional[Path], arg(metavar="DIR|MODEL")],
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="DIR")] = None,
    json: bool = False,
) -> int:
    """Check a rig's folder, or import a model (GLB, VRM, glTF) as a rig of your own.

    Args:
        action: check a rig's folder; import a model.
        path: a folder with rig.toml and its model; a model with morph targets.
        output: the folder that an import makes, ./<name of the model>/ if omitted.
        json: print the result as JSON.
    """
    if action == "import":
        return _import_rig(path, output, json)
    from freeavatar.rig import load_rig
    from freeavatar_renderer.raster import load_model

    checked = load_rig(path)
    load_model(checked)
    if json:
        print(jsonlib.dumps({"name": checked.name, "controls": len(checked.controls), "valid": True}))
    else:
        print(f"{path}: the rig {checked.name} is valid, {len(checked.controls)} controls")
    return 0


def _import_rig(model: Path, output: Path | None, json: bool) -> int:
    from freeavatar.rig_import import import_rig

    done = import_rig(model, output)
    unknown = [f"  without meaning, to be mapped by hand: {', '.join(done.unknown)}"] if done.unknown else []
    return _report(done, json, f"{done.folder}: {done.controls} controls, {done.mapped} of them driven", *unknown)


def bench(
    input: Annotated[Positional[str | None], arg(metavar="[CLIP]")] = None,
    rig: _RigName = "human",
    frames: Annotated[int, arg(metavar="N")] = 300,
    threads: Annotated[int | None, arg(metavar="N")] = None,
    provider: Annotated[str | None, arg(metavar="NAME")] = None,
    json: bool = False,
) -> int:
    """Time every stage on this machine beside MediaPipe's own landmarker, on the same frames.

    Args:
        input: a video of a face; the shipped clip if omitted.
        rig: the rig to drive.
        frames: time at most so many frames.
        threads: CPU threads of the encoder; automatic if omitted.
        provider: what runs the encoder: cpu, cuda, tensorrt, ...; the best one that starts if omitted.
        json: print the report as JSON.
    """
    from freeavatar.bench import bench as job
    from freeavatar.demo import CLIP
    from freeavatar.stopwatch import lines

    done = job(input or CLIP, rig, frames, threads, provider)
    machine = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in done.machine.items())
    return _report(done, json, f"{done.source}, {done.size}, {done.frames} frames; {machine}", *lines(done.stages))


def train(stage: Annotated[Positional[str], arg(metavar="STAGE")]) -> int:
    """Train one stage: "mae", "expression" or "animator"; "freeavatar train STAGE --help" lists its settings.

    Args:
        stage: the stage to train.
    """
    return _train([stage])


def _train(words: Sequence[str]) -> int:
    """A stage's settings are its own command line, so the words go there unread; torch is imported here alone."""
    try:
        from freeavatar.train.stages import main as run
    except ImportError as error:
        if (error.name or "").split(".")[0] not in ("torch", "onnx", "scipy", "moderngl", "tensorboard"):
            raise
        raise MissingExtraError("Training", str(error.name), "train") from error
    return run(words)


def _report(summary: "DataclassInstance", json: bool, *text: str) -> int:
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
