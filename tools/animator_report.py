"""How well are avatars driven? The animator beside MediaPipe's scores used as ARKit weights, on the same pictures in one run.

usage: python tools/animator_report.py [--animator DIR] [--weights DIR] [--rig DIR ...] [--markdown OUT.md] [--json OUT.json]
                                       [--images-cache DIR] [--workers 2] [--seed 31] [--quick]      (needs FREEAVATAR_DATA)

The pictures are those of tools/benchmark.py: people held out from training. --markdown writes the report; into a file
with the lines <!-- benchmark details --> and <!-- end --> it writes only between these.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from freeavatar.animator import Animator
from freeavatar.demo import CLIP
from freeavatar.encoder import Encoder
from freeavatar.face import FaceTracker
from freeavatar.rig import Rig, list_rigs, load_rig
from freeavatar.sources import open_source
from freeavatar.types import Frame
from measure import command, driving
from measure.clip import CLIP_TRUTH
from measure.driving import WAYS, Faces
from measure.tables import Line, Row, Table, summary
from measure_filters import HELD, RATE, SECONDS, SIGMA

MAIN: Final = "human"
"""The avatar whose controls are ARKit's."""


def controls(people: Faces, animator: Animator, rigs: Sequence[Rig]) -> Table:
    """Every avatar's controls against the truth."""
    result: dict[str, Row] = {}
    for rig in rigs:
        for way, values in driving.driven(people, rig, animator).items():
            result[f"{rig.name}, {way}"] = driving.figures(values, driving.wanted(people, rig))
    ours, peer = result[f"{MAIN}, {WAYS[0]}"], result[f"{MAIN}, {WAYS[2]}"]
    return Table(
        "Controls of people held out",
        f"{len(people.person)} pictures of {len(np.unique(people.person))} people. Mean absolute error, in shares of a control's range, of "
        f"controls that are more than {driving.ACTIVE} away from rest (active) and of the others (rest); correlation with the truth, mean "
        "over controls that vary. Animator: the network; read-out: the encoder's ARKit weights through the rig's map; MediaPipe: its "
        "scores as ARKit weights through the same map. The truth is the rig's map of the true ARKit weights.",
        result, [
            Line(f"`{MAIN}`, error of active controls", ours["active"], peer["active"], higher=False),
            Line(f"`{MAIN}`, error of controls at rest", ours["rest"], peer["rest"], higher=False),
            Line(f"`{MAIN}`, correlation", ours["correlation"], peer["correlation"]),
        ],
    )  # fmt: skip


def fitted(people: Faces, animator: Animator, sha256: str) -> Table:
    """The same of people whose face at rest is known."""
    rig, result = load_rig(MAIN), dict[str, Row]()
    truth = driving.wanted(people, rig)
    for title, every in (
        ("as it is", driving.driven(people, rig, animator)),
        ("calibrated", driving.calibrated(people, rig, animator, sha256)),
    ):
        for way, values in every.items():
            result[f"{way}, {title}"] = driving.figures(values[~people.calm], truth[~people.calm])
    ours, peer = (result[f"{way}, calibrated"] for way in (WAYS[0], WAYS[2]))
    return Table(
        "Calibrated to the person",
        f"The `{MAIN}` on {len(np.unique(people.person))} held-out people, before and after a few pictures of each at rest are taken off "
        "as `freeavatar calibrate` does. Random expressions of one to five shapes.",
        result, [
            Line(f"`{MAIN}` calibrated, error of active controls", ours["active"], peer["active"], higher=False),
            Line(f"`{MAIN}` calibrated, correlation", ours["correlation"], peer["correlation"]),
        ],
    )  # fmt: skip


def closures(people: Faces, clip: Faces, animator: Animator) -> Table:
    """Do eyes and lips close when the person's do?"""
    rig, result = load_rig(MAIN), dict[str, Row]()
    for title, some in (("people", people), ("clip", clip)):
        for way, values in driving.driven(some, rig, animator).items():
            result[f"{title}, {way}"] = driving.closures(driving.as_arkit(values, rig), some.arkit, some.mask)
    lines = []
    for what in next(iter(result.values())):
        lines += [
            Line(f"F1 of {what}, held-out {title}", result[f"{title}, {WAYS[0]}"][what], result[f"{title}, {WAYS[2]}"][what])
            for title in ("people", "clip")
        ]
    return Table(
        "Closed eyes and lips",
        f"F1 on {len(people.person)} pictures of held-out people and on the {len(clip.person)} frames of the shipped clip. Closed: "
        f"a blink over {driving.LIDS[0]}; open: under {driving.LIDS[1]}; seen as closed: over {driving.LIDS[2]}. Lips meet: the jaw opens "
        f"less than {driving.LIPS[0]} beyond what the lips close of it, part over {driving.LIPS[1]}, and are seen to meet under "
        f"{driving.LIPS[2]}. What lies between is left out.",
        result, lines,
    )  # fmt: skip


def steadiness(encoder: Encoder, animator: Animator, rigs: Sequence[Rig]) -> Table:
    """How far do the controls of a held expression tremble, before any filter?"""
    result: dict[str, Row] = {}
    with open_source(CLIP) as source:
        frames = [frame for frame in source if frame.index in HELD]
    holds = []
    for frame in frames:
        rng = np.random.default_rng(frame.index)
        with FaceTracker(size=encoder.size) as tracker:
            noisy = (frame.image + rng.normal(0, SIGMA, frame.image.shape) for _ in range(round(SECONDS * RATE)))
            crops = [tracker.track(Frame(image.clip(0, 255).round().astype(np.uint8), i / RATE, i)) for i, image in enumerate(noisy)]
        holds.append([encoder.encode([crop])[0] for crop in crops if crop])
    for rig in rigs:
        own = driving.columns(rig)
        std = [rig.normalise(np.stack([animator.animate(e, rig).values for e in hold]))[:, own].std(0) for hold in holds]
        result[rig.name] = {"mean": float(np.mean(std)), "worst of a hold": float(np.mean(np.max(std, 1))), "worst": float(np.max(std))}
    main = result[MAIN]
    return Table(
        "Steadiness",
        f"Standard deviation of a control, in shares of its range, unfiltered, while {len(holds)} pictures of the shipped clip are each "
        f"held for {SECONDS:.0f} seconds before a webcam whose noise ({SIGMA:.0f} of 255) is new in every frame. Mean over controls; "
        "the most restless control, mean over the holds; the most restless of all.",
        result, [Line(f"`{MAIN}`, tremble of a held expression, {what}", main[what], None) for what in main], digits=4,
    )  # fmt: skip


def performed(encoder: Encoder) -> Faces:
    """The frames of the shipped clip."""
    reads, peers, rows = [], [], []
    with open_source(CLIP) as source, FaceTracker(size=encoder.size, peer=True) as tracker, np.load(CLIP_TRUTH, allow_pickle=False) as file:
        truth, mask = file["arkit"], file["mask"]
        for frame in source:
            crop = tracker.track(frame)
            if crop is not None and crop.peer is not None:
                reads.append(encoder.encode([crop])[0])
                peers.append(crop.peer)
                rows.append(frame.index)
    return Faces(
        np.stack([r.feature for r in reads]), np.stack([r.arkit for r in reads]), np.stack(peers), truth[rows],
        np.tile(mask, (len(rows), 1)), np.full(len(rows), "clip"), np.zeros(len(rows), bool),
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Measure, print, write."""
    encoder, animator = Encoder.load(args.weights, threads=1), Animator.load(args.animator)
    animator.check_encoder(encoder)
    rigs = [load_rig(name) for name in (*list_rigs(), *args.rig)]
    bench = command.opened(args)
    people, probed, compared = (bench.rows(name) for name in ("people", "held_out", "compared"))
    tables = {
        "controls": controls(driving.faces(people), animator, rigs),
        "calibrated": fitted(driving.faces(probed), animator, encoder.sha256),
        "closures": closures(driving.faces(people, compared), performed(encoder), animator),
        "steadiness": steadiness(encoder, animator, rigs),
    }
    text = "\n".join([summary(list(tables.values())), *(table.markdown() for table in tables.values())])
    print(text)
    if args.markdown:
        command.write_markdown(args.markdown, {"details": text}, f"# How well avatars are driven\n\n{text}")
    if args.json:
        head = {"encoder": encoder.name, "encoder_sha256": encoder.sha256, "animator_sha256": animator.sha256, "quick": args.quick}
        command.write_json(args.json, head | {name: table.plain() for name, table in tables.items()})


def main() -> None:
    parser = command.options(__doc__ or "")
    parser.add_argument("--animator", type=Path, help="the animator's folder (default: the shipped one)")
    parser.add_argument("--rig", type=Path, nargs="+", default=[], metavar="DIR", help="further avatars, such as one that was fitted")
    parser.add_argument("--markdown", type=Path, metavar="OUT")
    command.main(run, parser)


if __name__ == "__main__":
    main()
