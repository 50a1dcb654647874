"""Every address named gets its own sink, and of several rigs each is where it belongs."""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from pythonosc.osc_bundle import OscBundle

from freeavatar.errors import OutputError
from freeavatar.sinks.moment import Moment
from freeavatar.sinks.targets import Targets, open_targets, parse_rate
from freeavatar.types import RigFrame

NAMES = ("osc", "vmc", "live_link", "ifacialmocap", "openseeface", "vrchat")
RIG = {"tiny": ("jawOpen",)}


def test_every_target_named_gets_a_sink_and_no_other() -> None:
    for i, name in enumerate(NAMES):
        with open_targets(Targets(**{name: f"127.0.0.1:{9 + i}@60"}), RIG) as outlets:  # type: ignore[arg-type]
            (outlet,) = outlets
            assert outlet.name.replace(" ", "_").lower() == name and f"127.0.0.1:{9 + i}" in outlet.target
    with open_targets(Targets(**dict.fromkeys(NAMES, "127.0.0.1:9")), RIG) as outlets:  # type: ignore[arg-type]
        assert len({outlet.name for outlet in outlets}) == len(NAMES)


def test_vtube_studio_is_a_target_like_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("websockets")
    monkeypatch.setenv("FREEAVATAR_CONFIG", str(tmp_path))
    with open_targets(Targets(vtube_studio="127.0.0.1:9@60"), RIG) as (outlet,):
        assert outlet.name == "VTube Studio"


def test_a_target_that_fails_to_open_closes_those_before_it(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(OutputError, match="expected HOST:PORT"), open_targets(Targets(osc="127.0.0.1:9", vrchat="nowhere"), RIG):
        pass
    assert not [warning for warning in recwarn if issubclass(warning.category, ResourceWarning)]


def test_a_name_that_is_no_part_of_an_address_is_told_where_it_would_be_one() -> None:
    rigs = {"human": ("jawOpen",), "my avatar": ("jawOpen",)}
    with (
        pytest.raises(OutputError, match="rig 'my avatar': addresses of OSC have no spaces"),
        open_targets(Targets(osc="127.0.0.1:9"), rigs),
    ):
        pass
    for targets, some in ((Targets(vmc="127.0.0.1:9"), rigs), (Targets(osc="127.0.0.1:9"), {"my avatar": ("jawOpen",)})):
        with open_targets(targets, some) as outlets:
            assert len(outlets) == 1


def test_of_several_rigs_osc_carries_each_by_name_and_others_the_first(frame: Callable[..., RigFrame]) -> None:
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
            listener.settimeout(10)
        osc, vmc = (f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners)
        rows = (frame({"jawOpen": 0.25}), frame({"jawOpen": 0.75}))
        with open_targets(Targets(osc=osc, osc_prefix="/me", vmc=vmc), {"human": (), "robot": ()}) as outlets:
            assert [outlet.target for outlet in outlets] == [f"{osc}/me/human", f"{osc}/me/robot", vmc]
            for outlet in outlets:
                outlet.write(Moment(0.0, 0, None, None, rows))
        bundles = [OscBundle(listeners[0].recv(65536)) for _ in range(2)]
        addresses = {message.address for bundle in bundles for message in bundle}
        assert addresses == {"/me/human/tracking", "/me/robot/tracking"}
        values: dict[str, float] = {}
        while "JawOpen" not in values:
            bundle = OscBundle(listeners[1].recv(65536))
            values |= {message.params[0]: message.params[1] for message in bundle if message.address == "/VMC/Ext/Blend/Val"}
        assert values["JawOpen"] == 0.25


@pytest.mark.parametrize(
    ("text", "parsed"), [("127.0.0.1:9", ("127.0.0.1:9", None)), ("[::1]:9@30", ("[::1]:9", 30.0)), ("studio:9@1000", ("studio:9", 1000.0))]
)
def test_an_address_may_have_a_rate(text: str, parsed: tuple[str, float | None]) -> None:
    assert parse_rate(text) == parsed


@pytest.mark.parametrize("text", ["a:9@", "a:9@0", "a:9@1001", "a:9@-3", "a:9@1e2", "a:9@٣", "a:9@30@30"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(OutputError, match="expected a rate"):
        parse_rate(text)
