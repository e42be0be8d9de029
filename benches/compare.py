"""Measures engines beside the hand-written loop, each in its own process, in turn, and writes every sample as JSON.

    python benches/compare.py --engines ours --out benches/results/ours.json
    python benches/compare.py --engines all --rounds 5 --out benches/results/peers.json

In a round every engine gives one sample of the same case, with the loop's time and a speed probe taken next to it in
its process. Engines that have threads or processes at work in the background are measured alone, after the others. An
engine that is not installed or cannot do something is in the output with the reason.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from cases import Case, cases_of
from engines.registry import ALL, LOOP, NATIVE, OURS, PEERS
from kernels import bytes_per_second
from measured_engine import MeasuredEngine
from results import write_result

_SPIN_SECONDS = 100e-6


def measured(engine: MeasuredEngine, case: Case) -> dict[str, Any]:
    """Prepare a case; return its row, still without samples."""
    beside = [{"engine": "hand-written loop", **case.graph()}]
    answer = engine.ask({"do": "prepare", "case": case.graph(), "beside": beside})
    return {"engine": engine.name, "suite": case.suite, **case.graph(), "samples": [], **answer}


def take_samples(engines: list[MeasuredEngine], rows: list[dict[str, Any]], rounds: int) -> None:
    for _ in range(rounds):
        for engine, row in zip(engines, rows, strict=True):
            if "unsupported" in row:
                continue
            answer = engine.ask({"do": "sample"})
            if "unsupported" in answer:
                row |= answer
            else:
                row["samples"].append({"loop": answer.pop("beside")[0], **answer})


def shown(row: dict[str, Any]) -> str:
    name = f"{row['suite']:8} {row['shape']:10} {row['kernel']:16} {row['nodes']:7} {row['engine']:30}"
    if "unsupported" in row:
        return f"{name} -- {row['unsupported']}"
    samples = row["samples"]
    cost = median(sample["seconds"] for sample in samples) / row["nodes"] * 1e6
    ratio = median(sample["seconds"] / sample["loop"] for sample in samples)
    probe = median(sample["probe"] for sample in samples) * 1e3
    return f"{name} {cost:10.3f} µs a task {ratio:9.2f}x the loop, probe {probe:.2f} ms"


def measure_group(names: list[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure engines that do not disturb each other, in turn."""
    done: list[dict[str, Any]] = []
    cases = {name: cases_of(ALL[name], options.spin, options.most) for name in names}
    keys = dict.fromkeys(
        key for of_engine in cases.values() for key in of_engine if key[0] in options.suites.split(",")
    )
    with ExitStack() as stack:
        engines = {name: stack.enter_context(MeasuredEngine(name, verbose=options.verbose)) for name in names}
        for key in keys:
            taking = [engines[name] for name in names if key in cases[name]]
            rows = [measured(engine, cases[engine.name][key]) for engine in taking]
            take_samples(taking, rows, options.rounds)
            done += rows
            print("\n".join(map(shown, rows)), flush=True)
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", default="ours", help="ours, all, native, or names divided by semicolons")
    parser.add_argument("--suites", default="shapes,sizes,kernels")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--most", type=int, default=100_000, metavar="NODES", help="give nobody a larger graph")
    parser.add_argument("--out", type=Path, help="where the JSON goes")
    parser.add_argument("--verbose", action="store_true", help="show what the libraries print")
    options = parser.parse_args()
    chosen = {"ours": [*LOOP, *OURS], "all": [*LOOP, *OURS, *PEERS], "native": [*LOOP, *NATIVE, *OURS]}
    names = chosen.get(options.engines) or options.engines.split(";")
    if unknown := [name for name in names if name not in ALL]:
        sys.exit(f"error: no engine is called {unknown[0]!r}: choose from {'; '.join(ALL)}")
    options.spin = round(bytes_per_second() * _SPIN_SECONDS)
    began = time.monotonic()
    light = [name for name in names if not ALL[name].background]
    groups = [light, *([name] for name in names if ALL[name].background)]
    rows: list[dict[str, Any]] = []
    for group in filter(None, groups):
        rows += measure_group(group, options)
        minutes = round((time.monotonic() - began) / 60, 1)
        if options.out:
            # After each group: what is measured stays if a later engine has to be stopped.
            write_result(options.out, minutes, rounds=options.rounds, spin_bytes=options.spin, rows=rows)
    probes = [sample["probe"] for row in rows for sample in row["samples"]]
    if probes:
        spread = (max(probes) - min(probes)) / median(probes)
        print(f"speed probe {median(probes) * 1e3:.2f} ms, spread {spread:.0%}; {minutes} minutes")


if __name__ == "__main__":
    main()
