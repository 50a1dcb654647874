"""FreeAvatar: drive any 3D avatar from a person's face.

The public names below load their modules on first use, so that ``import freeavatar`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from freeavatar.animator import Animator as Animator
    from freeavatar.encoder import Encoder as Encoder
    from freeavatar.errors import FreeAvatarError as FreeAvatarError
    from freeavatar.face import FaceTracker as FaceTracker
    from freeavatar.pipeline import Pipeline as Pipeline
    from freeavatar.retarget import perform as perform
    from freeavatar.rig import Rig as Rig
    from freeavatar.rig import list_rigs as list_rigs
    from freeavatar.rig import load_rig as load_rig
    from freeavatar.sources import open_source as open_source
    from freeavatar.types import Expression as Expression
    from freeavatar.types import FaceCrop as FaceCrop
    from freeavatar.types import Frame as Frame
    from freeavatar.types import RigFrame as RigFrame
    from freeavatar.types import Tracking as Tracking

_HOME = {
    "Animator": "animator", "Encoder": "encoder", "FreeAvatarError": "errors", "FaceTracker": "face", "Pipeline": "pipeline",
    "perform": "retarget", "Rig": "rig", "list_rigs": "rig", "load_rig": "rig", "open_source": "sources",
    "Expression": "types", "FaceCrop": "types", "Frame": "types", "RigFrame": "types", "Tracking": "types",
}  # fmt: skip
__all__ = [*sorted(_HOME), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'freeavatar' has no attribute {name!r}")
    value = getattr(import_module(f"freeavatar.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
