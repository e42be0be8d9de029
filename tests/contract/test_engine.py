"""The engine's own API: run, submit, cancel, wait, progress, and what it refuses."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from gated_graph import Gate, follow, simple
from patience import LIMIT_SECONDS, await_event

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    GraphValidationError,
    InputPort,
    Operation,
    OperationState,
    RunState,
    operation,
)


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
        ({"executor": "procces"}, ValueError, "executor"),
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
