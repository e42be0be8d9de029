"""What a run costs apart from its operations: a graph of one operation on a reused engine, beside what Python offers.

    python benches/latency.py [--rounds 30] [--calls 100]

Every round measures all contenders once, in turn; the table shows the median time of a call, its ratio to an empty
function call and to `ThreadPoolExecutor.submit(...).result()` of the same round, and the least time. The goal is 10 µs
for `engine.run`. A second table shows what sharing the CPUs with native libraries costs runs on two workers (nothing
that shows, for operations that do nothing), and a third one the first run of a fresh engine, in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np

from execution_dataflow import ExecutionContext, ExecutionEngine, GraphDefinition, Operation, OutputPort, __version__

CALL, POOL = "an empty function call", "ThreadPoolExecutor.submit(f).result()"


def nothing() -> int:
    return 1


class Nothing(Operation):
    value = OutputPort(int)

    def execute(self, context: ExecutionContext) -> None:
        self.value = 1


def graph_of(operation: Callable[[], int] | Operation) -> GraphDefinition:
    graph = GraphDefinition()
    graph.add(operation)
    return graph


def wide(operations: int) -> GraphDefinition:
    graph = GraphDefinition()
    for _ in range(operations):
        graph.add(nothing)
    return graph


def microseconds_a_call(call: Callable[[], object], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began) / calls * 1e6


def in_turn(contenders: dict[str, Callable[[], object]], rounds: int, calls: int) -> dict[str, list[float]]:
    for call in contenders.values():
        call()
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            samples[name].append(microseconds_a_call(call, calls))
    return samples


def ratio(times: list[float], others: list[float]) -> float:
    return median(map(float.__truediv__, times, others))


def one_operation(rounds: int, calls: int) -> None:
    graph, of_class, context = graph_of(nothing), graph_of(Nothing()), ExecutionContext("latency")
    plan = graph.compile()
    heard = ExecutionEngine()
    heard.subscribe(lambda event: None)
    loop = asyncio.new_event_loop()
    with ExecutionEngine() as engine, ThreadPoolExecutor(1) as pool:
        contenders: dict[str, Callable[[], object]] = {
            CALL: nothing,
            POOL: lambda: pool.submit(nothing).result(),
            "engine.run(graph)": lambda: engine.run(graph),
            "engine.run(plan)": lambda: engine.run(plan),
            "engine.run(plan, context)": lambda: engine.run(plan, context),
            "engine.run(plan, ExecutionContext(id))": lambda: engine.run(plan, ExecutionContext("latency")),
            "engine.run(graph), a class operation": lambda: engine.run(of_class),
            "engine.run(graph), somebody listens": lambda: heard.run(graph),
            "engine.submit(graph).result()": lambda: engine.submit(graph).result(),
            "await engine.run_async(graph)": lambda: loop.run_until_complete(engine.run_async(graph)),
        }
        samples = in_turn(contenders, rounds, calls)
    heard.close()
    loop.close()
    print("| one operation | µs | to an empty call | to the executor | least µs |")
    print("| --- | --- | --- | --- | --- |")
    for name, times in samples.items():
        to_call, to_pool = ratio(times, samples[CALL]), ratio(times, samples[POOL])
        print(f"| {name} | {median(times):.2f} | {to_call:.0f}x | {to_pool:.2f}x | {min(times):.2f} |")


def native_threads(rounds: int, calls: int) -> None:
    assert np.ones((2, 2)) @ np.ones(2) is not None  # the BLAS is loaded, so there is something to limit
    limited, unlimited = ExecutionEngine(max_workers=2), ExecutionEngine(max_workers=2, native_threads="unlimited")
    print('\n| no-op operations, two workers | "auto", µs | "unlimited", µs | ratio |')
    print("| --- | --- | --- | --- |")
    for operations in (2, 16, 128):
        graph = wide(operations)
        contenders: dict[str, Callable[[], object]] = {
            "auto": lambda: limited.run(graph),  # noqa: B023
            "unlimited": lambda: unlimited.run(graph),  # noqa: B023
        }
        samples = in_turn(contenders, rounds, calls)
        auto, free = samples["auto"], samples["unlimited"]
        print(f"| {operations} | {median(auto):.1f} | {median(free):.1f} | {ratio(auto, free):.2f}x |")
    limited.close()
    unlimited.close()


FIRST = """
import time
from latency import wide
from execution_dataflow import ExecutionEngine

def microseconds(call):
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e6

one, many = wide(1), wide(64)
one.compile(), many.compile()
engines = []
print(
    microseconds(lambda: engines.append(ExecutionEngine(max_workers=2))),
    microseconds(lambda: engines[0].run(one)),
    microseconds(lambda: engines[0].run(one)),
    microseconds(lambda: engines[0].run(many)),
    microseconds(lambda: engines[0].run(many)),
    microseconds(lambda: engines[0].close()),
)
"""
STEPS = (
    "ExecutionEngine()",
    "the first run, one operation",
    "the second",
    "the first run that needs a thread, 64 operations",
    "the next",
    "engine.close()",
)


def first_run(processes: int) -> None:
    folder = str(Path(__file__).parent)
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {folder!r})\n{FIRST}"]
    runs = [
        [float(number) for number in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]
        for _ in range(processes)
    ]
    print("\n| in a fresh process | µs |")
    print("| --- | --- |")
    for step, times in zip(STEPS, zip(*runs, strict=True), strict=True):
        print(f"| {step} | {median(times):.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--calls", type=int, default=100)
    options = parser.parse_args()
    print(f"execution-dataflow {__version__}, Python {platform.python_version()}, {platform.machine()}\n")
    one_operation(options.rounds, options.calls)
    native_threads(options.rounds, options.calls)
    first_run(max(1, options.rounds // 6))


if __name__ == "__main__":
    main()
