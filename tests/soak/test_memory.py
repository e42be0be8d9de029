"""Runs leave memory where it was, however many there are and however they end; a million operations run."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    FailurePolicy,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    RetryPolicy,
    mapped,
    operation,
)

RUNS = 10_000
# Allocators keep arenas and caches; a leak of 256 bytes a run would be more than this.
ROOM_BYTES = 2_500_000

needs_statm = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="resident memory is read from /proc")


class Add(Operation):
    left = InputPort(np.ndarray)
    right = InputPort(int, default=1)
    total = OutputPort(np.ndarray)

    def execute(self, context: ExecutionContext) -> None:
        self.total = self.left + self.right


@operation
def make(size: int) -> np.ndarray:
    return np.zeros(size)


@operation(retry_policy=RetryPolicy(max_attempts=2))
def flaky(array: np.ndarray, context: ExecutionContext) -> int:
    if context.attempt == 1:
        raise OSError("busy")
    return len(array)


@operation
def fail(array: np.ndarray) -> int:
    raise ValueError("no")


@operation
async def wait(array: np.ndarray) -> int:
    await asyncio.sleep(0)
    return len(array)


@operation
async def fail_async(array: np.ndarray) -> int:
    await asyncio.sleep(0)
    raise ValueError("no")


def graph_with(*last: object) -> GraphDefinition:
    graph = GraphDefinition()
    added = graph.add(Add(), left=graph.add(make, size=64))
    for each in last:
        graph.add(each, array=added)  # type: ignore[call-overload]
    return graph


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def ours() -> Counter[str]:
    """Living objects of the package, by class. Those that the collector does not track are seen by their holders."""
    found: Counter[str] = Counter()
    for thing in gc.get_objects():
        kind = type(thing)
        if str(kind.__module__).startswith("execution_dataflow") or kind in (Add, np.ndarray):
            found[kind.__qualname__] += 1
    return found


def check_memory(once: Callable[[], object], runs: int, warm_up: int = 500) -> None:
    """Run until memory has settled, then go on, and compare."""
    for _ in range(warm_up):
        once()
    gc.collect()
    threads, objects, before = threading.active_count(), ours(), resident_bytes()
    for _ in range(runs):
        once()
    gc.collect()
    grown = resident_bytes() - before
    assert ours() - objects == Counter(), "objects of the package are left"
    assert threading.active_count() <= threads
    assert grown < ROOM_BYTES, f"{grown / runs:.0f} bytes a run"


@needs_statm
@pytest.mark.soak
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", ["succeeds", "retries", "fails"])
def test_ten_thousand_runs_leave_memory_where_it_was(kind: str, workers: int, soak_scale: int) -> None:
    graph = graph_with(*{"succeeds": [], "retries": [flaky], "fails": [fail]}[kind])
    with ExecutionEngine(max_workers=workers) as engine:
        check_memory(lambda: engine.run(graph).get_error_message(), RUNS * soak_scale)


@needs_statm
@pytest.mark.soak
@pytest.mark.parametrize("kind", [wait, fail_async])
@pytest.mark.parametrize("way", ["run", "submit", "run_async"])
def test_runs_of_coroutines_leave_memory_where_it_was(kind: object, way: str, soak_scale: int) -> None:
    graph = graph_with(kind)
    runs = 4_000 * soak_scale
    with ExecutionEngine(max_workers=2) as engine:
        if way == "run":
            check_memory(lambda: engine.run(graph), runs)
        elif way == "submit":
            check_memory(lambda: engine.submit(graph).result(), runs)
        else:

            async def all_of_them() -> None:
                for _ in range(runs // 10):
                    await engine.run_async(graph)

            check_memory(lambda: asyncio.run(all_of_them()), 10, 3)


@needs_statm
@pytest.mark.soak
def test_runs_with_a_subscriber_leave_memory_where_it_was(soak_scale: int) -> None:
    counts: Counter[type] = Counter()
    graph = graph_with(flaky, fail)
    with ExecutionEngine(max_workers=2, failure_policy="continue") as engine:
        engine.subscribe(lambda event: counts.update([type(event)]))
        check_memory(lambda: engine.run(graph), 2_000 * soak_scale)


@needs_statm
@pytest.mark.soak
def test_engines_and_graphs_that_come_and_go_leave_memory_where_it_was(soak_scale: int) -> None:
    def once() -> None:
        with ExecutionEngine(max_workers=2) as engine:
            engine.run(graph_with(flaky))
        ExecutionEngine(max_workers=1).run(graph_with(fail))

    check_memory(once, 1_000 * soak_scale)


@needs_statm
@pytest.mark.soak
def test_large_arrays_go_with_their_results_without_the_collector(soak_scale: int) -> None:
    graph = GraphDefinition()
    graph.add(Add(), left=graph.add(make, size=1_000_000))
    failing = GraphDefinition()
    failing.add(fail, array=failing.add(make, size=1_000_000))
    with ExecutionEngine(max_workers=1) as engine:
        engine.run(graph)
        before = resident_bytes()
        gc.disable()
        try:
            for _ in range(50 * soak_scale):
                engine.run(graph)
                engine.run(failing)
                assert resident_bytes() - before < 40_000_000
        finally:
            gc.enable()


@operation(retry_policy=RetryPolicy(max_attempts=2))
def item(x: int, context: ExecutionContext) -> np.ndarray:
    array = np.zeros(8)
    if x % 7 == 0 and context.attempt == 1:
        raise OSError("busy")
    if x == 11:
        raise ValueError("no")
    return array


@operation(retry_policy=RetryPolicy(max_attempts=2))
async def item_async(x: int, context: ExecutionContext) -> np.ndarray:
    await asyncio.sleep(0)
    return item(x, context)


@needs_statm
@pytest.mark.soak
@pytest.mark.parametrize("kind", [item, item_async])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("policy", ["continue", "fail_fast"])
def test_maps_leave_memory_where_it_was(kind: Any, workers: int, policy: FailurePolicy, soak_scale: int) -> None:
    graph = GraphDefinition()
    kept = graph.map(kind, over=range(20), on_error="keep")
    graph.map(mapped(kind, over="x"), over=kept_lists())
    graph.add(operation(lambda values: len(values)), values=kept)
    with ExecutionEngine(max_workers=workers, failure_policy=policy) as engine:
        check_memory(lambda: engine.run(graph).get_error_message(), 500 * soak_scale, warm_up=100)


def kept_lists() -> list[range]:
    return [range(3), range(10, 13), range(2)]


@needs_statm
@pytest.mark.soak
def test_a_map_over_an_iterator_holds_no_more_than_what_is_under_way(soak_scale: int) -> None:
    def source() -> Iterator[np.ndarray]:
        for _ in range(300):
            yield np.ones(100_000)

    def size(array: np.ndarray) -> int:
        sizes.append(resident_bytes())
        return len(array)

    sizes: list[int] = []
    with ExecutionEngine(max_workers=1) as engine:
        for _ in range(2 * soak_scale):
            graph = GraphDefinition()
            graph.map(size, over=source())
            engine.run(graph).raise_if_failed()
    assert max(sizes) - sizes[10] < 20_000_000


def test_a_million_operations_are_built_and_run() -> None:
    count = 1_000_000

    @operation
    def step(before: int = 0, other: int = 0) -> int:
        return before + 1

    graph = GraphDefinition("a million")
    new = step.new
    row: list[Operation] = [graph.add(new()) for _ in range(1000)]
    for _ in range(count // 1000 - 1):
        row = [graph.add(new(), before=before, other=row[column - 1]) for column, before in enumerate(row)]
    assert len(graph) == count
    with ExecutionEngine(max_workers=2) as engine:
        result = engine.run(graph)
    assert result.is_successful()
    assert all(result.get_output(operation) == count // 1000 for operation in row)
    assert len(result.states) == count
