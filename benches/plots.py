"""The plots of docs/benchmarks.md, as SVG whose text stays text and which is the same for the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from engines.registry import OURS
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from report_engines import measured_rows, microseconds
from report_metg import efficiencies

mpl.use("svg")
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "execution-dataflow", "font.size": 9})

_MARKERS = "os^vD<>Ph*X"
_COLOURS = mpl.colormaps["tab20"]


def _line(axes: Axes, number: int, name: str, points: list[tuple[float, float]]) -> None:
    ours = name in OURS
    axes.plot(
        [x for x, _ in points],
        [y for _, y in points],
        label=name,
        color="black" if ours else _COLOURS(number % 20),
        linestyle=["-", "--", "-.", ":"][list(OURS).index(name)] if ours else "-",
        linewidth=1.8 if ours else 1.0,
        marker=_MARKERS[number % len(_MARKERS)],
        markersize=4,
    )


def _save(figure: Figure, path: Path) -> None:
    # Without a date, and with a white ground that also shows on dark pages.
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")


def plot_sizes(result: dict[str, Any], path: Path) -> None:
    """Plot the cost of a task against the size of the graph."""
    rows = measured_rows(result, "sizes")
    shapes = list(dict.fromkeys(row["shape"] for row in rows))
    engines = list(dict.fromkeys(row["engine"] for row in rows))
    figure = Figure(figsize=(10, 5), layout="constrained")
    all_axes = figure.subplots(1, max(1, len(shapes)), sharey=True, squeeze=False)[0]
    for axes, shape in zip(all_axes, shapes, strict=False):
        for number, engine in enumerate(engines):
            points = [
                (row["nodes"], microseconds(row)) for row in rows if row["engine"] == engine and row["shape"] == shape
            ]
            _line(axes, number, engine, points)
        axes.set(xscale="log", yscale="log", title=shape, xlabel="tasks in the graph")
        axes.grid(alpha=0.3)
    all_axes[0].set_ylabel("µs a task that does nothing")
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    _save(figure, path)


def plot_metg(result: dict[str, Any], path: Path) -> None:
    """Plot efficiency against the duration of a task."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    for number, (engine, points) in enumerate(efficiencies(result).items()):
        _line(axes, number, engine, [(seconds * 1e6, efficiency) for seconds, efficiency in points])
    axes.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xscale="log", ylim=(0, 1.1), xlabel="µs a task", ylabel="efficiency on two cores")
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    _save(figure, path)
