"""The package as a whole: what importing it costs, what it brings along, what it promises by name."""

import subprocess
import sys
import time
from importlib import metadata

import pytest

import freeavatar

HEAVY = ("torch", "mediapipe", "cv2", "onnxruntime", "av", "moderngl", "freeavatar_renderer")
ATTEMPTS = 5
"""A busy machine can only make a measurement longer, so the shortest of several is the true one."""


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = run("-c", "import sys, freeavatar; print(*{name.split('.')[0] for name in sys.modules})").split()
    assert not set(loaded) & set(HEAVY)


def test_the_package_imports_in_under_a_third_of_a_second() -> None:
    script = "import time; start = time.perf_counter(); import freeavatar; print(time.perf_counter() - start)"
    assert min(float(run("-c", script)) for _ in range(ATTEMPTS)) < 0.3


def test_help_answers_in_half_a_second() -> None:
    took = []
    for _ in range(ATTEMPTS):
        start = time.perf_counter()
        shown = run("-m", "freeavatar", "--help")
        took.append(time.perf_counter() - start)
        assert "retarget" in shown
    assert min(took) < 0.5


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\nsys.argv = ['freeavatar', '--help']\nfrom freeavatar.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint(*{name.split('.')[0] for name in sys.modules})"
    )
    assert not set(run("-c", script).splitlines()[-1].split()) & set(HEAVY)


def test_a_whole_pipeline_runs_without_torch() -> None:
    script = (
        "import sys\nsys.modules['torch'] = None\nimport freeavatar as fa\n"
        "fa.Encoder.load(); fa.Animator.load(); [fa.load_rig(name) for name in fa.list_rigs()]"
    )
    run("-c", script)


def test_exactly_one_cv2_is_installed() -> None:
    assert len(metadata.packages_distributions()["cv2"]) == 1


@pytest.mark.parametrize("name", freeavatar.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(freeavatar, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        freeavatar.no_such_name  # noqa: B018
