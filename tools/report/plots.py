"""Figures of small plots, drawn without a window."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from freeavatar.output import replacing


def panels(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of small plots, each so many inches wide and high, row by row."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the suffix says how."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)
