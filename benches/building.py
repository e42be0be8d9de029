"""What it costs to build a graph, beside appending tuples to a list, all measured in turn in one process.

    python benches/building.py [--nodes 20000] [--rounds 9] [--million]

Every round measures each way once; the table shows medians over the rounds, of times and of ratios within a round. A
graph is a chain, so that each operation but the first has one edge. Times are those of this process on the processor,
since building uses one thread; operations that a way does not make itself are made before.
"""

from __future__ import annotations

import argparse
import gc
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    __version__,
    operation,
)


class Declared(Operation):
    """Ports as class attributes."""

    x = InputPort(int, default=1)
    y = OutputPort(int)

    def execute(self, context: Any) -> None:
        self.y = self.x


class InInit(Operation):
    """Ports as the brief declares them."""

    def __init__(self) -> None:
        super().__init__()
        self.add_input_port("x", InputPort(data_type=int))
        self.add_output_port("y", OutputPort(data_type=int))

    def execute(self, context: Any) -> None:
        self.set_output("y", self.get_input("x"))


class Source(Operation):
    """The start of a chain of those."""

    def __init__(self) -> None:
        super().__init__()
        self.add_output_port("y", OutputPort(data_type=int))

    def execute(self, context: Any) -> None:
        self.set_output("y", 1)


@operation
def same(x: int) -> int:
    return x


def append_tuples(nodes: list[Any]) -> object:
    edges: list[tuple[Any, str, Any, str]] = []
    append = edges.append
    for source, target in pairwise(nodes):
        append((source, "y", target, "x"))
    return edges


def add_operation(nodes: list[Any]) -> GraphDefinition:
    graph = GraphDefinition()
    for node in nodes:
        graph.add_operation(node)
    return graph


def add_and_connect(nodes: list[Any]) -> GraphDefinition:
    graph = GraphDefinition()
    source = graph.add_operation(nodes[0])
    for target in nodes[1:]:
        graph.add_operation(target)
        graph.connect(source, "y", target, "x")
        source = target
    return graph


def add_and_connect_by_keywords(nodes: list[Any]) -> GraphDefinition:
    graph = GraphDefinition()
    source = graph.add_operation(nodes[0])
    for target in nodes[1:]:
        graph.add_operation(target)
        graph.connect(source_operation=source, source_port_name="y", target_operation=target, target_port_name="x")
        source = target
    return graph


def add_with_input(nodes: list[Any]) -> GraphDefinition:
    graph = GraphDefinition()
    source = graph.add(nodes[0], x=1)
    for target in nodes[1:]:
        source = graph.add(target, x=source)
    return graph


def add_functions(nodes: list[Any]) -> GraphDefinition:
    graph = GraphDefinition()
    source = graph.add(same, x=1)
    for _ in nodes[1:]:
        source = graph.add(same, x=source)
    return graph


def add_functions_in_bulk(nodes: list[Any]) -> GraphDefinition:
    graph = GraphDefinition()
    first = graph.add(same, x=1)
    made = graph.add_many(same, len(nodes) - 1)
    graph.connect(first, "result", made[0], "x")
    graph.connect_many(made[:-1], "result", made[1:], "x")
    return graph


def add_layers_in_bulk(nodes: list[Any]) -> GraphDefinition:
    graph = GraphDefinition()
    layer = graph.add_many(same, x=range(100))
    for _ in range(len(nodes) // 100 - 1):
        layer = graph.add_many(same, x=layer)
    return graph


def add_operations_in_bulk(nodes: list[Any]) -> GraphDefinition:
    graph = GraphDefinition()
    made = graph.add_many(nodes)
    graph.connect_many(made[:-1], "y", made[1:], "x")
    return graph


def brief(count: int) -> GraphDefinition:
    graph = GraphDefinition()
    source: Operation = graph.add_operation(Source())
    for _ in range(count - 1):
        target = InInit()
        graph.add_operation(target)
        graph.connect(source_operation=source, source_port_name="y", target_operation=target, target_port_name="x")
        source = target
    return graph


WAYS: dict[str, Callable[[list[Any]], Any]] = {
    "list.append((source, port, target, port))": append_tuples,
    "Declared()": lambda nodes: [Declared() for _ in nodes],
    "InInit(), two ports": lambda nodes: [InInit() for _ in nodes],
    "add_operation": add_operation,
    "add_operation, connect": add_and_connect,
    "add_operation, connect by four keywords": add_and_connect_by_keywords,
    "add(operation, x=source)": add_with_input,
    "add(function, x=source)": add_functions,
    "InInit(), add_operation, connect by four keywords": lambda nodes: brief(len(nodes)),
    "add_many(operations), connect_many": add_operations_in_bulk,
    "add_many(function), connect_many": add_functions_in_bulk,
    "add_many(function, x=layer) in layers of 100": add_layers_in_bulk,
    "compile of function operations": lambda built: built[0].compile(),
}


def measure(count: int, rounds: int) -> None:
    samples: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, build in WAYS.items():
            nodes: list[Any] = [add_functions_in_bulk([None] * count)] if "compile" in way else []
            nodes = nodes or [Declared() for _ in range(count)]
            gc.collect()
            began = time.process_time()
            built = build(nodes)
            samples[way].append((time.process_time() - began) / count)
            del built, nodes
    floor = next(iter(samples.values()))
    print("| an operation with one edge | µs | times an append |\n| --- | --- | --- |")
    for way, times in samples.items():
        ratio = median(map(float.__truediv__, times, floor))
        print(f"| `{way}` | {median(times) * 1e6:.2f} | {ratio:.1f} |")
    print(f"\n{count} operations, {rounds} rounds; spread of an append {(max(floor) - min(floor)) / median(floor):.0%}")


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


MILLION = 1_000_000
MILLIONS: dict[str, Callable[[], GraphDefinition]] = {
    "brief": lambda: brief(MILLION),
    "bulk": lambda: add_functions_in_bulk([None] * MILLION),
}


def million(kind: str) -> None:
    """Build, validate and run a million operations, in a process of its own."""
    engine = ExecutionEngine(max_workers=1)
    warm = brief(1000) if kind == "brief" else add_functions_in_bulk([None] * 1000)
    engine.run(warm, ExecutionContext()).raise_if_failed()
    gc.collect()
    before, began = resident(), time.process_time()
    graph = MILLIONS[kind]()
    built = time.process_time()
    graph.validate()
    validated, plan_bytes = time.process_time(), resident() - before
    engine.run(graph, ExecutionContext()).raise_if_failed()
    ran, all_bytes = time.process_time(), resident() - before
    engine.close()
    print(
        f"a million operations, {kind}: built in {built - began:.2f} s, validated in {validated - built:.2f} s, run in "
        f"{ran - validated:.2f} s: {ran - began:.2f} s; {plan_bytes / MILLION:.0f} bytes each as a plan, "
        f"{all_bytes / MILLION:.0f} after the run, the operations themselves included"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--million", action="store_true", help="build and run graphs of a million operations too")
    parser.add_argument("--one", choices=MILLIONS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        million(options.one)
        return
    print(f"execution-dataflow {__version__}, CPython {platform.python_version()}, {platform.machine()}\n")
    measure(options.nodes, options.rounds)
    if options.million:
        for kind in MILLIONS:
            subprocess.run([sys.executable, __file__, "--one", kind], check=True)


if __name__ == "__main__":
    main()
