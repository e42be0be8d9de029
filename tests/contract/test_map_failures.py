"""`graph.map`: items that fail, are retried, are kept, or are cancelled."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from typing import Any

import numpy as np
import pytest
from patience import await_event, eventually

from execution_dataflow import (
    Event,
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    ItemFailure,
    MapError,
    OperationFailed,
    OperationProgress,
    OperationRetrying,
    OperationState,
    RetryPolicy,
    RunState,
    mapped,
    operation,
)


def fail_at(*bad: int) -> Any:
    def act(x: int) -> int:
        if x in bad:
            raise ValueError(f"bad {x}")
        return x

    return act


def run(graph: GraphDefinition, policy: Any = "continue", workers: int = 1) -> ExecutionResult:
    with ExecutionEngine(max_workers=workers, failure_policy=policy) as engine:
        return engine.run(graph)


def map_error(result: ExecutionResult) -> MapError:
    error = result.first_error
    assert error is not None
    assert isinstance(error.exception, MapError)
    return error.exception


def open_source(count: int) -> Any:
    return (x for x in range(count))


SOURCES = pytest.mark.parametrize("source", [range, open_source], ids=["sized", "open"])


@SOURCES
@pytest.mark.parametrize("workers", [1, 4])
def test_under_continue_all_other_items_run_and_are_usable(source: Any, workers: int) -> None:
    graph = GraphDefinition()
    graph.map(fail_at(3, 17), over=source(30), name="square")
    result = run(graph, workers=workers)
    error = map_error(result)
    assert list(error.errors) == [3, 17]
    assert all(isinstance(fault, ValueError) for fault in error.errors.values())
    good = [value for value in error.results if not isinstance(value, ItemFailure)]
    assert good == [x for x in range(30) if x not in (3, 17)]
    assert error.results[17] == ItemFailure(17, error.errors[17])
    assert error.__cause__ is error.errors[3]
    assert str(error) == "square[3] failed: ValueError: bad 3; 1 other item failed too: 17"
    message = result.get_error_message()
    assert message is not None
    assert "square[3] failed: ValueError: bad 3" in message
    assert "in act" in message


@SOURCES
def test_under_fail_fast_nothing_new_is_taken(source: Any) -> None:
    seen = []

    def act(x: int) -> int:
        seen.append(x)
        if x == 4:
            raise ValueError("bad")
        return x

    graph = GraphDefinition()
    node = graph.map(act, over=source(1000))
    after = graph.add(operation(lambda values: 1), values=node)
    result = run(graph, "fail_fast")
    assert seen == [0, 1, 2, 3, 4]
    error = map_error(result)
    assert list(error.errors) == [4]
    assert error.results[:4] == [0, 1, 2, 3]
    assert result.get_state(node) is OperationState.FAILED
    assert result.get_state(after) is OperationState.CANCELLED
    if source is range:
        assert error.results[999] == ItemFailure(999, None)


@SOURCES
@pytest.mark.parametrize("policy", ["continue", "fail_fast"])
def test_kept_failures_let_the_map_succeed_and_a_reduction_go_on(source: Any, policy: str) -> None:
    @operation
    def good(values: list) -> int:  # type: ignore[type-arg]
        return sum(value for value in values if not isinstance(value, ItemFailure))

    graph = GraphDefinition()
    node = graph.map(fail_at(2), over=source(5), on_error="keep")
    total = graph.add(good, values=node)
    with ExecutionEngine(max_workers=1, failure_policy=policy) as engine:  # type: ignore[arg-type]
        result = engine.run(graph, retain="all")
    assert result.is_successful()
    assert result.get_output(total) == 0 + 1 + 3 + 4
    kept = result.get_output(node)[2]
    assert isinstance(kept, ItemFailure)
    assert kept.index == 2
    assert str(kept.error) == "bad 2"


@SOURCES
@pytest.mark.parametrize("delay", [0, 0.005])
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("workers", [1, 4])
def test_items_are_retried_one_by_one(source: Any, delay: float, is_async: bool, workers: int) -> None:
    attempts: dict[int, int] = {}

    def act(x: int, context: ExecutionContext) -> tuple[int, int, float]:
        attempts[x] = attempts.get(x, 0) + 1
        drawn = context.rng().random()
        if attempts[x] < 1 + x % 3:
            raise OSError("busy")
        return x, context.attempt, drawn

    async def act_async(x: int, context: ExecutionContext) -> tuple[int, int, float]:
        await asyncio.sleep(0)
        return act(x, context)

    policy = RetryPolicy(max_attempts=3, delay_seconds=delay)
    graph = GraphDefinition()
    item = operation(retry_policy=policy)(act_async if is_async else act)
    node = graph.map(item, over=source(40))
    result = run(graph, "fail_fast", workers)
    result.raise_if_failed()
    assert [(x, attempt) for x, attempt, _ in result.get_output(node)] == [(x, 1 + x % 3) for x in range(40)]
    timing = result.get_timing(node)
    assert timing is not None
    assert timing.attempts == 1


def test_the_last_item_of_an_iterator_may_fail() -> None:
    graph = GraphDefinition()
    graph.map(fail_at(2), over=open_source(3))
    error = map_error(run(graph))
    assert error.results == [0, 1, ItemFailure(2, error.errors[2])]


def test_an_item_that_is_out_of_attempts_says_on_which() -> None:
    graph = GraphDefinition()
    graph.map(operation(fail_at(1), retry_policy=RetryPolicy(max_attempts=3)), over=range(3), name="load")
    assert str(map_error(run(graph))) == "load[1] failed on attempt 3 of 3: ValueError: bad 1"


def test_waiting_for_a_retry_occupies_no_worker_and_fail_fast_ends_the_wait() -> None:
    def act(x: int) -> int:
        if x == 0:
            raise OSError("busy")
        if x == 9:
            raise ValueError("final")
        return x

    graph = GraphDefinition()
    policy = RetryPolicy(max_attempts=2, delay_seconds=30, retry_on=OSError)
    graph.map(operation(act, retry_policy=policy), over=range(10))
    began = time.monotonic()
    error = map_error(run(graph, "fail_fast"))
    assert time.monotonic() - began < 10
    assert sorted(error.errors) == [0, 9]
    assert error.results[1:9] == list(range(1, 9))


def test_a_failure_elsewhere_fails_an_item_that_waits_for_a_retry() -> None:
    waiting = threading.Event()

    def busy(x: int) -> int:
        waiting.set()
        raise OSError("busy")

    @operation
    def fail() -> None:
        await_event(waiting)
        raise ValueError("elsewhere")

    graph = GraphDefinition()
    node = graph.map(operation(busy, retry_policy=RetryPolicy(max_attempts=2, delay_seconds=60)), over=range(1))
    graph.add(fail)
    result = run(graph, "fail_fast", workers=2)
    assert result.get_state(node) is OperationState.FAILED
    assert "busy[0] failed" in str(result.errors[0].message) + str(result.errors[1].message)


def test_retried_and_failed_items_emit_events_under_their_own_names() -> None:
    events: list[Event] = []
    graph = GraphDefinition()
    graph.map(operation(fail_at(2), retry_policy=RetryPolicy(max_attempts=2)), over=range(4), name="load")
    with ExecutionEngine(max_workers=1, failure_policy="continue") as engine:
        engine.subscribe(events.append)
        engine.run(graph)
    told = [(type(e), e.operation) for e in events if isinstance(e, OperationRetrying | OperationFailed)]
    assert told == [(OperationRetrying, "load[2]"), (OperationFailed, "load[2]"), (OperationFailed, "load")]
    failed = [event for event in events if isinstance(event, OperationFailed)]
    assert isinstance(failed[0].error, ValueError)
    assert isinstance(failed[1].error, MapError)


def test_progress_counts_items_and_an_item_may_report_its_own() -> None:
    half, go_on = threading.Event(), threading.Event()
    told: list[OperationProgress] = []

    def act(x: int, context: ExecutionContext) -> None:
        context.progress(0.5, "half")
        if x == 5:
            half.set()
            await_event(go_on)

    graph = GraphDefinition()
    graph.map(act, over=range(10))
    with ExecutionEngine(max_workers=1) as engine:
        engine.subscribe(told.append, OperationProgress)
        handle = engine.submit(graph)
        await_event(half)
        assert eventually(lambda: "act" in handle.progress()["operations"])
        fraction, said = handle.progress()["operations"]["act"]
        assert 0 <= fraction <= 0.5
        assert said.endswith("of 10 items")
        go_on.set()
        handle.result()
        assert handle.progress()["operations"]["act"] == (1.0, "10 of 10 items")
    assert [event.operation for event in told] == [f"act[{x}]" for x in range(10)]


@SOURCES
def test_a_cancelled_run_takes_nothing_new_and_items_hear_of_it(source: Any) -> None:
    running = threading.Event()
    seen = []

    def act(x: int, context: ExecutionContext) -> int:
        seen.append(x)
        if x == 3:
            running.set()
            assert eventually(lambda: context.cancelled)
            context.raise_if_cancelled()
        return x

    graph = GraphDefinition()
    node = graph.map(act, over=source(100))
    with ExecutionEngine(max_workers=1) as engine:
        handle = engine.submit(graph)
        await_event(running)
        handle.cancel("enough")
        result = handle.result()
    assert seen == [0, 1, 2, 3]
    assert result.state is RunState.CANCELLED
    assert result.get_state(node) is OperationState.CANCELLED


def test_a_cancellation_ends_items_that_sleep_on_the_loop_or_wait_for_a_retry() -> None:
    started = []

    async def sleep(x: int) -> None:
        started.append(x)
        if x % 2:
            raise OSError("busy")
        await asyncio.sleep(60)

    graph = GraphDefinition()
    policy = RetryPolicy(max_attempts=2, delay_seconds=60)
    node = graph.map(operation(sleep, retry_policy=policy), over=range(20))
    with ExecutionEngine(max_workers=2) as engine:
        handle = engine.submit(graph)
        assert eventually(lambda: len(started) == 20)
        handle.cancel()
        assert handle.result().get_state(node) is OperationState.CANCELLED


@pytest.mark.parametrize("policy", ["continue", "fail_fast"])
def test_a_failure_in_a_nested_map_names_both_indices(policy: str) -> None:
    def act(x: int, y: int) -> int:
        if (x, y) == (1, 2):
            raise ValueError("here")
        return x * y

    graph = GraphDefinition()
    graph.map(mapped(act, over="y"), over={"x": range(3)}, y=range(4))
    error = map_error(run(graph, policy))
    inner = error.errors[1]
    assert isinstance(inner, MapError)
    assert "act[1][2] failed: ValueError: here" in str(error)
    assert inner.results[:2] == [0, 1]
    assert error.results[0] == [0, 0, 0, 0]
    if policy == "continue":
        assert inner.results[3] == 3
        assert error.results[2] == [0, 2, 4, 6]


def test_a_map_error_travels_with_its_data() -> None:
    graph = GraphDefinition()
    graph.map(fail_at(0), over=range(2), name="load")
    error = pickle.loads(pickle.dumps(map_error(run(graph))))
    assert error.operation == "load"
    assert list(error.errors) == [0]
    assert error.results[1] == 1


def test_failed_rows_of_a_stack_are_zero() -> None:
    def act(x: int) -> np.ndarray:
        if x == 1:
            raise ValueError("bad")
        return np.full(2, x + 1.0)

    graph = GraphDefinition()
    graph.map(act, over=range(3), stack=True)
    assert map_error(run(graph)).results.tolist() == [[1, 1], [0, 0], [3, 3]]


def test_system_exit_fails_the_item() -> None:
    def leave(x: int) -> None:
        raise SystemExit(3)

    graph = GraphDefinition()
    graph.map(leave, over=range(1))
    assert isinstance(map_error(run(graph)).__cause__, SystemExit)


def test_the_exceptions_of_superseded_attempts_are_let_go() -> None:
    import gc
    import weakref

    pinned: list[weakref.ref[Any]] = []

    class Big:
        pass

    def act(x: int, context: ExecutionContext) -> int:
        big = Big()
        pinned.append(weakref.ref(big))
        if context.attempt == 1:
            raise OSError("busy")
        gc.collect()
        return sum(reference() is not None for reference in pinned[:-1])

    graph = GraphDefinition()
    node = graph.map(operation(act, retry_policy=RetryPolicy(max_attempts=2)), over=range(3))
    assert run(graph).get_output(node) == [0, 0, 0]
