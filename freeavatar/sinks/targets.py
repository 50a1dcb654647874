"""Which programs a live session sends to, and the sinks that do it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from freeavatar.sinks.ifacialmocap import IFacialMocapSink
from freeavatar.sinks.live_link import DEFAULT_SUBJECT, LiveLinkSink
from freeavatar.sinks.openseeface import OpenSeeFaceSink
from freeavatar.sinks.osc import DEFAULT_PREFIX, OscSink
from freeavatar.sinks.udp import UdpSink
from freeavatar.sinks.vmc import VmcSink
from freeavatar.sinks.vrchat import VrchatSink


@dataclass(frozen=True)
class Targets:
    """Addresses, HOST:PORT each, and the options of their protocols; None sends nothing there.

    Attributes:
        osc: plain OSC, one address a control.
        osc_prefix: start of every OSC address.
        vmc: VMC protocol.
        vmc_names: names of the blends, one of :data:`freeavatar.sinks.vmc.VOCABULARIES`.
        live_link: Live Link Face.
        live_link_subject: the name that Unreal lists.
        ifacialmocap: iFacialMocap.
        ifacialmocap_listen: where a start word is awaited first; None sends at once.
        openseeface: OpenSeeFace.
        vrchat: VRChat's avatar parameters.
        vrchat_prefix: what the parameters have before ``v2/``.
        vrchat_bits: bits of the binary parameters, 0 for floats only.
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


DEFAULT_TARGETS: Final = Targets(osc="127.0.0.1:9000")


@contextmanager
def open_targets(targets: Targets) -> Iterator[list[UdpSink]]:
    """The sinks of all addresses given.

    Raises:
        OutputError: an address or an option is not one, or a host is unknown.
    """
    makers: list[tuple[str | None, Callable[[str], UdpSink]]] = [
        (targets.osc, lambda address: OscSink(address, targets.osc_prefix)),
        (targets.vmc, lambda address: VmcSink(address, targets.vmc_names)),
        (targets.live_link, lambda address: LiveLinkSink(address, targets.live_link_subject)),
        (targets.ifacialmocap, lambda address: IFacialMocapSink(address, targets.ifacialmocap_listen)),
        (targets.openseeface, OpenSeeFaceSink),
        (targets.vrchat, lambda address: VrchatSink(address, targets.vrchat_prefix, targets.vrchat_bits)),
    ]
    with ExitStack() as stack:
        yield [stack.enter_context(make(address)) for address, make in makers if address is not None]
