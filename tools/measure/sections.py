"""The sections of the benchmark: each turns pictures and readings into a table."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freeavatar import arkit
from freeavatar.train.emotion import JUDGED
from freeavatar_renderer.comparisons import KINDS, TRIPLETS
from freeavatar_renderer.heads import load_valid

from . import metrics
from .bench import OURS, PEER, Bench
from .clip import cost, driven
from .metrics import Array
from .pictures import YAWS, Rows
from .readings import read
from .regions import region_grams
from .surface import POINTS, surfaces
from .tables import Line, Table, Value

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "jaw": ("jawOpen",),
    "jaw side": ("jawLeft", "jawRight"),
    "smile": ("mouthSmileLeft", "mouthSmileRight"),
    "sad mouth": ("mouthFrownLeft", "mouthFrownRight"),
    "puff": ("cheekPuff",),
    "nose": ("noseSneerLeft", "noseSneerRight"),
    "eye close": ("eyeBlinkLeft", "eyeBlinkRight"),
    "eye wide": ("eyeWideLeft", "eyeWideRight"),
    "squint": ("eyeSquintLeft", "eyeSquintRight"),
    "brow up": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    "brow down": ("browDownLeft", "browDownRight"),
    "pucker": ("mouthPucker",),
    "lips press": ("mouthPressLeft", "mouthPressRight"),
    "tongue": ("tongueOut",),
}
"""Expression groups and their ARKit shapes."""
ACTIVE: Final = 0.1
"""Truth above which a shape counts as active."""
READABLE: Final = 0.3
"""Correlation from which the head's influence on a control is worth asking for."""
_CLOSED: Final = 0.6
"""Blink of both eyes from which a gaze cannot be seen."""


def movement(bench: Bench) -> Table:
    """Skin movement explained, by region."""
    train, test = bench.rows("training"), bench.rows("held_out")
    heads = {str(name): load_valid(str(name)) for name in np.unique([*train["person"], *test["person"]])}
    grams, morphs = region_grams(heads.values()), len(next(iter(heads.values())).names)

    def side(rows: Rows, key: str, calibrate: bool) -> tuple[Array, Array, NDArray[np.str_]]:
        calm, x = rows["place"][:, 0] == 1, rows[key].astype(np.float64)
        x = metrics.calibrated(x, rows["person"], calm) if calibrate else x
        return x[~calm], rows["weights"][~calm, :morphs].astype(np.float64), rows["person"][~calm]

    for rows in (train, test):
        rows["surface"] = surfaces(heads, rows["person"], rows["weights"][:, :morphs].astype(np.float64))
    result = {}
    readers = ((f"{OURS} feature", "our_feature"), (f"{OURS} embedding", "our_embedding"), (f"{PEER} scores", "peer"))
    for name, key in (*readers, ("the true surface itself", "surface")):
        for suffix, calibrate in (("", False), (", calibrated", True)):
            x, y, people = side(train, key, calibrate)
            unseen, truth, _ = side(test, key, calibrate)
            result[name + suffix] = metrics.probe(x, y, people, unseen, truth, grams)
    both = ((f"skin movement explained, {what}", key, suffix) for what, key, suffix in (
        ("mean of six regions", "mean", ""), ("brows", "brows", ""), ("lids", "lids", ""), ("nose", "nose", ""),
        ("mean of six regions, calibrated to the person", "mean", ", calibrated"),
    ))  # fmt: skip
    lines = [Line(what, result[f"{OURS} feature{suffix}"][key], result[f"{PEER} scores{suffix}"][key]) for what, key, suffix in both]
    return Table(
        "Skin movement explained",
        f"Share of the true skin displacement that a ridge regression from features to VALID's morph weights explains: fitted on "
        f"{len(np.unique(train['person']))} training people, scored on {len(np.unique(test['person']))} held-out ones "
        f"({bench.size.expressions} pictures each of one to five random morphs). 0 is as good as guessing the mean, and a face not "
        f"found counts as that. Calibrated: the mean feature of {bench.size.neutrals} neutral pictures of the person is subtracted. "
        f"The last rows read {POINTS} points of the true surface instead of a picture: how far a linear reading can come that does not "
        f"know the person, since brows rest higher on one than they rise on another.",
        result, lines,
    )  # fmt: skip


def _truth(rows: Rows, key: str) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Read-out and truth (N, 52) where a face was found, and which of them the family can express."""
    ok = metrics.found(rows[key])
    return rows[key][ok].astype(np.float64), rows["arkit"][ok].astype(np.float64), rows["mask"][ok] > 0


def correlations(rows: Rows, key: str) -> dict[str, float | None]:
    """Correlation of every ARKit shape's read-out with its truth, over the people who can express it."""
    read, truth, mask = _truth(rows, key)
    return {name: metrics.correlation(read[mask[:, i], i], truth[mask[:, i], i]) for i, name in enumerate(arkit.NAMES)}


def _each(rows: Rows) -> str:
    counts = [f"{len(np.unique(rows['person'][rows['family'] == f]))} {f}" for f in np.unique(rows["family"])]
    return f"{len(rows['person'])} pictures of held-out people ({', '.join(counts)})"


def groups(bench: Bench) -> Table:
    """Correlation by expression group."""
    rows = bench.rows("people")
    each = {name: correlations(rows, key) for name, key in ((OURS, "our_arkit"), (PEER, "peer"))}
    result = {
        group: {name: metrics.mean_of([known[shape] for shape in shapes]) for name, known in each.items()}
        for group, shapes in GROUPS.items()
    }
    mean = {name: metrics.mean_of([result[g][name] for g in GROUPS if g != "tongue"]) for name in each}
    result["mean without the tongue"] = mean
    return Table(
        "Correlation by expression group",
        f"Mean correlation of a group's ARKit read-outs with the truth on {_each(rows)}, drawn as in training. A dash: no such read-out.",
        result, [Line("ARKit read-out: mean correlation of 13 expression groups", mean[OURS], mean[PEER])],
    )  # fmt: skip


def shapes(bench: Bench) -> Table:
    """ARKit error and correlation by head family."""
    rows = bench.rows("people")
    families = [str(f) for f in np.unique(rows["family"])]
    worst = f"error where truth > {ACTIVE}"
    result: dict[str, dict[str, Value]] = {}
    for family in families:
        own = {key: value[rows["family"] == family] for key, value in rows.items()}
        for name, key in ((OURS, "our_arkit"), (PEER, "peer")):
            read, truth, mask = _truth(own, key)
            error = np.abs(read - truth)
            result[f"{family}, {name}"] = {
                "error": float(error[mask].mean()),
                worst: float(error[mask & (truth > ACTIVE)].mean()),
                "correlation": metrics.correlation(read[mask], truth[mask]),
                "found": float(metrics.found(own[key]).mean()),
            }

    def line(what: str, column: str, higher: bool) -> Line:
        ours, peer = (metrics.mean_of([result[f"{family}, {name}"][column] for family in families]) for name in (OURS, PEER))
        return Line(f"ARKit read-out, {what}, mean of {len(families)} head families", ours, peer, higher)

    return Table(
        "ARKit weights against truth",
        f"{_each(rows)}; shapes that a family cannot express are left out. Error: mean absolute difference. Neither side is calibrated.",
        result,
        [line("correlation with the truth", "correlation", True), line("error of shapes that move", worst, False)],
    )


def triplets(bench: Bench) -> Table:
    """Two-sided triplet accuracy on synthetic people."""
    rows = bench.rows("compared")
    kinds = rows["place"].reshape(-1, 4, 3)[:, 0]
    index = np.concatenate([4 * np.arange(len(kinds))[:, None] + np.array(t) for t in TRIPLETS])
    kind = np.concatenate([kinds[:, k] for k in range(len(TRIPLETS))])
    first = 4 * np.arange(len(kinds))
    unrelated = np.column_stack([first, first + 1, np.roll(first, -1)])  # the next comparison shows something else
    index, kind = np.concatenate([index, unrelated]), np.concatenate([kind, np.full(len(first), len(KINDS))])
    plain = metrics.clear(*(rows["movement"][index[:, k]] for k in range(3)))
    index, kind = index[plain], kind[plain]
    raw, relative = f"{PEER} scores", f"{PEER} scores, standardised"
    spaces = {f"{OURS} embedding": rows["our_embedding"], raw: rows["peer"], relative: metrics.standardised(rows["peer"])}
    alike = rows["family"][index[:, 0]] == rows["family"][index[:, 1]]
    hard = kind < len(KINDS)
    groups = {"another expression": ~hard, "near": hard} | {k: kind == i for i, k in enumerate(KINDS)}
    groups |= {"near, within a family": hard & alike, "near, across families": hard & ~alike}
    result: dict[str, dict[str, Value]] = {"triplets": {group: int(own.sum()) for group, own in groups.items()}}
    for name, space in spaces.items():
        right = metrics.two_sided(*(space[index[:, k]].astype(np.float64) for k in range(3)))
        result[name] = {group: float(right[own].mean()) if own.any() else None for group, own in groups.items()}
    return Table(
        "Triplets, synthetic people",
        "Held-out people of all families. Anchor and positive show one expression on two people under different pose and light. The "
        "negative shows another expression, or a near one: a small step away, mirrored, or of another strength; at least half of the "
        "near ones share person, pose and light with the anchor. Right if the pair is nearest seen from both sides; a face not "
        "found is wrong; chance 0.333. Triplets whose true skin movement leaves a doubt are left out.",
        result,
        [
            Line(
                f"triplets, synthetic people, {what}",
                result[f"{OURS} embedding"][group],
                _best(result[raw][group], result[relative][group]),
            )
            for group, what in (("another expression", "negative of another expression"), ("near", "negative near by"))
        ],
    )


def _best(*values: Value) -> Value:
    return max((v for v in values if v is not None), default=None)


def emotions(bench: Bench) -> Table:
    """Two-sided emotion-class triplets on real people."""
    train, test = bench.faces("train"), bench.faces("dev")
    ours = read(list(test["files"]), test["landmarks"], bench.weights, bench.variant, bench.workers, "real faces", "dev")
    known = metrics.found(train["peer"]) & np.isin(train["label"], JUDGED)
    scores, fitted = train["peer"][known].astype(np.float64), test["peer"].astype(np.float64)
    layer = metrics.discriminant(metrics.standardised(scores), train["label"][known])
    spaces = {
        f"{OURS} embedding": ours["embedding"].astype(np.float64), f"{PEER} scores": fitted,
        f"{PEER} scores, standardised": metrics.standardised(fitted),
        f"{PEER} scores, linear layer trained on such labels": metrics.standardised(fitted, scores) @ layer,
    }  # fmt: skip
    index, pair = metrics.class_triplets(test["label"], test["person"])
    result: dict[str, dict[str, Value]] = {}
    for name, space in spaces.items():
        right = metrics.two_sided(*(space[index[:, k]] for k in range(3)))
        low, high = metrics.bootstrap(right, pair, test["person"][index])
        result[name] = {"accuracy": metrics.balanced(right, pair), "from": low, "to": high, "found": float(metrics.found(space).mean())}
    table = list(result.values())
    return Table(
        "Emotion-class triplets, real people",
        f"{len(test['files'])} press photos of {len(np.unique(test['person']))} people never seen, which are used for nothing else. Anchor "
        "and positive share a label, the negative does not, three different people; right if the pair is nearest seen from both sides, "
        "balanced over pairs of classes; chance 0.333. From, to: 95 % bootstrap interval over people. The linear layer is a discriminant "
        f"analysis of MediaPipe's scores of {len(scores)} other labelled faces.",
        result, [
            Line("emotion triplets, real people", table[0]["accuracy"], _best(table[1]["accuracy"], table[2]["accuracy"])),
            Line("- MediaPipe with a linear layer trained on such labels", table[0]["accuracy"], table[3]["accuracy"]),
        ],
    )  # fmt: skip


def identity(bench: Bench) -> Table:
    """How well a linear probe tells people apart."""
    rows = bench.rows("held_out")
    people = len(np.unique(rows["person"]))
    spaces = {f"{OURS} embedding": "our_embedding", f"{OURS} feature": "our_feature", f"{PEER} scores": "peer"}
    result = {name: {"accuracy": metrics.identity(rows[key].astype(np.float64), rows["person"])} for name, key in spaces.items()}
    ours, peer = (result[name]["accuracy"] for name in (f"{OURS} embedding", f"{PEER} scores"))
    return Table(
        "Identity that is left",
        f"Share of pictures whose person (one of {people}; chance {1 / people:.3f}) a linear probe tells, fitted on every other picture of "
        "the same people with other expressions. Lower is better.",
        result, [Line("identity read by a linear probe", ours, peer, higher=False)],
    )  # fmt: skip


def leakage(bench: Bench) -> Table:
    """How far read-outs move with the head alone."""
    rows, people = bench.rows("turned"), bench.rows("people")
    result: dict[str, dict[str, Value]] = {}
    for name, key in ((OURS, "our_arkit"), (PEER, "peer")):
        known = correlations(people, key)
        chosen = [i for i, shape in enumerate(arkit.NAMES) if (known[shape] or 0) >= READABLE]
        ratios = metrics.leakage(rows[key].astype(np.float64).reshape(-1, bench.size.turned, len(YAWS), len(arkit.NAMES)))
        result[name] = {"leakage": float(ratios[chosen].mean()) if chosen else None, "controls": len(chosen)}
    return Table(
        "Head-pose leakage",
        f"Deviation of an ARKit read-out over {len(YAWS)} yaws within 25 degrees to each side at one expression, divided by its deviation "
        f"over {bench.size.turned} expressions at one yaw; held-out people. Mean over the controls that correlate with the truth by at "
        f"least {READABLE}, and how many those are. Lower is better.",
        result, [
            Line("head-pose leakage", result[OURS]["leakage"], result[PEER]["leakage"], higher=False),
            Line("- controls with a correlation of at least 0.3", result[OURS]["controls"], result[PEER]["controls"]),
        ],
    )  # fmt: skip


def gaze(bench: Bench) -> Table:
    """Gaze error in degrees."""
    train, test = bench.rows("training"), bench.rows("held_out")
    look = [arkit.INDEX[name] for name in arkit.EYE_LOOK]

    def inputs(rows: Rows) -> Array:
        return np.column_stack([rows["peer"][:, look].astype(np.float64), np.ones(len(rows["peer"]))])

    closed = (test["arkit"][:, [arkit.INDEX["eyeBlinkLeft"], arkit.INDEX["eyeBlinkRight"]]] > _CLOSED).all(1)
    ok, seen = metrics.found(train["peer"]), metrics.found(test["peer"]) & metrics.found(test["our_gaze"]) & ~closed
    layer = np.linalg.lstsq(inputs(train)[ok], train["gaze"][ok].astype(np.float64), rcond=None)[0]
    truth = test["gaze"][seen].astype(np.float64)
    guesses = {
        OURS: test["our_gaze"][seen].astype(np.float64),
        PEER: inputs(test)[seen] @ layer,
        "always straight ahead": np.zeros_like(truth),
    }
    errors = {name: metrics.angle(guess, truth) for name, guess in guesses.items()}
    result = {
        name: {"mean": float(e.mean()), "median": float(np.median(e)), "95 %": float(np.percentile(e, 95))} for name, e in errors.items()
    }
    return Table(
        "Gaze error in degrees",
        f"{len(truth)} pictures of held-out people with open eyes, gaze relative to the head. MediaPipe: yaw and pitch fitted linearly to "
        f"its eight eyeLook scores on {len(np.unique(train['person']))} training people.",
        result, [Line("gaze error", result[OURS]["mean"], result[PEER]["mean"], higher=False, unit="°")], digits=2,
    )  # fmt: skip


SECTIONS: Final[Mapping[str, Callable[[Bench], Table]]] = {
    "movement": movement, "groups": groups, "shapes": shapes, "triplets": triplets, "emotions": emotions,
    "identity": identity, "leakage": leakage, "gaze": gaze, "cost": cost, "driven": driven,
}  # fmt: skip
"""By the names that --only takes."""
