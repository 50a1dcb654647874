"""A take once more: to other programs in its own time, or to files."""

import math
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Final

from freeavatar.errors import OutputError
from freeavatar.interrupt import stop_on
from freeavatar.live import Delivery
from freeavatar.output import check_outputs
from freeavatar.pacing import Clock, SystemClock
from freeavatar.progress import progress
from freeavatar.rig import Control, Rig
from freeavatar.sinks.files import FILE_SUFFIXES, open_file
from freeavatar.sinks.moment import Moment
from freeavatar.sinks.recording import Take, TakeRig, read_take
from freeavatar.sinks.targets import DEFAULT_TARGETS, Targets, open_targets

_DEPTH: Final = 120
"""Moments that may wait for a sink: a replay that comes late sends everything nevertheless."""


@dataclass(frozen=True)
class Summary:
    """What was replayed.

    Attributes:
        take: the take's folder.
        rigs: the names of the rigs.
        moments: moments that were sent or written.
        complete: the recording was ended; False for one that was cut short and lacks its last second.
        unsent: summed over the sinks.
        sinks: each sink.
        outputs: the files written.
    """

    take: str
    rigs: tuple[str, ...]
    moments: int
    complete: bool
    unsent: int
    sinks: tuple[Delivery, ...]
    outputs: tuple[str, ...]


def replay(
    folder: Path,
    targets: Targets = DEFAULT_TARGETS,
    rig: str | None = None,
    *,
    clock: Clock | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Summary:
    """Send a take as it was sent live, until it ends or SIGINT or SIGTERM arrives.

    Args:
        folder: the take.
        targets: where to send to.
        rig: one of the take's rigs; None sends all.
        clock: time and a way to wait; None takes the machine's.
        say: called with a line once everything is open, and about a sink that fails.

    Raises:
        FreeAvatarError: the take, the rig or a target is not usable.
    """
    clock = clock or SystemClock()
    take = read_take(folder)
    places = choose(take, rig)
    rigs = {take.rigs[place].name: take.rigs[place].controls for place in places}
    count = 0
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on(signal.SIGINT, signal.SIGTERM))
        outlets = stack.enter_context(open_targets(targets, rigs, clock.now, say, depth=_DEPTH))
        say(f"{folder} drives {', '.join(rigs)}: {', '.join(f'{o.name} to {o.target}' for o in outlets)}; Ctrl-C ends")
        for moment in due(take.moments(), clock, stop):
            chosen = replace(moment, rows=tuple(moment.rows[place] for place in places))
            for outlet in outlets:
                outlet.write(chosen)
            count += 1
    sinks = tuple(Delivery(o.name, o.target, o.sent, o.dropped, o.watch.summary()) for o in outlets)
    return Summary(str(folder), tuple(rigs), count, take.complete, sum(sink.unsent for sink in sinks), sinks, ())


def export(folder: Path, outputs: Sequence[Path], rig: str | None = None) -> Summary:
    """Write one rig of a take as ``retarget`` writes curves; its times count from the first moment.

    Args:
        folder: the take.
        outputs: files to write; the suffix says the format, one of :data:`freeavatar.sinks.FILE_SUFFIXES`.
        rig: one of the take's rigs; None takes the first.

    Raises:
        FreeAvatarError: the take, the rig or an output is not usable.
    """
    check_outputs(outputs, FILE_SUFFIXES)
    take = read_take(folder)
    place = choose(take, rig)[0]
    avatar = _named(take.rigs[place])
    start: float | None = None
    with ExitStack() as stack:
        sinks = [stack.enter_context(open_file(path, avatar, take.source, take.rate)) for path in outputs]
        for moment in progress(take.moments(), take.count, avatar.name):
            row = moment.rows[place]
            start = row.time if start is None else start
            for sink in sinks:
                sink.write(replace(row, time=row.time - start))
    return Summary(str(folder), (avatar.name,), take.count, take.complete, 0, (), tuple(map(str, outputs)))


def due(moments: Iterable[Moment], clock: Clock, stop: Event) -> Iterator[Moment]:
    """Moments when it is their time, counted from the first one. None is skipped: one that is late delays the rest."""
    offset = -math.inf
    for moment in moments:
        now = clock.now()
        offset = max(offset, now - moment.time)
        if (early := moment.time + offset - now) > 0:
            clock.wait(early, stop)
        if stop.is_set():
            return
        yield moment


def choose(take: Take, rig: str | None) -> list[int]:
    """The places of a rig's rows, or of all rigs' if ``rig`` is None.

    Raises:
        OutputError: the take has no such rig.
    """
    names = [recorded.name for recorded in take.rigs]
    if rig is None:
        return list(range(len(names)))
    if rig not in names:
        raise OutputError(f"{take.folder}: has no rig {rig!r}; expected one of {', '.join(names)}")
    return [names.index(rig)]


def _named(recorded: TakeRig) -> Rig:
    """A rig of which nothing but the names is known; a file needs no more."""
    return Rig(recorded.name, recorded.name, "", Path(), Path(), tuple(map(Control, recorded.controls)))
