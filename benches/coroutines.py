"""What a coroutine operation costs, beside a plain ``asyncio.gather`` of the same coroutines.

In one process, interleaved, medians: ``PYTHONPATH=python python benches/coroutines.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable

from execution_dataflow import ExecutionEngine, GraphDefinition, operation

WAYS = ("gather", "graph", "graph, timed", "map", "run_async", "map, run_async")


@operation
async def nap(number: int) -> int:
    """Wait for as long as all others need to begin: they are in flight together."""
    await asyncio.sleep(SECONDS)
    return number


SECONDS = 0.0


def graph_of(count: int, timeout_seconds: float | None = None) -> GraphDefinition:
    """Return a graph of independent coroutines."""
    graph = GraphDefinition()
    work = nap if timeout_seconds is None else operation(timeout_seconds=timeout_seconds)(nap.function)
    for number in range(count):
        graph.add(work, number=number)
    return graph


def map_of(count: int) -> GraphDefinition:
    """Return a graph with one map, whose items are all under way at a time."""
    graph = GraphDefinition()
    graph.map(nap, over=range(count), max_concurrency=count)
    return graph


async def gather(count: int) -> None:
    """Run the coroutines as a user would without this library."""
    await asyncio.gather(*[nap.function(number) for number in range(count)])


def measure(count: int, rounds: int) -> dict[str, list[float]]:
    """Return how long each way took, in seconds without the sleep."""
    took: dict[str, list[float]] = {way: [] for way in WAYS}
    with ExecutionEngine(max_workers=2) as engine:
        plans = {
            "graph": graph_of(count).compile(),
            "timed": graph_of(count, 1000.0).compile(),
            "map": map_of(count).compile(),
        }
        ways: dict[str, Callable[[], object]] = {
            "gather": lambda: asyncio.run(gather(count)),
            "graph": lambda: engine.run(plans["graph"]).raise_if_failed(),
            "graph, timed": lambda: engine.run(plans["timed"]).raise_if_failed(),
            "map": lambda: engine.run(plans["map"]).raise_if_failed(),
            "run_async": lambda: asyncio.run(engine.run_async(plans["graph"])).raise_if_failed(),
            "map, run_async": lambda: asyncio.run(engine.run_async(plans["map"])).raise_if_failed(),
        }
        for _ in range(rounds):
            for way in WAYS:
                began = time.perf_counter()
                ways[way]()
                took[way].append(time.perf_counter() - began - SECONDS)
    return took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sleep", type=float, default=0.0, help="how long each coroutine sleeps; 0 yields once")
    options = parser.parse_args()
    globals()["SECONDS"] = options.sleep
    took = measure(options.count, options.rounds)
    floor = statistics.median(took["gather"])
    print(f"{options.count} coroutines, {options.rounds} rounds, asyncio.sleep({options.sleep:g})")
    for way, seconds in took.items():
        middle = statistics.median(seconds)
        each = middle / options.count * 1e6
        print(f"{way:16} {middle * 1e3:8.1f} ms {each:7.2f} µs each {middle / floor:6.2f} x gather")


if __name__ == "__main__":
    main()
