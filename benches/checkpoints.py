"""What a checkpoint costs: the same graph with and without one, and the time until a resumed run starts to work.

In one process, interleaved, medians: ``PYTHONPATH=python python benches/checkpoints.py``; ``--store`` takes an address.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from execution_dataflow import (
    Checkpoint,
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    Plan,
    operation,
)


@operation
def start() -> int:
    """Begin every chain."""
    return 1


@operation
def step(x: int) -> int:
    """Do next to nothing, so that what is measured is the engine."""
    return x + 1


class Mark:
    """When the operation that had not committed began: no part of what it is computed from."""

    began = 0.0

    def __fingerprint__(self) -> str:
        return "mark"


mark = Mark()


@operation
def note() -> None:
    """Note when it runs."""
    mark.began = time.perf_counter()


def chains(count: int, length: int = 10, *, with_note: bool = False) -> Plan:
    """Return chains that begin with the same operation, of so many operations in all."""
    graph = GraphDefinition("chains")
    first = graph.add(start)
    for _ in range(count // length):
        last = first
        for _ in range(length):
            last = graph.add(step, x=last)
    if with_note:
        graph.add(note)
    return graph.compile()


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def until_it_works(engine: ExecutionEngine, done: Plan, more: Plan, store: str, name: str) -> float:
    """Return how long a resumed run takes to start the first operation that had not committed."""
    engine.run(done, ExecutionContext(name), checkpoint=store).raise_if_failed()
    began = time.perf_counter()
    engine.run(more, ExecutionContext(name), checkpoint=store).raise_if_failed()
    return mark.began - began


def measure(count: int, rounds: int, store: str) -> dict[str, list[float]]:
    """Return how long each way took, in seconds."""
    plan, more, few = chains(count), chains(count, with_note=True), chains(max(count // 100, 10))
    ways = ("plain", "batched", "restored", "until it works", "few, plain", "few, each")
    took: dict[str, list[float]] = {way: [] for way in ways}
    with ExecutionEngine() as engine:

        def run(plan: Plan, name: str | None, kept: str | Checkpoint | None) -> float:
            return seconds(lambda: engine.run(plan, ExecutionContext(name), checkpoint=kept).raise_if_failed())

        for number in range(rounds):
            took["plain"].append(run(plan, None, None))
            took["batched"].append(run(plan, f"batched-{number}", store))
            took["restored"].append(run(plan, f"batched-{number}", store))
            took["until it works"].append(until_it_works(engine, plan, more, store, f"more-{number}"))
            took["few, plain"].append(run(few, None, None))
            took["few, each"].append(run(few, f"each-{number}", Checkpoint(store, durability="each")))
    return took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--store", help="an address; a new SQLite file by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = options.store or f"sqlite:///{Path(folder) / 'runs.db'}"
        took = {way: statistics.median(times) for way, times in measure(options.count, options.rounds, store).items()}
    count, few = options.count, max(options.count // 100, 10)
    plain, batched = took["plain"], took["batched"]
    print(f"{count} operations that do nothing, {options.rounds} rounds, {store.partition(':')[0]}")
    print(f"without a checkpoint      {plain:7.3f} s")
    print(
        f"batched                   {batched:7.3f} s, {(batched - plain) / count * 1e6:.1f} µs an operation; "
        f"the goal of 1.5 times and 2 s is {1.5 * plain + 2:.3f} s"
    )
    print(f"restored, every one       {took['restored']:7.3f} s")
    print(f"resumed, until it works   {took['until it works']:7.3f} s")
    each = (took["few, each"] - took["few, plain"]) / few
    print(f"each, {few} of them       {took['few, each']:7.3f} s, {each * 1e6:.0f} µs an operation")


if __name__ == "__main__":
    main()
