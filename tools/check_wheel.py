"""Builds the wheel, looks inside, installs it into a fresh environment and runs the commands that need no camera.

    python tools/check_wheel.py [WHEEL] [--inside-only]

Prints one line a finding and exits 1 if there is any. ``WHEEL`` checks one that is built already.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAX_BYTES = 60_000_000
PACKAGES = ("freeavatar", "freeavatar_renderer")
REQUIRED = (
    "freeavatar/__init__.py",
    "freeavatar/cli.py",
    "freeavatar/py.typed",
    "freeavatar/assets/demo.mp4",
    "freeavatar_renderer/py.typed",
    *(f"freeavatar/weights/encoder/{file}" for file in ("config.json", "model.onnx", "MODEL_CARD.md")),
    *(
        f"freeavatar/weights/animator/{file}"
        for file in ("config.json", "model.onnx", "avatars.safetensors", "fitting.safetensors", "MODEL_CARD.md")
    ),
)
RIG_FILES = ("rig.toml", "avatar.glb", "preview.png", "LICENSE")
UNWANTED = re.compile(r"(^|/)(tests|tools|out|\.venv[^/]*|__pycache__)/|\.pyc$|(^|/)model\.safetensors$")
ABSOLUTE = re.compile(rb"(?:(?<![\w./])/(?:home|Users|root|tmp|mnt)/[\w.-]+|" + re.escape(str(ROOT)).encode() + rb")")
TEXT = {".py", ".toml", ".json", ".md", ".txt", ".typed", ""}


def inside(wheel: Path, rigs: list[str]) -> Iterator[str]:
    """What is wrong with the contents of a wheel.

    Args:
        wheel: the file.
        rigs: names of the rigs that it has to hold.

    Yields:
        One line a finding.
    """
    if wheel.stat().st_size >= MAX_BYTES:
        yield f"{wheel.stat().st_size / 1e6:.1f} MB; the limit is {MAX_BYTES / 1e6:.0f} MB"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for name in [*REQUIRED, *(f"freeavatar/_rigs/{rig}/{file}" for rig in rigs for file in RIG_FILES)]:
            if name not in names:
                yield f"{name} is missing"
        if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
            yield "the licence is missing"
        for name in names:
            top = name.split("/")[0]
            if top not in PACKAGES and not top.endswith(".dist-info"):
                yield f"{name} does not belong to {' or '.join(PACKAGES)}"
            if UNWANTED.search(name):
                yield f"{name} does not belong in a wheel"
            if Path(name).suffix in TEXT and (found := ABSOLUTE.search(archive.read(name))):
                yield f"{name} names a path of this machine: {found.group().decode()}"


def installed(wheel: Path, folder: Path) -> Iterator[str]:
    """What goes wrong when a wheel is installed, without extras, into a new environment and used from elsewhere.

    Args:
        wheel: the file.
        folder: an empty folder, used for the environment and as the working folder.

    Yields:
        One line a finding.
    """
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python, command = str(scripts / "python"), str(scripts / "freeavatar")
    # The source tree must not help: neither through the working folder nor through the environment.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FREEAVATAR_"))}
    steps = [  # command, exit status, part of what it says
        ([sys.executable, "-m", "venv", str(folder / "venv")], 0, ""),
        ([python, "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), str(wheel)], 0, ""),
        ([command, "--help"], 0, "retarget"),
        ([command, "rigs"], 0, "human"),
        ([command, "demo"], 2, "freeavatar[renderer]"),
        ([python, "-c", "import freeavatar, sys; print(not {'torch', 'mediapipe', 'cv2'} & set(sys.modules))"], 0, "True"),
        ([python, "-c", "import importlib.util as util; print(util.find_spec('torch'))"], 0, "None"),
        ([python, "-c", "import freeavatar as fa; fa.Encoder.load(); fa.Animator.load(); print(fa.load_rig('human').name)"], 0, "human"),
    ]
    for step, status, expected in steps:
        done = subprocess.run(step, cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode != status or expected not in done.stdout + done.stderr:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
            shown = " ".join([Path(step[0]).name, *step[1:]])
            yield f"{shown!r} exited {done.returncode}, expected {status} and {expected!r}: {last[0]}"
            return


def build(folder: Path) -> Path:
    """Builds the wheel of this source tree in a folder, then moves it to ``dist/``; the build tool comes from the running environment."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    (ROOT / "dist").mkdir(exist_ok=True)
    return Path(shutil.move(wheel, ROOT / "dist" / wheel.name))


def main() -> int:
    """Returns the exit status: 0 without findings, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", nargs="?", type=Path, help="check this one instead of building it")
    parser.add_argument("--inside-only", action="store_true", help="do not install it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = options.wheel.resolve() if options.wheel else build(folder)
        rigs = sorted(path.parent.name for path in (ROOT / "rigs").glob("*/rig.toml"))
        findings = list(inside(wheel, rigs))
        if not rigs:
            findings.append("the source tree has no rigs")
        if not findings and not options.inside_only:
            findings = list(installed(wheel, folder))
        for finding in findings:
            print(f"wheel: {finding}")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, rigs {', '.join(rigs)}, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
