"""How well `freeavatar rig import` tells what controls mean from movement alone: names are removed, and the guesses judged.

    python tools/check_naming.py [RIG | MODEL ...]

Takes shipped rigs by name, whose rig.toml says what is right, and GLB or VRM files, whose names do; all shipped rigs but `human`
if none is given. Prints a Markdown table: of the movements, how many mean something that ARKit's shapes can tell, how many the
import would drive, how many of those rightly, and what share that is of the driven (precision) and of those with a meaning (recall).
A guess is right if its ARKit map points the same way as the truth's (a cosine above 0.7).
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freeavatar import arkit
from freeavatar.rig import list_rigs, load_rig
from freeavatar.vocabulary import guess
from freeavatar_renderer.busts import take_bust
from freeavatar_renderer.glb import load_glb
from freeavatar_renderer.measuring import Dictionary, motions
from freeavatar_renderer.model import Model

SAME = 0.7
"""Cosine of ARKit maps that say the same."""


@dataclass(frozen=True)
class Case:
    """A face.

    Attributes:
        model: at rest.
        groups: weights of morph targets by movement.
        truth: ARKit maps of the movements that have a meaning.
    """

    model: Model
    groups: Mapping[str, Mapping[str, float]]
    truth: Mapping[str, Mapping[str, float]]


def shipped(name: str) -> Case:
    """A rig whose rig.toml says what its controls mean."""
    rig = load_rig(name)
    moving = [c for c in rig.controls if c.morphs]
    looks = {c.name: {look: 1.0} for c in moving if (look := c.source.removeprefix("gaze.")) in arkit.INDEX}
    return Case(load_glb(rig.model), {c.name: c.morphs for c in moving}, looks | {c.name: c.arkit for c in moving if c.arkit})


def stranger(path: Path) -> Case:
    """A model whose names say what its morph targets and expressions mean."""
    bust = take_bust(load_glb(path))
    expressions = {n: {m: w for m, w in e.morphs.items() if m in bust.morphs} for n, e in bust.model.avatar.expressions.items()}
    bound = {m for morphs in expressions.values() for m in morphs}
    groups = {m: {m: 1.0} for m in bust.morphs if m not in bound} | {n: morphs for n, morphs in expressions.items() if morphs}
    return Case(bust.model, groups, {n: known.arkit for n in groups if (known := guess(n)) is not None and known.arkit})


def agree(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    """Whether two ARKit maps say the same."""
    x, y = arkit.weights(a), arkit.weights(b)
    return float(x @ y) > SAME * float(np.linalg.norm(x) * np.linalg.norm(y))


def judge(case: Case, dictionary: Dictionary) -> tuple[int, int]:
    """How many movements an import would drive, and how many of those rightly."""
    # In an order that says as little as the names.
    names = [list(case.groups)[k] for k in np.random.default_rng(0).permutation(len(case.groups))]
    found = dictionary.explain(motions(case.model, {f"movement{k}": case.groups[name] for k, name in enumerate(names)}), {})
    driven = [(like.arkit, case.truth.get(name, {})) for name, like in zip(names, found.values(), strict=True) if like.drives]
    return len(driven), sum(agree(shapes, truth) for shapes, truth in driven)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("faces", nargs="*", help="shipped rigs and model files")
    args = parser.parse_args()
    human = load_glb(load_rig("human").model)
    dictionary = Dictionary(motions(human, {name: {name: 1.0} for name in arkit.NAMES}))
    print("| face | movements | with a meaning | driven | rightly | precision | recall |\n|---|---|---|---|---|---|---|")
    for face in args.faces or [name for name in list_rigs() if name != "human"]:
        case = shipped(face) if face in list_rigs() else stranger(Path(face))
        driven, right = judge(case, dictionary)
        precision, recall = (f"{100 * right / n:.0f} %" if n else "-" for n in (driven, len(case.truth)))
        print(f"| {Path(face).stem} | {len(case.groups)} | {len(case.truth)} | {driven} | {right} | {precision} | {recall} |", flush=True)


if __name__ == "__main__":
    main()
