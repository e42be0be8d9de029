"""What work costs that is done elsewhere: in worker processes, and by coroutines; beside other libraries.

    python benches/elsewhere.py [--rounds 5] [--engines "ours;loky"] [--most-megabytes 1000] [--out FILE]

For each: one of 2,000 calls that do nothing, in flight together on two processes; one call, there and back; an array
that a worker makes and a worker reads, from 1 MB to 1 GB; one of 10,000 coroutines in flight. Each engine is measured
alone, since most keep processes at work in the background, with a speed probe beside every sample. What comes back is
compared with what must.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import elsewhere_work as work
from elsewhere_engines import ENGINES, WORKERS, Elsewhere
from machine import probe, seconds, without_places
from processes import repeat
from results import write_result

CALLS, SINGLE_CALLS, COROUTINES = 2_000, 100, 10_000
MEGABYTES = (1, 10, 100, 1_000)

# What is measured, how many units one sample has, and how it is called.
Case = tuple[str, int, Callable[[], object]]


def handed_over(engine: Elsewhere, megabytes: int) -> None:
    if engine.hand_over(megabytes) != work.expected(megabytes):
        raise ValueError(f"an array of {megabytes} MB came wrong")


def cases(engine: Elsewhere, most_megabytes: int) -> list[Case]:
    found: list[Case] = []
    if "many" in engine.can:
        found.append(("many", CALLS, partial(engine.many, CALLS)))
    if "one" in engine.can:
        found.append(("one", SINGLE_CALLS, partial(repeat, SINGLE_CALLS, engine.one)))
    if "hand_over" in engine.can:
        sizes = [size for size in MEGABYTES if size <= most_megabytes]
        found += [(f"{size} MB", 1, partial(handed_over, engine, size)) for size in sizes]
    if "fan_out" in engine.can:
        found.append(("fan-out", COROUTINES, partial(engine.fan_out, COROUTINES)))
    return found


def measure(name: str, rounds: int, most_megabytes: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    try:
        engine = ENGINES[name]()
    except Exception as error:
        return [{"engine": name, "what": "start", "unsupported": without_places(f"{type(error).__name__}: {error}")}]
    try:
        for what, units, call in cases(engine, most_megabytes):
            row: dict[str, Any] = {"engine": name, "what": what, "units": units}
            rows.append(row)
            try:
                call()
                row["samples"] = [{"seconds": seconds(call), "probe": probe()} for _ in range(rounds)]
            except Exception as error:
                row["unsupported"] = without_places(f"{type(error).__name__}: {error}")
                print(f"{name:34} {what:8} {row['unsupported']}")
                continue
            each = median(sample["seconds"] for sample in row["samples"]) / units
            print(f"{name:34} {what:8} {each * 1e6:12.1f} µs", flush=True)
    finally:
        engine.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", default=";".join(ENGINES), help="names divided by semicolons")
    parser.add_argument("--most-megabytes", type=int, default=MEGABYTES[-1])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    # Workers of all kinds find the work by its module.
    here = str(Path(__file__).resolve().parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    began, rows = time.perf_counter(), []
    for name in options.engines.split(";"):
        if name not in ENGINES:
            sys.exit(f"there is no engine {name!r}; there are {', '.join(map(repr, ENGINES))}")
        rows += measure(name, options.rounds, options.most_megabytes)
    if options.out:
        minutes = (time.perf_counter() - began) / 60
        write_result(options.out, minutes, rounds=options.rounds, workers=WORKERS, rows=rows)


if __name__ == "__main__":
    main()
