"""R4: what a failure does to the rest of the run."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from patience import await_event, eventually

from execution_dataflow import (
    Event,
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    OperationFailed,
    OperationStarted,
    OperationState,
    RetryPolicy,
    RunCancelled,
    RunFailed,
    RunState,
    operation,
)

SUCCEEDED, FAILED = OperationState.SUCCEEDED, OperationState.FAILED
CANCELLED, UPSTREAM_FAILED = OperationState.CANCELLED, OperationState.UPSTREAM_FAILED


@operation
def follow(value: object = None) -> object:
    return value


@operation
def fail(value: object = None) -> object:
    raise ValueError("no")


def states(result: ExecutionResult, *operations: object) -> list[OperationState]:
    return [result.get_state(each) for each in operations]  # type: ignore[arg-type]


def test_fail_fast_is_the_default_and_starts_nothing_new() -> None:
    graph = GraphDefinition()
    broken = graph.add(fail)
    behind = graph.add(follow, value=broken)
    others = [graph.add(follow, value=1) for _ in range(20)]
    chained = [graph.add(follow, value=other) for other in others]
    result = ExecutionEngine(max_workers=1).run(graph)
    assert result.state is RunState.FAILED
    assert states(result, broken, behind) == [FAILED, CANCELLED]
    assert {*states(result, *others), *states(result, *chained)} <= {SUCCEEDED, CANCELLED}
    for other, after in zip(others, chained, strict=True):
        assert result.get_state(after) is CANCELLED or result.get_state(other) is SUCCEEDED
    ran = {timing.operation for timing in result.timings}
    assert all(name in ran or state is CANCELLED for name, state in result.states.items())


@pytest.mark.parametrize("way", ["run", "submit"])
def test_fail_fast_with_one_worker_starts_nothing_after_the_failure(way: str) -> None:
    events: list[Event] = []
    graph = GraphDefinition()
    for number in range(30):
        chain = graph.add(follow, value=number)
        for link in range(5):
            chain = graph.add(fail if (number, link) == (15, 2) else follow, value=chain)
    with ExecutionEngine(max_workers=1) as engine, engine.subscribe(events.append):
        result = engine.run(graph) if way == "run" else engine.submit(graph).result(20)
    kinds = [type(event) for event in events]
    assert OperationStarted not in kinds[kinds.index(OperationFailed) :]
    assert CANCELLED in result.states.values()


def test_fail_fast_lets_running_attempts_finish_and_commit() -> None:
    failed, running, awaiting = threading.Event(), threading.Event(), threading.Event()
    graph = GraphDefinition()

    @operation
    def long() -> str:
        running.set()
        await_event(failed)
        time.sleep(0.05)
        return "done"

    @operation
    def breaks() -> None:
        await_event(running)
        await_event(awaiting)
        failed.set()
        raise ValueError("no")

    @operation
    async def long_async() -> str:
        awaiting.set()
        await asyncio.to_thread(await_event, failed)
        await asyncio.sleep(0.05)
        return "done too"

    awaited = graph.add(long_async)
    going = graph.add(long)
    broken = graph.add(breaks)
    behind = graph.add(follow, value=going)
    with ExecutionEngine(max_workers=3) as engine:
        result = engine.run(graph, retain="all")
    assert states(result, broken, going, awaited, behind) == [FAILED, SUCCEEDED, SUCCEEDED, CANCELLED]
    assert result.get_output(going) == "done"
    assert result.get_output(awaited) == "done too"


@pytest.mark.parametrize("is_async", [False, True])
def test_fail_fast_fails_what_waits_for_a_retry_with_its_last_error(is_async: bool) -> None:
    waiting = threading.Event()
    graph = GraphDefinition()

    def busy() -> None:
        waiting.set()
        raise OSError("busy")

    async def busy_async() -> None:
        busy()

    @operation
    def breaks() -> None:
        await_event(waiting)
        time.sleep(0.05)
        raise ValueError("no")

    retried = operation(retry_policy=RetryPolicy(max_attempts=3, delay_seconds=60))(busy_async if is_async else busy)
    patient = graph.add(retried)
    graph.add(breaks)
    with ExecutionEngine(max_workers=2) as engine:
        began = time.monotonic()
        result = engine.run(graph)
    assert time.monotonic() - began < 20
    assert result.get_state(patient) is FAILED
    error = next(error for error in result.errors if error.operation.startswith("busy"))
    assert isinstance(error.exception, OSError)
    assert error.attempt == 1
    assert result.state is RunState.FAILED


def test_continue_finishes_every_branch_that_does_not_depend_on_the_failure() -> None:
    graph = GraphDefinition()
    root = graph.add(follow, value=1)
    broken = graph.add(fail, value=root)
    behind = graph.add(follow, value=broken)
    far_behind = graph.add(follow, value=behind)
    ordered = graph.add(follow, value=2)
    graph.add_dependency(broken, ordered)
    fine = graph.add(follow, value=root)
    result = ExecutionEngine(max_workers=2, failure_policy="continue").run(graph)
    assert states(result, root, broken, fine) == [SUCCEEDED, FAILED, SUCCEEDED]
    assert states(result, behind, far_behind, ordered) == [UPSTREAM_FAILED] * 3
    assert {result.blame(each) for each in (behind, far_behind, ordered)} == {"fail"}
    assert result.blame(fine) is None
    assert result.blame(broken) is None


def test_the_policy_of_a_run_wins_over_the_engine() -> None:
    graph = GraphDefinition()
    broken = graph.add(fail)
    behind = graph.add(follow, value=broken)
    engine = ExecutionEngine(max_workers=1)
    assert engine.run(graph).get_state(behind) is CANCELLED
    assert engine.run(graph, failure_policy="continue").get_state(behind) is UPSTREAM_FAILED
    assert engine.run(graph).get_state(behind) is CANCELLED


def test_the_reported_error_is_the_first_in_topological_order_whatever_the_order_in_time() -> None:
    late_failed = threading.Event()
    graph = GraphDefinition()

    def early() -> None:
        await_event(late_failed)
        raise ValueError("first in order")

    def late(value: object) -> None:
        late_failed.set()
        raise ValueError("first in time")

    graph.add(operation(name="early")(early))
    graph.add(operation(name="late")(late), value=graph.add(follow, value=1))
    plan = graph.compile()
    with ExecutionEngine(max_workers=2) as engine:
        result = engine.run(graph, failure_policy="continue")
    in_order = [plan.names[plan.index_of(each)] for each in plan.order]
    expected = sorted(["early", "late"], key=in_order.index)
    assert [error.operation for error in result.errors] == expected
    assert result.first_error.operation == expected[0]
    assert expected[0] in result.get_error_message()


def test_an_optional_input_takes_no_default_for_a_failure() -> None:
    graph = GraphDefinition()
    broken = graph.add(fail)
    optional = graph.add(follow, value=broken)
    assert ExecutionEngine(max_workers=1).run(graph, failure_policy="continue").get_state(optional) is UPSTREAM_FAILED


def test_raise_if_failed_raises_with_the_original_as_its_cause() -> None:
    graph = GraphDefinition()
    graph.add(fail)
    result = ExecutionEngine(max_workers=1).run(graph)
    with pytest.raises(RunFailed, match="fail") as caught:
        result.raise_if_failed()
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.result is result
    assert caught.value.operation == "fail"


def test_cancelling_a_run_cancels_what_has_not_started() -> None:
    running, cancelled = threading.Event(), threading.Event()
    graph = GraphDefinition()

    @operation
    def first(context: ExecutionContext) -> str:
        running.set()
        await_event(cancelled)
        assert eventually(lambda: context.cancelled)
        return "done"

    head = graph.add(first)
    behind = graph.add(follow, value=head)
    others = [graph.add(follow, value=head) for _ in range(5)]
    with ExecutionEngine(max_workers=1) as engine:
        handle = engine.submit(graph)
        await_event(running)
        handle.cancel("enough")
        cancelled.set()
        result = handle.result(20)
    assert states(result, head, behind, *others) == [SUCCEEDED] + [CANCELLED] * 6
    assert result.state is RunState.CANCELLED
    assert result.cancelled_by == "enough"
    assert "enough" in result.get_error_message()
    with pytest.raises(RunCancelled, match="enough"):
        result.raise_if_failed()


def test_raise_if_cancelled_ends_the_attempt_as_cancelled_and_not_retried() -> None:
    running = threading.Event()
    attempts: list[int] = []
    graph = GraphDefinition()

    @operation(retry_policy=RetryPolicy(max_attempts=5, retry_on=BaseException))
    def polling(context: ExecutionContext) -> None:
        attempts.append(context.attempt)
        running.set()
        for _ in range(20_000):
            context.raise_if_cancelled()
            time.sleep(0.001)

    node = graph.add(polling)
    with ExecutionEngine(max_workers=1) as engine:
        handle = engine.submit(graph)
        await_event(running)
        handle.cancel()
        result = handle.result(20)
    assert result.get_state(node) is CANCELLED
    assert attempts == [1]
    assert result.errors == []
