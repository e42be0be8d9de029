"""Writes docs/benchmarks.md and its plots from the files of results.

    python benches/report.py [--results benches/results] [--docs docs] [--no-plots]

Every number in the page comes from these files, and says which command makes it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

from instructions import BASELINE
from report_elsewhere import elsewhere_section
from report_engines import kernels_section, losses_section, missing_section, shapes_section
from report_metg import metg_section
from report_native import core_section, floor_section, instructions_section
from results import read_result

ROOT = Path(__file__).resolve().parent.parent

_INTRODUCTION = """\
# Benchmarks

<!-- Written by `make bench-docs` from benches/results: do not edit. -->

What a task costs in this engine, in the loop that one would write by hand, and in other libraries. Each result is
compared, value by value, with that of the loop. **Times the loop** is the median of ratios within one process: the
loop over the same graph is timed before and after every sample, since machines change their speed for minutes at a
time. Absolute times are medians too, and a busy machine shows in the spread of the speed probe, a fixed piece of pure
Python that is timed with every sample.

Graphs are built before they are timed, except where a library builds them in each run. Large graphs would take the
slower engines minutes, so that they get smaller ones; the tables say how large. How to measure on your machine:

| command | what it measures | takes |
| --- | --- | --- |
| `make bench` | operations and the loop | {ours} |
| `make bench-peers` | the same, and all other libraries, in an environment of their own | {peers} |
| `make bench-metg` | how small tasks may be on two cores | {metg} |
| `make bench-elsewhere` | worker processes, arrays between them, and coroutines | {elsewhere} |
| `make bench-native` | the floor in C, and the Rust core beside C++ Taskflow | {native} |
| `make bench-instructions` | instructions and allocations of the core, against the baseline | seconds |
| `make bench-docs` | nothing: it writes this page from the results | seconds |
"""

Result = dict[str, Any]
NAMES = ("ours", "peers", "metg", "elsewhere", "native-loop", "native-core")


def load(folder: Path) -> dict[str, Result]:
    return {name: read_result(path) for name in NAMES if (path := folder / f"{name}.json").is_file()}


def minutes(results: dict[str, Result], *names: str) -> str:
    known = [results[name]["minutes"] for name in names if name in results]
    return f"{sum(known):.0f} min" if known and sum(known) >= 1 else "a minute" if known else "some minutes"


def probes_of(result: Result) -> list[float]:
    in_rows = [sample["probe"] for row in result["rows"] for sample in row.get("samples", ())]
    return in_rows or list(result.get("probes", ()))


def machine_section(results: dict[str, Result]) -> list[str]:
    """Return where and when each result was measured, and how busy the machine was: the spread of the speed probe."""
    columns = ("result", "date", "library", "Python", "processor", "cores", "rounds", "speed probe", "its spread")
    lines = ["## Measured on", "", f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for name, result in results.items():
        machine, probes = result["machine"], probes_of(result)
        facts = (name, result["date"], result["library"], machine["python"], machine["processor"], machine["cores"])
        busy = (f"{median(probes) * 1e3:.1f} ms", f"{(max(probes) - min(probes)) / median(probes):.0%}")
        lines.append(f"| {' | '.join(map(str, (*facts, result['rounds'], *busy)))} |")
    return [*lines, ""]


def page(results: dict[str, Result], baseline: dict[str, Any] | None) -> str:
    """Return the text of docs/benchmarks.md."""
    durations = {
        "ours": minutes(results, "ours"),
        "peers": minutes(results, "peers"),
        "metg": minutes(results, "metg"),
        "elsewhere": minutes(results, "elsewhere"),
        "native": minutes(results, "native-loop", "native-core"),
    }
    lines = [_INTRODUCTION.format(**durations)]
    compared = results.get("peers") or results.get("ours")
    if compared:
        lines += shapes_section(compared) + kernels_section(compared) + losses_section(compared)
        lines += [
            "## Cost against size",
            "",
            "![Cost of a task against the size of the graph](benchmarks-sizes.svg)",
            "",
        ]
    if "metg" in results:
        lines += metg_section(results["metg"])
        lines += ["![Efficiency against the duration of a task](benchmarks-metg.svg)", ""]
    if "elsewhere" in results:
        lines += elsewhere_section(results["elsewhere"])
    if "native-loop" in results:
        lines += floor_section(results["native-loop"])
    if "native-core" in results:
        lines += core_section(results["native-core"])
    if baseline:
        lines += instructions_section(baseline)
    if compared:
        lines += missing_section(compared)
    return "\n".join([*lines, *machine_section(results)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=ROOT / "benches" / "results")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--no-plots", action="store_true", help="leave the plots, which need matplotlib, as they are")
    options = parser.parse_args()
    results = load(options.results)
    baseline = json.loads(BASELINE.read_text()) if BASELINE.is_file() else None
    (options.docs / "benchmarks.md").write_text(page(results, baseline), encoding="utf-8")
    if not options.no_plots:
        from plots import plot_metg, plot_sizes

        if compared := results.get("peers") or results.get("ours"):
            plot_sizes(compared, options.docs / "benchmarks-sizes.svg")
        if "metg" in results:
            plot_metg(results["metg"], options.docs / "benchmarks-metg.svg")


if __name__ == "__main__":
    main()
