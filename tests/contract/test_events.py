"""O1 and O2: events are one causal sequence per run, and subscribers cannot do harm."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
import time
from typing import Any

import pytest
from event_rules import check_events
from patience import await_event, eventually

from execution_dataflow import (
    Event,
    ExecutionContext,
    ExecutionEngine,
    GraphCompleted,
    GraphDefinition,
    GraphStarted,
    Operation,
    OperationCompleted,
    OperationFailed,
    OperationProgress,
    OperationRetrying,
    OperationSkipped,
    OperationStarted,
    OperationUpstreamFailed,
    OutputPort,
    RetryPolicy,
    RunState,
    operation,
)


@operation
def follow(value: object = None) -> object:
    return value


@operation
async def follow_async(value: object = None) -> object:
    await asyncio.sleep(0)
    return value


def lattice() -> tuple[GraphDefinition, dict[str, set[str]]]:
    """Six layers of six operations; each waits for two of the layer before."""
    graph = GraphDefinition("lattice")
    before: dict[str, set[str]] = {}
    rows: list[list[Operation]] = []
    for layer in range(6):
        row = []
        for column in range(6):
            kind = follow_async if (layer + column) % 3 == 0 else follow
            name = f"{layer}.{column}"
            before[name] = {f"{layer - 1}.{column}", f"{layer - 1}.{(column + 1) % 6}"} if layer else set()
            above = {"value": rows[-1][column]} if rows else {}
            row.append(graph.add(kind.new(name=name), **above))
            if rows:
                graph.add_dependency(rows[-1][(column + 1) % 6], row[-1])
        rows.append(row)
    return graph, before


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("way", ["run", "submit", "run_async"])
def test_events_are_one_sequence_that_respects_causality(workers: int, way: str) -> None:
    graph, before = lattice()
    events: list[Event] = []
    with ExecutionEngine(max_workers=workers) as engine:
        engine.subscribe(events.append)
        if way == "run":
            result = engine.run(graph)
        elif way == "submit":
            result = engine.submit(graph).result(20)
        else:
            result = asyncio.run(engine.run_async(graph))
    check_events(events, result, before, dict.fromkeys(before, 1))


def test_events_of_runs_at_the_same_time_are_sequences_of_their_own() -> None:
    graph, before = lattice()
    events: dict[str, list[Event]] = {}
    with ExecutionEngine(max_workers=4) as engine:
        engine.subscribe(lambda event: events.setdefault(event.run_id, []).append(event))
        handles = [engine.submit(graph) for _ in range(10)]
        results = [handle.result(20) for handle in handles]
    assert len(events) == 10
    for result in results:
        check_events(events[result.run_id], result, before, dict.fromkeys(before, 1))


def test_events_tell_what_happened() -> None:
    class Branch(Operation):
        maybe = OutputPort(int, optional=True)

        def execute(self, context: ExecutionContext) -> None:
            context.progress(0.5, "half way")

    @operation(retry_policy=RetryPolicy(max_attempts=2, delay_seconds=0.001))
    def flaky(context: ExecutionContext) -> int:
        if context.attempt == 1:
            raise OSError("busy")
        return 1

    @operation
    def fail() -> int:
        raise ValueError("no")

    graph = GraphDefinition("tells")
    graph.add(follow, value=1)
    branch = graph.add(Branch())

    @operation
    def needs(value: int) -> int:
        return value

    graph.add(needs, value=branch)
    graph.add(flaky)
    graph.add(needs, value=graph.add(fail))
    events: list[Any] = []
    with ExecutionEngine(max_workers=1, failure_policy="continue") as engine, engine.subscribe(events.append):
        engine.run(graph, ExecutionContext("r1"))

    def only(kind: type[Event], name: str | None = None) -> Any:
        found = [e for e in events if type(e) is kind and (name is None or e.operation == name)]
        assert len(found) == 1, found
        return found[0]

    assert (only(GraphStarted).graph, only(GraphStarted).operations) == ("tells", 6)
    assert only(OperationCompleted, "follow").seconds >= 0
    assert (only(OperationProgress).fraction, only(OperationProgress).message) == (0.5, "half way")
    assert only(OperationSkipped).operation == "needs"
    assert (only(OperationRetrying).attempt, only(OperationRetrying).delay_seconds) == (1, 0.001)
    assert "busy" in only(OperationRetrying).message
    assert only(OperationCompleted, "flaky").attempt == 2
    failed = only(OperationFailed)
    assert isinstance(failed.error, ValueError)
    assert failed.message == "ValueError: no"
    assert (only(OperationUpstreamFailed).operation, only(OperationUpstreamFailed).blame) == ("needs_2", "fail")
    assert only(GraphCompleted).state is RunState.FAILED
    assert only(GraphCompleted).seconds > 0
    assert {event.run_id for event in events} == {"r1"}
    assert {event.worker for event in events if type(event) is OperationStarted} == {0}
    with pytest.raises(dataclasses.FrozenInstanceError):
        events[0].sequence = 99


def test_a_subscriber_gets_only_what_it_asked_for_until_it_closes() -> None:
    graph = GraphDefinition()
    graph.add(follow, value=1)
    events: list[Event] = []
    with ExecutionEngine(max_workers=1) as engine:
        subscription = engine.subscribe(events.append, GraphCompleted, OperationStarted)
        engine.run(graph)
        subscription.close()
        subscription.close()
        engine.run(graph)
    assert [type(event) for event in events] == [OperationStarted, GraphCompleted]


def test_events_come_on_one_thread_that_is_no_worker() -> None:
    threads: set[threading.Thread] = set()
    graph, _ = lattice()
    with ExecutionEngine(max_workers=4) as engine:
        engine.subscribe(lambda event: threads.add(threading.current_thread()))
        engine.run(graph)
        engine.run(graph)
    assert {thread.name for thread in threads} == {"execution-dataflow-events"}
    assert len(threads) == 1


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), GeneratorExit()])
def test_a_subscriber_that_raises_is_logged_and_changes_nothing(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    graph, before = lattice()
    events: list[Event] = []

    def raises(event: Event) -> None:
        raise error

    with ExecutionEngine(max_workers=2, event_drain_seconds=20) as engine, caplog.at_level(logging.ERROR):
        engine.subscribe(raises)
        engine.subscribe(events.append)
        began = time.monotonic()
        result = engine.run(graph)
        assert time.monotonic() - began < 10
    assert result.is_successful()
    assert result.dropped_events == 0
    check_events(events, result, before, dict.fromkeys(before, 1))
    assert sum(record.name == "execution_dataflow.events" for record in caplog.records) == len(events)


@pytest.mark.parametrize("way", ["run", "submit", "run_async"])
def test_a_slow_subscriber_never_stalls_a_worker_and_what_it_misses_is_counted(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    graph = GraphDefinition()
    for _ in range(200):
        graph.add(follow, value=1)
    go_on = threading.Event()
    seen: list[Event] = []

    def slow(event: Event) -> None:
        seen.append(event)
        await_event(go_on)

    async def beside() -> tuple[Any, float]:
        """The run, and the longest time that the loop was held up beside it."""
        gaps, last = [0.0], time.monotonic()
        run = asyncio.ensure_future(engine.run_async(graph))
        while not run.done():
            await asyncio.sleep(0.005)
            now = time.monotonic()
            gaps.append(now - last)
            last = now
        return run.result(), max(gaps)

    with ExecutionEngine(max_workers=2, event_drain_seconds=0.5) as engine:
        engine.subscribe(slow)
        with caplog.at_level(logging.WARNING):
            began = time.monotonic()
            if way == "run":
                result = engine.run(graph)
            elif way == "submit":
                handle = engine.submit(graph)
                assert handle.wait(20)
                result = handle.result(20)
            else:
                result, gap = asyncio.run(beside())
                assert gap < 0.3, "the event loop was held up by a slow subscriber"
            took = time.monotonic() - began
        # The workers were done long before: the run's own time says so.
        assert result.seconds < 0.4
        assert 0.4 < took < 0.9
        assert result.is_successful()
        assert result.dropped_events == 402 - 1
        assert any("401 events were dropped" in record.getMessage() for record in caplog.records)
        go_on.set()
        # The next run is delivered again.
        assert eventually(lambda: len(seen) == 1)
        follow_up = engine.run(graph)
        assert follow_up.dropped_events == 0
    assert len(seen) == 1 + 402


def test_progress_that_was_missed_is_counted_too() -> None:
    go_on = threading.Event()

    @operation
    def works(context: ExecutionContext) -> None:
        for step in range(10):
            context.progress(step / 10)

    graph = GraphDefinition()
    graph.add(works)
    with ExecutionEngine(max_workers=1, event_drain_seconds=0.05) as engine:
        engine.subscribe(lambda event: await_event(go_on))
        result = engine.run(graph)
        go_on.set()
    assert result.dropped_events == 14 - 1


def test_a_subscriber_may_run_graphs_and_subscribe_itself() -> None:
    inner = GraphDefinition("inner")
    inner.add(follow, value=1)
    outer = GraphDefinition("outer")
    outer.add(follow, value=1)
    graphs: list[tuple[str, bool]] = []

    def nested(event: GraphCompleted) -> None:
        if event.graph == "outer":
            engine.subscribe(lambda event: None)
            graphs.append((event.graph, engine.run(inner).is_successful()))

    with ExecutionEngine(max_workers=1) as engine:
        engine.subscribe(nested, GraphCompleted)
        assert engine.run(outer).is_successful()
    assert graphs == [("outer", True)]


def test_without_a_subscriber_nothing_is_made_or_counted() -> None:
    graph, _ = lattice()
    with ExecutionEngine(max_workers=2) as engine:
        handle = engine.submit(graph)
        assert handle.result(20).dropped_events == 0
        assert handle._run.core.events_sent == 0
        assert engine._threads.dispatcher.thread is None


def test_what_is_no_subscriber_is_refused() -> None:
    with ExecutionEngine(max_workers=1) as engine:
        with pytest.raises(TypeError, match="callable"):
            engine.subscribe(42)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="event class"):
            engine.subscribe(print, int)  # type: ignore[arg-type]
