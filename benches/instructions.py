"""Instructions and allocations of the core for each node, against a baseline that is checked in.

    python benches/instructions.py --binary target/release/dataflow-bench [--update]

The binary runs each graph once and three times under valgrind; the difference is two runs that are neither the first
nor the start of the process. One thread, no Python: the count is the same on each run of one build, on any machine
with the same compiler. A count above the baseline by more than `TOLERANCE` fails; one below it is worth an update.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

BASELINE = Path(__file__).resolve().parent / "instructions.json"
TOLERANCE = 0.05
NODES = 10_000
SHAPES = ("chain", "wide", "stencil", "tree", "random")

Counts = dict[str, dict[str, float]]


def counted(binary: Path, shape: str, runs: int) -> tuple[int, dict[str, int]]:
    """Return the instructions of a whole process, and what its runs after the first allocated."""
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run(
        [*command, str(binary), "count", shape, str(NODES), str(runs)], capture_output=True, text=True, check=False
    )
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if done.returncode or found is None:
        sys.exit(f"error: valgrind could not count the instructions of {binary.name}:\n{done.stderr}")
    return int(found[1].replace(",", "")), json.loads(done.stdout)


def count(binary: Path, shape: str) -> dict[str, float]:
    one, allocated = counted(binary, shape, 1)
    three, _ = counted(binary, shape, 3)
    return {
        "instructions per node": round((three - one) / 2 / NODES, 1),
        "allocations per run": allocated["allocations"],
        "bytes per node": round(allocated["bytes"] / NODES, 1),
    }


def regressions(baseline: Counts, now: Counts) -> list[str]:
    """Return in words what is above the baseline by more than the tolerance, and what the baseline lacks."""
    found = []
    for shape, counts in now.items():
        for name, value in counts.items():
            before = baseline.get(shape, {}).get(name)
            if before is None:
                found.append(f"{shape}: no {name} in the baseline")
            elif value > before * (1 + TOLERANCE):
                found.append(f"{shape}: {value:g} {name}, where the baseline has {before:g}")
    return found


def compiler() -> str:
    return subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]


def table(baseline: Counts, now: Counts) -> str:
    lines = []
    for shape, counts in now.items():
        cells = [f"{value:g} {name} ({baseline.get(shape, {}).get(name, 0):g})" for name, value in counts.items()]
        lines.append(f"{shape:8} {', '.join(cells)}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--update", action="store_true", help="make what is counted now the baseline")
    options = parser.parse_args()
    if platform.machine() not in ("x86_64", "AMD64"):
        print(f"skipped: the baseline is for x86-64, and this is {platform.machine()}")
        return
    if shutil.which("valgrind") is None:
        sys.exit("error: valgrind is not on PATH: install it (Debian: apt-get install valgrind)")
    recorded: dict[str, Any] = json.loads(BASELINE.read_text()) if BASELINE.is_file() else {}
    now = {shape: count(options.binary, shape) for shape in SHAPES}
    print(table(recorded.get("counts", {}), now))
    if options.update:
        BASELINE.write_text(json.dumps({"rustc": compiler(), "nodes": NODES, "counts": now}, indent=1) + "\n")
        print(f"benches/{BASELINE.name} is written anew")
        return
    if found := regressions(recorded.get("counts", {}), now):
        if recorded.get("rustc") != compiler():
            print(f"note: the baseline was counted with rustc {recorded.get('rustc')}, this is {compiler()}")
        sys.exit(
            f"error: more than {TOLERANCE:.0%} above the baseline:\n  "
            + "\n  ".join(found)
            + "\nIf it is worth its price, run `make bench-instructions UPDATE=1` and say why in the commit."
        )
    print(f"nothing is more than {TOLERANCE:.0%} above the baseline (in brackets)")


if __name__ == "__main__":
    main()
