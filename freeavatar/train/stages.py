"""``freeavatar train STAGE``: every stage's settings are its command line."""

import json as jsonlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, OmitSubcommandPrefixes, Positional, arg
from tyro.extras import subcommand_cli_from_dict

from freeavatar.train import animator, avatar, expression, mae, renderer
from freeavatar.train.export import export_encoder
from freeavatar.train.judge import judge, judge_real
from freeavatar.train.loop import load_average
from freeavatar.train.place import leads
from freeavatar.train.real_faces import RealFaces
from freeavatar.train.shards import Crops, Shards


def main(args: Sequence[str]) -> int:
    """Run one stage; ``args`` are the words after ``freeavatar train``."""
    return int(
        subcommand_cli_from_dict(
            {"mae": _mae, "expression": _expression, "renderer": _renderer, "animator": _animator, "avatar": _avatar},
            prog="freeavatar train",
            description="Train one stage; docs/training.md has the whole chain.",
            args=list(args),
            config=(FlagCreatePairsOff, OmitSubcommandPrefixes),
        )
    )


def _mae(config: Annotated[mae.MaeConfig, OmitArgPrefixes], held_out: tuple[Path, ...] = ()) -> int:
    """Pre-train a vision transformer by masked autoencoding of faces.

    Args:
        config: the stage's settings.
        held_out: folders of shards of held-out people to report the loss on; real people kept for selection are judged too.
    """
    last = mae.train(config)
    if leads():
        model = mae.load_trained(last)
        unseen = {"synthetic": mae.read_shards(held_out)} if held_out else {}
        if config.real:
            unseen["real"] = RealFaces(config.real, config.size, 1, config.seed, "selection").jpegs
        scores = {kind: mae.evaluate(model, mae.straight(jpegs, config.size)) for kind, jpegs in unseen.items()}
        print(jsonlib.dumps({kind: {k: round(v, 4) for k, v in score.items()} for kind, score in scores.items()}))
    return 0


def _expression(
    config: Annotated[expression.ExpressionConfig, OmitArgPrefixes],
    weights: Path | None = None,
    precision: Literal["float32", "int8"] = "int8",
    held_out: tuple[Path, ...] = (),
) -> int:
    """Train the expression encoder.

    Args:
        config: the stage's settings.
        weights: write the weights folder here when done.
        precision: of the graph.
        held_out: folders of shards of held-out people to report scores on; real people kept for selection are judged too.
    """
    last = expression.train(config)
    if not leads():
        return 0
    model = expression.load_trained(last)
    scores = judge(model, held_out) if held_out else {}
    if config.real:
        scores |= judge_real(model, config.real)
    print(jsonlib.dumps({k: round(v, 4) for k, v in scores.items()}))
    if weights:
        architecture, _ = load_average(last)
        difference = export_encoder(model, weights, config.out.name, architecture, _calibration(config, model.size), precision)
        print(jsonlib.dumps({"int8": vars(difference) if difference else None}))
    return 0


def _calibration(config: expression.ExpressionConfig, size: int) -> NDArray[np.uint8]:
    """(200, 3, S, S) augmented training crops, by which the ranges of the quantised graph are measured."""
    return Crops(Shards(config.data, most=2), size, 200, config.seed).batch(0)["image"].numpy()


def _renderer(config: Annotated[renderer.RendererConfig, OmitArgPrefixes]) -> int:
    """Train the neural renderer of one avatar, which the animator's perceptual loop looks through."""
    last = renderer.train(config)
    if leads():
        print(jsonlib.dumps({k: round(v, 4) for k, v in renderer.report(config, last).items()}))
    return 0


def _animator(config: Annotated[animator.AnimatorConfig, OmitArgPrefixes]) -> int:
    """Train the animator of all built-in avatars on features of a trained encoder."""
    print(animator.train(config))
    return 0


def _avatar(
    rig: Annotated[Positional[Path], arg(metavar="DIR")], config: Annotated[avatar.AvatarConfig, OmitArgPrefixes], json: bool = False
) -> int:
    """Fit a new avatar to the animator that ships; nothing else changes.

    Args:
        rig: the rig's folder, as "freeavatar rig import" makes it.
        config: the stage's settings.
        json: print the summary as JSON.
    """
    done = avatar.train(rig, config)
    errors = ", ".join(f"{name} {done.before[name]:.3f} before, {done.after[name]:.3f} after" for name in done.before)
    text = f"{done.rig}: {done.controls} controls; mean error where they move and where they rest: {errors}\n  {done.output}"
    print(jsonlib.dumps(asdict(done)) if json else text)
    return 0
