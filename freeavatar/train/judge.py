"""Scores of a trained encoder on people it has never seen: synthetic ones held out, and real ones kept for selection."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from freeavatar.models.expression import ExpressionEncoder, Readings
from freeavatar.train.emotion import emotion_score
from freeavatar.train.losses import KINDS, MovementSpace, clear_triplets
from freeavatar.train.real_faces import RealFaces
from freeavatar.train.shards import Crops, Shards
from freeavatar.train.triplets import report, two_sided
from freeavatar_renderer import head_map


@torch.inference_mode()
def judge(model: ExpressionEncoder, folders: Sequence[Path], most: int | None = None) -> dict[str, float]:
    """Scores on shards of held-out people.

    Movement explained by region (one minus the squared error's share of the variance) and its mean, mean absolute error
    and correlation of the ARKit shapes, gaze and pose errors in degrees, and two-sided triplet accuracy of the
    embedding by kind, over the triplets that are right by their labels.
    """
    shards = Shards(folders, most)
    crops = Crops(shards, model.size, 64, 0, augment=False)
    rng = np.random.default_rng(0)
    reads, labels = [], []
    for comparisons in np.array_split(shards.whole, max(1, len(shards.whole) // 16)):
        batch = crops.collect(comparisons, rng)
        reads.append(model(batch.pop("image").float()))
        labels.append(batch)
    read = Readings(*(torch.cat(r) for r in zip(*reads, strict=True)))
    truth = {k: torch.cat([b[k] for b in labels]) for k in labels[0]}
    space = MovementSpace(truth["movement"])
    explained = 1 - space.by_region(read.movement - truth["movement"]).mean(0)
    known, active = truth["mask"] > 0, (truth["arkit"] > 0.1) & (truth["mask"] > 0)
    rows, kinds = clear_triplets(truth, space)
    right = report(two_sided(*read.embedding[rows].unbind(1)), [KINDS[int(k)] for k in kinds])
    degrees = 180 / np.pi
    return {
        "movement": explained.mean().item(),
        **{region: value.item() for region, value in zip(head_map.REGIONS, explained, strict=True)},
        "arkit_active_mae": (read.arkit - truth["arkit"])[active].abs().mean().item(),
        "arkit_correlation": torch.corrcoef(torch.stack([read.arkit[known], truth["arkit"][known]]))[0, 1].item(),
        "gaze_error": (read.gaze - truth["gaze"]).norm(dim=1).mean().item() * degrees,
        "pose_error": (read.head_pose - truth["head_pose"])[:, :3].abs().mean().item() * degrees,
        **{f"triplets_{name}": score.accuracy for name, score in right.items()},
        "images": float(4 * len(shards.whole)),
    }


@torch.inference_mode()
def judge_real(model: ExpressionEncoder, path: Path) -> dict[str, float]:
    """Two-sided accuracy of emotion triplets on the real people kept for selection, with its 95 % interval over persons.

    Empty if there are too few of them.
    """
    faces = RealFaces(path, model.size, 1, 0, people="selection")
    embedding = torch.cat([model(faces.straight(i, i + 64).float()).embedding for i in range(0, len(faces), 64)])
    try:
        score = emotion_score(embedding.numpy(), faces.labels, faces.persons)
    except ValueError as error:  # what was trained is worth keeping all the same
        print(f"{path}: not scored by emotion: {error}", file=sys.stderr)
        return {}
    return {"emotion_triplets": score.accuracy, "emotion_triplets_low": score.low, "emotion_triplets_high": score.high}
