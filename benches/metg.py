"""METG(50%) as in Task Bench (Slaughter et al., SC 2020): how small tasks may be before half of the machine is lost.

    python benches/metg.py --out benches/results/metg.json

Each engine runs a stencil of eight columns whose tasks take a checksum without the GIL, on two workers, with smaller
and larger tasks. The efficiency of a run is its rate of bytes over the rate that bare threads with a static schedule
reach with large tasks, which are measured next to each sample in the same process. Where it crosses one half, the
table has the duration of a task, and the granularity in Task Bench's sense: wall time x workers / tasks, which is
twice that.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from engines.registry import ALL, PEERS, STATIC
from kernels import Spin, bytes_per_second
from measured_engine import MeasuredEngine
from results import write_result

WORKERS = 2
_WIDTH = 8
_BARE = next(iter(STATIC))
_OURS = ("function, 2 workers", "class, 2 workers")
# Dask sync, Hamilton, pipefunc and TaskFlow's serial engine have one thread, and cannot reach a half of two.
_ONE_THREAD = {"Dask sync", "Hamilton", "pipefunc", "TaskFlow serial"}
_LARGE_SECONDS = 1e-3
_LARGE_NODES = 64
# A sample is this long on two cores if nothing is lost, within the nodes that the engine is given.
_SAMPLE_SECONDS = 0.03
_SIZES = tuple(4e-6 * 2**step for step in range(15))  # 4 µs to 65 ms
# An engine is done once it reaches this: larger tasks say nothing more.
_ENOUGH = 0.85
_HOPELESS = 0.1


def nodes_for(seconds: float, most: int) -> int:
    """Return how many tasks of a duration make a sample, in whole rows."""
    wished = _SAMPLE_SECONDS * WORKERS / seconds
    return max(10, min(int(wished), most, 10_000) // _WIDTH) * _WIDTH


def stencil_case(seconds: float, nodes: int, rate: float) -> dict[str, Any]:
    size = max(round(seconds * rate), Spin.LEAST)
    return {"shape": f"stencil {_WIDTH}", "nodes": nodes, "kernel": f"spin {size} B"}


def bytes_of(case: dict[str, Any]) -> int:
    return int(case["kernel"].split()[1]) * int(case["nodes"])


def crossing(points: list[tuple[float, float]], level: float = 0.5) -> float | None:
    """Return where efficiency reaches a level for good, between the sizes on a logarithmic scale; None if nowhere.

    Parameters
    ----------
    points : list of (size, efficiency)
        By rising size.
    level : float
        The efficiency that is asked for.
    """
    below = [number for number, (_, efficiency) in enumerate(points) if efficiency < level]
    if not below:
        return points[0][0] if points else None
    if below[-1] + 1 == len(points):
        return None
    (size, low), (next_size, high) = points[below[-1]], points[below[-1] + 1]
    part = (level - low) / (high - low)
    return math.exp(math.log(size) + part * (math.log(next_size) - math.log(size)))


def metg_text(found: float | None, least: float) -> str:
    """Return a METG in words; `least` is the smallest size that was measured."""
    if found is None:
        return "not reached"
    return f"{'< ' if found <= least else ''}{found * 1e6:,.0f} µs"


class Sweep:
    """One engine on its way from small tasks to large ones."""

    def __init__(self, engine: MeasuredEngine, rate: float) -> None:
        self.engine, self._rate = engine, rate
        self.rows: list[dict[str, Any]] = []
        self.done = False
        self.skips = False

    def prepare(self, seconds: float) -> None:
        nodes = nodes_for(seconds, ALL[self.engine.name].most_nodes)
        case = stencil_case(seconds, nodes, self._rate)
        large = {"engine": _BARE, **stencil_case(_LARGE_SECONDS, _LARGE_NODES, self._rate)}
        peak = bytes_of(large)
        answer = self.engine.ask({"do": "prepare", "case": case, "beside": [large]})
        row = {"engine": self.engine.name, "task_seconds": seconds, "efficiency": [], **case, **answer}
        self.rows.append(row | {"bytes": bytes_of(case), "peak_bytes": peak, "samples": []})
        self.done = "unsupported" in answer

    def sample(self) -> None:
        if self.done:
            return
        row, answer = self.rows[-1], self.engine.ask({"do": "sample"})
        if "unsupported" in answer:
            row |= answer
            self.done = True
            return
        [large] = answer.pop("beside")
        row["samples"].append({"large": large, **answer})
        row["efficiency"].append(row["bytes"] / answer["seconds"] / (row["peak_bytes"] / large))

    def look(self) -> str:
        """Return what was found for this size, and stop when larger tasks say nothing more."""
        row = self.rows[-1]
        if "unsupported" in row:
            return f"{self.engine.name:30} -- {row['unsupported']}"
        efficiency = median(row["efficiency"])
        # Far from one half there is nothing to see at twice the size: the slow engines would take all the time.
        self.skips = efficiency < _HOPELESS
        self.done = efficiency > _ENOUGH and self.engine.name != _BARE
        return f"{self.engine.name:30} {row['task_seconds'] * 1e6:9.0f} µs {row['nodes']:6} tasks {efficiency:7.1%}"

    def metg(self) -> float | None:
        return crossing([(row["task_seconds"], median(row["efficiency"])) for row in self.rows if row["efficiency"]])


def sweep_group(names: list[str], rounds: int, rate: float, verbose: bool) -> list[Sweep]:
    """Sweep engines that do not disturb each other, in turn."""
    with ExitStack() as stack:
        sweeps = [Sweep(stack.enter_context(MeasuredEngine(name, verbose=verbose)), rate) for name in names]
        for seconds in _SIZES:
            left = [sweep for sweep in sweeps if not sweep.done]
            if all(sweep.engine.name == _BARE for sweep in left):
                break
            active = [sweep for sweep in left if not sweep.skips]
            for sweep in left:
                sweep.skips = False
            for sweep in active:
                sweep.prepare(seconds)
            for _ in range(rounds):
                for sweep in active:
                    sweep.sample()
            print("\n".join(sweep.look() for sweep in active), flush=True)
        return sweeps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", default="all", help="ours, all, or names divided by semicolons")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--verbose", action="store_true", help="show what the libraries print")
    options = parser.parse_args()
    peers = [name for name in PEERS if name not in _ONE_THREAD]
    chosen = {"ours": [_BARE, *_OURS], "all": [_BARE, *_OURS, *peers]}
    names = chosen.get(options.engines) or [_BARE, *options.engines.split(";")]
    if unknown := [name for name in names if name not in ALL]:
        sys.exit(f"error: no engine is called {unknown[0]!r}: choose from {'; '.join(ALL)}")
    began, rate = time.monotonic(), bytes_per_second()
    light = [name for name in names if not ALL[name].background]
    groups = [light, *([name] for name in names if ALL[name].background)]
    sweeps: list[Sweep] = []
    for group in filter(None, groups):
        sweeps += sweep_group(group, options.rounds, rate, options.verbose)
        if options.out:
            # After each group: what is measured stays if a later engine has to be stopped.
            minutes = round((time.monotonic() - began) / 60, 1)
            rows = [row for sweep in sweeps for row in sweep.rows]
            write_result(options.out, minutes, rounds=options.rounds, workers=WORKERS, width=_WIDTH, rows=rows)
    print()
    for sweep in sweeps:
        print(f"{sweep.engine.name:30} {metg_text(sweep.metg(), _SIZES[0])}")


if __name__ == "__main__":
    main()
