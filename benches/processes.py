"""What it costs to run an operation in a worker process, and what a second worker gains; beside others: `elsewhere.py`.

    python benches/processes.py [--rounds 5] [--calls 2000]

Every round measures all of them once, in turn, with their processes started before. First one of many operations that
do nothing, in flight together: the goal is 30 µs. Then one at a time: the way there and back. Last, pure Python of
about a millisecond, which threads cannot run side by side: how much faster two workers are than one; the goal is 1.8.
How much two processes of this machine gain at all is measured beside it, with the same work and no library in between.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median

from elsewhere_work import nothing
from machine import seconds

from execution_dataflow import ExecutionEngine, GraphDefinition, __version__

MILLISECOND_LOOPS = 20_000
SPINS = 300
SINGLE_CALLS = 200


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


def repeat(times: int, call: Callable[[], object]) -> None:
    for _ in range(times):
        call()


def spin_when_told(connection: Connection) -> None:
    """Spin as often as the other end says, until it closes."""
    try:
        while True:
            for number in range(connection.recv()):
                spin(number)
            connection.send(None)
    except EOFError:
        pass


class BareProcesses:
    """Processes that are told how often to spin, and nothing else: what the machine gives."""

    def __init__(self, stack: ExitStack, workers: int) -> None:
        self._ends = []
        for _ in range(workers):
            ours, theirs = get_context("spawn").Pipe()
            process = get_context("spawn").Process(target=spin_when_told, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            stack.callback(process.join)
            stack.callback(ours.close)
            self._ends.append(ours)

    def spin(self, times: int) -> None:
        for end in self._ends:
            end.send(times // len(self._ends))
        for end in self._ends:
            end.recv()


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
    rounds, calls = arguments.rounds, arguments.calls
    print(f"execution-dataflow {__version__}")
    with ExitStack() as stack:
        two = stack.enter_context(ExecutionEngine(max_workers=2, executor="process"))
        one = stack.enter_context(ExecutionEngine(max_workers=1, executor="process"))
        map_graph, node_graph, single = mapped(nothing, calls), nodes(nothing, calls), nodes(nothing, 1)
        many: dict[str, Callable[[], object]] = {
            "graph.map, 2 workers": lambda: run(two, map_graph),
            "a node each, 2 workers": lambda: run(two, node_graph),
        }
        table("one of many operations that do nothing", measure(rounds, many), 1e6 / calls, "µs")
        single_calls: dict[str, Callable[[], object]] = {
            "engine.run of one operation": lambda: repeat(SINGLE_CALLS, lambda: run(two, single))
        }
        table("there and back, one at a time", measure(rounds, single_calls), 1e6 / SINGLE_CALLS, "µs")

        spins = mapped(spin, SPINS)
        bare_one, bare_two = BareProcesses(stack, 1), BareProcesses(stack, 2)
        samples = measure(
            rounds,
            {
                "1 worker": lambda: run(one, spins),
                "2 workers": lambda: run(two, spins),
                "1 bare process": lambda: bare_one.spin(SPINS),
                "2 bare processes": lambda: bare_two.spin(SPINS),
            },
        )
        table("operations of about a millisecond of Python", samples, 1e3 / SPINS, "ms each")
        for alone, both in (("1 worker", "2 workers"), ("1 bare process", "2 bare processes")):
            ratios = [first / second for first, second in zip(samples[alone], samples[both], strict=True)]
            print(f"  {both} are {median(ratios):.2f} times as fast as {alone}")


if __name__ == "__main__":
    main()
