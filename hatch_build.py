"""Puts the rigs, which artists edit at the top of the source tree, into the wheel as ``freeavatar/_rigs``."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHIPPED = ("rig.toml", "avatar.glb", "preview.png", "LICENSE")


class RigsHook(BuildHookInterface):  # type: ignore[type-arg]  # the interface is generic only for plugin authors
    """Ships every ``rigs/<name>/`` that holds a rig.toml; an editable install reads them from the source tree."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the files of the rigs to a standard wheel.

        Args:
            version: "standard" or "editable".
            build_data: hatchling's record of this build; ``force_include`` maps source to place in the wheel.

        Raises:
            FileNotFoundError: a rig lacks one of the files that every rig ships.
        """
        if version == "editable":
            return
        for folder in sorted(path.parent for path in Path(self.root, "rigs").glob("*/rig.toml")):
            for name in SHIPPED:
                file = folder / name
                if not file.is_file():
                    raise FileNotFoundError(f"rig {folder.name!r} has no {name}: a rig ships {', '.join(SHIPPED)}")
                build_data["force_include"][str(file)] = f"freeavatar/_rigs/{folder.name}/{name}"
