"""What it costs to run an operation in a worker process, beside `ProcessPoolExecutor` and, where installed, loky.

    python benches/processes.py [--rounds 5] [--calls 2000]

Every round measures all contenders once, in turn, with their processes started before. The first table is the time of
one of many operations that do nothing, in flight together: 2 workers, the goal is 30 µs. The second is one at a time:
the way there and back. The third is pure Python of about a millisecond, which threads cannot run side by side: how much
faster two workers are than one; the goal is 1.8.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from statistics import median
from typing import Any

from execution_dataflow import ExecutionEngine, GraphDefinition, __version__

OURS, OURS_NODES, STANDARD, LOKY = (
    "graph.map, 2 workers",
    "a node each, 2 workers",
    "ProcessPoolExecutor.map",
    "loky map",
)
CHUNKED = "ProcessPoolExecutor.map, chunks of 32"
MILLISECOND_LOOPS = 20_000


def nothing(x: int) -> int:
    return x


def spin(x: int) -> int:
    total = 0
    for number in range(MILLISECOND_LOOPS):
        total += number & x
    return total


def mapped(function: Callable[[int], int], count: int) -> GraphDefinition:
    graph = GraphDefinition("map")
    graph.map(function, over={"x": list(range(count))})
    return graph


def nodes(function: Callable[[int], int], count: int) -> GraphDefinition:
    graph = GraphDefinition("nodes")
    for index in range(count):
        graph.add(function, x=index)
    return graph


def run(engine: ExecutionEngine, graph: GraphDefinition) -> None:
    engine.run(graph).raise_if_failed()


@contextmanager
def loky_executor(workers: int) -> Iterator[Executor | None]:
    try:
        from loky import ProcessPoolExecutor as Loky
    except ImportError:
        yield None
        return
    with Loky(max_workers=workers) as executor:
        yield executor


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def repeat(times: int, call: Callable[[], object]) -> None:
    for _ in range(times):
        call()


def table(title: str, samples: dict[str, list[float]], scale: float, unit: str) -> None:
    print(f"\n{title}")
    for name, values in samples.items():
        print(f"  {name:42} {median(values) * scale:9.1f} {unit}   (least {min(values) * scale:.1f})")


def measure(rounds: int, contenders: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    for call in contenders.values():
        call()
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            samples[name].append(seconds(call))
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=2000)
    arguments = parser.parse_args()
    calls = arguments.calls
    print(f"execution-dataflow {__version__}")
    with ExitStack() as stack:
        two = stack.enter_context(ExecutionEngine(max_workers=2, executor="process"))
        one = stack.enter_context(ExecutionEngine(max_workers=1, executor="process"))
        standard = stack.enter_context(ProcessPoolExecutor(2, mp_context=get_context("forkserver")))
        loky: Any = stack.enter_context(loky_executor(2))

        map_graph, node_graph, single = mapped(nothing, calls), nodes(nothing, calls), nodes(nothing, 1)
        contenders: dict[str, Callable[[], object]] = {
            OURS: lambda: run(two, map_graph),
            OURS_NODES: lambda: run(two, node_graph),
            STANDARD: lambda: list(standard.map(nothing, range(calls))),
            CHUNKED: lambda: list(standard.map(nothing, range(calls), chunksize=32)),
        }
        if loky is not None:
            contenders[LOKY] = lambda: list(loky.map(nothing, range(calls)))
        table("one of many operations that do nothing", measure(arguments.rounds, contenders), 1e6 / calls, "µs")

        few = 200
        contenders = {
            "engine.run of one operation": lambda: repeat(few, lambda: run(two, single)),
            "ProcessPoolExecutor.submit().result()": lambda: repeat(few, lambda: standard.submit(nothing, 1).result()),
        }
        if loky is not None:
            contenders["loky submit().result()"] = lambda: repeat(few, lambda: loky.submit(nothing, 1).result())
        table("there and back, one at a time", measure(arguments.rounds, contenders), 1e6 / few, "µs")

        spins = mapped(spin, 300)
        contenders = {"1 worker": lambda: run(one, spins), "2 workers": lambda: run(two, spins)}
        samples = measure(arguments.rounds, contenders)
        table("operations of about a millisecond of Python", samples, 1e3 / 300, "ms each")
        ratios = [alone / both for alone, both in zip(samples["1 worker"], samples["2 workers"], strict=True)]
        print(f"  two workers are {median(ratios):.2f} times as fast as one")


if __name__ == "__main__":
    main()
