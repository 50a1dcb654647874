"""``freeavatar train STAGE``: every stage's settings are its command line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, OmitSubcommandPrefixes
from tyro.extras import subcommand_cli_from_dict

from freeavatar.train import animator, expression
from freeavatar.train.export import export_encoder


def main(args: Sequence[str]) -> int:
    """Run one stage; ``args`` are the words after ``freeavatar train``."""
    return int(
        subcommand_cli_from_dict(
            {"expression": _expression, "animator": _animator},
            prog="freeavatar train",
            description="Train one stage; docs/training.md has the whole chain.",
            args=list(args),
            config=(FlagCreatePairsOff, OmitSubcommandPrefixes),
        )
    )


def _expression(
    config: Annotated[expression.ExpressionConfig, OmitArgPrefixes], weights: Path | None = None, held_out: Path | None = None
) -> int:
    """Train the expression encoder on synthetic people.

    Args:
        config: the stage's settings.
        weights: write the weights folder here when done.
        held_out: shards of held-out people to report scores on.
    """
    model = expression.load_trained(expression.train(config))
    if held_out:
        print(json.dumps({k: round(v, 4) for k, v in expression.evaluate(model, held_out).items()}))
    if weights:
        export_encoder(model, config.size, weights, name=config.out.name)
    return 0


def _animator(config: Annotated[animator.AnimatorConfig, OmitArgPrefixes]) -> int:
    """Train the animator of all built-in avatars on features of a trained encoder."""
    print(animator.train(config))
    return 0
