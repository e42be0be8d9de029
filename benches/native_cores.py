"""The Rust core beside C++ Taskflow: the same graphs of native no-ops, on one thread and on two, in turn.

    python benches/native_cores.py --rust target/release/dataflow-bench --cpp target/bench-native/taskflow --out FILE

A graph is prepared once; what is timed are its later runs, with all that making it ready again costs. The threads of
C++ Taskflow are pinned to cores, those of the Rust core are not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from machine import probe
from results import write_result

Samples = dict[tuple[str, int], list[float]]


def add_samples(binary: Path, nodes: int, runs: int, to: Samples) -> None:
    """Run a binary once: some runs of each graph."""
    command = [str(binary), *(["times"] if binary.name == "dataflow-bench" else []), str(nodes), str(runs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {binary.name} ended with {done.returncode}: {done.stderr}")
    for line in done.stdout.splitlines():
        row = json.loads(line)
        to.setdefault((row["shape"], row["threads"]), []).append(median(row["nanoseconds"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rust", type=Path, required=True)
    parser.add_argument("--cpp", type=Path, help="left out where its headers cannot be had")
    parser.add_argument("--sizes", default="1000,100000")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    began = time.monotonic()
    binaries: dict[str, Path] = {"Rust core": options.rust}
    if options.cpp and options.cpp.is_file():
        binaries["C++ Taskflow"] = options.cpp
    else:
        print("C++ Taskflow is left out: its headers are not here")
    rows: list[dict[str, Any]] = []
    probes: list[float] = []
    for nodes in map(int, options.sizes.split(",")):
        samples: dict[str, Samples] = {name: {} for name in binaries}
        for _ in range(options.rounds):
            probes.append(probe())
            for name, binary in binaries.items():
                add_samples(binary, nodes, max(5, 200_000 // nodes), samples[name])
        for name, of_engine in samples.items():
            for (shape, threads), nanoseconds in of_engine.items():
                rows.append(
                    {"engine": name, "shape": shape, "nodes": nodes, "threads": threads, "nanoseconds": nanoseconds}
                )
                beside = samples["Rust core"][shape, threads]
                ratio = median(ours / other for ours, other in zip(beside, nanoseconds, strict=True))
                print(
                    f"{shape:8} {nodes:7} {threads} {name:14} {median(nanoseconds):8.1f} ns a node, "
                    f"the Rust core takes {ratio:.2f}x of it"
                )
    print(f"speed probe {median(probes) * 1e3:.2f} ms, spread {(max(probes) - min(probes)) / median(probes):.0%}")
    if options.out:
        minutes = round((time.monotonic() - began) / 60, 1)
        write_result(options.out, minutes, rounds=options.rounds, probes=probes, rows=rows)


if __name__ == "__main__":
    main()
