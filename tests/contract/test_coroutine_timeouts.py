"""`timeout_seconds` of coroutines: they are cancelled, and what does not let itself be cancelled is left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from patience import eventually
from stuck import no_stray_exceptions, spin

from execution_dataflow import (
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    OperationState,
    OperationTimeout,
    RetryPolicy,
    RunState,
    operation,
)

SOON = 5.0


@pytest.fixture(autouse=True)
def _nothing_astray() -> Iterator[None]:
    with no_stray_exceptions():
        yield


@pytest.fixture(params=["run", "run_async"])
def run(request: Any) -> Iterator[Any]:
    with ExecutionEngine(max_workers=1, grace_seconds=0.3, failure_policy="continue") as engine:

        def run(graph: GraphDefinition) -> ExecutionResult:
            return engine.run(graph) if request.param == "run" else asyncio.run(engine.run_async(graph))

        yield run


def only_timeout(result: ExecutionResult) -> OperationTimeout:
    assert result.first_error is not None
    error = result.first_error.exception
    assert type(error) is OperationTimeout
    return error


def test_coroutine_is_cancelled_at_its_deadline(run: Any) -> None:
    seen: list[str] = []

    async def hangs() -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    graph = GraphDefinition()
    graph.add(operation(hangs, timeout_seconds=0.2))
    began = time.monotonic()
    result = run(graph)
    error = only_timeout(result)
    assert 0.2 <= time.monotonic() - began < SOON
    assert seen == ["cancelled"]
    assert (error.operation, error.timeout_seconds, error.attempt, error.is_set_aside) == ("hangs", 0.2, 1, False)
    assert result.first_error is not None
    assert "asyncio.sleep(1000)" in result.first_error.traceback_text
    assert "in hangs" in str(result.first_error.where)


def test_coroutine_that_swallows_its_cancellation_is_set_aside(run: Any) -> None:
    ends: list[str] = []

    async def stubborn() -> str:
        while True:
            try:
                await asyncio.sleep(1.0)
            except asyncio.CancelledError:
                continue
            ends.append("late")
            return "late"

    graph = GraphDefinition()
    node = graph.add(operation(stubborn, timeout_seconds=0.1))
    beside = graph.add(operation(lambda: 1))
    result = run(graph)
    error = only_timeout(result)
    # asyncio.run() waits for what the loop still has; the run does not.
    assert result.seconds < 0.95
    assert error.is_set_aside
    assert "in stubborn" in str(error.where)
    assert "its coroutine, which is stuck at" in str(error)
    assert result.get_state(node) is OperationState.FAILED
    assert result.get_output(beside) == 1


def test_coroutine_that_returns_after_its_time_is_late(run: Any) -> None:
    async def late() -> int:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            return 1
        return 2

    graph = GraphDefinition()
    graph.add(operation(late, timeout_seconds=0.1))
    assert not only_timeout(run(graph)).is_set_aside


def test_what_a_coroutine_raises_when_it_is_cancelled_is_the_cause(run: Any) -> None:
    async def breaks() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            raise OSError("disk full")

    graph = GraphDefinition()
    graph.add(operation(breaks, timeout_seconds=0.1))
    assert repr(only_timeout(run(graph)).__cause__) == "OSError('disk full')"


def test_coroutine_that_ends_in_time_succeeds(run: Any) -> None:
    async def quick() -> int:
        await asyncio.sleep(0.01)
        return 7

    graph = GraphDefinition()
    node = graph.add(operation(quick, timeout_seconds=20))
    assert run(graph).get_output(node) == 7


def test_coroutine_is_tried_again_after_a_timeout(run: Any) -> None:
    calls = 0

    async def second_time() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(1000 if calls == 1 else 0)
        return calls

    graph = GraphDefinition()
    policy = RetryPolicy(max_attempts=2, retry_on=TimeoutError)
    node = graph.add(operation(second_time, timeout_seconds=0.1, retry_policy=policy))
    assert run(graph).get_output(node) == 2


def test_items_that_are_coroutines_have_their_time_each(run: Any) -> None:
    async def step(number: int) -> int:
        await asyncio.sleep(1000 if number == 3 else 0.01)
        return number

    graph = GraphDefinition()
    node = graph.map(operation(step, timeout_seconds=0.3), over=list(range(6)), on_error="keep")
    values = run(graph).get_output(node)
    assert [*values[:3], *values[4:]] == [0, 1, 2, 4, 5]
    assert type(values[3].error) is OperationTimeout
    assert values[3].error.operation == "step[3]"


def test_ten_thousand_coroutines_are_cancelled_at_their_deadlines(run: Any) -> None:
    cancelled = 0

    async def hangs(number: int) -> None:
        nonlocal cancelled
        try:
            await asyncio.sleep(1000)
        except BaseException:
            cancelled += 1
            raise

    graph = GraphDefinition()
    node = graph.map(operation(hangs, timeout_seconds=0.5), over=range(10_000), max_concurrency=10_000, on_error="keep")
    result = run(graph)
    assert result.state is RunState.SUCCEEDED
    assert cancelled == 10_000
    assert all(type(value.error) is OperationTimeout for value in result.get_output(node))


def test_coroutine_that_never_lets_the_loop_go_is_stopped_with_its_run() -> None:
    # The loop's own timers cannot: it does not come to them.
    async def greedy() -> None:
        spin()

    graph = GraphDefinition()
    graph.add(operation(greedy))
    with ExecutionEngine(max_workers=1, grace_seconds=0.1) as engine:
        began = time.monotonic()
        result = engine.run(graph, deadline_seconds=0.3)
    assert result.state is RunState.CANCELLED
    assert time.monotonic() - began < SOON


def test_coroutine_that_never_lets_the_loop_go_is_interrupted_when_its_time_is_over(run: Any) -> None:
    async def greedy() -> None:
        spin()

    async def modest() -> int:
        await asyncio.sleep(0.1)
        return 1

    graph = GraphDefinition()
    graph.add(operation(greedy, timeout_seconds=0.2))
    beside = graph.add(operation(modest, timeout_seconds=20))
    began = time.monotonic()
    result = run(graph)
    assert time.monotonic() - began < SOON
    assert only_timeout(result).operation == "greedy"
    assert "in greedy" in result.errors[0].traceback_text
    assert result.get_output(beside) == 1


def test_coroutines_that_swallow_everything_do_not_hold_up_a_cancelled_run() -> None:
    ended: list[int] = []

    async def immortal() -> None:
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            try:
                await asyncio.sleep(0.5)
            except asyncio.CancelledError:
                pass
        ended.append(1)

    graph = GraphDefinition()
    graph.add(operation(immortal))
    with ExecutionEngine(max_workers=1, grace_seconds=0.1) as engine:
        handle = engine.submit(graph)
        time.sleep(0.1)
        began = time.monotonic()
        handle.cancel()
        result = handle.result(20)
        assert time.monotonic() - began < 1.5
        assert result.state is RunState.CANCELLED
        assert "left to run out by themselves: 'immortal'" in str(result.get_error_message())
        assert eventually(lambda: ended)
