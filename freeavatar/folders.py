"""Where FreeAvatar keeps what belongs to the user."""

import os
import sys
from pathlib import Path
from typing import Final

ENVIRONMENT: Final = "FREEAVATAR_CONFIG"


def config_folder() -> Path:
    """The user's folder for settings (not created here): what the environment variable FREEAVATAR_CONFIG says, else the platform's."""
    if named := os.environ.get(ENVIRONMENT):
        return Path(named)
    if sys.platform == "win32":
        base = os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "freeavatar"
