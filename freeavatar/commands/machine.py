"""The machine and its models: ``bench``, ``train``."""

from collections.abc import Sequence
from typing import Annotated

from tyro.conf import Positional, arg

from freeavatar.commands.common import RigNames, flat, optional, report
from freeavatar.errors import MissingExtraError


def bench(
    input: Annotated[Positional[str | None], arg(metavar="[CLIP]")] = None,
    rig: RigNames = (),
    frames: Annotated[int, arg(metavar="N")] = 300,
    threads: Annotated[int | None, optional(metavar="N")] = None,
    provider: Annotated[str | None, optional(metavar="NAME")] = None,
    json: bool = False,
) -> int:
    """Time every stage on this machine beside MediaPipe's own landmarker, on the same frames.

    Args:
        input: a video of a face; the shipped clip if omitted.
        rig: the rigs to drive, "human" if omitted; what more than one cost is told apart.
        frames: time at most so many frames.
        threads: CPU threads of the encoder; automatic if omitted.
        provider: what runs the encoder: cpu, cuda, tensorrt, ...; the best one that starts if omitted.
        json: print the report as JSON.
    """
    from freeavatar.bench import bench as job
    from freeavatar.demo import CLIP
    from freeavatar.stopwatch import lines

    done = job(input or CLIP, flat(rig) or ["human"], frames, threads, provider)
    machine = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in done.machine.items())
    return report(done, json, f"{done.source}, {done.size}, {done.frames} frames; {machine}", *lines(done.stages))


def train(stage: Annotated[Positional[str], arg(metavar="STAGE")]) -> int:
    """Train one stage: "mae", "expression", "renderer", "animator" or "avatar"; "freeavatar train STAGE --help" lists its settings.

    Args:
        stage: the stage to train.
    """
    return train_stage([stage])


def train_stage(words: Sequence[str]) -> int:
    """A stage's settings are its own command line, so the words go there unread; torch is imported here alone."""
    try:
        from freeavatar.train.stages import main as run
    except ImportError as error:
        if (error.name or "").split(".")[0] not in ("torch", "onnx", "scipy", "moderngl", "tensorboard"):
            raise
        raise MissingExtraError("Training", str(error.name), "train") from error
    return run(words)
