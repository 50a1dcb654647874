"""The command line."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from tyro.conf import FlagCreatePairsOff
from tyro.extras import subcommand_cli_from_dict

from freeavatar.commands.live import calibrate, cameras, live, replay
from freeavatar.commands.machine import bench, train, train_stage
from freeavatar.commands.recorded import demo, embed, retarget
from freeavatar.commands.rigs import rig, rigs
from freeavatar.errors import FreeAvatarError

_COMMANDS: Final[dict[str, Callable[..., Any]]] = {
    "demo": demo,
    "retarget": retarget,
    "live": live,
    "cameras": cameras,
    "calibrate": calibrate,
    "replay": replay,
    "embed": embed,
    "rigs": rigs,
    "rig": rig,
    "bench": bench,
    "train": train,
}


def main(args: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        args: the words after the program's name; those of the process if None.

    Returns:
        0, 2 after an error in the input or the arguments, 130 when interrupted.
    """
    words = list(sys.argv[1:] if args is None else args)
    try:
        if words[:1] == ["train"] and len(words) > 1:
            return train_stage(words[1:])
        return int(
            subcommand_cli_from_dict(
                _COMMANDS,
                prog="freeavatar",
                description="Drive any 3D avatar from a person's face.",
                args=words,
                config=(FlagCreatePairsOff,),
            )
        )
    except FreeAvatarError as error:
        print(f"freeavatar: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("freeavatar: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the summary has enough of it; the work is done
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
