"""The command line. Every command imports what it needs when it runs, so that ``--help`` is quick."""

import json as jsonlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, UseAppendAction, arg
from tyro.extras import subcommand_cli_from_dict

from freeavatar.errors import FreeAvatarError, MissingExtraError, OutputError, SourceError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from freeavatar.live import Delivery
    from freeavatar.sinks import Targets

_Input = Annotated[str, arg(metavar="INPUT")]
_RigName = Annotated[str, arg(metavar="NAME|PATH")]
_Seconds = Annotated[float, arg(metavar="S")]
_RigNames = UseAppendAction[Annotated[tuple[tuple[str, ...], ...], arg(metavar="NAME|PATH [NAME|PATH...]")]]
_Address = Annotated[str | None, arg(metavar="HOST:PORT[@RATE]")]


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
        "cameras": cameras,
        "calibrate": calibrate,
        "replay": replay,
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
    except BrokenPipeError:  # whoever read the summary has enough of it; the work is done
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


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


@dataclass(frozen=True)
class _Targets:
    """Where a performance goes; the fields are those of freeavatar.sinks.targets.Targets."""

    osc: _Address = None
    """plain OSC: one address a control, one bundle a frame"""
    osc_prefix: Annotated[str, arg(metavar="/PATH")] = "/freeavatar"
    """start of every OSC address"""
    vmc: _Address = None
    """the VMC protocol: VSeeFace, Warudo and Unity receive on port 39539 or 39540"""
    vmc_names: Literal["perfect-sync", "vrm0", "vrm1"] = "perfect-sync"
    """names of the VMC blends"""
    live_link: _Address = None
    """Live Link Face: Unreal receives on port 11111"""
    live_link_subject: Annotated[str, arg(metavar="NAME")] = "Avatar"
    """the name that Unreal lists"""
    ifacialmocap: _Address = None
    """as the app iFacialMocap sends: receivers use port 49983"""
    ifacialmocap_listen: Annotated[str | None, arg(metavar="HOST:PORT")] = None
    """wait there for a receiver's start word first"""
    openseeface: _Address = None
    """as the tracker OpenSeeFace sends: receivers use port 11573"""
    vrchat: _Address = None
    """VRChat avatar parameters in the names of VRCFaceTracking: VRChat receives on port 9000"""
    vrchat_prefix: Annotated[str, arg(metavar="PATH/")] = ""
    """what the avatar's parameters have before "v2/\""""
    vrchat_bits: Annotated[int, arg(metavar="N")] = 0
    """also send each parameter as so many bools"""
    vrchat_config: Annotated[Path | None, arg(metavar="avtr_ID.json")] = None
    """the file that VRChat keeps of your avatar: only what it declares is sent"""
    vtube_studio: _Address = None
    """where VTube Studio listens for plugins: port 8001"""


def live(
    source: Annotated[str, arg(metavar="CAMERA|FILE")] = "0",
    rig: _RigNames = (),
    size: Annotated[str | None, arg(metavar="WxH")] = None,
    rate: Annotated[float | None, arg(metavar="N")] = None,
    face: Annotated[int | None, arg(metavar="N")] = None,
    profile: Annotated[str | None, arg(metavar="NAME")] = None,
    smoothing: Annotated[str, arg(metavar="PRESET|FILE")] = "balanced",
    hold: _Seconds = 0.5,
    ease: _Seconds = 1.0,
    back: _Seconds = 0.2,
    mirror: bool = False,
    targets: OmitArgPrefixes[_Targets] = _Targets(),
    record: Annotated[Path | None, arg(metavar="DIR")] = None,
    virtual_camera: bool = False,
    virtual_camera_size: Annotated[str, arg(metavar="WxH")] = "1280x720",
    virtual_camera_beside: bool = False,
    virtual_camera_device: Annotated[str | None, arg(metavar="NAME")] = None,
    loop: bool = False,
    frames: Annotated[int | None, arg(metavar="N")] = None,
    seconds: Annotated[float | None, arg(metavar="S")] = None,
    provider: Annotated[str | None, arg(metavar="NAME")] = None,
    json: bool = False,
) -> int:
    """Drive avatars in other programs from a camera, until Ctrl-C: OSC to 127.0.0.1:9000 if nothing else is named.

    Addresses may end in @RATE, the number of frames a second to send at most: 127.0.0.1:9000@30. Of several rigs plain
    OSC carries each under its name (/freeavatar/robot/jawOpen) and a recording all; all else carries the first.

    Args:
        source: camera number (see "freeavatar cameras"), or a video to play as if it were a camera.
        rig: built-in rigs' names or rigs' folders; "human" if omitted.
        size: picture size to ask of the camera.
        rate: frames a second to ask of the camera.
        face: of several faces follow this one, counted from the left of the picture when they are first seen.
        profile: whose calibration to use (see "freeavatar calibrate"); "default" if there is one, "none" for none.
        smoothing: responsive, balanced, smooth, or a TOML file with filters of your own.
        hold: when the face is lost, hold the last values so long.
        ease: then take so long to neutral.
        back: when the face is found again, take so long back to it.
        mirror: send the mirror image: left and right swapped.
        targets: where to send to.
        record: also keep a lossless take in this folder (see "freeavatar replay").
        virtual_camera: show the avatar as a camera that other programs can choose.
        virtual_camera_size: size of its picture.
        virtual_camera_beside: show the input at the avatar's side.
        virtual_camera_device: which virtual camera, where there are several (Linux: /dev/video10).
        loop: play a video again and again.
        frames: stop after so many frames.
        seconds: stop after so many seconds.
        provider: what runs the encoder: cpu, cuda, tensorrt, ...; the best one that starts if omitted.
        json: print the summary as JSON.
    """
    if not virtual_camera and (virtual_camera_size, virtual_camera_beside, virtual_camera_device) != ("1280x720", False, None):
        raise OutputError("--virtual-camera-size, -beside and -device belong to --virtual-camera; add it")
    from freeavatar.live import Screen
    from freeavatar.live import live as job
    from freeavatar.presence import Loss
    from freeavatar.sources import CameraMode
    from freeavatar.stopwatch import lines

    done = job(
        source,
        _flat(rig) or ["human"],
        _targets(targets, default=record is None and not virtual_camera),
        loop=loop,
        mirror=mirror,
        mode=CameraMode(_size("--size", size) if size else None, rate),
        face=face,
        loss=Loss(hold, ease, back),
        smoothing=smoothing,
        profile=profile,
        record=record,
        screen=Screen(_size("--virtual-camera-size", virtual_camera_size), virtual_camera_beside, virtual_camera_device)
        if virtual_camera
        else None,
        frames=frames,
        seconds=seconds,
        provider=provider,
        say=_say,
    )
    summary = f"{done.frames} frames in {done.seconds:.1f} s, a face in {done.faces}, {done.skipped} skipped"
    return _report(done, json, summary, *map(_delivery, done.sinks), *lines(done.stages))


def replay(
    take: Annotated[Positional[Path], arg(metavar="DIR")],
    output: Annotated[list[Path], arg(aliases=["-o"], metavar="OUT [OUT...]")] = [],  # noqa: B006  (read only)
    rig: Annotated[str | None, arg(metavar="NAME")] = None,
    targets: OmitArgPrefixes[_Targets] = _Targets(),
    json: bool = False,
) -> int:
    """Send a take of "freeavatar live --record" once more as it was sent live, or write it to files.

    Args:
        take: the take's folder.
        output: files to write instead of sending; .csv is Live Link Face, .jsonl one object a frame, .npz arrays.
        rig: one of the take's rigs; all are sent, and the first is written, if omitted.
        targets: where to send to; OSC to 127.0.0.1:9000 if nothing is named.
        json: print the summary as JSON.
    """
    from freeavatar import replay as job

    done = job.export(take, output, rig) if output else job.replay(take, _targets(targets), rig, say=_say)
    ending = "" if done.complete else "; it was cut short and lacks its last second"
    files = [f"  {path}" for path in done.outputs]
    return _report(done, json, f"{done.moments} frames of {', '.join(done.rigs)}{ending}", *map(_delivery, done.sinks), *files)


def calibrate(
    source: Annotated[str, arg(metavar="CAMERA|FILE")] = "0",
    rig: _RigNames = (),
    profile: Annotated[str, arg(metavar="NAME")] = "default",
    range: bool = False,
    countdown: _Seconds = 3.0,
    seconds: _Seconds = 2.0,
    provider: Annotated[str | None, arg(metavar="NAME")] = None,
    json: bool = False,
) -> int:
    """Measure your face at rest, and keep it as a profile that "freeavatar live" uses for this camera from then on.

    Args:
        source: camera number, or a video that begins with the face at rest.
        rig: rigs whose range is measured; "human" if omitted.
        profile: the profile's name.
        range: also measure how far your face moves, in ten seconds more.
        countdown: time to get ready.
        seconds: time over which the face at rest is averaged.
        provider: what runs the encoder: cpu, cuda, tensorrt, ...; the best one that starts if omitted.
        json: print the summary as JSON.
    """
    from freeavatar.calibrate import calibrate as job

    rigs = _flat(rig) or ["human"]
    done = job(source, rigs, profile, range_of_motion=range, countdown=countdown, seconds=seconds, provider=provider, say=_say)
    if done.interrupted:
        raise KeyboardInterrupt
    wide = f", range of {done.ranges} controls" if range else ""
    return _report(done, json, f"{done.profile}: neutral of {done.frames} frames{wide}")


def cameras(json: bool = False) -> int:
    """List the cameras: the number for --source, the name, and sizes and rates where the system tells.

    Args:
        json: print the list as JSON.
    """
    from freeavatar.sources.cameras import list_cameras

    found = list_cameras()
    if json:
        print(jsonlib.dumps([asdict(camera) for camera in found]))
        return 0
    if not found:
        print("freeavatar: no camera found; is it plugged in, and may this user open it?", file=sys.stderr)
    for camera in found:
        print(f"{camera.number:>3}  {camera.name}")
        for mode in camera.modes:
            print(f"       {mode}")
    return 0


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


def rigs(
    gallery: Annotated[Path | None, arg(metavar="OUT.png")] = None,
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


def rig(
    action: Positional[Literal["check", "import", "export"]],
    path: Annotated[Positional[str], arg(metavar="DIR|MODEL")],
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="OUT")] = None,
    pictures: Annotated[Path | None, arg(metavar="DIR")] = None,
    json: bool = False,
) -> int:
    """Check a rig, import a model (GLB, VRM, glTF) as a rig of your own, or export a rig as one GLB.

    Args:
        action: check a rig and explain its problems; import a model; export a rig.
        path: a rig's name or folder; for an import a model with morph targets.
        output: the folder that an import makes, ./<name of the model>/ if omitted; the .glb that an export writes.
        pictures: a folder for pictures of what a check found.
        json: print the result as JSON.
    """
    if action == "import":
        return _import_rig(Path(path), output, json)
    if action == "export":
        return _export_rig(path, output, json)
    from freeavatar.rig_check import check_rig

    done = check_rig(path, pictures)
    found = [f"  {finding.message}" for finding in done.findings] + [f"  {picture}" for picture in done.pictures]
    return _report(done, json, f"{path}: the rig {done.name} is valid, {done.controls} controls", *found)


def _import_rig(model: Path, output: Path | None, json: bool) -> int:
    from freeavatar.rig_import import import_rig

    done = import_rig(model, output)
    lines = [f"  measured, to be checked in report.md: {', '.join(done.measured)}"] if done.measured else []
    lines += [f"  without meaning, to be mapped by hand: {', '.join(done.unknown)}"] if done.unknown else []
    lines += [f"  {note}" for note in done.notes]
    return _report(done, json, f"{done.folder}: {done.controls} controls, {done.mapped} of them driven", *lines)


def _export_rig(rig: str, output: Path | None, json: bool) -> int:
    from freeavatar.rig_export import export_rig

    if output is None:
        raise OutputError(f"rig export {rig}: where to? give the file to write, e.g. -o {Path(rig).stem}.glb")
    done = export_rig(rig, output)
    return _report(done, json, f"{done.file}: {done.controls} controls, {done.morphs} morph targets, {done.bytes / 1e6:.1f} MB")


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


def _say(line: str) -> None:
    print(f"freeavatar: {line}", file=sys.stderr, flush=True)


def _flat(rigs: _RigNames) -> list[str]:
    """The names of ``--rig a b --rig c``."""
    return [name for names in rigs for name in names]


def _targets(given: _Targets, default: bool = True) -> "Targets":
    """What was named; the default target if nothing was.

    Raises:
        OutputError: an option of a protocol was named that nothing is sent in.
    """
    from freeavatar.sinks import DEFAULT_TARGETS, Targets

    addresses = (given.osc, given.vmc, given.live_link, given.ifacialmocap, given.openseeface, given.vrchat, given.vtube_studio)
    osc = DEFAULT_TARGETS.osc if default and not any(addresses) else given.osc
    values = {**asdict(given), "osc": osc}
    for name, value in values.items():
        protocol = name.rpartition("_")[0]
        if protocol in values and values[protocol] is None and value != getattr(_Targets, name):
            option, address = (f"--{word.replace('_', '-')}" for word in (name, protocol))
            raise OutputError(f"{option} {value}: nothing is sent that it belongs to; say where to, with {address} HOST:PORT")
    return Targets(**values)


def _size(option: str, text: str) -> tuple[int, int]:
    """Width and height of ``WxH``."""
    width, _, height = text.lower().partition("x")
    if not all(side.isascii() and side.isdigit() and len(side) < 6 for side in (width, height)):
        raise SourceError(f"{option} {text!r}: expected width and height in pixels, e.g. 1280x720")
    return int(width), int(height)


def _delivery(sink: "Delivery") -> str:
    way = sink.stages.get("capture_to_send")
    after = f", {way['p50_ms']:.1f} ms after capture (p95 {way['p95_ms']:.1f} ms)" if way else ""
    return f"{sink.name} to {sink.target}: {sink.sent} sent, {sink.unsent} unsent{after}"


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
