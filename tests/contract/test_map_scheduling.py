"""`graph.map`: how many items run at a time, and that a map leaves room for the rest of the graph."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from typing import Any

import numpy as np
import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    Operation,
    RetryPolicy,
    mapped,
    operation,
)


class Gauge:
    """How many are inside at a time."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self._lock = threading.Lock()

    def enter(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def leave(self) -> None:
        with self._lock:
            self.inside -= 1


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("kind", ["thread", "async"])
@pytest.mark.parametrize("is_open", [False, True])
def test_never_more_than_max_concurrency_items_are_under_way(limit: int, kind: str, is_open: bool) -> None:
    gauge = Gauge()

    def act(x: int) -> int:
        gauge.enter()
        time.sleep(0.001)
        gauge.leave()
        return x

    async def act_async(x: int) -> int:
        gauge.enter()
        await asyncio.sleep(0.001)
        gauge.leave()
        return x

    graph = GraphDefinition()
    source: Any = (x for x in range(60)) if is_open else range(60)
    node = graph.map(act if kind == "thread" else act_async, over=source, max_concurrency=limit)
    with ExecutionEngine(max_workers=4) as engine:
        assert engine.run(graph).get_output(node) == list(range(60))
    assert gauge.most <= limit
    if kind == "async" or not is_open:
        assert gauge.most == limit


def test_items_that_wait_for_a_retry_count_as_under_way() -> None:
    began = []

    def act(x: int, context: ExecutionContext) -> int:
        began.append((x, context.attempt))
        if context.attempt == 1:
            raise OSError("busy")
        return x

    graph = GraphDefinition()
    policy = RetryPolicy(max_attempts=2, delay_seconds=0.005)
    node = graph.map(operation(act, retry_policy=policy), over=range(4), max_concurrency=1)
    with ExecutionEngine(max_workers=2) as engine:
        assert engine.run(graph).get_output(node) == [0, 1, 2, 3]
    assert began == [(x, attempt) for x in range(4) for attempt in (1, 2)]


def test_without_a_limit_coroutines_of_all_items_are_under_way_at_once() -> None:
    gauge = Gauge()

    async def act(x: int) -> int:
        gauge.enter()
        await asyncio.sleep(0.05)
        gauge.leave()
        return x

    graph = GraphDefinition()
    node = graph.map(act, over=range(200))
    with ExecutionEngine(max_workers=1) as engine:
        assert engine.run(graph).get_output(node) == list(range(200))
    assert gauge.most > 150


def test_long_items_run_on_every_worker_at_once() -> None:
    together = threading.Barrier(3)

    def act(x: int) -> bool:
        together.wait(20)
        return True

    graph = GraphDefinition()
    node = graph.map(act, over=range(9))
    with ExecutionEngine(max_workers=3) as engine:
        assert engine.run(graph).get_output(node) == [True] * 9


def test_a_slow_iterator_does_not_keep_other_items_or_nodes_from_running() -> None:
    others_done = threading.Event()

    def source() -> Any:
        yield 0
        assert others_done.wait(20)
        yield 1

    graph = GraphDefinition()
    node = graph.map(lambda x: x, over=source())
    last = graph.add(operation(lambda: 1))
    for _ in range(20):
        last = graph.add(operation(lambda before: before), before=last)
    graph.add(operation(lambda before: others_done.set()), before=last)
    with ExecutionEngine(max_workers=2) as engine:
        assert engine.run(graph).get_output(node) == [0, 1]


def test_a_map_and_a_chain_make_way_for_each_other_on_one_worker() -> None:
    """Neither a map of many items nor a chain whose nodes follow each other keeps the other one waiting for its end."""
    log: list[str] = []

    def item(x: int) -> None:
        time.sleep(0.0005)
        log.append("item")

    def link(before: Any = None) -> None:
        time.sleep(0.0005)
        log.append("link")

    graph = GraphDefinition()
    last: Operation = graph.map(item, over=range(200))
    # What follows the map makes it the first to start.
    for _ in range(300):
        last = graph.add(operation(lambda before: None), before=last)
    last = graph.add(operation(link))
    for _ in range(199):
        last = graph.add(operation(link), before=last)
    with ExecutionEngine(max_workers=1) as engine:
        engine.run(graph).raise_if_failed()
    half = log[:200]
    assert half[0] == "item"
    assert 20 < half.count("item") < 180, half.count("item")


def test_two_maps_share_one_worker() -> None:
    log: list[int] = []

    def item(x: int, which: int) -> None:
        time.sleep(0.0005)
        log.append(which)

    graph = GraphDefinition()
    for which in range(2):
        graph.map(item, over={"x": range(100)}, which=which)
    with ExecutionEngine(max_workers=1) as engine:
        engine.run(graph).raise_if_failed()
    assert 20 < log[:100].count(0) < 80


def test_an_item_may_run_a_graph_of_its_own() -> None:
    with ExecutionEngine(max_workers=2) as engine:

        def nested(x: int) -> int:
            inner = GraphDefinition()
            node = inner.map(lambda y: y + x, over=range(5))
            return sum(engine.run(inner).get_output(node))

        graph = GraphDefinition()
        node = graph.map(nested, over=range(10))
        assert engine.run(graph).get_output(node) == [10 + 5 * x for x in range(10)]


def test_a_program_may_await_a_map() -> None:
    async def act(x: int) -> int:
        await asyncio.sleep(0)
        return x

    async def main() -> Any:
        graph = GraphDefinition()
        node = graph.map(mapped(act, over="x"), over=[[1, 2], [3]])
        with ExecutionEngine(max_workers=2) as engine:
            return (await engine.run_async(graph)).get_output(node)

    assert asyncio.run(main()) == [[1, 2], [3]]


def test_the_source_is_let_go_with_the_map_and_the_results_with_their_consumer() -> None:
    seen: list[Any] = []

    class Big(list):  # type: ignore[type-arg]
        pass

    @operation
    def source() -> Big:
        big = Big(np.zeros(3))
        seen.append(weakref.ref(big))
        return big

    @operation
    def count(values: list[Any]) -> bool:
        return seen[0]() is None

    graph = GraphDefinition()
    gone = graph.add(count, values=graph.map(lambda x: x, over=graph.add(source)))
    with ExecutionEngine(max_workers=1) as engine:
        assert engine.run(graph).get_output(gone) is True
