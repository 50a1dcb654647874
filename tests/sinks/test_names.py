"""Names of the user's own: what stands in the file is what is sent, and what cannot be meant is refused in one line."""

import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pythonosc.osc_bundle import OscBundle

from freeavatar.errors import FreeAvatarError, OutputError
from freeavatar.rig import load_rig
from freeavatar.sinks.names import Alias, NameMap, load_names
from freeavatar.sinks.osc import OscSink
from freeavatar.sinks.targets import Targets, open_targets
from freeavatar.sinks.vmc import VmcSink
from freeavatar.toml_file import SettingsError
from freeavatar.types import RigFrame

NAMES = """
[osc]
jawOpen = "/face/jaw"
smile = "mouth/smile"
lid = { name = "open", scale = -100, offset = 100 }
tracking = "/face/state"

[vmc]
JawOpen = "MTH_A"
EyeBlinkLeft = { name = "まばたき左", scale = 0.5 }
"""


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        (tmp_path / "names.toml").write_text(text, encoding="utf-8")
        return tmp_path / "names.toml"

    return write


def test_osc_sends_what_the_file_says(written: Callable[[str], Path]) -> None:
    zeros = [np.zeros(n, np.float32) for n in (52, 6, 2)]
    row = RigFrame("tiny", ("jawOpen", "smile", "lid", "other"), np.array([0.5, 0.25, 0.75, 1], np.float32), *zeros, 1.0, 0.0, 0)  # type: ignore[arg-type]
    with OscSink("127.0.0.1:9", "/me", load_names(written(NAMES))["osc"]) as sink:
        (data,) = sink.encode(row)
    assert {message.address: message.params[0] for message in OscBundle(data)} == {
        "/face/jaw": 0.5,
        "/me/mouth/smile": 0.25,
        "/me/open": 25.0,
        "/me/other": 1.0,
        "/face/state": "tracked",
    }


def test_vmc_sends_what_the_file_says(written: Callable[[str], Path], frame: Callable[..., RigFrame]) -> None:
    made = frame({"jawOpen": 0.5, "eyeBlinkLeft": 0.5})
    with VmcSink("127.0.0.1:9", names=load_names(written(NAMES))["vmc"]) as renamed, VmcSink("127.0.0.1:9") as plain:
        sent, usual = (
            {m.params[0]: m.params[1] for data in sink.encode(made) for m in OscBundle(data) if m.address == "/VMC/Ext/Blend/Val"}
            for sink in (renamed, plain)
        )
    assert sent.pop("MTH_A") == usual.pop("JawOpen") == 0.5 and sent.pop("まばたき左") == usual.pop("EyeBlinkLeft") / 2 == 0.25
    assert sent == usual


def test_without_a_file_nothing_changes() -> None:
    assert load_names(None) == {"osc": NameMap(), "vmc": NameMap()} and NameMap()["jawOpen"] == Alias("jawOpen")


RIGS = {"a": ("jawOpen", "smile"), "b": ("jawOpen", "lid")}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[osc]\njawOpn = "jaw"', r"\[osc\]: nothing is sent as 'jawOpn'; expected names such as jawOpen"),
        ('[osc]\njawOpen = "/jaw"', r"\[osc\]: 2 controls are sent as '/jaw'; give each a name of its own"),
        ('[osc]\nlid = "jawOpen"', "2 controls are sent as '/me/b/jawOpen'"),
        ('[osc]\nlid = "tracking"', "2 controls are sent as '/me/b/tracking'"),
        ('[osc]\nlid = "left lid"', "'left lid' is no OSC address"),
        ('[osc]\nlid = "/lid*"', "is no OSC address"),
        ('[osc]\nlid = "lîd"', "is no OSC address"),
        ('[osc]\nlid = ""', "expected the name to send"),
        ('[osc]\nlid = "a\\nb"', "expected the name to send"),
        ("[osc]\nlid = 3", "expected a table"),
        ('[osc]\nlid = { scale = 2 }', "name is '', expected the name to send"),
        ('[osc]\nlid = { name = "a", factor = 2 }', "unknown key 'factor'"),
        ('[osc]\nlid = { name = "a", scale = nan }', "scale is nan"),
        ('[osc]\nlid = { name = "a", scale = true }', "scale is True"),
        ('lid = "a"', "unknown key 'lid'"),
        ('[ocs]\nlid = "a"', "unknown key 'ocs'"),
        ('[vmc]\njawOpen = "A"', r"\[vmc\]: nothing is sent as 'jawOpen'; expected names such as JawOpen"),
        ('[vmc]\nJawOpen = "MouthClose"', r"\[vmc\]: 2 controls are sent as 'MouthClose'"),
        ("osc = [", "is not valid TOML"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_one_line(written: Callable[[str], Path], text: str, reason: str) -> None:
    targets = Targets(osc="127.0.0.1:9", osc_prefix="/me", vmc="127.0.0.1:9", names=written(text))
    with pytest.raises((SettingsError, OutputError), match=reason) as raised, open_targets(targets, RIGS):
        pass
    assert "names.toml" in str(raised.value) and "\n" not in str(raised.value)


def test_a_name_that_one_of_several_rigs_has_is_enough(written: Callable[[str], Path]) -> None:
    targets = Targets(osc="127.0.0.1:9", names=written('[osc]\nlid = "/lid"\n[vmc]\nnobody = "x"'))
    with open_targets(targets, RIGS) as outlets:
        assert len(outlets) == 2, "and a table of a protocol that is not used is not looked at"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no.toml: cannot be read .*expected a TOML file with a table \[osc\] or \[vmc\]"):
        load_names(tmp_path / "no.toml")


@pytest.mark.parametrize("page", ["live.md", "engines.md"])
def test_the_examples_of_the_documentation_do_what_they_say(page: str, written: Callable[[str], Path]) -> None:
    path = Path(__file__).parents[2] / "docs" / page
    if not path.is_file():
        pytest.skip("the documentation is not part of this source package")
    examples = [textwrap.dedent(block) for block in re.findall(r"(?m)(?:^ {4}.*\n|^\n)+", path.read_text()) if "[osc]" in block]
    human = load_rig("human")
    for text in examples:
        targets = Targets(osc="127.0.0.1:9", vmc="127.0.0.1:9", names=written(text))
        with open_targets(targets, {human.name: human.names}) as outlets:
            assert len(outlets) == 2
    assert examples


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_refused_or_read_never_worse(tmp_path: Path, data: st.DataObject) -> None:
    text = NAMES.encode()
    at = data.draw(st.integers(0, len(text) - 1))
    (tmp_path / "broken.toml").write_bytes(text[:at] + data.draw(st.binary(max_size=6)) + text[at + data.draw(st.integers(0, 40)) :])
    targets = Targets(osc="127.0.0.1:9", vmc="127.0.0.1:9", names=tmp_path / "broken.toml")
    try:
        with open_targets(targets, {"tiny": ("jawOpen", "smile", "lid")}):
            pass
    except FreeAvatarError as error:
        assert "broken.toml" in str(error)
