"""How well is a face read? Ours beside MediaPipe, in one run, on synthetic people held out from training.

usage: python tools/benchmark.py [--per-person 60] [--json OUT.json]      (needs FREEAVATAR_DATA)

Both read the same pictures through the same tracker. Reported, for people of tools/splits.toml:

- movement explained: ridge regression from features to true skin movement (docs/heads.md), fitted on training people,
  scored on held-out ones as the share of movement explained; a face not found counts as the mean;
- ARKit weights against truth, shapes that the family can express: correlation over all, mean absolute error where the
  truth is above 0.1;
- correlation of each region's shapes;
- the human's controls on the shipped clip, animator included, against the truth of the clip.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from freeavatar import arkit
from freeavatar.demo import CLIP
from freeavatar.encoder import Encoder
from freeavatar.face import FaceTracker
from freeavatar.retarget import retarget
from freeavatar.types import Frame
from freeavatar_renderer import head_map
from freeavatar_renderer.heads import load_valid
from freeavatar_renderer.performance import random_scene
from freeavatar_renderer.portrait import PortraitRenderer
from render_dataset import people

Array = NDArray[np.float64]
SIDE = 256
TRUTH = Path(__file__).parents[1] / "tests" / "data" / "demo_truth.npz"


def collect(split: str, per_person: int, seed: int) -> dict[str, Array]:
    """Rows of all pictures of a split's VALID people: truth, and what both systems read (NaN where no face was found)."""
    rng, encoder = np.random.default_rng(seed), Encoder.load(threads=1)
    renderer = PortraitRenderer(SIDE)
    nothing = {"feature": np.full(encoder.feature_size, np.nan), "ours": np.full(52, np.nan), "peer": np.full(52, np.nan)}
    rows = []
    with FaceTracker(still=True, size=encoder.size, peer=True) as tracker:
        for name in tqdm(people(split)[0], desc=split):
            head = load_valid(name)
            for _ in range(per_person):
                scene = random_scene(head, rng)
                row = {
                    "movement": scene.weights @ head_map.movement("valid", head.names),
                    "arkit": head.arkit(scene.weights, scene.gaze),
                } | nothing
                crop = tracker.track(Frame(renderer.render(head, scene), 0.0, 0))
                if crop is not None and crop.peer is not None:
                    (read,) = encoder.encode([crop])
                    row |= {"feature": read.feature, "ours": read.arkit, "peer": crop.peer}
                rows.append(row)
    return {k: np.array([row[k] for row in rows], np.float64) for k in rows[0]}


def _found(rows: dict[str, Array], key: str) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(rows[key]).all(axis=1))


def explained(train: dict[str, Array], test: dict[str, Array], key: str) -> float:
    """Share of held-out skin movement that a ridge regression explains; its strength is chosen on training people."""
    ok, found = _found(train, key), _found(test, key)
    x, y = train[key][ok], train["movement"][ok]
    mean, spread, rest = x.mean(0), x.std(0) + 1e-6, y.mean(0)
    x, t = (x - mean) / spread, (test[key][found] - mean) / spread
    cut = len(x) * 4 // 5  # rows are ordered by person

    def fit(a: Array, b: Array, strength: float) -> Array:
        return np.asarray(np.linalg.solve(a.T @ a + strength * np.eye(a.shape[1]), a.T @ (b - rest)))

    best = min((1.0, 10.0, 100.0, 1e3, 1e4), key=lambda s: float((((x[cut:] @ fit(x[:cut], y[:cut], s)) + rest - y[cut:]) ** 2).sum()))
    guess = np.tile(rest, (len(found), 1))
    guess[found] = t @ fit(x, y, best) + rest
    truth = test["movement"]
    return 1 - float(((guess - truth) ** 2).sum() / ((truth - truth.mean(0)) ** 2).sum())


def shape_scores(test: dict[str, Array], key: str) -> dict[str, float]:
    """Agreement of ARKit weights with truth where a face was found."""
    found = _found(test, key)
    read, truth = test[key][found], test["arkit"][found]
    known = head_map.expressible("valid") > 0
    known[arkit.INDEX["tongueOut"]] = False  # MediaPipe has none
    scores = {"correlation": float(np.corrcoef(read[:, known].ravel(), truth[:, known].ravel())[0, 1])}
    active = truth[:, known] > 0.1
    scores["active_error"] = float(np.abs(read[:, known] - truth[:, known])[active].mean())
    for part in ("brows", "eyes", "gaze", "nose", "cheeks", "mouth", "jaw"):
        columns = [i for i, n in enumerate(arkit.NAMES) if arkit.region(n) == part and known[i] and truth[:, i].std() > 0.01]
        each = [np.corrcoef(read[:, i], truth[:, i])[0, 1] if read[:, i].std() > 1e-6 else 0.0 for i in columns]
        scores[part] = float(np.mean(each)) if each else float("nan")
    return scores


def clip_scores() -> dict[str, float]:
    """The ``human``'s controls on the shipped clip, whose person was held out, against the truth it was rendered from."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.npz"
        retarget(CLIP, "human", [out])
        with np.load(out, allow_pickle=False) as data, np.load(TRUTH, allow_pickle=False) as truth:
            names, controls, wanted = data["control_names"].tolist(), data["controls"], truth["arkit"]
            moving = [i for i in range(len(arkit.NAMES)) if truth["mask"][i] > 0 and wanted[:, i].max() > 0.2]
            read = controls[:, [names.index(arkit.NAMES[i]) for i in moving]]
            wanted = wanted[:, moving]
    each = [np.corrcoef(a, b)[0, 1] for a, b in zip(read.T, wanted.T, strict=True)]
    return {"shapes": len(moving), "correlation": float(np.mean(each)), "active_error": float(np.abs(read - wanted)[wanted > 0.1].mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--per-person", type=int, default=60)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    train, test = collect("training", args.per_person, 21), collect("held_out", args.per_person, 22)
    report: dict[str, object] = {"pictures": len(test["arkit"]), "people": len(people("held_out")[0])}
    report["found"] = float(_found(test, "ours").mean())
    report["movement_explained"] = {"freeavatar": explained(train, test, "feature"), "mediapipe": explained(train, test, "peer")}
    report["arkit"] = {"freeavatar": shape_scores(test, "ours"), "mediapipe": shape_scores(test, "peer")}
    report["clip"] = clip_scores()
    if args.json:
        args.json.write_text(json.dumps(report, indent=1))
    print(f"{report['pictures']} pictures of {report['people']} held-out people, face found in {report['found']:.3f}")
    print("skin movement explained  " + "  ".join(f"{k} {v:.3f}" for k, v in report["movement_explained"].items()))  # type: ignore[attr-defined]
    for name, scores in report["arkit"].items():  # type: ignore[attr-defined]
        print(f"ARKit {name:11s} " + "  ".join(f"{k} {v:.3f}" for k, v in scores.items()))
    print("shipped clip, human      " + "  ".join(f"{k} {v:.3f}" for k, v in report["clip"].items()))  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
