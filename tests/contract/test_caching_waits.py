"""What several want at the same time is computed once; who waits for it can still be stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from cached_operations import cube, elsewhere, note, noted, run_one, slow
from patience import await_event, close_in_time, eventually

from execution_dataflow import (
    CachePolicy,
    ExecutionEngine,
    GraphDefinition,
    OperationState,
    OperationTimeout,
    ResultCache,
    operation,
)


class Gate:
    """Lets an operation go on when a test says so; nothing of it is part of what an operation is computed from."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __fingerprint__(self) -> str:
        return "gate"

    def __reduce__(self) -> str:
        raise TypeError("a gate is not stored")


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace.txt"


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/results.db"


@pytest.fixture
def engine(address: str) -> Iterator[ExecutionEngine]:
    made = ExecutionEngine(max_workers=4, cache=address)
    yield made
    close_in_time(made.close)


@operation(cache=CachePolicy(key=lambda inputs: inputs["x"]))
def gated(x: int, gate: Gate, trace: str) -> int:
    note(trace, x)
    gate.entered.set()
    await_event(gate.opened)
    return x


def test_threads_of_several_engines_compute_once(address: str, trace: Path) -> None:
    graph = GraphDefinition("same")
    graph.map(slow, over={"x": [5, 5, 5]}, trace=str(trace))
    engines = [ExecutionEngine(max_workers=3, cache=address) for _ in range(2)]
    handles = [engine.submit(graph) for engine in engines for _ in range(2)]
    results = [handle.result() for handle in handles]
    assert [result.get_output("slow") for result in results] == [[6, 6, 6]] * 4
    assert len(noted(trace)) == 1
    assert sum(result.cached.get("slow", 0) for result in results) == 11
    for engine in engines:
        close_in_time(engine.close)


def test_coroutines_compute_once_and_hold_up_nothing(engine: ExecutionEngine, trace: Path) -> None:
    ticks: list[float] = []

    async def tick() -> None:
        import asyncio

        for _ in range(20):
            ticks.append(time.monotonic())
            await asyncio.sleep(0.01)

    graph = GraphDefinition("coroutines")
    cubes = graph.map(cube, over={"x": [2, 2, 2, 2]}, trace=str(trace), seconds=0.2)
    graph.add(tick)
    result = engine.run(graph)
    assert result.get_output(cubes) == [8, 8, 8, 8]
    assert noted(trace) == ["2"]
    assert max(after - before for before, after in pairwise(ticks)) < 0.15


def test_worker_processes_compute_once(engine: ExecutionEngine, trace: Path) -> None:
    graph = GraphDefinition("processes")
    pids = graph.map(elsewhere, over={"x": [1, 1, 1, 1]}, trace=str(trace))
    assert len(set(engine.run(graph).get_output(pids))) == 1
    assert noted(trace) == ["1"]


def test_failure_of_one_lets_the_next_compute(engine: ExecutionEngine, trace: Path) -> None:
    @operation(cache=True)
    def first_fails(trace: str) -> int:
        note(trace, "attempt")
        time.sleep(0.1)
        if len(Path(trace).read_text().splitlines()) == 1:
            raise OSError("the first fails")
        return 1

    graph = GraphDefinition("one of two")
    graph.add(first_fails, trace=str(trace))
    handles = [engine.submit(graph) for _ in range(3)]
    states = sorted(handle.result().get_state("first_fails").name for handle in handles)
    assert states == ["FAILED", "SUCCEEDED", "SUCCEEDED"]
    assert len(noted(trace)) == 2


def test_one_worker_that_wants_what_it_computes_itself_does_not_wait_for_itself(address: str, trace: Path) -> None:
    @operation(cache=CachePolicy(key=lambda inputs: "same"))
    def nested(depth: int, trace: str) -> int:
        note(trace, depth)
        if depth == 0:
            return 0
        inner = GraphDefinition("inner")
        made = inner.add(nested, depth=depth - 1, trace=trace)
        with ExecutionEngine(max_workers=1, cache=address) as engine:
            return engine.run(inner).get_output(made) + 1

    with ExecutionEngine(max_workers=1, cache=address) as engine:
        assert run_one(engine, nested, depth=2, trace=str(trace)).get_output("step") == 2
    assert noted(trace) == ["2", "1", "0"]


def test_two_that_want_what_the_other_computes_do_not_wait_for_each_other(address: str, trace: Path) -> None:
    meeting = threading.Barrier(2)

    @operation(cache=CachePolicy(key=lambda inputs: inputs["mine"]))
    def crossed(mine: str, other: str, meet: object, trace: str) -> str:
        note(trace, mine)
        if meet is None:
            return mine
        meet.wait(10)  # type: ignore[attr-defined]
        inner = GraphDefinition("inner")
        made = inner.add(crossed, mine=other, other=mine, meet=None, trace=trace)
        with ExecutionEngine(max_workers=1, cache=address) as engine:
            return mine + engine.run(inner).get_output(made)

    graph = GraphDefinition("crossed")
    pair = [
        graph.add(crossed, mine=mine, other=other, meet=meeting, trace=str(trace))
        for mine, other in (("a", "b"), ("b", "a"))
    ]
    with ExecutionEngine(max_workers=2, cache=address) as engine:
        result = engine.submit(graph).result(20)
    assert {result.get_output(one)[0] for one in pair} == {"a", "b"}


def test_cancelled_run_does_not_wait_for_another_one(engine: ExecutionEngine, trace: Path) -> None:
    gate = Gate()
    graph = GraphDefinition("gated")
    graph.add(gated, x=1, gate=gate, trace=str(trace))
    computing = engine.submit(graph)
    await_event(gate.entered)
    waiting = engine.submit(graph)
    assert eventually(lambda: waiting.progress()["done"] == 0)
    time.sleep(0.1)
    began = time.monotonic()
    waiting.cancel()
    assert waiting.result(10).get_state("gated") is OperationState.CANCELLED
    assert time.monotonic() - began < 0.6
    gate.opened.set()
    assert computing.result(10).is_successful()
    assert noted(trace) == ["1"]


def test_time_limit_counts_while_an_operation_waits(engine: ExecutionEngine, trace: Path) -> None:
    gate = Gate()
    graph, impatient = GraphDefinition("gated"), GraphDefinition("impatient")
    graph.add(gated, x=1, gate=gate, trace=str(trace))
    impatient.add(gated.new(timeout_seconds=0.2), x=1, gate=gate, trace=str(trace))
    computing = engine.submit(graph)
    await_event(gate.entered)
    result = engine.run(impatient)
    assert isinstance(result.errors[0].exception, OperationTimeout)
    gate.opened.set()
    assert computing.result(10).is_successful()


def test_patience_ends_and_the_result_is_computed_twice(tmp_path: Path, trace: Path) -> None:
    gate = Gate()
    graph = GraphDefinition("gated")
    graph.add(gated, x=1, gate=gate, trace=str(trace))
    with ResultCache(tmp_path / "results.db", wait_seconds=0.2) as cache, ExecutionEngine(cache=cache) as engine:
        first = engine.submit(graph)
        await_event(gate.entered)
        second = engine.submit(graph)
        assert eventually(lambda: len(trace.read_text().splitlines()) == 2)
        gate.opened.set()
        assert first.result(10).get_output("gated") == second.result(10).get_output("gated") == 1
        assert len(cache.entries()) == 1
