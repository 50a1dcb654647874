"""Calibration profiles: what is known of one person before one camera, kept as TOML that people may edit.

    <config folder>/profiles/<user>/<camera>.toml

One file holds the person's neutral face, which suits every avatar, and adjustments of the ARKit read-out and of the controls
of each avatar. Files are read strictly and written whole.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import pi
from pathlib import Path
from typing import Any, Final

import numpy as np

from freeavatar import arkit
from freeavatar.errors import OutputError
from freeavatar.folders import config_folder
from freeavatar.output import replacing
from freeavatar.toml_file import SettingsError, Table, read_toml, to_toml
from freeavatar.types import Vector

FORMAT: Final = 1
DEFAULT_USER: Final = "default"
NO_USER: Final = "none"
"""The name that stands for no profile at all."""
_MAX_TOML: Final = 1 << 20
_MAX_POINTS: Final = 32


@dataclass(frozen=True)
class Neutral:
    """A person's face at rest, as an encoder reads it.

    Attributes:
        encoder_sha256: the encoder; to another one the numbers mean nothing.
        feature: (F,) mean feature.
        arkit: (52,) mean read-out, 0..1.
        gaze: (2,) yaw, pitch in radians.
        head_pose: (6,) yaw, pitch, roll in radians, x, y, z in metres.
    """

    encoder_sha256: str
    feature: Vector
    arkit: Vector
    gaze: Vector
    head_pose: Vector


@dataclass(frozen=True)
class Adjustment:
    """How one control is adjusted, in this order: gain, offset, curve, range.

    Attributes:
        gain: factor, 0 to 10.
        offset: added after that, in the control's unit, -10 to 10.
        curve: exponent on the share of the way from rest to the end, 0.1 to 10; or points (share in, share out) joined by
            straight lines, the first numbers rising from (0, 0): rest stays rest.
        range: lowest and highest value that is let through; None for the control's own range.
    """

    gain: float = 1.0
    offset: float = 0.0
    curve: float | tuple[tuple[float, float], ...] = 1.0
    range: tuple[float, float] | None = None


Adjustments = Mapping[str, Adjustment]
"""Adjustment by the name of a control or ARKit shape."""


@dataclass(frozen=True)
class Profile:
    """What is known of a person before a camera; an empty one changes nothing.

    Attributes:
        user: the profile's name.
        camera: name of the camera.
        neutral: the face at rest.
        symmetry: how far left and right are drawn together, 0..1.
        arkit: adjustments of the ARKit read-out.
        avatars: adjustments of the controls of avatars, by the avatar's name.
    """

    user: str = DEFAULT_USER
    camera: str = ""
    neutral: Neutral | None = None
    symmetry: float = 0.0
    arkit: Adjustments = field(default_factory=dict)
    avatars: Mapping[str, Adjustments] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether it changes nothing."""
        return self.neutral is None and not self.symmetry and not self.arkit and not any(self.avatars.values())


def profile_path(user: str, camera: str) -> Path:
    """Where the profile of a user before a camera lies.

    Raises:
        SettingsError: the user's name cannot be a folder's name.
    """
    if not re.fullmatch(r"[\w-]{1,64}", user) or user == NO_USER:
        raise SettingsError(f"profile {user[:80]!r}: expected a name of 1 to 64 letters, digits, - and _, other than {NO_USER!r}")
    stem = re.sub(r"[^\w]+", "-", camera).strip("-")[:64] or "camera"
    return config_folder() / "profiles" / user / f"{stem}.toml"


def find_profile(user: str | None, camera: str, encoder_sha256: str, say: Callable[[str], None] = lambda _: None) -> Profile:
    """The profile to use.

    A neutral that was taken with another encoder is left out; the adjustments stay.

    Args:
        user: the profile's name; None takes the default one if there is one, else an empty one; ``none`` an empty one.
        camera: name of the camera.
        encoder_sha256: the encoder in use.
        say: called with a line if the neutral is left out.

    Raises:
        SettingsError: a named profile is missing, or the file is not understood.
    """
    if user == NO_USER:
        return Profile(camera=camera)
    path = profile_path(user or DEFAULT_USER, camera)
    if not os.path.exists(path):  # nor is there one where a folder is locked
        if user is None:
            return Profile(camera=camera)
        raise SettingsError(f"{path}: no profile {user!r} for {camera}; make it with  freeavatar calibrate --profile {user}")
    profile = load_profile(path)
    if profile.neutral is not None and profile.neutral.encoder_sha256 != encoder_sha256:
        made, used = profile.neutral.encoder_sha256[:12], encoder_sha256[:12]
        say(
            f"{path}: its neutral face was taken with the encoder {made}..., not with {used}..., and is left out; "
            "run  freeavatar calibrate  again (gains stay)"
        )
        return replace(profile, neutral=None)
    return profile


def load_profile(path: Path) -> Profile:
    """Read a profile.

    Raises:
        SettingsError: missing, too large, or not understood.
    """
    document = Table(str(path), read_toml(path, _MAX_TOML, "make it with  freeavatar calibrate"))
    if (version := document.number("format", 0, 0, 1e6)) != FORMAT:
        raise SettingsError(f"{path}: format is {version:g}, expected {FORMAT}; run  freeavatar calibrate  again")
    neutral, shapes, avatars = document.table("neutral"), document.table("arkit"), document.table("avatars")
    profile = Profile(
        user=document.text("user", DEFAULT_USER),
        camera=document.text("camera", ""),
        neutral=_neutral(neutral) if neutral.names() else None,
        symmetry=document.number("symmetry", 0.0, 0.0, 1.0),
        arkit=_adjustments(shapes),
        avatars={name: _adjustments(avatars.table(name)) for name in avatars.names()},
    )
    if unknown := profile.arkit.keys() - arkit.INDEX.keys():
        raise SettingsError(f"{path}: [arkit] names {', '.join(sorted(unknown)):.160}, which ARKit does not have")
    document.end()
    return profile


def save_profile(profile: Profile) -> Path:
    """Write a profile, whole or not at all; its path.

    Raises:
        OutputError: it cannot be written.
        SettingsError: the user's name cannot be a folder's name.
    """
    path = profile_path(profile.user, profile.camera)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be made ({error.strerror}); set FREEAVATAR_CONFIG to another folder") from error
    with replacing(path) as temporary:
        temporary.write_text(_HEAD + to_toml(_document(profile)), encoding="utf-8")
    return path


_HEAD: Final = """\
# A calibration profile of FreeAvatar; edit it as you like.
# symmetry: 0..1 draws left and right together.
# [arkit.NAME] and [avatars.AVATAR.NAME] may have gain, offset, curve (an exponent, or points [[in, out], ...]) and range.
# [neutral] is the face at rest; freeavatar calibrate  measures it again and leaves the rest as it is.
"""


def _document(profile: Profile) -> dict[str, Any]:
    document: dict[str, Any] = {"format": FORMAT, "user": profile.user, "camera": profile.camera, "symmetry": profile.symmetry}
    document["arkit"] = {name: _changed(adjustment) for name, adjustment in profile.arkit.items()}
    document["avatars"] = {avatar: {name: _changed(a) for name, a in controls.items()} for avatar, controls in profile.avatars.items()}
    if (neutral := profile.neutral) is not None:
        shapes = {name: round(float(value), 4) for name, value in zip(arkit.NAMES, neutral.arkit, strict=True)}
        rows = {key: [round(float(v), 5) for v in getattr(neutral, key)] for key in ("gaze", "head_pose", "feature")}
        document["neutral"] = {"encoder_sha256": neutral.encoder_sha256, **rows, "arkit": shapes}
    return document


def _changed(adjustment: Adjustment) -> dict[str, Any]:
    """What differs from doing nothing."""
    return {key: value for key, value in vars(adjustment).items() if value != getattr(Adjustment(), key)}


def _neutral(table: Table) -> Neutral:
    shapes = table.table("arkit")
    neutral = Neutral(
        encoder_sha256=table.text("encoder_sha256", ""),
        feature=np.array(table.numbers("feature", table.length("feature"), -1e4, 1e4), np.float32),
        arkit=np.array([shapes.number(name, 0.0, 0.0, 1.0) for name in arkit.NAMES], np.float32),
        gaze=np.array(table.numbers("gaze", 2, -pi, pi), np.float32),
        head_pose=np.array(table.numbers("head_pose", 6, -100.0, 100.0), np.float32),
    )
    shapes.end()
    table.end()
    return neutral


def _adjustments(table: Table) -> dict[str, Adjustment]:
    return {name: _adjustment(table.table(name)) for name in table.names()}


def _adjustment(table: Table) -> Adjustment:
    curve: float | tuple[tuple[float, float], ...]
    if table.holds("curve", list):
        curve = tuple((share, answer) for share, answer in table.rows("curve", 2, 0.0, 1.0))
        if curve and curve[0][0] > 0:
            curve = ((0.0, 0.0), *curve)
        if not 2 <= len(curve) <= _MAX_POINTS or any(a[0] >= b[0] for a, b in pairwise(curve)):
            raise table.error(f"curve needs 2 to {_MAX_POINTS} points whose first numbers rise")
        if curve[0] != (0.0, 0.0):
            raise table.error(f"curve starts at [0, {curve[0][1]:g}], which makes rest jump; let it start at [0, 0] and set offset instead")
    else:
        curve = table.number("curve", 1.0, 0.1, 10.0)
    limits = None
    if table.holds("range", list):
        low, high = table.numbers("range", 2, -10.0, 10.0)
        if low >= high:
            raise table.error("range needs two different numbers, the lower first")
        limits = (low, high)
    adjustment = Adjustment(table.number("gain", 1.0, 0.0, 10.0), table.number("offset", 0.0, -10.0, 10.0), curve, limits)
    table.end()
    return adjustment
