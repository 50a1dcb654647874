"""Which programs a live session sends to, and the outlets that do it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from freeavatar.errors import OutputError
from freeavatar.sinks.ifacialmocap import IFacialMocapSink
from freeavatar.sinks.live_link import DEFAULT_SUBJECT, LiveLinkSink
from freeavatar.sinks.moment import Moment
from freeavatar.sinks.names import load_names
from freeavatar.sinks.openseeface import OpenSeeFaceSink
from freeavatar.sinks.osc import DEFAULT_PREFIX, TRACKING, OscSink, full_address, is_path
from freeavatar.sinks.outlet import Outlet, Sink, running
from freeavatar.sinks.vmc import VmcSink
from freeavatar.sinks.vrchat import VrchatSink
from freeavatar.sinks.vtube_studio import VTubeStudioSink
from freeavatar.types import RigFrame


@dataclass(frozen=True)
class Targets:
    """Addresses, HOST:PORT or HOST:PORT@RATE each, and the options of their protocols; None sends nothing there.

    RATE is the number of frames a second sent at most; without it every frame is.

    Attributes:
        osc: plain OSC, one address a control. Several rigs have their names between prefix and control; of all other
            protocols, each carries the first rig.
        osc_prefix: start of every OSC address.
        vmc: VMC protocol.
        vmc_names: names of the blends, one of :data:`freeavatar.sinks.vmc.VOCABULARIES`.
        live_link: Live Link Face.
        live_link_subject: the name that Unreal lists.
        ifacialmocap: iFacialMocap.
        ifacialmocap_listen: where a start word is awaited first (HOST:PORT); None sends at once.
        openseeface: OpenSeeFace.
        vrchat: VRChat's avatar parameters.
        vrchat_prefix: what the parameters have before ``v2/``.
        vrchat_bits: bits of the binary parameters, 0 for floats only.
        vrchat_config: VRChat's own file of the avatar: only what it declares is sent.
        vtube_studio: VTube Studio's plugin interface.
        names: file with other names for OSC and VMC, see :mod:`freeavatar.sinks.names`.
    """

    osc: str | None = None
    osc_prefix: str = DEFAULT_PREFIX
    vmc: str | None = None
    vmc_names: str = "perfect-sync"
    live_link: str | None = None
    live_link_subject: str = DEFAULT_SUBJECT
    ifacialmocap: str | None = None
    ifacialmocap_listen: str | None = None
    openseeface: str | None = None
    vrchat: str | None = None
    vrchat_prefix: str = ""
    vrchat_bits: int = 0
    vrchat_config: Path | None = None
    vtube_studio: str | None = None
    names: Path | None = None


DEFAULT_TARGETS: Final = Targets(osc="127.0.0.1:9000")


@contextmanager
def open_targets(
    targets: Targets,
    rigs: Mapping[str, Sequence[str]],
    now: Callable[[], float] = time.monotonic,
    report: Callable[[str], None] = lambda _: None,
    depth: int = 1,
) -> Iterator[list[Outlet[RigFrame]]]:
    """The outlets of all addresses given, running.

    Args:
        targets: where to send to.
        rigs: the controls of each rig by its name, in the order of a moment's rows.
        now: the clock of the moments.
        report: called with a line about a sink that fails.
        depth: moments that wait for each sink at most; at 1 only the newest counts.

    Raises:
        OutputError: an address or an option is not one, or a host is unknown.
        SettingsError: the file of names is not understood, or does not suit the rigs.
    """
    names = load_names(targets.names)
    if targets.osc is not None and len(rigs) > 1 and (odd := [rig for rig in rigs if not is_path(rig)]):
        raise OutputError(
            f"rig {odd[0]!r:.80}: addresses of OSC have no spaces, #*,?[]{{}} and letters beyond ASCII; rename it in its rig.toml"
        )
    prefixes = [targets.osc_prefix] if len(rigs) == 1 else [f"{targets.osc_prefix.rstrip('/')}/{rig}" for rig in rigs]
    if targets.osc is not None and names["osc"].aliases:
        sent = [(prefix, control) for prefix, controls in zip(prefixes, rigs.values(), strict=True) for control in (*controls, TRACKING)]
        names["osc"].check({control for _, control in sent})
        names["osc"].check_apart(full_address(prefix, names["osc"][control].name) for prefix, control in sent)
    makers: list[tuple[str | None, int, Callable[[str], Sink[RigFrame]]]] = [
        *((targets.osc, i, partial(OscSink, prefix=prefix, names=names["osc"])) for i, prefix in enumerate(prefixes)),
        (targets.vmc, 0, partial(VmcSink, vocabulary=targets.vmc_names, names=names["vmc"])),
        (targets.live_link, 0, partial(LiveLinkSink, subject=targets.live_link_subject)),
        (targets.ifacialmocap, 0, partial(IFacialMocapSink, listen=targets.ifacialmocap_listen)),
        (targets.openseeface, 0, OpenSeeFaceSink),
        (targets.vrchat, 0, partial(VrchatSink, prefix=targets.vrchat_prefix, bits=targets.vrchat_bits, config=targets.vrchat_config)),
        (targets.vtube_studio, 0, VTubeStudioSink),
    ]
    outlets = []
    with ExitStack() as stack:
        for text, rig, make in makers:
            if text is not None:
                address, rate = parse_rate(text)
                outlets.append(Outlet(stack.enter_context(make(address)), partial(_row, rig), now, report, rate, depth))
        stack.pop_all()  # from now on each sink is its outlet's
    with running(outlets):
        yield outlets


def parse_rate(text: str) -> tuple[str, float | None]:
    """The address and the rate of ``HOST:PORT@RATE``; without ``@`` every frame is sent.

    Raises:
        OutputError: the rate is not a number of 1 to 1000.
    """
    address, at, rate = text.partition("@")
    if not at:
        return address, None
    if not (rate.isascii() and rate.isdigit() and 1 <= int(rate) <= 1000):
        raise OutputError(f"address {text!r}: expected a rate of 1 to 1000 frames a second after @, e.g. 127.0.0.1:9000@30")
    return address, float(rate)


def _row(rig: int, moment: Moment) -> RigFrame:
    return moment.rows[rig]
