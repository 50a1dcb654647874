"""Where FreeAvatar keeps what belongs to the user."""

import os
import sys
from pathlib import Path
from typing import Final

from freeavatar.errors import OutputError

ENVIRONMENT: Final = "FREEAVATAR_CONFIG"


def config_folder() -> Path:
    """The user's folder for settings (not created here): what the environment variable FREEAVATAR_CONFIG says, else the platform's.

    Raises:
        OutputError: the user has no home folder.
    """
    if named := os.environ.get(ENVIRONMENT):
        return Path(named)
    return _folder("APPDATA", "AppData/Roaming", "Library/Application Support", "XDG_CONFIG_HOME", ".config")


def cache_folder() -> Path:
    """The user's folder for what can be fetched again (not created here).

    Raises:
        OutputError: the user has no home folder.
    """
    return _folder("LOCALAPPDATA", "AppData/Local", "Library/Caches", "XDG_CACHE_HOME", ".cache")


def _folder(windows_variable: str, windows: str, mac: str, linux_variable: str, linux: str) -> Path:
    variable, place = {"win32": (windows_variable, windows), "darwin": ("", mac)}.get(sys.platform, (linux_variable, linux))
    if named := os.environ.get(variable):
        return Path(named) / "freeavatar"
    try:
        return Path.home() / place / "freeavatar"
    except RuntimeError as error:  # a container's user without a name, say
        raise OutputError(f"this user has no home folder, nor does {variable or 'HOME'} name one; set HOME to a folder") from error
