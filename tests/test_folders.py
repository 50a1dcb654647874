"""Where settings lie."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from freeavatar.errors import OutputError
from freeavatar.folders import cache_folder, config_folder


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FREEAVATAR_CONFIG", str(tmp_path))
    assert config_folder() == tmp_path


@pytest.mark.parametrize(
    ("find", "platform", "variable", "home"),
    [
        (config_folder, "linux", "XDG_CONFIG_HOME", ".config"),
        (config_folder, "win32", "APPDATA", "AppData/Roaming"),
        (config_folder, "darwin", "", "Library/Application Support"),
        (cache_folder, "linux", "XDG_CACHE_HOME", ".cache"),
        (cache_folder, "win32", "LOCALAPPDATA", "AppData/Local"),
        (cache_folder, "darwin", "", "Library/Caches"),
    ],
)
def test_each_platform_has_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, find: Callable[[], Path], platform: str, variable: str, home: str
) -> None:
    monkeypatch.delenv("FREEAVATAR_CONFIG", raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.delenv(variable or "UNUSED", raising=False)
    assert find() == tmp_path / home / "freeavatar"
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
        assert find() == tmp_path / "elsewhere" / "freeavatar"


def test_a_user_without_a_home_is_told_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for variable in ("FREEAVATAR_CONFIG", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", home)
    for find in (config_folder, cache_folder):
        with pytest.raises(OutputError, match="no home folder"):
            find()
