"""The engine's time for one no-op operation beside the hand-written loop's, both measured in turn in one process.

    python benches/ratios.py [--nodes 20000] [--rounds 15] [--million]

Machines are noisy and change their speed for minutes at a time: every round measures all contenders once, and the table
shows medians over the rounds of times and of ratios within a round. The speed probe is a fixed piece of pure Python:
when its spread is large, the machine was busy.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from contenders import engine_of, graph_of, loop_of
from shapes import SHAPES, chain

from execution_dataflow import ExecutionEngine, GraphDefinition, __version__


def seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def probe() -> int:
    return sum(number * number for number in range(100_000))


def measure(nodes: int, rounds: int) -> None:
    engines = {workers: ExecutionEngine(max_workers=workers) for workers in (1, 2)}
    probes: list[float] = []
    print("| graph | loop, ns | function, 1 worker | 2 workers | class, 1 worker | 2 workers |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, shape_of in SHAPES.items():
        shape = shape_of(nodes)
        contenders = {"loop": loop_of(shape)}
        for kind in ("function", "class"):
            graph = graph_of(shape, kind)
            for workers, engine in engines.items():
                contenders[f"{kind} {workers}"] = engine_of(graph, engine)
        samples: dict[str, list[float]] = {contender: [] for contender in contenders}
        for _ in range(rounds):
            probes.append(seconds(probe))
            for contender, run in contenders.items():
                samples[contender].append(seconds(run))
        loop = samples.pop("loop")
        cells = [
            f"{median(times) / nodes * 1e9:.0f} ns, {median(map(float.__truediv__, times, loop)):.2f}x"
            for times in samples.values()
        ]
        print(f"| {name} | {median(loop) / nodes * 1e9:.0f} | {' | '.join(cells)} |")
    spread = (max(probes) - min(probes)) / median(probes)
    print(f"\nspeed probe {median(probes) * 1e3:.2f} ms, spread {spread:.0%}; {nodes} operations, {rounds} rounds")
    for engine in engines.values():
        engine.close()


def maps(items: int, rounds: int) -> None:
    """A map over a list and over the rows of an array, beside the list comprehension."""
    sources: dict[str, Any] = {"a list of int": list(range(items)), "views of an array": np.zeros((items, 4))}
    print(f"\n| map over {items:,} items | comprehension, s | 1 worker | 2 workers |")
    print("| --- | --- | --- | --- |")
    for name, source in sources.items():
        loop: list[float] = []
        samples: dict[int, list[float]] = {1: [], 2: []}
        graph = GraphDefinition()
        node = graph.map(passes_on, over=source)
        with ExecutionEngine(max_workers=2) as engine:
            for _ in range(rounds):
                began = time.perf_counter()
                assert len([passes_on(x) for x in source]) == items
                loop.append(time.perf_counter() - began)
                for workers, times in samples.items():
                    began = time.perf_counter()
                    result = engine.run(graph, max_workers=workers)
                    times.append(time.perf_counter() - began)
                    assert len(result.get_output(node)) == items
                    del result
        cells = [
            f"{median(times):.3f} s, {median(map(float.__truediv__, times, loop)):.2f}x" for times in samples.values()
        ]
        print(f"| {name} | {median(loop):.3f} | {' | '.join(cells)} |")


def passes_on(x: Any) -> Any:
    return x


def million() -> None:
    with ExecutionEngine() as engine:
        shape = chain(1_000_000)
        began = time.perf_counter()
        graph = graph_of(shape, "class")
        built = time.perf_counter()
        graph.compile()
        compiled = time.perf_counter()
        run = engine_of(graph, engine)
        taken = seconds(run)
    print(
        f"\na million class operations: built in {built - began:.2f} s, compiled in {compiled - built:.2f} s, "
        f"run in {taken:.2f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=1_000_000, help="of a map")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--million", action="store_true", help="build and run a graph of a million operations too")
    options = parser.parse_args()
    print(f"execution-dataflow {__version__}, CPython {platform.python_version()}, {platform.machine()}\n")
    measure(options.nodes, options.rounds)
    maps(options.items, options.rounds)
    if options.million:
        million()


if __name__ == "__main__":
    main()
