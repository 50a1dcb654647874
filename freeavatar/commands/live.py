"""Live: ``live``, ``replay``, ``calibrate``, ``cameras``."""

import json as jsonlib
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from freeavatar.commands.common import RigNames, Seconds, flat, optional, report, say
from freeavatar.errors import OutputError, SourceError

if TYPE_CHECKING:
    from freeavatar.live import Delivery
    from freeavatar.sinks import Targets

_Address = Annotated[str | None, optional(metavar="HOST:PORT[@RATE]")]


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
    ifacialmocap_listen: Annotated[str | None, optional(metavar="HOST:PORT")] = None
    """wait there for a receiver's start word first"""
    openseeface: _Address = None
    """as the tracker OpenSeeFace sends: receivers use port 11573"""
    vrchat: _Address = None
    """VRChat avatar parameters in the names of VRCFaceTracking: VRChat receives on port 9000"""
    vrchat_prefix: Annotated[str, arg(metavar="PATH/")] = ""
    """what the avatar's parameters have before "v2/\""""
    vrchat_bits: Annotated[int, arg(metavar="N")] = 0
    """also send each parameter as so many bools"""
    vrchat_config: Annotated[Path | None, optional(metavar="avtr_ID.json")] = None
    """the file that VRChat keeps of your avatar: only what it declares is sent"""
    vtube_studio: _Address = None
    """where VTube Studio listens for plugins: port 8001"""
    names: Annotated[Path | None, optional(metavar="FILE")] = None
    """other names of controls in OSC and VMC: a TOML file, see docs/live.md"""


def live(
    source: Annotated[str, arg(metavar="CAMERA|FILE")] = "0",
    rig: RigNames = (),
    size: Annotated[str | None, optional(metavar="WxH")] = None,
    rate: Annotated[float | None, optional(metavar="N")] = None,
    face: Annotated[int | None, optional(metavar="N")] = None,
    profile: Annotated[str | None, optional(metavar="NAME")] = None,
    smoothing: Annotated[str, arg(metavar="PRESET|FILE")] = "balanced",
    hold: Seconds = 0.5,
    ease: Seconds = 1.0,
    back: Seconds = 0.2,
    mirror: bool = False,
    targets: OmitArgPrefixes[_Targets] = _Targets(),
    record: Annotated[Path | None, optional(metavar="DIR")] = None,
    virtual_camera: bool = False,
    virtual_camera_size: Annotated[str, arg(metavar="WxH")] = "1280x720",
    virtual_camera_beside: bool = False,
    virtual_camera_device: Annotated[str | None, optional(metavar="NAME")] = None,
    loop: bool = False,
    frames: Annotated[int | None, optional(metavar="N")] = None,
    seconds: Annotated[float | None, optional(metavar="S")] = None,
    provider: Annotated[str | None, optional(metavar="NAME")] = None,
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
        flat(rig) or ["human"],
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
        say=say,
    )
    summary = f"{done.frames} frames in {done.seconds:.1f} s, a face in {done.faces}, {done.skipped} skipped"
    return report(done, json, summary, *map(_delivery, done.sinks), *lines(done.stages))


def replay(
    take: Annotated[Positional[Path], arg(metavar="DIR")],
    output: Annotated[list[Path], arg(aliases=["-o"], metavar="OUT [OUT...]")] = [],  # noqa: B006  (read only)
    rig: Annotated[str | None, optional(metavar="NAME")] = None,
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

    if output and targets != _Targets():
        raise OutputError("a take is sent or written, not both at once: leave out -o, or the programs to send to")
    done = job.export(take, output, rig) if output else job.replay(take, _targets(targets), rig, say=say)
    ending = "" if done.complete else "; it was cut short and lacks its last second"
    files = [f"  {path}" for path in done.outputs]
    return report(done, json, f"{done.moments} frames of {', '.join(done.rigs)}{ending}", *map(_delivery, done.sinks), *files)


def calibrate(
    source: Annotated[str, arg(metavar="CAMERA|FILE")] = "0",
    rig: RigNames = (),
    profile: Annotated[str, arg(metavar="NAME")] = "default",
    range: bool = False,
    countdown: Seconds = 3.0,
    seconds: Seconds = 2.0,
    provider: Annotated[str | None, optional(metavar="NAME")] = None,
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

    rigs = flat(rig) or ["human"]
    done = job(source, rigs, profile, range_of_motion=range, countdown=countdown, seconds=seconds, provider=provider, say=say)
    if done.interrupted:
        raise KeyboardInterrupt
    wide = f", range of {done.ranges} controls" if range else ""
    return report(done, json, f"{done.profile}: neutral of {done.frames} frames{wide}")


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


def _targets(given: _Targets, default: bool = True) -> "Targets":
    """What was named; the default target if nothing was.

    Raises:
        OutputError: an option of a protocol was named that nothing is sent in.
    """
    from freeavatar.sinks import DEFAULT_TARGETS, Targets

    addresses = (given.osc, given.vmc, given.live_link, given.ifacialmocap, given.openseeface, given.vrchat, given.vtube_studio)
    osc = DEFAULT_TARGETS.osc if default and not any(addresses) else given.osc
    if given.names and osc is None and given.vmc is None:
        raise OutputError(f"--names {given.names}: only OSC and VMC have names to choose; add --osc HOST:PORT or --vmc HOST:PORT")
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
    # Where nobody listens the system tells of every other packet.
    alone = "; is the program running, and is this its port?" if sink.unsent > 0.4 * (sink.sent + sink.unsent) else ""
    return f"{sink.name} to {sink.target}: {sink.sent} sent, {sink.unsent} unsent{after}{alone}"
