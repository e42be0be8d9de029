"""The table of METG."""

from __future__ import annotations

from statistics import median
from typing import Any

from engines.registry import OURS
from metg import crossing, metg_text


def efficiencies(result: dict[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """Return for each engine the pairs of task duration in seconds and median efficiency, by rising duration."""
    points: dict[str, list[tuple[float, float]]] = {}
    for row in result["rows"]:
        points.setdefault(row["engine"], [])
        if row["efficiency"]:
            points[row["engine"]].append((row["task_seconds"], median(row["efficiency"])))
    return points


def metg_section(result: dict[str, Any]) -> list[str]:
    workers = result["workers"]
    least = min(row["task_seconds"] for row in result["rows"])
    lines = [
        "## How small tasks may be",
        "",
        f"METG(50%), the measure of Task Bench (Slaughter et al., SC 2020): a stencil of {result['width']} columns "
        f"on {workers} workers, with tasks that compute without the GIL. Efficiency is the rate of work over the "
        "rate that bare threads with a static schedule reach with tasks of 1 ms, timed next to each sample. *Task* "
        "is the duration of the smallest task that still runs at one half of that; the granularity in Task Bench's "
        "sense (wall time × workers / tasks) is twice that.",
        "",
        "| engine | task at 50 % | METG(50%) |",
        "| --- | ---: | ---: |",
    ]
    for engine, points in efficiencies(result).items():
        found = crossing(points)
        name = f"**{engine}**" if engine in OURS else engine
        granularity = None if found is None else found * 2
        lines.append(f"| {name} | {metg_text(found, least)} | {metg_text(granularity, 2 * least)} |")
    reasons = {row["engine"]: row["unsupported"] for row in result["rows"] if "unsupported" in row}
    return [*lines, "", *[f"- {engine}: {reason}" for engine, reason in reasons.items()], *[""] * bool(reasons)]
