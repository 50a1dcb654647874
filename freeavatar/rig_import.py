"""Imports other people's avatars: GLB, glTF and VRM models with morph targets become rig folders.

Controls are the model's own: its VRM expressions and its morph targets. What they mean is told by their names
(:mod:`freeavatar.vocabulary`), and where those say nothing, by what they move (:mod:`freeavatar_renderer.measuring`).
Each guess is written with its confidence into the rig.toml and into a report, for people to correct. A file that
:mod:`freeavatar.rig_export` wrote brings its rig along and needs no guesses.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from freeavatar import arkit
from freeavatar.errors import OutputError, RigError
from freeavatar.gallery import EXPRESSIONS
from freeavatar.rig import ANIMATOR, MAX_CONTROLS, Control, MaterialChange, load_rig
from freeavatar.vocabulary import Guess, guess

if TYPE_CHECKING:
    from freeavatar_renderer.busts import Bust
    from freeavatar_renderer.measuring import Likeness
    from freeavatar_renderer.model import Model
    from freeavatar_renderer.vrm import VrmExpression

MOVEMENT: Final = "movement"
"""The vocabulary of a guess that was measured."""
_ENOUGH: Final = 8
"""With fewer movements a face's frame is not known, and nothing is measured."""
_MOST_TURNS: Final = 7
"""Controls that turn the head and both eyes."""
_PICTURED: Final = 80
"""Controls on the sheet of pictures."""
_PREVIEWS: Final[Mapping[str, Mapping[str, float]]] = {
    **{label: EXPRESSIONS[label] for label in ("neutral", "broad smile", "left wink", "raised brows", "frown", "pucker")},
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
        measured: controls whose movement told their meaning.
        notes: what was left out, one line each.
    """

    folder: str
    controls: int
    mapped: int
    unknown: tuple[str, ...]
    measured: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def import_rig(model: Path, folder: Path | None = None) -> Imported:
    """Turn a model into a rig folder: rig.toml, avatar.glb, preview.png, LICENSE, and a report of what was guessed.

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

    if model.is_dir():
        raise RigError(f"{model}: is a folder; expected a model, a GLB, glTF or VRM file")
    folder = Path(model.stem) if folder is None else folder
    if folder.exists() or folder.is_symlink():
        raise OutputError(f"{folder}: exists already; remove it or choose another folder with -o")
    loaded = load_glb(model)
    if loaded.avatar.rig:
        _restore(model, loaded, folder)
        rig = load_rig(folder)
        driven = [c for c in rig.controls if c.arkit or c.source != ANIMATOR]
        return Imported(str(folder), len(rig.controls), len(driven), tuple(c.name for c in rig.controls if c not in driven))
    if not any(len(m.vertices) for node in loaded.nodes for p in node.primitives for m in p.morphs.values()):
        raise RigError(f"{model}: has no morph targets, so its face cannot move; export it with its shape keys (blend shapes)")
    try:
        bust = take_bust(loaded)
        controls = _controls(bust)
    except RigError as error:
        raise RigError(f"{model}: {error}") from None
    measured = tuple(c.name for c, known in controls if known is not None and known.vocabulary == MOVEMENT)
    unknown = tuple(c.name for c, known in controls if known is None)
    mapped = [c for c, _ in controls if c.arkit or c.source != ANIMATOR]
    with _new_folder(folder) as temporary:
        save_glb(temporary / "avatar.glb", bust.model, bust.model.avatar.licence)
        (temporary / "rig.toml").write_text(_toml(model, folder.resolve().name.replace("\\", "_"), bust, controls), encoding="utf-8")
        (temporary / "LICENSE").write_text(_licence(model, bust), encoding="utf-8")
        notes = _notes(bust)
        (temporary / "report.md").write_text(_report(model, controls, notes), encoding="utf-8")
        _draw(temporary, (*measured, *unknown))
    return Imported(str(folder), len(controls), len(mapped), unknown, measured, notes)


def _restore(model: Path, loaded: "Model", folder: Path) -> None:
    """The folder of a rig that the file brings along."""
    from freeavatar_renderer.glb_writer import without_rig
    from freeavatar_renderer.raster import load_model

    with _new_folder(folder) as temporary:
        (temporary / _model_name(loaded.avatar.rig)).write_bytes(without_rig(model))
        try:
            (temporary / "rig.toml").write_bytes(loaded.avatar.rig.encode())
            (temporary / "LICENSE").write_bytes((loaded.avatar.terms or "Licence: unknown: see the source\n").encode())
            load_model(load_rig(temporary))
        except (RigError, UnicodeEncodeError) as error:  # JSON may hold halves of characters
            what = str(error).replace(f"{temporary}{os.sep}", "")
            raise RigError(f"{model}: the rig that it brings along is not valid ({what}); export it again") from None
        _draw(temporary, ())


def _model_name(toml: str) -> str:
    """What a rig.toml calls its model, if that can be the name of a file; what it calls it else is refused when it is loaded."""
    found = re.search(r'^model\s*=\s*"(\w[\w .-]{0,60}\.(?:glb|gltf|vrm))"', toml, re.MULTILINE | re.ASCII)
    return found[1] if found else "avatar.glb"


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of ``folder`` when the block ends well, and is removed when it does not."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        temporary.mkdir()
        yield temporary
        os.rename(temporary, folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); check the name and the permissions") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _draw(folder: Path, doubtful: Sequence[str]) -> None:
    """The preview, and pictures of the controls whose names do not say what they do."""
    from PIL import Image

    from freeavatar_renderer.raster import contact_sheet, control_sheet

    rig = load_rig(folder)
    Image.fromarray(contact_sheet(rig, _PREVIEWS, columns=4)).save(folder / "preview.png")
    if doubtful:
        arkit_maps = {c.name: " + ".join(c.arkit) or "?" for c in rig.controls}
        labels = {name: f"{name}: {arkit_maps[name]}" for name in doubtful[:_PICTURED]}
        Image.fromarray(control_sheet(rig, labels)).save(folder / "controls.png")


def _controls(bust: "Bust") -> list[tuple[Control, Guess | None]]:
    """The rig's controls, each with what it means; pose and gaze come first."""
    from freeavatar_renderer.vrm import VrmExpression

    expressions = _expressions(bust)
    bound = {m for e in expressions.values() for m in e.morphs}
    sources = expressions | {m: VrmExpression({m: 1.0}) for m in bust.morphs if m not in expressions}
    if len(sources) + _MOST_TURNS > MAX_CONTROLS:
        raise RigError(f"has {len(sources)} morph targets and expressions, expected at most {MAX_CONTROLS - _MOST_TURNS}; export fewer")
    guesses = {name: guess(name) for name in sources}
    known = {name: g for name, g in guesses.items() if g is not None and (g.rank == 0 or name in expressions or name not in bound)}
    kept = _kept(known)
    free = {name: e.morphs for name, e in sources.items() if guesses[name] is None and (name in expressions or name not in bound)}
    told = {name: sources[name].morphs for name, g in kept.items() if g.arkit}
    likenesses = _measured(bust, told, free, {name: g.arkit for name, g in kept.items() if g.arkit})
    measured = {name: Guess(like.arkit, MOVEMENT, round(like.confidence, 2), 3 + len(like.arkit)) for name, like in likenesses.items()}
    guesses |= measured
    kept = _kept(kept | {name: g for name, g in measured.items() if likenesses[name].drives})
    looks = {shape for g in kept.values() for shape in g.arkit if shape in arkit.EYE_LOOK}
    controls: list[tuple[Control, Guess | None]] = [(c, Guess({}, "skeleton", 0.9)) for c in _turns(bust, eyes=not looks)]
    taken = {c.name for c, _ in controls}
    for name, e in sources.items():
        shapes = kept[name].arkit if name in kept else {}
        meaning = shapes or (found.arkit if (found := guesses[name]) else {})
        region = arkit.region(next(iter(meaning), "mouth"))
        control = Control(_free(name, taken), arkit=shapes, morphs=e.morphs, region=region, binary=e.binary, materials=e.materials)
        if len(shapes) == 1 and looks & shapes.keys():
            control = replace(control, source=f"gaze.{next(iter(shapes))}")
        taken.add(control.name)
        controls.append((control, guesses[name]))
    return _with_mirrors(controls)


def _expressions(bust: "Bust") -> dict[str, "VrmExpression"]:
    """The expressions of a VRM file that move or change something of the bust."""
    materials = {p.material.name for node in bust.model.nodes for p in node.primitives}
    kept = {
        name: replace(
            e,
            morphs={m: w for m, w in e.morphs.items() if m in bust.morphs},
            materials=tuple(change for change in e.materials if change.material in materials),
        )
        for name, e in bust.model.avatar.expressions.items()
    }
    return {name: e for name, e in kept.items() if e.morphs or e.materials}


def _measured(
    bust: "Bust", told: Mapping[str, Mapping[str, float]], free: Mapping[str, Mapping[str, float]], maps: Mapping[str, Mapping[str, float]]
) -> dict[str, "Likeness"]:
    """What movements without a telling name are like; those that are like nothing are left out."""
    if not free or len(told) + len(free) < _ENOUGH:
        return {}
    from freeavatar_renderer.glb import load_glb
    from freeavatar_renderer.measuring import ALIKE, Dictionary, motions

    found = motions(bust.model, {**told, **free})
    if not len(found.points):
        return {}
    human = load_glb(load_rig("human").model)
    shapes = {name: {name: 1.0} for name in arkit.NAMES if name in human.morphs}
    likenesses = Dictionary(motions(human, shapes)).explain(found, maps)
    return {name: like for name, like in likenesses.items() if like.cosine >= ALIKE}


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
    """Controls whose names and meanings are each other's mirror images are partners; of measured ones, the meanings alone."""
    names = {c.name for c, _ in controls}
    maps = {c.name: {arkit.mirrored(shape): w for shape, w in c.arkit.items()} for c, _ in controls}
    partners: dict[str, str] = {}
    for c, _ in controls:
        others = [n for n in (_other_side(c.name)) if n in names and n != c.name]
        if c.arkit and others and maps[others[0]] == dict(c.arkit):
            partners[c.name] = others[0]
    measured = [c for c, known in controls if known is not None and known.vocabulary == MOVEMENT and c.arkit]
    for c in measured:
        same = [o.name for o in measured if o.name != c.name and maps[o.name] == dict(c.arkit)]
        if len(same) == 1:
            partners.setdefault(c.name, same[0])
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
    lines = [f"# {_note(control, known)}", f"name = {_text(control.name)}", f'region = "{control.region}"']
    lines.append(f"range = [{control.minimum}, {control.maximum}]")
    if control.mirror:
        lines.append(f"mirror = {_text(control.mirror)}")
    if control.source != ANIMATOR:
        lines.append(f'source = "{control.source}"')
    if control.arkit:
        lines.append(f"arkit = {{ {_weights(control.arkit)} }}")
    if control.binary:
        lines.append("binary = true")
    if control.materials:
        lines.append(f"materials = [{', '.join(map(_change, control.materials))}]")
    if control.node:
        return [*lines, f"node = {_text(control.node)}", f'axis = "{control.axis}"']
    return [*lines, f"morphs = {{ {_weights(control.morphs)} }}"]


def _note(control: Control, known: Guess | None) -> str:
    """Where the meaning of a control is from."""
    from freeavatar_renderer.measuring import SURE

    if known is None:
        return "unknown name: nothing drives it until it has an arkit map"
    note = f"{known.vocabulary}, confidence {known.confidence:.2f}"
    if known.vocabulary == MOVEMENT:
        note += f": moves like {' and '.join(known.arkit)}"
    if not control.arkit and control.source == ANIMATOR:
        doubtful = known.vocabulary == MOVEMENT and known.confidence < SURE
        why = "this is too doubtful" if doubtful else "other controls tell the same better"
        note += f"; nothing drives it, as {why}"
    return note


def _report(model: Path, controls: Sequence[tuple[Control, Guess | None]], notes: Sequence[str]) -> str:
    """What was guessed, the least sure first, as Markdown."""
    rows = [(c, known) for c, known in controls if known is None or known.vocabulary != "skeleton"]
    rows.sort(key=lambda row: row[1].confidence if row[1] is not None else 0.0)
    doubtful = any(known is None or known.vocabulary == MOVEMENT for _, known in rows)
    lines = [
        f"# Import of {_printable(model.name)}",
        "",
        "What each control means is guessed from its name, or, where the name says nothing, from what it moves. The least sure",
        "come first. To correct one, edit `arkit` of the control in `rig.toml` (value = sum of weight times ARKit shape; without",
        "`arkit`, nothing drives it), then run `freeavatar rig check` on the folder."
        + (" `controls.png` shows the doubtful ones." if doubtful else ""),
        "",
        "| control | ARKit | confidence | why |",
        "|---|---|---|---|",
    ]
    for c, known in rows:
        shapes = ", ".join(f"{name} {weight:.2g}" for name, weight in c.arkit.items()) or "-"
        confidence = f"{known.confidence:.2f}" if known is not None else "-"
        lines.append(f"| `{c.name}` | {shapes} | {confidence} | {_note(c, known)} |")
    return "\n".join([*lines, *([""] if notes else []), *(f"- {note}" for note in notes)]) + "\n"


def _notes(bust: "Bust") -> tuple[str, ...]:
    """What of the file's expressions is left out."""
    return tuple(
        f"expression {_printable(name)}: {_printable(', '.join(e.left_out))} cannot be drawn here and is left out"
        for name, e in bust.model.avatar.expressions.items()
        if e.left_out
    )


def _change(change: MaterialChange) -> str:
    """A change of a material as an inline table of TOML."""
    parts = [f"material = {_text(change.material)}"]
    for key in ("colour", "emissive", "scale", "offset"):
        if target := getattr(change, key):
            parts.append(f"{key} = [{', '.join(f'{v:.6g}' for v in target)}]")
    return f"{{ {', '.join(parts)} }}"


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
