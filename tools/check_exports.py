"""Opens avatars, and what `freeavatar rig export` makes of them, in three.js, Blender and the Khronos validator.

    npm install --prefix DIR three gltf-validator
    python3.11 -m venv DIR/blender && DIR/blender/bin/pip install bpy==4.2.0
    python tools/check_exports.py [RIG ...] --modules DIR/node_modules --blender DIR/blender/bin/python

Every morph target is applied alone, by its name, and where it puts the vertices is compared with FreeAvatar's own reader.
Prints a Markdown table and exits 1 if a morph target is missing or misplaced, or the validator finds an error.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from freeavatar.rig import list_rigs, load_rig
from freeavatar.rig_export import export_rig
from freeavatar_renderer.accessors import Floats
from freeavatar_renderer.glb import load_glb
from freeavatar_renderer.model import Primitive

CLOSE = 1e-5
"""Metres by which a vertex may be elsewhere."""
SCRIPTS = Path(__file__).parent / "exports"

Places = dict[tuple[str, int, str], Floats]
"""(V, 3) metres by node, primitive (-1 for all of the node's) and morph target ("" for rest)."""


def ours(model: Path) -> Places:
    """Where FreeAvatar's reader has the vertices: every primitive, and, as Blender sees it, every node."""
    places: Places = {}
    loaded = load_glb(model)
    for node, place in zip(loaded.nodes, loaded.places, strict=True):
        parts: dict[str, list[Floats]] = {}
        for number, p in enumerate(node.primitives):
            used = np.unique(p.faces)
            for morph in ("", *p.morphs):
                here = _morphed(p, morph)
                if p.bones is None:
                    here = here @ place[:3, :3].T.astype(np.float32) + place[:3, 3].astype(np.float32)
                places[node.name, number, morph] = here
                parts.setdefault(morph, []).append(here[used])
        places |= {(node.name, -1, morph): np.concatenate(part) for morph, part in parts.items()}
    return places


def _morphed(p: Primitive, name: str) -> Floats:
    """(V, 3) positions of a primitive with one morph target alone, or at rest."""
    positions = p.positions.copy()
    if name:
        positions[p.morphs[name].vertices] += p.morphs[name].moves
    return positions


def read(out: Path) -> Places:
    """What a program has written about a file."""
    index = json.loads(out.with_suffix(".json").read_text())
    flat, start = np.fromfile(out.with_suffix(".bin"), "<f4").reshape(-1, 3), 0
    places: Places = {}
    for entry in index:
        places[entry["node"], entry["primitive"], entry["morph"]] = flat[start : start + entry["count"]]
        start += entry["count"]
    return places


def compare(found: Places, truth: Places) -> tuple[float, list[str]]:
    """The largest distance of a vertex from where it should be, in metres, and one line a finding.

    Args:
        found: of a program.
        truth: of ours, for the same kind of primitives as ``found`` has.
    """
    findings, worst = [f"{_spoken(key)} is missing" for key in truth if key not in found], 0.0
    for key, places in found.items():
        if key not in truth or len(places) != len(truth[key]):
            findings.append(f"{_spoken(key)} has {len(places)} vertices, expected {len(truth.get(key, ()))}")
            continue
        distance = float(np.linalg.norm(places - truth[key], axis=1).max())
        worst = max(worst, distance)
        if not distance < CLOSE:
            findings.append(f"{_spoken(key)} is {distance:.2g} m off")
    return worst, findings


def _spoken(key: tuple[str, int, str]) -> str:
    node, number, morph = key
    return f"{morph or 'rest'} of {node}" + (f", primitive {number}" if number >= 0 else "")


def programs(modules: Path | None, blender: Path | None) -> Mapping[str, list[str]]:
    """The commands that read a model, by the program's name."""
    found = {}
    if modules is not None:
        found["three.js"] = ["node", str(SCRIPTS / "three.mjs"), str(modules.resolve())]
        found["Khronos"] = ["node", str(SCRIPTS / "khronos.mjs"), str(modules.resolve())]
    if blender is not None:
        found["Blender"] = [str(blender.absolute()), str(SCRIPTS / "blender.py")]
    return found


def check(model: Path, commands: Mapping[str, list[str]], folder: Path) -> tuple[dict[str, str], list[str]]:
    """What each program has to say about a model: a cell of the table by its name, and one line a finding."""
    truth = ours(model)
    cells, findings = {"morphs": str(len({morph for _, _, morph in truth} - {""}))}, []
    for name, command in commands.items():
        out = folder / "read"
        done = subprocess.run([*command, str(model), str(out)], capture_output=True, text=True, check=False)
        if done.returncode or not out.with_suffix(".json").exists():
            cells[name], found = "failed", [" ".join((done.stderr or done.stdout).split())[-300:]]
        elif name == "Khronos":
            report = json.loads(out.with_suffix(".json").read_text())
            cells[name], found = f"{report['errors']} errors, {report['warnings']} warnings", report["messages"] if report["errors"] else []
        else:
            wanted = {key: places for key, places in truth.items() if (key[1] < 0) == (name == "Blender")}
            worst, found = compare(read(out), wanted)
            cells[name] = f"{worst:.1e} m" if not found else f"{len(found)} findings"
        findings += [f"{name}: {line}" for line in found]
        for left in folder.glob("read.*"):
            left.unlink()
    return cells, findings


def models(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """A rig's model as it is, and as it is exported."""
    yield "avatar.glb", load_rig(name).model
    exported = folder / "export.glb"
    export_rig(name, exported)
    yield "`rig export`", exported


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rigs", nargs="*", help="shipped names or folders; all that ship if none is given")
    parser.add_argument("--modules", type=Path, help="node_modules folder with three and gltf-validator")
    parser.add_argument("--blender", type=Path, help="a Python with bpy")
    args = parser.parse_args()
    commands = programs(args.modules, args.blender)
    if not commands:
        parser.error("nothing to open them in; give --modules, --blender or both")
    findings: list[str] = []
    print("| avatar | file | morph targets |", *(f" {name} |" for name in commands), sep="")
    print("|---|---|---|", "---|" * len(commands), sep="")
    with tempfile.TemporaryDirectory() as folder:
        for name in args.rigs or list_rigs():
            for label, model in models(name, Path(folder)):
                cells, found = check(model, commands, Path(folder))
                print(f"| `{name}` | {label} | {cells['morphs']} |", *(f" {cells[c]} |" for c in commands), sep="", flush=True)
                findings += [f"{name}, {label}: {line}" for line in found]
    print(*findings, sep="\n", file=sys.stderr, end="\n" if findings else "")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
