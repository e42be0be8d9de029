"""The table of what work costs that is done elsewhere than on the caller's threads."""

from __future__ import annotations

from statistics import median
from typing import Any

_UNITS = ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (float("inf"), 1.0, "s"))
_TITLES = {"many": "one of 2,000 calls", "one": "one call, there and back", "fan-out": "one of 10,000 coroutines"}


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    if "samples" not in row:
        return "failed"
    each = median(sample["seconds"] for sample in row["samples"]) / row["units"]
    scale, unit = next((scale, unit) for below, scale, unit in _UNITS if each < below)
    return f"{each * scale:.3g} {unit}"


def elsewhere_section(result: dict[str, Any]) -> list[str]:
    """Return the lines of the section."""
    rows = {(row["engine"], row["what"]): row for row in result["rows"]}
    columns = list(dict.fromkeys(row["what"] for row in result["rows"] if row["what"] != "start"))
    columns.sort(key=lambda what: (what == "fan-out", what[0].isdigit(), int(what.split()[0]) if " MB" in what else 0))
    engines = list(dict.fromkeys(row["engine"] for row in result["rows"]))
    lines = [
        "## In worker processes, and coroutines",
        "",
        f"Calls that do nothing on {result['workers']} worker processes, in flight together and one at a time; an "
        "array that a worker makes (numpy writes it once, which is in the time) and a worker reads; coroutines that "
        "yield once. `make bench-elsewhere`. Each library is measured alone, one after the other: most keep processes "
        "at work in the background.",
        "",
        "| | " + " | ".join(_TITLES.get(what, what) for what in columns) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for engine in engines:
        name = f"**{engine}**" if engine.startswith("ours") else engine
        lines.append(f"| {name} | {' | '.join(_cell(rows.get((engine, what))) for what in columns)} |")
    reasons = [
        f"- {row['engine']}, {row['what']}: {row['unsupported']}" for row in result["rows"] if "unsupported" in row
    ]
    return [*lines, "", *reasons, *[""] * bool(reasons)]
