"""Imports other people's avatars: GLB, glTF and VRM models with morph targets become rig folders.

Controls are the model's own: its VRM expressions and its morph targets. What they mean is told by their names alone
(:mod:`freeavatar.vocabulary`); each guess is written with its confidence into the rig.toml, for people to correct.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from freeavatar import arkit
from freeavatar.errors import OutputError, RigError
from freeavatar.rig import Control, load_rig
from freeavatar.vocabulary import Guess, guess

if TYPE_CHECKING:
    from freeavatar_renderer.busts import Bust

_PREVIEWS: Final[Mapping[str, Mapping[str, float]]] = {
    "neutral": {},
    "smile": {"mouthSmileLeft": 1, "mouthSmileRight": 1, "cheekSquintLeft": 0.6, "cheekSquintRight": 0.6},
    "left wink": {"eyeBlinkLeft": 1},
    "surprise": {"browInnerUp": 1, "browOuterUpLeft": 1, "browOuterUpRight": 1, "eyeWideLeft": 1, "eyeWideRight": 1, "jawOpen": 0.5},
    "frown": {"browDownLeft": 1, "browDownRight": 1, "mouthFrownLeft": 1, "mouthFrownRight": 1},
    "pucker": {"mouthPucker": 1},
    "jaw open": {"jawOpen": 1},
    "look left": {"eyeLookOutLeft": 1, "eyeLookInRight": 1},
}
_LICENCES: Final = {"CC0": "CC0-1.0", "CC_BY": "CC-BY-4.0", "CC_BY_NC": "CC-BY-NC-4.0", "CC_BY_SA": "CC-BY-SA-4.0"}
"""SPDX expressions of what VRM 0.x files call their licence; all others stay NOASSERTION."""


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        folder: the rig's folder.
        controls: all controls.
        mapped: those that ARKit shapes, pose or gaze drive.
        unknown: names whose meaning is not known; their ARKit map is empty.
    """

    folder: str
    controls: int
    mapped: int
    unknown: tuple[str, ...]


def import_rig(model: Path, folder: Path | None = None) -> Imported:
    """Turn a model into a rig folder: rig.toml, avatar.glb, preview.png and LICENSE.

    Args:
        model: a GLB, VRM or self-contained glTF file.
        folder: the folder to make; ``./<stem>/`` if None. It must not exist.

    Raises:
        RigError: the model is damaged, or nothing in it can be moved.
        OutputError: the folder exists or cannot be written.
        MissingExtraError, RenderError: the preview needs OpenGL.
    """
    from freeavatar_renderer.busts import take_bust
    from freeavatar_renderer.glb import load_glb
    from freeavatar_renderer.glb_writer import save_glb

    folder = Path(model.stem) if folder is None else folder
    if folder.exists() or folder.is_symlink():
        raise OutputError(f"{folder}: exists already; remove it or choose another folder with -o")
    loaded = load_glb(model)
    if not any(len(m.vertices) for node in loaded.nodes for p in node.primitives for m in p.morphs.values()):
        raise RigError(f"{model}: has no morph targets, so its face cannot move; export it with its shape keys (blend shapes)")
    bust = take_bust(loaded)
    controls = _controls(bust)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        temporary.mkdir()
        save_glb(temporary / "avatar.glb", bust.model, bust.model.avatar.licence)
        (temporary / "rig.toml").write_text(_toml(model, folder.resolve().name, bust, controls), encoding="utf-8")
        (temporary / "LICENSE").write_text(_licence(model, bust), encoding="utf-8")
        _draw(temporary)
        os.rename(temporary, folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); check the name and the permissions") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    mapped = [c for c, _ in controls if c.arkit or c.source != "animator"]
    unknown = tuple(c.name for c, known in controls if known is None)
    return Imported(str(folder), len(controls), len(mapped), unknown)


def _draw(folder: Path) -> None:
    from PIL import Image

    from freeavatar_renderer.raster import contact_sheet

    Image.fromarray(contact_sheet(load_rig(folder), _PREVIEWS, columns=4)).save(folder / "preview.png")


def _controls(bust: "Bust") -> list[tuple[Control, Guess | None]]:
    """The rig's controls, each with what its name means; pose and gaze come first."""
    expressions = {name: {m: w for m, w in morphs.items() if m in bust.morphs} for name, morphs in bust.model.avatar.expressions.items()}
    expressions = {name: morphs for name, morphs in expressions.items() if morphs}
    bound = {m for morphs in expressions.values() for m in morphs}
    sources = list(expressions.items()) + [(m, {m: 1.0}) for m in bust.morphs if m not in expressions]
    guesses = {name: guess(name) for name, _ in sources}
    known = {name: g for name, g in guesses.items() if g is not None and (g.rank == 0 or name in expressions or name not in bound)}
    kept = _kept(known)
    looks = {shape for g in kept.values() for shape in g.arkit if shape in arkit.EYE_LOOK}
    controls: list[tuple[Control, Guess | None]] = [(c, Guess({}, "skeleton", 0.9)) for c in _turns(bust, eyes=not looks)]
    taken = {c.name for c, _ in controls}
    for name, morphs in sources:
        shapes = kept[name].arkit if name in kept else {}
        control = Control(_free(name, taken), arkit=shapes, morphs=morphs, region=arkit.region(next(iter(shapes), "mouth")))
        if len(shapes) == 1 and looks & shapes.keys():
            control = replace(control, source=f"gaze.{next(iter(shapes))}")
        taken.add(control.name)
        controls.append((control, guesses[name]))
    return _with_mirrors(controls)


def _kept(known: Mapping[str, Guess]) -> dict[str, Guess]:
    """The guesses that may drive: where vocabularies tell the same movement, only the most particular one."""
    ranks: dict[str, int] = {}
    for g in known.values():
        for shape in g.arkit:
            ranks[shape] = min(g.rank, ranks.get(shape, g.rank))
    return {name: g for name, g in known.items() if all(ranks[shape] == g.rank for shape in g.arkit)}


def _turns(bust: "Bust", eyes: bool) -> list[Control]:
    """Controls of the head, and of the eyes where no morph targets turn them."""
    head = [
        Control(f"head{part.title()}", -reach, reach, region="head", source=f"head.{part}", node="head", axis=axis)
        for part, axis, reach in (("yaw", "y", 1.2), ("pitch", "x", 0.8), ("roll", "z", 0.8))
    ]
    both = [
        Control(
            f"eye{part.title()}{side}", -reach, reach, f"eye{part.title()}{other}", "gaze", f"gaze.{part}", node=f"eye{side}", axis=axis
        )
        for side, other in (("Left", "Right"), ("Right", "Left"))
        for part, axis, reach in (("yaw", "y", arkit.EYE_LOOK_FULL_YAW), ("pitch", "x", arkit.EYE_LOOK_FULL_PITCH))
    ]
    return head + (both if eyes and bust.eyes else [])


def _with_mirrors(controls: Sequence[tuple[Control, Guess | None]]) -> list[tuple[Control, Guess | None]]:
    """Controls whose names and meanings are each other's mirror images are partners."""
    names = {c.name for c, _ in controls}
    maps = {c.name: {arkit.mirrored(shape): w for shape, w in c.arkit.items()} for c, _ in controls}
    partners: dict[str, str] = {}
    for c, _ in controls:
        others = [n for n in (_other_side(c.name)) if n in names and n != c.name]
        if c.arkit and others and maps[others[0]] == dict(c.arkit):
            partners[c.name] = others[0]
    return [(replace(c, mirror=p) if (p := partners.get(c.name, "")) and partners.get(p) == c.name else c, g) for c, g in controls]


def _other_side(name: str) -> list[str]:
    """Names that the partner of a control may have."""
    swaps = {"Left": "Right", "left": "right", "LEFT": "RIGHT"} | {"Right": "Left", "right": "left", "RIGHT": "LEFT"}
    words = [re.sub("|".join(swaps), lambda found: swaps[found[0]], name)]
    letters = {"L": "R", "R": "L", "l": "r", "r": "l"}
    # A letter between marks or before a small letter that begins a word: _L, L_, LsmileClose, LLbrowUp.
    words.append(re.sub(r"(?<![^\W_])(LL|RR|[LRlr])(?=$|_|[a-z])", lambda found: "".join(letters[x] for x in found[0]), name))
    return words


def _free(name: str, taken: set[str]) -> str:
    """A name that a control may have: ASCII letters, digits and underscores, and not taken."""
    base = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")[:56] or "control"
    return next(n for n in (base, *(f"{base}_{i}" for i in range(2, len(taken) + 3))) if n not in taken)


def _toml(model: Path, name: str, bust: "Bust", controls: Sequence[tuple[Control, Guess | None]]) -> str:
    avatar = bust.model.avatar
    lines = [
        f"# Imported from {_printable(model.name)} by `freeavatar rig import`. What names mean is guessed; comments say how surely.",
        "# Correct an arkit map by hand where it is wrong: value = sum of weight times ARKit shape.",
        "format = 1",
        f"name = {_text(name)}",
        f"title = {_text(avatar.title or model.stem)}",
        f"licence = {_text(_LICENCES.get(avatar.licence.partition(';')[0], 'NOASSERTION'))}",
        f"authors = [{', '.join(map(_text, avatar.authors))}]",
        'model = "avatar.glb"',
        "",
        "[camera]",
        f"target = [{', '.join(f'{v:.4f}' for v in bust.target)}]",
        f"height = {bust.height:.4f}",
    ]
    for control, known in controls:
        lines += ["", "[[control]]", *_entry(control, known)]
    return "\n".join(lines) + "\n"


def _entry(control: Control, known: Guess | None) -> list[str]:
    if known is None:
        note = "# unknown name: nothing drives it until it has an arkit map"
    elif not control.arkit and control.source == "animator":
        note = f"# {known.vocabulary}, confidence {known.confidence:.1f}: nothing drives it, as other controls tell the same more finely"
    else:
        note = f"# {known.vocabulary}, confidence {known.confidence:.1f}"
    lines = [note, f"name = {_text(control.name)}", f'region = "{control.region}"', f"range = [{control.minimum}, {control.maximum}]"]
    if control.mirror:
        lines.append(f"mirror = {_text(control.mirror)}")
    if control.source != "animator":
        lines.append(f'source = "{control.source}"')
    if control.arkit:
        lines.append(f"arkit = {{ {_weights(control.arkit)} }}")
    if control.node:
        return [*lines, f"node = {_text(control.node)}", f'axis = "{control.axis}"']
    return [*lines, f"morphs = {{ {_weights(control.morphs)} }}"]


def _weights(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name if name in arkit.INDEX else _text(name)} = {weight:.6g}" for name, weight in weights.items())


def _text(text: str) -> str:
    """A TOML string, which is JSON's where nothing is unprintable."""
    return json.dumps(_printable(text), ensure_ascii=False)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "_" for c in text)


def _licence(model: Path, bust: "Bust") -> str:
    avatar = bust.model.avatar
    found = [f"Title: {avatar.title}"] * bool(avatar.title) + [f"Author: {author}" for author in avatar.authors]
    found += [f"Licence or copyright: {avatar.licence}"] if avatar.licence else ["Licence: unknown: see the source"]
    return _printable(f"Imported from {model.name}.") + " The file says of itself:\n\n" + "\n".join(map(_printable, found)) + "\n"
