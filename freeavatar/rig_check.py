"""Explains what is wrong with a rig: what each control moves, whether it is ever driven so far, whether lids and lips close."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from freeavatar import arkit
from freeavatar.errors import OutputError
from freeavatar.mirror import is_lateral
from freeavatar.rig import ANIMATOR, Control, MaterialChange, Rig, load_rig
from freeavatar.types import Image

if TYPE_CHECKING:
    from freeavatar_renderer.model import Model

_STILL: Final = 2e-4
"""A control that moves nothing further than this, in camera heights, moves nothing."""
_SAME: Final = 0.995
"""Cosine of two movements from which on they are one."""
_SHARE: Final = 0.95
"""A range counts as reached from this share on."""
_OPEN_LIDS: Final = 0.12
"""Share of the eye's pixels that closed lids may leave visible."""
_OPEN_LIPS: Final = 0.10
"""Share of an open mouth's pixels that closed lips may leave visible."""
_FEWEST: Final = 40
"""Pixels; what shows fewer is too small to judge."""
_SIZE: Final = 256
_MOST_PICTURES: Final = 200

_EYE: Final = re.compile(r"(eye(?!.?(lash|brow|lid|line|shadow|extra))|iris|pupil|sclera|cornea)", re.IGNORECASE)
_MOUTH: Final = re.compile(r"(teeth|tooth|tongue|gum|mouth)", re.IGNORECASE)
"""Names of the materials that lids and lips hide."""


@dataclass(frozen=True)
class Finding:
    """One problem.

    Attributes:
        kind: "mirror", "still", "undriven", "range", "duplicate", "lids" or "lips".
        controls: the controls that it is about; empty for the whole face.
        message: one line: what is wrong, and what to do.
    """

    kind: str
    controls: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        name: the rig's name.
        controls: how many it has.
        valid: its files can be used; findings are advice.
        findings: problems.
        pictures: files written.
    """

    name: str
    controls: int
    valid: bool
    findings: tuple[Finding, ...]
    pictures: tuple[str, ...] = ()


def check_rig(name: str | Path, pictures: Path | None = None) -> Checked:
    """Look for problems of a rig.

    Args:
        name: a shipped rig's name, the folder of a rig, or its rig.toml.
        pictures: folder for ``controls.png``, and ``lids.png`` and ``lips.png`` where those do not close; made if missing.

    Raises:
        RigError: the rig cannot be used at all.
        OutputError: the pictures cannot be written.
        MissingExtraError, RenderError: looking at lids and lips needs OpenGL.
    """
    from freeavatar_renderer.raster import load_model

    rig = load_rig(name)
    model = load_model(rig)
    findings = [*_unpaired(rig), *_undriven(rig), *_unreached(rig), *_movements(rig, model)]
    shown: dict[str, Image] = {}
    for finding, picture in (*_lids(rig, model), *_lips(rig, model)):
        findings.append(finding)
        shown[f"{finding.kind}.png"] = picture
    files: tuple[str, ...] = ()
    if pictures is not None:
        from freeavatar_renderer.raster import control_sheet

        shown["controls.png"] = control_sheet(rig, {control.name: control.name for control in rig.controls[:_MOST_PICTURES]})
        files = _save(pictures, shown)
    return Checked(rig.name, len(rig.controls), True, tuple(findings), files)


def _save(folder: Path, pictures: Mapping[str, Image]) -> tuple[str, ...]:
    from PIL import Image as Pictures

    try:
        folder.mkdir(exist_ok=True)
        for name, picture in pictures.items():
            Pictures.fromarray(picture).save(folder / name)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror or error}); check the name and the permissions") from error
    return tuple(str(folder / name) for name in sorted(pictures))


def _unpaired(rig: Rig) -> Iterator[Finding]:
    """Controls of one side without a partner on the other."""
    maps = {c.name: {arkit.mirrored(shape): w for shape, w in c.arkit.items()} for c in rig.controls}
    for c in rig.controls:
        if not c.mirror and c.arkit and maps[c.name] != dict(c.arkit) and not is_lateral(c) and not _faces_both_ways(c):
            others = [o.name for o in rig.controls if maps[o.name] == dict(c.arkit) and o.name != c.name]
            advice = f"say mirror = {others[0]!r}" if others else "add the one of the other side"
            yield Finding("mirror", (c.name,), f"{c.name}: is driven by one side of the face and has no mirror partner; {advice}")


def _faces_both_ways(c: Control) -> bool:
    """Whether it is one of a pair that the shapes' own names set apart: jawLeft and jawRight may stand alone."""
    return set(c.arkit) <= {"jawLeft", "jawRight", "mouthLeft", "mouthRight"} and c.minimum < 0


def _undriven(rig: Rig) -> Iterator[Finding]:
    if names := tuple(c.name for c in rig.controls if c.source == ANIMATOR and not c.arkit):
        few = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        yield Finding("undriven", names, f"{few}: driven by nothing; give them an arkit map, or leave them to other programs")


def _unreached(rig: Rig) -> Iterator[Finding]:
    """Controls whose ARKit map cannot take them to the ends of their range."""
    for c in rig.controls:
        if c.source != ANIMATOR or not c.arkit:
            continue
        top, bottom = sum(max(w, 0) for w in c.arkit.values()), sum(min(w, 0) for w in c.arkit.values())
        if top < _SHARE * c.maximum or bottom > _SHARE * c.minimum:
            reach, wanted = f"{bottom:.3g} to {top:.3g}", f"{c.minimum:g} to {c.maximum:g}"
            yield Finding("range", (c.name,), f"{c.name}: its arkit map reaches {reach}, its range is {wanted}; adjust one of them")


def _movements(rig: Rig, model: "Model") -> Iterator[Finding]:
    """Controls that move nothing, and driven controls that move the same."""
    from freeavatar_renderer.measuring import motions

    groups = {c.name: {m: max(0.0, _end(c) * factor) for m, factor in c.morphs.items()} for c in rig.controls}
    helped = {name for corrective in rig.correctives for name in corrective.drivers}
    moves = motions(model, groups).moves.reshape(len(groups), -1)
    lengths = np.linalg.norm(moves.reshape(len(groups), -1, 3), axis=2).max(axis=1, initial=0)
    for c, length in zip(rig.controls, lengths, strict=True):
        if not c.node and not c.materials and c.name not in helped and length < _STILL * rig.camera_height:
            yield Finding("still", (c.name,), f"{c.name}: moves nothing that can be seen; check its morphs, or leave it out")
    norms = np.linalg.norm(moves, axis=1)
    alike = (moves @ moves.T) / np.maximum(np.outer(norms, norms), 1e-12)
    for i, j in np.argwhere(np.triu(alike, 1) > _SAME):
        a, b = rig.controls[i], rig.controls[j]
        if min(lengths[i], lengths[j]) >= _STILL * rig.camera_height and all(map(_moves_alone, (a, b))):
            yield Finding("duplicate", (a.name, b.name), f"{a.name} and {b.name}: move the same; drive one of them only")


def _moves_alone(c: Control) -> bool:
    """Whether its morph targets are all that it does, and something drives it."""
    return not c.node and not c.materials and (bool(c.arkit) or c.source != ANIMATOR)


def _end(c: Control) -> float:
    return c.maximum if c.maximum >= -c.minimum else c.minimum


def _lids(rig: Rig, model: "Model") -> Iterator[tuple[Finding, Image]]:
    """Lids that leave the eye visible when they blink."""
    if not any({"eyeBlinkLeft", "eyeBlinkRight"} & c.arkit.keys() for c in rig.controls):
        return
    seen = _visible(rig, model, _EYE, ({}, {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}))
    if seen is None:
        return
    # The subject's left is on the picture's right.
    for side, half in (("left", np.s_[:, _SIZE // 2 :]), ("right", np.s_[:, : _SIZE // 2])):
        rest, closed = (int(mask[half].sum()) for mask in seen.masks)
        if rest >= _FEWEST and closed > _OPEN_LIDS * rest:
            message = f"the {side} eye: lids leave {closed / rest:.0%} of it visible when they blink; strengthen what eyeBlink drives"
            yield Finding("lids", tuple(c.name for c in rig.controls if f"eyeBlink{side.title()}" in c.arkit), message), seen.picture


def _lips(rig: Rig, model: "Model") -> Iterator[tuple[Finding, Image]]:
    """Lips that do not meet at rest, or when mouthClose should close them over an open jaw."""
    driven = {shape for c in rig.controls for shape in c.arkit}
    if "jawOpen" not in driven:
        return
    poses: tuple[dict[str, float], ...] = ({}, {"jawOpen": 1.0})
    poses += ({"jawOpen": 0.5, "mouthClose": 0.5},) if "mouthClose" in driven else ()
    seen = _visible(rig, model, _MOUTH, poses)
    if seen is None:
        return
    rest, wide, *closed = (int(mask.sum()) for mask in seen.masks)
    if wide < _FEWEST:
        return
    names = tuple(c.name for c in rig.controls if "jawOpen" in c.arkit)
    if rest > _OPEN_LIPS * wide:
        yield Finding("lips", names, f"the lips do not meet at rest: {rest / wide:.0%} of the open mouth stays visible"), seen.picture
    elif closed and closed[0] > _OPEN_LIPS * wide:
        names = tuple(c.name for c in rig.controls if "mouthClose" in c.arkit)
        message = f"the lips do not meet: mouthClose leaves {closed[0] / wide:.0%} of the open mouth visible; strengthen what it drives"
        yield Finding("lips", names, message), seen.picture


@dataclass(frozen=True)
class _Seen:
    """(H, W) where something shows, one mask a pose, and the poses as they look, side by side."""

    masks: tuple[NDArray[Any], ...]
    picture: Image


def _visible(rig: Rig, model: "Model", pattern: re.Pattern[str], poses: tuple[Mapping[str, float], ...]) -> _Seen | None:
    """Where materials of certain names show in several ARKit poses; None if the model has no such material of its own."""
    from freeavatar_renderer.raster import AvatarRenderer

    materials = {p.material.name for node in model.nodes for p in node.primitives}
    wanted = {m for m in materials if pattern.search(m)}
    if not wanted or wanted == materials:
        return None
    values = [rig.from_arkit(arkit.weights(pose)) for pose in poses]
    plain = AvatarRenderer(rig, _SIZE, _SIZE)
    pictures = [plain.render(v) for v in values]
    plain.release()
    # Painted, what is wanted glows in one colour and all else is black: OpenGL itself says what hides what.
    glow, dark, black = (1.0, 0.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)
    paint = tuple(MaterialChange(m, colour=black, emissive=glow if m in wanted else dark) for m in sorted(materials))
    painted = AvatarRenderer(replace(rig, controls=(*rig.controls, Control("paint", materials=paint))), _SIZE, _SIZE, background=(0, 0, 0))
    masks = [_glows(painted.render(np.append(v, 1).astype(np.float32))) for v in values]
    painted.release()
    return _Seen(tuple(masks), np.concatenate(pictures, axis=1))


def _glows(picture: Image) -> NDArray[Any]:
    red, green, blue = (picture[..., k].astype(int) for k in range(3))
    return np.asarray((red > green + 60) & (blue > green + 60))
