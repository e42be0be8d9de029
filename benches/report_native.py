"""The tables of what is native: the floor in C, the Rust core beside C++ Taskflow, and the instruction counts."""

from __future__ import annotations

from statistics import median
from typing import Any

from report_engines import Row, figures, grid, measured_rows, microseconds, times_the_loop


def floor_section(result: dict[str, Any]) -> list[str]:
    rows = [row for row in measured_rows(result, "shapes") if "join" not in row["shape"] and row["shape"] != "map"]
    return [
        "## The floor",
        "",
        "The same loop in C: a vectorcall into the Python function for each node and nothing else; with a clock read"
        " for each; with a copy of the context for each; with both. Nanoseconds a task, and times the loop: on a busy"
        " machine the second says more.",
        "",
        *grid(rows, "shape", _cost),
    ]


def _cost(row: Row) -> str:
    return f"{figures(microseconds(row) * 1e3)} ({figures(times_the_loop(row))}x)"


def core_section(result: dict[str, Any]) -> list[str]:
    """Return the Rust core's times and C++ Taskflow's, and which is faster where."""
    found: dict[tuple[str, int, int], dict[str, list[float]]] = {}
    for row in result["rows"]:
        found.setdefault((row["shape"], row["nodes"], row["threads"]), {})[row["engine"]] = row["nanoseconds"]
    lines = [
        "## The core beside C++ Taskflow",
        "",
        "Native no-ops on a prepared graph, second and later runs with all that making it ready again costs. C++ "
        "Taskflow is compiled with -O3 and its threads are pinned; a node of the Rust core also has a state, two "
        "times and an output slot. Nanoseconds a node, medians of processes in turn (`make bench-native`); the "
        "ratio is the median over the rounds, bold where C++ Taskflow is faster.",
        "",
        "| graph | nodes | threads | Rust core | C++ Taskflow | ratio |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (shape, nodes, threads), by_engine in found.items():
        ours, other = by_engine["Rust core"], by_engine.get("C++ Taskflow")
        beside, ratio = "not here", "–"
        if other:
            value = median(one / two for one, two in zip(ours, other, strict=True))
            beside, ratio = figures(median(other)), f"**{value:.2f}**" if value > 1 else f"{value:.2f}"
        lines.append(f"| {shape} | {nodes:,} | {threads} | {figures(median(ours))} | {beside} | {ratio} |")
    return [*lines, ""]


def instructions_section(baseline: dict[str, Any]) -> list[str]:
    names = list(next(iter(baseline["counts"].values())))
    lines = [
        "## Instructions",
        "",
        f"Of the core alone, one thread, graphs of {baseline['nodes']:,} native no-ops, counted by valgrind with "
        f"rustc {baseline['rustc']}. `make bench-instructions` fails when one rises by more than 5 %.",
        "",
        f"| graph | {' | '.join(names)} |",
        "| --- " + "| ---: " * len(names) + "|",
    ]
    for shape, counts in baseline["counts"].items():
        lines.append(f"| {shape} | {' | '.join(f'{counts[name]:g}' for name in names)} |")
    return [*lines, ""]
