"""R6: what a `RetryPolicy` does, and that waiting never occupies a worker."""

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
    Operation,
    OperationRetrying,
    OperationState,
    OutputPort,
    RetryPolicy,
    RunState,
    operation,
)


def run(graph: GraphDefinition, workers: int = 1) -> ExecutionResult:
    with ExecutionEngine(max_workers=workers, failure_policy="continue") as engine:
        return engine.run(graph)


def attempts_with(policy: RetryPolicy | None, errors: list[BaseException], is_async: bool = False) -> tuple[int, bool]:
    """How many attempts are made of an operation that raises these, one after the other, and then succeeds."""
    raised = iter(errors)

    def act(context: ExecutionContext) -> int:
        error = next(raised, None)
        if error is not None:
            raise error
        return context.attempt

    async def act_async(context: ExecutionContext) -> int:
        await asyncio.sleep(0)
        return act(context)

    graph = GraphDefinition()
    node = graph.add(operation(retry_policy=policy)(act_async if is_async else act))
    result = run(graph)
    timing = result.get_timing(node)
    assert timing is not None
    if result.is_successful():
        assert result.get_output(node) == timing.attempts
    return timing.attempts, result.is_successful()


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("policy", "errors", "expected"),
    [
        (None, [OSError()], (1, False)),
        (RetryPolicy(max_attempts=1), [OSError()], (1, False)),
        (RetryPolicy(), [OSError(), OSError()], (3, True)),
        (RetryPolicy(), [OSError(), OSError(), OSError()], (3, False)),
        (RetryPolicy(delay_seconds=0.001), [OSError(), OSError()], (3, True)),
        (RetryPolicy(retry_on=OSError), [OSError(), ValueError()], (2, False)),
        (RetryPolicy(retry_on=(OSError, KeyError)), [KeyError(), OSError()], (3, True)),
        (RetryPolicy(give_up_on=FileNotFoundError), [OSError(), FileNotFoundError()], (2, False)),
        (RetryPolicy(retry_on=FileNotFoundError, give_up_on=OSError), [FileNotFoundError()], (1, False)),
        (RetryPolicy(), [SystemExit(1)], (1, False)),
        (RetryPolicy(retry_on=SystemExit), [SystemExit(1)], (2, True)),
    ],
)
def test_a_policy_decides_what_is_attempted_again(
    policy: RetryPolicy | None, errors: list[BaseException], expected: tuple[int, bool], is_async: bool
) -> None:
    assert attempts_with(policy, errors, is_async) == expected


def test_an_operation_runs_with_the_policy_of_its_instance_over_that_of_its_class() -> None:
    class Flaky(Operation):
        retry_policy = RetryPolicy(max_attempts=2)
        out = OutputPort(int)

        def execute(self, context: ExecutionContext) -> None:
            if context.attempt < 3:
                raise OSError("busy")
            self.out = context.attempt

    graph = GraphDefinition()
    two, three = graph.add(Flaky()), graph.add(Flaky(retry_policy=RetryPolicy(max_attempts=3)))
    result = run(graph)
    assert result.get_state(two) is OperationState.FAILED
    assert result.get_output(three) == 3


def test_the_wait_grows_by_backoff_up_to_its_limit() -> None:
    events: list[Event] = []
    policy = RetryPolicy(max_attempts=5, delay_seconds=0.01, backoff=2, max_delay_seconds=0.03)

    @operation(retry_policy=policy)
    def fail() -> None:
        raise OSError("busy")

    graph = GraphDefinition()
    graph.add(fail)
    with ExecutionEngine(max_workers=1) as engine, engine.subscribe(events.append, OperationRetrying):
        began = time.monotonic()
        engine.run(graph)
        took = time.monotonic() - began
    assert [event.delay_seconds for event in events] == [0.01, 0.02, 0.03, 0.03]  # type: ignore[attr-defined]
    assert took >= 0.09
    assert "busy" in events[0].message  # type: ignore[attr-defined]


def test_jitter_spreads_the_waits_around_the_delay() -> None:
    events: list[OperationRetrying] = []

    @operation(retry_policy=RetryPolicy(max_attempts=2, delay_seconds=0.002, jitter=0.5))
    def fail() -> None:
        raise OSError("busy")

    graph = GraphDefinition()
    for _ in range(40):
        graph.add(fail)
    engine = ExecutionEngine(max_workers=2, failure_policy="continue")
    with engine, engine.subscribe(events.append, OperationRetrying):
        engine.run(graph)
    delays = {event.delay_seconds for event in events}
    assert all(0.001 <= delay <= 0.003 for delay in delays)
    assert len(delays) > 20


@pytest.mark.parametrize("way", ["run", "submit", "run_async"])
def test_a_hundred_waiting_retries_occupy_no_worker(way: str) -> None:
    order: list[str] = []

    @operation(retry_policy=RetryPolicy(max_attempts=2, delay_seconds=0.3))
    def flaky(context: ExecutionContext) -> int:
        if context.attempt == 1:
            order.append("failed")
            raise OSError("busy")
        order.append("retried")
        return 1

    @operation
    def quick() -> None:
        order.append("quick")

    graph = GraphDefinition()
    for _ in range(100):
        graph.add(flaky)
    for _ in range(100):
        graph.add(quick)
    with ExecutionEngine(max_workers=1) as engine:
        began = time.monotonic()
        if way == "run":
            result = engine.run(graph)
        elif way == "submit":
            result = engine.submit(graph).result(20)
        else:
            result = asyncio.run(engine.run_async(graph))
        took = time.monotonic() - began
    assert result.is_successful()
    assert 0.3 <= took < 3, "one wait, not a hundred"
    assert order.index("retried") >= 200 - 1
    assert order.count("retried") == 100


def test_other_operations_run_while_a_retry_waits_and_it_starts_on_time() -> None:
    moments: list[float] = []

    @operation(retry_policy=RetryPolicy(max_attempts=2, delay_seconds=0.05))
    def flaky() -> None:
        moments.append(time.monotonic())
        if len(moments) == 1:
            raise OSError("busy")

    @operation
    def busy(before: object = None) -> int:
        time.sleep(0.005)
        return 1

    graph = GraphDefinition()
    graph.add(flaky)
    last = graph.add(busy)
    for _ in range(60):
        last = graph.add(busy, before=last)
    assert run(graph).is_successful()
    assert 0.05 <= moments[1] - moments[0] < 0.2


@pytest.mark.parametrize("is_async", [False, True])
def test_cancellation_beats_retries(is_async: bool) -> None:
    failed = threading.Event()

    def busy() -> None:
        failed.set()
        raise OSError("busy")

    async def busy_async() -> None:
        busy()

    graph = GraphDefinition()
    policy = RetryPolicy(max_attempts=3, delay_seconds=60)
    node = graph.add(operation(retry_policy=policy)(busy_async if is_async else busy))
    with ExecutionEngine(max_workers=1) as engine:
        handle = engine.submit(graph)
        await_event(failed)
        assert eventually(lambda: handle._run.core.state(0) == OperationState.RETRYING)
        began = time.monotonic()
        handle.cancel()
        result = handle.result(20)
    assert time.monotonic() - began < 5
    assert result.get_state(node) is OperationState.CANCELLED
    assert result.state is RunState.CANCELLED


def test_cancellation_beats_retries_without_a_delay() -> None:
    failed = threading.Event()

    @operation(retry_policy=RetryPolicy(max_attempts=10**6))
    def busy() -> None:
        failed.set()
        raise OSError("busy")

    graph = GraphDefinition()
    node = graph.add(busy)
    with ExecutionEngine(max_workers=1) as engine:
        handle = engine.submit(graph)
        await_event(failed)
        handle.cancel()
        result = handle.result(20)
    # An attempt that was running when the cancellation came failed by itself.
    assert result.get_state(node) in (OperationState.CANCELLED, OperationState.FAILED)
    assert result.state is RunState.CANCELLED


def test_a_policy_that_raises_fails_the_operation_with_what_it_raised() -> None:
    class Broken(RetryPolicy):
        def next_delay(self, attempt: int, error: BaseException, uniform: object) -> float | None:
            raise LookupError("no such table of delays")

    graph = GraphDefinition()

    @operation(retry_policy=Broken())
    def fail() -> None:
        raise OSError("busy")

    graph.add(fail)
    assert "no such table of delays" in str(run(graph).get_error_message())


def test_the_result_tells_of_every_attempt() -> None:
    @operation(retry_policy=RetryPolicy(max_attempts=3))
    def fail(context: ExecutionContext) -> None:
        raise OSError(f"reason {context.attempt}")

    graph = GraphDefinition()
    graph.add(fail)
    result = run(graph)
    message = str(result.get_error_message())
    assert "attempt 3 of 3" in message
    assert [f"reason {number}" in message for number in (1, 2, 3)] == [True] * 3
    assert result.errors[0].attempt == 3
    assert list(result.errors[0].earlier) == ["OSError: reason 1", "OSError: reason 2"]
