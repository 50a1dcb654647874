"""Each ARKit shape from 0 to 1 on held-out people: the read-out against truth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from freeavatar import arkit
from freeavatar_renderer import head_map
from freeavatar_renderer.heads import Head
from freeavatar_renderer.performance import possible
from freeavatar_renderer.portrait import Scene
from measure.tables import Table

from . import plots
from .subjects import Desk, Floats, Portrait, Reading

PEOPLE: Final = {"valid": 3, "ict": 2, "anny": 2}
LEVELS: Final = (0.25, 0.5, 0.75, 1.0)
COLOURS: Final = {"valid": "#2b6cb0", "ict": "#dd6b20", "anny": "#2f855a"}
REGIONS: Final = ("brows", "eyes", "gaze", "nose", "cheeks", "mouth", "jaw", "tongue")
_NEUTRAL: Final = "neutral"
_LEAST: Final = 0.2
"""A curve whose truth moves less than this is none."""


@dataclass(frozen=True)
class Curve:
    """One shape on one person.

    Attributes:
        shape: index of the shape.
        kind: kind of person.
        truth: (L, 52) ARKit weights.
        read: (L, 52) what is read.
    """

    shape: int
    kind: str
    truth: Floats
    read: Floats

    @property
    def spill(self) -> float:
        """The largest wrong change of any other shape as this one goes to its end."""
        wrong = np.abs((self.read[-1] - self.read[0]) - (self.truth[-1] - self.truth[0]))
        return float(np.delete(wrong, self.shape).max())


def make(desk: Desk) -> Table:
    """The figure ``encoder_sweeps`` and its table."""
    people = list(desk.people({kind: desk.count(count) for kind, count in PEOPLE.items()}, 31))
    total = sum(1 + len(LEVELS) * int(head_map.expressible(head.family).sum()) for _, head in people)
    portraits = (portrait for kind, head in people for portrait in _swept(desk, kind, head))
    curves = gather(desk.reader.read(portraits, total, "sweeps"))
    draw(curves, desk)
    return table(curves)


def _swept(desk: Desk, kind: str, head: Head) -> Iterator[Portrait]:
    """One person at rest, then with every shape that the family knows at every level."""
    yield desk.studio.person(head, kind, Scene(np.zeros(len(head.names), np.float32)), _NEUTRAL)
    for name in np.array(arkit.NAMES)[head_map.expressible(head.family) > 0]:
        for level in LEVELS:
            shapes, gaze = posed(str(name), level)
            yield desk.studio.person(head, kind, Scene(possible(head.express(shapes), head.names), gaze), str(name))


def posed(name: str, level: float) -> tuple[dict[str, float], tuple[float, float]]:
    """ARKit weights and gaze that show a shape at a level: some need an open mouth, and looks turn the eyes."""
    if name.startswith("eyeLook"):
        yaw = {"OutLeft": 1, "InRight": 1, "InLeft": -1, "OutRight": -1}.get(name.removeprefix("eyeLook"), 0)
        pitch = {"Down": 1, "Up": -1}.get(name.removeprefix("eyeLook").removesuffix("Left").removesuffix("Right"), 0)
        return {}, (yaw * level * arkit.EYE_LOOK_FULL_YAW, pitch * level * arkit.EYE_LOOK_FULL_PITCH)
    opened = {"tongueOut": {"jawOpen": 0.5}, "mouthClose": {"jawOpen": level}}.get(name, {})
    return {**opened, name: level}, (0.0, 0.0)


def gather(readings: Sequence[Reading]) -> list[Curve]:
    """The readings of a sweep as curves, each beginning with the person at rest."""
    curves, series = [], dict[tuple[str, str], list[Reading]]()
    for reading in readings:
        series.setdefault((reading.portrait.who, reading.portrait.expression), []).append(reading)
    for (who, name), moved in series.items():
        rest = series.get((who, _NEUTRAL))
        if name == _NEUTRAL or rest is None:
            continue
        truth, read = (np.stack(rows) for rows in zip(*((r.portrait.truth, r.read.arkit) for r in [*rest[:1], *moved]), strict=True))
        shape = arkit.INDEX[name]
        if np.ptp(truth[:, shape]) >= _LEAST:
            curves.append(Curve(shape, moved[0].portrait.kind, truth, read))
    return curves


def draw(curves: Sequence[Curve], desk: Desk) -> None:
    """One small plot a shape, one line a person."""
    columns = 8
    figure, axes = plots.panels(-(-len(arkit.NAMES) // columns), columns, 1.35, 1.3)
    for i, axis in enumerate(axes):
        axis.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05), xticks=[], yticks=[])
        if i >= len(arkit.NAMES):
            axis.axis("off")
            continue
        axis.set_title(arkit.NAMES[i], fontsize=7, pad=2)
        axis.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8, linestyle="--")
        for curve in curves:
            if curve.shape == i:
                axis.plot(curve.truth[:, i], curve.read[:, i], color=COLOURS[curve.kind], linewidth=1.1, alpha=0.85)
    for kind, colour in COLOURS.items():
        axes[-1].plot([], [], color=colour, label=kind)
    axes[-1].legend(fontsize=7, loc="center", frameon=False)
    plots.save(figure, desk.images / "encoder_sweeps.png")


def table(curves: Sequence[Curve]) -> Table:
    """By region: how closely the read-out follows, how much of the movement it shows, and what else it moves."""
    rows, shapes = {}, dict[str, tuple[float, float]]()
    for region in REGIONS:
        values = []
        for shape in (i for i, name in enumerate(arkit.NAMES) if arkit.region(name) == region):
            own = [c for c in curves if c.shape == shape]
            if not own:
                continue
            x, y = (np.concatenate([getattr(c, side)[:, shape] for c in own]) for side in ("truth", "read"))
            correlation = float(np.corrcoef(x, y)[0, 1]) if y.std() > 1e-6 else 0.0
            gain = float(np.median([np.polyfit(c.truth[:, shape], c.read[:, shape], 1)[0] for c in own]))
            shapes[arkit.NAMES[shape]] = correlation, gain
            values.append((correlation, gain, float(np.mean([c.spill for c in own]))))
        if values:
            correlation, gain, spill = np.mean(values, axis=0).tolist()
            rows[region] = {"shapes": len(values), "correlation": correlation, "gain": gain, "spill": spill}
    weak = sorted(shapes, key=lambda name: shapes[name][1])[:6]
    protocol = (
        "Correlation of read-out and truth over all people; gain, the slope of the read-out (1 is right); spill, the largest wrong change"
        f" of another shape at the end of the sweep. Least gain: {', '.join(f'{n} {round(shapes[n][1], 2) + 0.0:.2f}' for n in weak)}."
    )
    return Table("Sweeps by region", protocol, rows, digits=2)
