"""The engine's own API: run, submit, cancel, wait, progress, close, and what it refuses."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from typing import Any

import pytest
from patience import LIMIT_SECONDS, await_event, eventually

from execution_dataflow import (
    EngineClosedError,
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    GraphValidationError,
    InputPort,
    Operation,
    OperationState,
    RunState,
    _core,
    operation,
)


@operation
def follow(value: object = None) -> object:
    return value


def simple() -> tuple[GraphDefinition, Operation]:
    graph = GraphDefinition("simple")
    return graph, graph.add(follow, value=graph.add(follow, value=42))


class Gate:
    """A graph whose first operation waits until it is let through."""

    def __init__(self) -> None:
        self.running, self.open = threading.Event(), threading.Event()
        self.graph = GraphDefinition("gated")

        @operation
        def gate(context: ExecutionContext) -> str:
            context.progress(0.25, "waiting")
            self.running.set()
            await_event(self.open)
            return "through"

        self.head = self.graph.add(gate)
        self.tail = self.graph.add(follow, value=self.head)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"max_workers": 0}, ValueError, "from 1"),
        ({"max_workers": -1}, ValueError, "from 1"),
        ({"max_workers": 10**6}, ValueError, "1024"),
        ({"max_workers": True}, ValueError, "from 1"),
        ({"max_workers": 2.5}, TypeError, "float"),
        ({"max_workers": "4"}, TypeError, "str"),
        ({"failure_policy": "ignore"}, ValueError, "fail_fast"),
        ({"executor": "process"}, ValueError, "executor"),
        ({"event_drain_seconds": -1}, ValueError, "0 or more"),
        ({"event_drain_seconds": float("nan")}, ValueError, "0 or more"),
        ({"event_drain_seconds": "5"}, TypeError, "str"),
    ],
)
def test_options_without_meaning_are_refused_by_name(options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ExecutionEngine(**options)


def test_the_defaults() -> None:
    engine = ExecutionEngine()
    assert engine.max_workers >= 1
    assert "fail_fast" in repr(engine)
    graph, last = simple()
    assert engine.run(graph).get_output(last) == 42


@pytest.mark.parametrize("graph", [None, 42, "graph", Operation, [1]])
def test_what_is_no_graph_is_refused(graph: Any) -> None:
    with ExecutionEngine(max_workers=1) as engine:
        with pytest.raises(TypeError, match="GraphDefinition"):
            engine.run(graph)
        with pytest.raises(TypeError, match="GraphDefinition"):
            engine.submit(graph)
        with pytest.raises(TypeError, match="GraphDefinition"):
            asyncio.run(engine.run_async(graph))


def test_what_is_no_context_is_refused() -> None:
    with ExecutionEngine(max_workers=1) as engine, pytest.raises(TypeError, match="ExecutionContext"):
        engine.run(simple()[0], {"run_id": "r"})  # type: ignore[arg-type]


@pytest.mark.parametrize("option", [{"max_workers": 0}, {"failure_policy": "no"}, {"retain": "no"}])
def test_options_of_a_run_are_checked_before_anything_starts(option: Any) -> None:
    ran: list[int] = []
    graph = GraphDefinition()
    graph.add(lambda: ran.append(1))
    with ExecutionEngine(max_workers=1) as engine:
        with pytest.raises(ValueError, match=next(iter(option))):
            engine.run(graph, **option)
        with pytest.raises(ValueError, match=next(iter(option))):
            engine.submit(graph, **option)
        engine.run(graph)
    assert ran == [1]


def test_an_invalid_graph_never_starts() -> None:
    class Needs(Operation):
        given = InputPort(int)

        def execute(self, context: ExecutionContext) -> None: ...

    ran: list[int] = []
    graph = GraphDefinition()
    graph.add(lambda: ran.append(1))
    graph.add(Needs())
    with ExecutionEngine(max_workers=1) as engine:
        for go in (engine.run, engine.submit, lambda given: asyncio.run(engine.run_async(given))):
            with pytest.raises(GraphValidationError, match="given"):
                go(graph)
    assert ran == []


def test_a_handle_follows_its_run() -> None:
    gate = Gate()
    with ExecutionEngine(max_workers=1) as engine:
        handle = engine.submit(gate.graph, ExecutionContext("followed"))
        await_event(gate.running)
        assert handle.run_id == "followed"
        assert not handle.done()
        assert handle.state is RunState.RUNNING
        assert handle.wait(0.01) is False
        assert handle.wait(0) is False
        with pytest.raises(TimeoutError, match="followed"):
            handle.result(0.01)
        assert handle.progress() == {"done": 0, "total": 2, "operations": {"gate": (0.25, "waiting")}}
        assert "followed" in repr(handle)
        gate.open.set()
        assert handle.wait(LIMIT_SECONDS) is True
        result = handle.result()
        assert handle.result() is result
        assert handle.progress()["done"] == 2
        handle.cancel()
        assert handle.state is RunState.SUCCEEDED
        assert result.cancelled_by is None


def test_cancel_before_during_and_after() -> None:
    gate = Gate()
    with ExecutionEngine(max_workers=1) as engine:
        first = engine.submit(gate.graph)
        await_event(gate.running)
        # The only pool thread is busy: this one cannot have started.
        other = GraphDefinition()
        untouched = other.add(follow, value=1)
        second = engine.submit(other)
        second.cancel("changed my mind")
        first.cancel()
        first.cancel()
        gate.open.set()
        results = first.result(LIMIT_SECONDS), second.result(LIMIT_SECONDS)
        first.cancel()
    assert results[0].get_state(gate.head) is OperationState.SUCCEEDED
    assert results[0].get_state(gate.tail) is OperationState.CANCELLED
    assert results[0].cancelled_by == "cancelled by the caller"
    assert results[1].get_state(untouched) is OperationState.CANCELLED
    assert results[1].cancelled_by == "changed my mind"
    assert [result.state for result in results] == [RunState.CANCELLED] * 2


def test_a_cancelled_coroutine_stops_where_it_awaits() -> None:
    started, cleaned = threading.Event(), threading.Event()

    @operation
    async def sleeps() -> None:
        try:
            started.set()
            await asyncio.sleep(3600)
        finally:
            cleaned.set()

    graph = GraphDefinition()
    nodes = [graph.add(sleeps) for _ in range(50)]
    with ExecutionEngine(max_workers=1) as engine:
        handle = engine.submit(graph)
        await_event(started)
        began = time.monotonic()
        handle.cancel()
        result = handle.result(LIMIT_SECONDS)
    assert time.monotonic() - began < 5
    assert cleaned.is_set()
    assert {result.get_state(node) for node in nodes} == {OperationState.CANCELLED}


def test_close_waits_for_runs_that_go_on_and_refuses_new_ones() -> None:
    gate = Gate()
    engine = ExecutionEngine(max_workers=1)
    handle = engine.submit(gate.graph)
    await_event(gate.running)
    closing = threading.Thread(target=engine.close, daemon=True)
    closing.start()
    assert eventually(lambda: "closed" in repr(engine))
    for go in (engine.run, engine.submit, lambda graph: asyncio.run(engine.run_async(graph))):
        with pytest.raises(EngineClosedError, match="another ExecutionEngine"):
            go(simple()[0])
    with pytest.raises(EngineClosedError):
        engine.subscribe(print)
    with pytest.raises(EngineClosedError):
        engine.__enter__()
    assert closing.is_alive()
    gate.open.set()
    closing.join(LIMIT_SECONDS)
    assert not closing.is_alive()
    assert handle.result().is_successful()
    engine.close()


def test_results_outlive_their_engine() -> None:
    graph, last = simple()
    with ExecutionEngine(max_workers=2) as engine:
        result = engine.run(graph)
    del engine
    gc.collect()
    assert result.get_output(last) == 42
    assert "SUCCEEDED" in result.summary()


def test_a_submitted_run_goes_on_without_its_handle_and_its_engine() -> None:
    gate = Gate()
    ended = threading.Event()
    end = gate.graph.add(lambda: ended.set())
    gate.graph.add_dependency(gate.tail, end)
    engine = ExecutionEngine(max_workers=1)
    watched = weakref.ref(engine)
    engine.submit(gate.graph)
    await_event(gate.running)
    del engine
    gc.collect()
    gate.open.set()
    await_event(ended)
    assert eventually(lambda: gc.collect() and False or watched() is None)


def test_threads_go_with_their_engines() -> None:
    def pool() -> int:
        return sum(thread.name.startswith("execution-dataflow-") for thread in threading.enumerate())

    gc.collect()
    assert eventually(lambda: _core.serving_threads() <= pool())
    with ExecutionEngine(max_workers=60) as engine:
        wide = GraphDefinition()
        for _ in range(60):
            wide.add(follow, value=1)
        engine.run(wide)
        assert pool() >= 59
    assert eventually(lambda: pool() < 59)
    thrown_away = ExecutionEngine(max_workers=60)
    thrown_away.run(wide)
    assert pool() >= 59
    del thrown_away
    assert eventually(lambda: gc.collect() and False or pool() < 59)


def test_many_engines_share_one_pool() -> None:
    graph, last = simple()
    engines = [ExecutionEngine(max_workers=4) for _ in range(50)]
    before = threading.active_count()
    results = [engine.submit(graph) for engine in engines]
    assert [handle.result(LIMIT_SECONDS).get_output(last) for handle in results] == [42] * 50
    assert threading.active_count() <= before + 4
    for engine in engines:
        engine.close()


def test_engines_that_come_and_go_while_others_run() -> None:
    graph, last = simple()
    stop = threading.Event()
    counts = [0, 0, 0]

    def churn(number: int) -> None:
        while not stop.is_set():
            with ExecutionEngine(max_workers=1 + number) as engine:
                handle = engine.submit(graph)
                assert engine.run(graph).get_output(last) == 42
                assert handle.result(LIMIT_SECONDS).get_output(last) == 42
            counts[number] += 1

    threads = [threading.Thread(target=churn, args=(number,), daemon=True) for number in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    stop.set()
    for thread in threads:
        thread.join(LIMIT_SECONDS)
        assert not thread.is_alive()
    assert min(counts) > 5


def test_closing_while_runs_are_submitted_loses_none() -> None:
    graph, _ = simple()
    for _ in range(50):
        engine = ExecutionEngine(max_workers=2)
        handles = []
        refused = threading.Event()

        def submit(engine: ExecutionEngine = engine, handles: list[Any] = handles, refused: Any = refused) -> None:
            try:
                while True:
                    handles.append(engine.submit(graph))
            except EngineClosedError:
                refused.set()

        thread = threading.Thread(target=submit, daemon=True)
        thread.start()
        time.sleep(0.001)
        engine.close()
        await_event(refused)
        assert all(handle.wait(LIMIT_SECONDS) for handle in handles)


def test_a_run_may_have_fewer_or_more_workers_than_its_engine() -> None:
    @operation
    def name() -> str:
        time.sleep(0.01)
        return threading.current_thread().name

    graph = GraphDefinition()
    nodes = [graph.add(name) for _ in range(12)]
    with ExecutionEngine(max_workers=4) as engine:
        alone = engine.run(graph, max_workers=1)
        assert {alone.get_output(node) for node in nodes} == {threading.current_thread().name}
        meeting = threading.Barrier(6, timeout=20)
        wide = GraphDefinition()
        for _ in range(6):
            wide.add(lambda: meeting.wait())
        assert engine.run(wide, max_workers=6).is_successful()
