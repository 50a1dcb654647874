"""Where settings lie."""

import sys
from pathlib import Path

import pytest

from freeavatar.folders import config_folder


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FREEAVATAR_CONFIG", str(tmp_path))
    assert config_folder() == tmp_path


@pytest.mark.parametrize(
    ("platform", "variable", "home"),
    [("linux", "XDG_CONFIG_HOME", ".config"), ("win32", "APPDATA", "AppData/Roaming"), ("darwin", "", "Library/Application Support")],
)
def test_each_platform_has_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, variable: str, home: str) -> None:
    monkeypatch.delenv("FREEAVATAR_CONFIG", raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.delenv(variable or "UNUSED", raising=False)
    assert config_folder() == tmp_path / home / "freeavatar"
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
        assert config_folder() == tmp_path / "elsewhere" / "freeavatar"
