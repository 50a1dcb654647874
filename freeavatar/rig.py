"""A rig: the controls of one avatar, read from its ``rig.toml``.

A control is a number that an artist named. It moves morph targets or turns a node of the avatar's model, and it is
driven by the animator, by the head's pose or by the gaze.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from freeavatar import arkit
from freeavatar.bounded import read_bounded
from freeavatar.errors import RigError
from freeavatar.toml_file import Table, parse_toml
from freeavatar.types import Vector

FORMAT: Final = 1
REGIONS: Final = ("brows", "eyes", "gaze", "nose", "cheeks", "mouth", "jaw", "tongue", "ears", "head")
AXES: Final = ("x", "y", "z")
"""Axis of a turning node: y is yaw, x is pitch, z is roll, composed as Ry Rx Rz."""
ANIMATOR: Final = "animator"
SOURCES: Final = (ANIMATOR, "head.yaw", "head.pitch", "head.roll", "gaze.yaw", "gaze.pitch", *(f"gaze.{n}" for n in arkit.EYE_LOOK))

_ROOTS: Final = (Path(__file__).parent / "_rigs", Path(__file__).parents[1] / "rigs")
"""Where shipped rigs are: in a wheel, in a source tree."""
_MAX_TOML: Final = 1 << 20
_LONGEST_NAME: Final = 256
_RANGE: Final = (-1e6, 1e6)
"""Of any number in a rig.toml."""
MAX_CONTROLS: Final = 1000
"""Most controls of a rig, most correctives, and most materials that one control changes."""


@dataclass(frozen=True)
class MaterialChange:
    """What a material becomes when a control reaches 1; on the way there it blends from the model's own look.

    Attributes:
        material: name of the model's material.
        colour: (4,) linear RGBA factor; empty to leave it.
        emissive: (3,) linear RGB; empty to leave it.
        scale, offset: (2,) of the texture coordinates; empty to leave them.
    """

    material: str
    colour: tuple[float, ...] = ()
    emissive: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()


@dataclass(frozen=True)
class Control:
    """One control.

    Attributes:
        name: as in the rig.toml; sinks use it as address.
        minimum, maximum: range of the value; 0 lies within and is the rest.
        mirror: the control on the other side; empty for a central one.
        region: one of :data:`REGIONS`.
        source: one of :data:`SOURCES`; what drives it.
        arkit: ARKit shapes that come closest to it: value = sum of weight times shape.
        morphs: morph targets that it drives: weight = max(0, value times factor).
        node: name of the node that it turns; empty if none.
        axis: local axis of that turn.
        gain: radians of that turn for a value of 1.
        binary: it is on or off: a value above 0.5 counts as 1 where it acts, all others as 0.
        materials: how it changes materials.
    """

    name: str
    minimum: float = 0.0
    maximum: float = 1.0
    mirror: str = ""
    region: str = "mouth"
    source: str = ANIMATOR
    arkit: Mapping[str, float] = field(default_factory=dict)
    morphs: Mapping[str, float] = field(default_factory=dict)
    node: str = ""
    axis: str = ""
    gain: float = 1.0
    binary: bool = False
    materials: tuple[MaterialChange, ...] = ()

    def acting(self, value: float) -> float:
        """The value as the model shows it: that of a binary control is 0 or 1."""
        return float(value > 0.5) if self.binary else value


@dataclass(frozen=True)
class Corrective:
    """A morph target that several controls drive together: weight = product of max(0, value times factor)."""

    morph: str
    drivers: Mapping[str, float]


@dataclass(frozen=True)
class Rig:
    """An avatar's controls and where its model is; made by :func:`load_rig`.

    Attributes:
        name: short name.
        title: for people.
        licence: SPDX expression.
        folder: where the rig.toml lies.
        model: the GLB file.
        controls: in the order of all value vectors.
        camera_target: point in metres that previews look at.
        camera_height: metres that previews show at that point, from bottom to top.
        authors: who made it.
        correctives: morph targets driven by products of controls.
    """

    name: str
    title: str
    licence: str
    folder: Path
    model: Path
    controls: tuple[Control, ...]
    camera_target: tuple[float, float, float] = (0.0, 0.0, 0.0)
    camera_height: float = 0.5
    authors: tuple[str, ...] = ()
    correctives: tuple[Corrective, ...] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Control names, in the order of ``controls``."""
        return tuple(control.name for control in self.controls)

    @cached_property
    def driven(self) -> list[int]:
        """Indices of the controls that the animator drives; the others follow the head and the gaze."""
        return [i for i, control in enumerate(self.controls) if control.source == ANIMATOR]

    @cached_property
    def minimum(self) -> Vector:
        """(N,) lower ends of the ranges."""
        return np.array([c.minimum for c in self.controls], np.float32)

    @cached_property
    def maximum(self) -> Vector:
        """(N,) upper ends of the ranges."""
        return np.array([c.maximum for c in self.controls], np.float32)

    def neutral(self) -> Vector:
        """(N,) values of the face at rest."""
        return np.zeros(len(self.controls), np.float32)

    def normalise(self, values: Vector) -> Vector:
        """(..., N) values in their ranges to 0..1."""
        return np.asarray((values - self.minimum) / (self.maximum - self.minimum), np.float32)

    def denormalise(self, unit: Vector) -> Vector:
        """(..., N) numbers in 0..1 to values in their ranges."""
        return np.asarray(self.minimum + unit * (self.maximum - self.minimum), np.float32)

    def from_arkit(self, weights: NDArray[np.floating[Any]]) -> Vector:
        """Values from ARKit weights through the rig's own map.

        Args:
            weights: (52,) or (T, 52), in the order of :data:`freeavatar.arkit.NAMES`.

        Returns:
            (N,) or (T, N) values within their ranges; 0 for controls that pose and gaze drive.
        """
        return np.asarray((weights @ self._arkit_map).clip(self.minimum, self.maximum), np.float32)

    def computed(self, head_pose: Vector, gaze: Vector) -> dict[str, float]:
        """Values of the controls that pose and gaze drive, by name.

        Args:
            head_pose: (6,) or (3,), yaw, pitch, roll first, in radians.
            gaze: (2,) yaw, pitch in radians.
        """
        yaw, pitch = float(gaze[0]), float(gaze[1])
        signals = {f"gaze.{name}": value for name, value in arkit.eye_look(yaw, pitch).items()} | {"gaze.yaw": yaw, "gaze.pitch": pitch}
        signals |= {f"head.{part}": float(v) for part, v in zip(("yaw", "pitch", "roll"), head_pose[:3], strict=True)}
        return {c.name: min(max(signals[c.source], c.minimum), c.maximum) for c in self.controls if c.source != ANIMATOR}

    def pose(self, values: Vector, head_pose: Vector, gaze: Vector) -> Vector:
        """(N,) the values, with those of the computed controls replaced."""
        posed = np.array(values, np.float32)
        computed = self.computed(head_pose, gaze)
        for i, control in enumerate(self.controls):
            if control.source != ANIMATOR:
                posed[i] = computed[control.name]
        return posed

    def morph_weights(self, values: Vector) -> dict[str, float]:
        """Weights of the model's morph targets, by name.

        Args:
            values: (N,) control values in their ranges.
        """
        acting = {c.name: c.acting(float(value)) for c, value in zip(self.controls, values, strict=True)}
        weights: dict[str, float] = {}
        for control in self.controls:
            for morph, factor in control.morphs.items():
                weights[morph] = weights.get(morph, 0.0) + max(0.0, acting[control.name] * factor)
        for corrective in self.correctives:
            product = math.prod(max(0.0, acting[name] * factor) for name, factor in corrective.drivers.items())
            weights[corrective.morph] = weights.get(corrective.morph, 0.0) + product
        return weights

    @cached_property
    def _arkit_map(self) -> Vector:
        matrix = np.zeros((len(arkit.NAMES), len(self.controls)), np.float32)
        for column, control in enumerate(self.controls):
            if control.source == ANIMATOR:
                for shape, weight in control.arkit.items():
                    matrix[arkit.INDEX[shape], column] = weight
        return matrix


def list_rigs() -> list[str]:
    """Names of the shipped rigs, sorted."""
    return sorted({path.parent.name for root in _ROOTS for path in root.glob("*/rig.toml")})


def load_rig(name: str | Path) -> Rig:
    """Load a rig.

    Args:
        name: a shipped rig's name, the folder of a rig, or its rig.toml.

    Raises:
        RigError: there is no such rig, or its rig.toml is invalid.
    """
    file = find_rig(name)
    try:
        document = parse_toml(read_rig(file))
    except ValueError as error:
        raise RigError(f"{file}: is not valid TOML ({error})") from error
    try:
        return _rig(file.parent, document)
    except RigError as error:
        raise RigError(f"{file}: {error}") from None


def load_rigs(names: Sequence[str | Path]) -> list[Rig]:
    """Rigs by name or folder, whose names differ.

    Raises:
        RigError: none, one that is not valid, or two of the same name.
    """
    rigs = [load_rig(name) for name in names]
    found = [rig.name for rig in rigs]
    if not found or len(set(found)) < len(found):
        raise RigError(f"rigs {', '.join(found) or 'none'}: expected one or more, each once")
    return rigs


def read_rig(file: Path) -> str:
    """The text of a rig.toml.

    Raises:
        RigError: it cannot be read, is too large, or is no text.
    """
    data = read_bounded(file, _MAX_TOML, RigError, "expected a rig.toml")
    try:
        return data.decode()
    except ValueError as error:
        raise RigError(f"{file}: is not valid TOML ({error})") from error


def find_rig(name: str | Path) -> Path:
    """The rig.toml of a rig; the argument and the error are those of :func:`load_rig`."""
    path = Path(name)
    shipped = [root / path / "rig.toml" for root in _ROOTS] if isinstance(name, str) and path.name == name else []
    try:
        for file in (*shipped, path / "rig.toml", path):
            if file.is_file() and file.suffix == ".toml":
                return file
    except (OSError, ValueError) as error:  # too long, or with a zero byte
        raise RigError(f"no rig {str(name)[:80]!r} ({error})") from error
    if path.is_file():
        raise RigError(f"no rig {str(name)!r}: is a file, not a rig's folder; of a command line, the input comes before --rig")
    raise RigError(f"no rig {str(name)!r}: expected {', '.join(list_rigs()) or 'a name'}, or a folder that holds a rig.toml")


def _rig(folder: Path, document: dict[str, Any]) -> Rig:
    table = Table("rig.toml", document, RigError)
    if (version := table.take("format", int)) != FORMAT:
        raise RigError(f"format {version} is not known; expected {FORMAT}")
    camera = Table("[camera]", table.take("camera", dict), RigError)
    target = camera.numbers("target", 3, *_RANGE)
    rig = Rig(
        name=table.take("name", str),
        title=table.take("title", str),
        licence=table.take("licence", str),
        folder=folder,
        model=_model(folder, table.take("model", str)),
        controls=_controls(table.take("control", list)),
        camera_target=(target[0], target[1], target[2]),
        camera_height=camera.number("height", None, *_RANGE),
        authors=tuple(str(a) for a in table.take("authors", list, [])),
        correctives=tuple(_corrective(i, entry) for i, entry in enumerate(table.take("corrective", list, []))),
    )
    camera.end()
    table.end()
    # The name becomes part of file names and of OSC addresses, and a word of messages.
    if not 0 < len(rig.name) <= _LONGEST_NAME or not rig.name.isprintable() or set(rig.name) & set("/\\"):
        raise RigError(f"name is {rig.name!r:.60}, expected 1 to {_LONGEST_NAME} printable characters, none of them / or \\")
    if rig.camera_height <= 0:
        raise RigError("camera.height must be above 0")
    if len(rig.correctives) > MAX_CONTROLS:
        raise RigError(f"has {len(rig.correctives)} correctives; expected at most {MAX_CONTROLS}")
    for corrective in rig.correctives:
        if unknown := corrective.drivers.keys() - set(rig.names):
            raise RigError(f"corrective {corrective.morph!r}: there is no control {sorted(unknown)[0]!r}")
    return rig


def _model(folder: Path, name: str) -> Path:
    # A rig is a folder that people pass on: it may not point at other places of the disk.
    if Path(name).name != name or not (folder / name).is_file():
        raise RigError(f"model {name!r} is not a file in the rig's folder; expected a GLB file beside rig.toml")
    return folder / name


def _controls(entries: list[Any]) -> tuple[Control, ...]:
    if not 0 < len(entries) <= MAX_CONTROLS:
        raise RigError(f"has {len(entries)} controls; expected 1 to {MAX_CONTROLS}")
    controls = tuple(_control(i, entry) for i, entry in enumerate(entries))
    by_name = {control.name: control for control in controls}
    if len(by_name) != len(controls):
        twice = next(c.name for i, c in enumerate(controls) if by_name[c.name] is not controls[i])
        raise RigError(f"control {twice!r} is there twice; names must differ")
    for control in controls:
        other = by_name.get(control.mirror, control) if control.mirror else control
        if control.mirror and (control.mirror not in by_name or other.mirror != control.name):
            raise RigError(f"control {control.name!r}: mirror {control.mirror!r} must be a control whose mirror is {control.name!r}")
        if (other.minimum, other.maximum) != (control.minimum, control.maximum):
            raise RigError(f"control {control.name!r}: range differs from that of its mirror {other.name!r}")
    drives = {c.source.partition(".")[2] in arkit.INDEX for c in controls if c.source.startswith("gaze.")}
    if len(drives) > 1:
        raise RigError("gaze drives gaze.yaw or gaze.pitch and eyeLook shapes, too; expected one of both, or eyes turn twice")
    return controls


def _control(index: int, entry: Any) -> Control:
    table = _entry("control", "name", index, entry)
    name = table.take("name", str)
    low, high = table.numbers("range", 2, *_RANGE)
    node = table.take("node", str, "")
    control = Control(
        name=name,
        minimum=low,
        maximum=high,
        mirror=table.take("mirror", str, ""),
        region=table.choice("region", REGIONS),
        source=table.choice("source", SOURCES, ANIMATOR),
        arkit=table.weights("arkit", *_RANGE, {}),
        morphs=table.weights("morphs", *_RANGE, {} if node else {name: 1.0}),
        node=node,
        axis=table.choice("axis", AXES) if node else "",
        gain=table.number("gain", 1.0, *_RANGE) if node else 1.0,
        binary=table.take("binary", bool, False),
        materials=tuple(_material(f"control {name!r}: materials", m) for m in table.take("materials", list, [])),
    )
    table.end()
    if len(control.materials) > MAX_CONTROLS:
        raise RigError(f"control {name!r}: changes {len(control.materials)} materials; expected at most {MAX_CONTROLS}")
    # Controls are addresses of OSC and columns of tables.
    if not name.isascii() or not name.replace("_", "").isalnum() or len(name) > 64:
        raise RigError(f"control {name!r}: a name has 1 to 64 letters, digits and underscores")
    if not low <= 0 <= high or low == high:
        raise RigError(f"control {name!r}: range {[low, high]} must be two different numbers around 0, the rest")
    if unknown := control.arkit.keys() - arkit.INDEX.keys():
        raise RigError(f"control {name!r}: arkit names {', '.join(sorted(unknown))}, which ARKit does not have")
    if control.source != ANIMATOR and control.source.partition(".")[2] not in arkit.INDEX and control.arkit:
        raise RigError(f"control {name!r}: is driven by {control.source}, so its arkit map must be left out")
    return control


def _material(where: str, entry: Any) -> MaterialChange:
    table = Table(where, entry, RigError)
    widths = {"colour": 4, "emissive": 3, "scale": 2, "offset": 2}
    named = {key: table.numbers(key, n, *_RANGE) for key, n in widths.items() if key in table.names()}
    change = MaterialChange(table.take("material", str), **named)
    table.end()
    return change


def _corrective(index: int, entry: Any) -> Corrective:
    table = _entry("corrective", "morph", index, entry)
    corrective = Corrective(table.take("morph", str), table.weights("drivers", *_RANGE))
    table.end()
    if len(corrective.drivers) < 2:
        raise RigError(f"corrective {corrective.morph!r}: has {len(corrective.drivers)} drivers; expected two or more")
    return corrective


def _entry(kind: str, key: str, index: int, entry: Any) -> Table:
    """A table of a list of tables; messages call it by what it has under ``key``, else by its place in the list."""
    name = entry.get(key, index) if isinstance(entry, dict) else index
    return Table(f"{kind} {name!r:.80}", entry, RigError)
