"""Every error that a user can meet: one base class, few leaves.

A message says what was wrong, what was expected and what to do, on one line. The command line prints it to
standard error and exits with status 2.
"""


class FreeAvatarError(Exception):
    """Base of all errors raised on purpose by FreeAvatar."""


class SourceError(FreeAvatarError):
    """An input (camera, video, image folder) cannot be opened or read."""


class FaceModelError(FreeAvatarError):
    """The face landmarker's model file is missing or is not the expected one."""


class RigError(FreeAvatarError):
    """A rig folder, its rig.toml or its model is invalid."""


class WeightsError(FreeAvatarError):
    """Shipped or user-given weights are missing, damaged or belong to another encoder."""


class OutputError(FreeAvatarError):
    """A result cannot be written: unknown format, unwritable place, bad address."""


class RenderError(FreeAvatarError):
    """No OpenGL context can be created, or a model cannot be drawn."""


class MissingExtraError(FreeAvatarError):
    """An optional package is needed; the message names the extra to install."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(f"{feature} needs the package {package!r}: install it with  pip install 'freeavatar[{extra}]'")
