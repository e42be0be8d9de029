"""The tables of engines beside the loop: shapes, kernels, where others win, and what could not be measured."""

from __future__ import annotations

from statistics import median
from typing import Any

from engines.registry import ALL, LOOP, OURS

Row = dict[str, Any]
_LOOP = next(iter(LOOP))


def figures(number: float) -> str:
    """Return a number with three figures that mean something, and no exponent."""
    if number >= 1000:
        return f"{float(f'{number:.3g}'):,.0f}"
    return f"{number:.3g}"


def microseconds(row: Row) -> float:
    nodes: int = row["nodes"]
    return median(float(sample["seconds"]) for sample in row["samples"]) / nodes * 1e6


def times_the_loop(row: Row) -> float:
    return median(float(sample["seconds"] / sample["loop"]) for sample in row["samples"])


def measured_rows(result: dict[str, Any], suite: str) -> list[Row]:
    return [row for row in result["rows"] if row["suite"] == suite and row["samples"]]


def grid(rows: list[Row], column: str, cell: Any) -> list[str]:
    """Return a table with a line for each engine and a column for each value of `column`."""
    columns = list(dict.fromkeys(row[column] for row in rows))
    measured = {row["engine"] for row in rows}
    engines = [name for name in ALL if name in measured]
    found = {(row["engine"], row[column]): row for row in rows}
    lines = [f"| engine | {' | '.join(columns)} | tasks |", "| --- " + "| ---: " * (len(columns) + 1) + "|"]
    for engine in engines:
        cells = [cell(found[engine, name]) if (engine, name) in found else "–" for name in columns]
        sizes = sorted({row["nodes"] for row in rows if row["engine"] == engine})
        tasks = " to ".join(f"{size:,}" for size in dict.fromkeys((sizes[0], sizes[-1])))
        name = f"**{engine}**" if engine in OURS else engine
        lines.append(f"| {name} | {' | '.join(cells)} | {tasks} |")
    return [*lines, ""]


def shapes_section(result: dict[str, Any]) -> list[str]:
    rows = measured_rows(result, "shapes")
    if not rows:
        return []
    samples = [sample["probe"] for row in rows for sample in row["samples"]]
    spread = (max(samples) - min(samples)) / median(samples)
    return [
        "## Tasks that do nothing",
        "",
        f"Medians of {result['rounds']} samples; the speed probe took {median(samples) * 1e3:.1f} ms with a spread of"
        f" {spread:.0%}. This library's rows are bold: functions and classes as operations, on one worker and on "
        "two, with types checked, times kept and context variables isolated for every operation.",
        "",
        "Times the loop:",
        "",
        *grid([row for row in rows if row["engine"] != _LOOP], "shape", lambda row: figures(times_the_loop(row))),
        "Microseconds a task:",
        "",
        *grid(rows, "shape", lambda row: figures(microseconds(row))),
    ]


def kernels_section(result: dict[str, Any]) -> list[str]:
    rows = measured_rows(result, "kernels")
    if not rows:
        return []
    titled = [row | {"kernel": "100 µs without the GIL" if "spin" in row["kernel"] else row["kernel"]} for row in rows]
    return [
        "## Tasks that do something",
        "",
        "A tree reduction. Times the loop, which runs on one thread: two workers reach one half where the work lets go"
        " of the GIL. *numpy 100* and *4 MB* are sums of arrays of 100 and of 524,288 numbers; the loop keeps each of"
        " them to its end, and who lets go of them sooner works in memory that is warm.",
        "",
        *grid([row for row in titled if row["engine"] != _LOOP], "kernel", lambda row: figures(times_the_loop(row))),
    ]


def losses(result: dict[str, Any]) -> list[str]:
    """Return in words where another engine was faster than the best of ours, by times the loop."""
    rows = [row for row in result["rows"] if row["samples"] and row["engine"] != _LOOP]
    best: dict[tuple[str, ...], float] = {}
    for row in rows:
        if row["engine"] in OURS and row["suite"] != "sizes":
            key = (row["suite"], row["shape"], row["kernel"])
            best[key] = min(best.get(key, times_the_loop(row)), times_the_loop(row))
    return [
        f"{row['engine']} on {row['shape']}, {row['kernel']}: {figures(times_the_loop(row))} times the loop, this "
        f"library {figures(best[key])}"
        for row in rows
        if row["engine"] not in OURS
        and (key := (row["suite"], row["shape"], row["kernel"])) in best
        and times_the_loop(row) < best[key]
    ]


def losses_section(result: dict[str, Any]) -> list[str]:
    found = losses(result)
    if not any(row["engine"] not in OURS and row["engine"] != _LOOP for row in result["rows"]):
        return []
    said = [f"- {line}" for line in found] or ["Nowhere in this run, by times the loop."]
    return ["## Where another library is faster", "", *said, ""]


def missing_section(result: dict[str, Any]) -> list[str]:
    """Return what could not be measured, and the versions of what was."""
    lines = []
    failed = [row for row in result["rows"] if "unsupported" in row]
    if failed:
        lines += ["## What could not be measured", ""]
        reasons: dict[tuple[str, str], list[str]] = {}
        for row in failed:
            case = f"{row['shape']} of {row['nodes']:,} ({row['kernel']})"
            reasons.setdefault((row["engine"], row["unsupported"]), []).append(case)
        lines += [f"- {engine}: {reason}: {', '.join(cases)}" for (engine, reason), cases in reasons.items()]
        lines.append("")
    versions = {row["engine"].split(",")[0]: row["version"] for row in result["rows"] if row.get("version")}
    versions = {name: version for name, version in versions.items() if name not in ("function", "class")}
    if versions:
        said = ", ".join(f"{name} {version}" for name, version in versions.items())
        lines += ["## Versions", "", f"{said}; pinned in `requirements/bench-peers.txt`.", ""]
    return lines
