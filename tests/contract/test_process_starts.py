"""An operation for a worker process has started when a process begins it, not when it is sent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from patience import close_in_time

from execution_dataflow import (
    Event,
    ExecutionEngine,
    GraphDefinition,
    OperationCompleted,
    OperationStarted,
    OperationState,
    RetryPolicy,
    operation,
)


@operation
def pause(seconds: float, fails: bool = False) -> float:
    time.sleep(seconds)
    if fails:
        raise ValueError("as it was told")
    return seconds


@operation(executor="thread")
def breaks(seconds: float) -> None:
    time.sleep(seconds)
    raise ZeroDivisionError


@pytest.fixture
def one() -> Iterator[ExecutionEngine]:
    """One process, which is known to be through with `pause` in no time: it is sent many of them ahead."""
    engine = ExecutionEngine(max_workers=1, executor="process", event_drain_seconds=30)
    graph = GraphDefinition()
    for _ in range(200):
        graph.add(pause, seconds=0.0)
    for _ in range(2):
        engine.run(graph).raise_if_failed()
    yield engine
    close_in_time(engine.close)


def started(events: list[Event]) -> set[str]:
    return {event.operation for event in events if isinstance(event, OperationStarted)}


def test_what_waits_in_a_process_when_the_run_fails_was_never_started(one: ExecutionEngine) -> None:
    graph = GraphDefinition()
    failing = graph.add(pause.new(priority=1), seconds=0.0, fails=True)
    others = [graph.add(pause, seconds=0.05) for _ in range(40)]
    events: list[Event] = []
    with one.subscribe(events.append):
        result = one.run(graph, failure_policy="fail_fast")
    assert result.get_state(failing) is OperationState.FAILED
    states = [result.get_state(other) for other in others]
    finished = states.count(OperationState.SUCCEEDED)
    assert finished <= 3, "what runs may finish, what waits does not begin"
    assert states.count(OperationState.CANCELLED) == 40 - finished
    plan = graph.compile()
    names = {plan.names[plan.index_of(made)]: made for made in [failing, *others]}
    begun = {name for name, made in names.items() if result.get_state(made) is not OperationState.CANCELLED}
    assert started(events) == begun
    for name, made in names.items():
        timing = result.get_timing(made)
        assert (0 if timing is None else timing.attempts) == (name in begun)


def test_what_waits_in_a_process_when_the_run_is_cancelled_was_never_started(one: ExecutionEngine) -> None:
    graph = GraphDefinition()
    others = [graph.add(pause, seconds=0.05) for _ in range(40)]
    events: list[Event] = []
    with one.subscribe(events.append):
        handle = one.submit(graph)
        while not started(events):
            time.sleep(0.001)
        handle.cancel(grace_seconds=10)
        result = handle.result(30)
    attempts = [0 if (timing := result.get_timing(other)) is None else timing.attempts for other in others]
    assert sum(attempts) == len(started(events)) <= 3
    assert sum(state is OperationState.CANCELLED for state in map(result.get_state, others)) >= 37


def test_the_time_in_the_queue_of_a_process_is_not_that_of_the_operation(one: ExecutionEngine) -> None:
    graph = GraphDefinition()
    others = [graph.add(pause, seconds=0.1) for _ in range(5)]
    result = one.run(graph)
    for other in others:
        timing: Any = result.get_timing(other)
        assert 0.099 <= timing.ended - timing.started < 0.19


def test_the_start_is_told_while_the_operation_runs(one: ExecutionEngine) -> None:
    graph = GraphDefinition()
    graph.add(pause, seconds=1.0)
    heard: dict[type[Event], float] = {}
    with one.subscribe(lambda event: heard.setdefault(type(event), time.monotonic())):
        one.run(graph).raise_if_failed()
    assert heard[OperationCompleted] - heard[OperationStarted] > 0.5


def test_a_retry_that_a_failure_elsewhere_finds_in_the_queue_ends_as_its_last_failure(one: ExecutionEngine) -> None:
    graph = GraphDefinition()
    retried = graph.add(pause.new(retry_policy=RetryPolicy(max_attempts=2), priority=2), seconds=0.0, fails=True)
    long = graph.add(pause.new(priority=1), seconds=0.3)
    graph.add(breaks, seconds=0.15)
    result = one.run(graph, failure_policy="fail_fast")
    assert result.get_state(long) is OperationState.SUCCEEDED
    assert result.get_state(retried) is OperationState.FAILED
    timing: Any = result.get_timing(retried)
    assert timing.attempts == 1
    assert [str(error.exception) for error in result.errors if error.operation.startswith("pause")] == [
        "as it was told"
    ]
