"""What fails, is cancelled or dies inside of an expansion, and what becomes of the operation that was expanded."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from patience import LIMIT_SECONDS, await_event, eventually

from execution_dataflow import (
    ContractError,
    ExecutionContext,
    ExecutionEngine,
    ExpansionError,
    FallbackValue,
    GraphDefinition,
    OperationState,
    RetryPolicy,
    RunInterrupted,
    WorkerDied,
    operation,
    repeated,
)

S = OperationState
TWICE = RetryPolicy(max_attempts=2)


def boom() -> int:
    raise ValueError("boom")


def dynamic(build: Callable[[GraphDefinition], Any], **options: Any) -> Any:
    """A dynamic operation ``grow`` whose graph a function builds."""

    @operation(dynamic=True, name="grow", **options)
    def grow() -> Any:
        graph = GraphDefinition("inner")
        end = build(graph)
        return graph, {"result": end}

    return grow


def alone(function: Any, **inputs: Any) -> GraphDefinition:
    graph = GraphDefinition("alone")
    graph.add(function, **inputs)
    return graph


def test_failure_inside_fails_the_operation_by_the_inner_name(threads: ExecutionEngine) -> None:
    graph = alone(dynamic(lambda inner: inner.add(lambda x: x, x=inner.add(boom))))
    after = graph.add(lambda: 1)
    graph.add_dependency(graph.operations[0], after)
    result = threads.run(graph, failure_policy="continue")
    assert dict(result.states) == {"grow": S.FAILED, "lambda": S.UPSTREAM_FAILED}
    assert result.states_inside("grow") == {"grow/boom": S.FAILED, "grow/lambda": S.UPSTREAM_FAILED}
    assert result.first_error is not None
    error = result.first_error.exception
    assert isinstance(error, ExpansionError)
    assert error.operation == "grow/boom"
    assert error.failed == ("grow/boom",)
    assert isinstance(error.exception, ValueError)
    assert error.__cause__ is error.exception
    assert "Operation 'grow' failed: ExpansionError: grow/boom failed: ValueError: boom" in result.get_error_message()
    assert [failure.operation for failure in result.errors] == ["grow"]
    inner = result.get_error("grow/boom")
    assert inner is not None
    assert inner.exception is error.exception
    assert result.blame("grow/lambda") == "grow/boom"


def test_a_failure_far_inside_is_told_once(threads: ExecutionEngine) -> None:
    innermost = dynamic(lambda inner: inner.add(boom))
    middle = dynamic(lambda inner: inner.add(innermost))
    result = threads.run(alone(dynamic(lambda inner: inner.add(middle))))
    message = result.get_error_message() or ""
    assert message.count("boom failed") == 1
    assert "grow/grow/grow/boom failed: ValueError" in message


def test_retry_policy_makes_the_whole_expansion_again(threads: ExecutionEngine) -> None:
    began: list[str] = []

    @operation
    def fails_first(context: ExecutionContext) -> int:
        began.append("inner")
        if len(began) == 1:
            raise ConnectionError("once")
        return 7

    policy = RetryPolicy(max_attempts=3, retry_on=ConnectionError)
    graph = alone(dynamic(lambda inner: inner.add(fails_first), retry_policy=policy))
    result = threads.run(graph)
    assert result.get_output("grow") == 7
    assert len(began) == 2
    timing = result.get_timing("grow")
    assert timing is not None
    assert timing.attempts == 2
    assert result.get_state("grow/fails_first") is S.SUCCEEDED
    assert result.get_error("grow/fails_first") is None


def test_retry_policy_looks_at_the_exception_inside(threads: ExecutionEngine) -> None:
    tries: list[int] = []

    def build(inner: GraphDefinition) -> Any:
        tries.append(1)
        return inner.add(boom)

    threads.run(alone(dynamic(build, retry_policy=RetryPolicy(max_attempts=3, retry_on=ConnectionError))))
    assert len(tries) == 1

    def unset(inner: GraphDefinition) -> Any:
        tries.append(1)
        return inner.add(operation(outputs=("a", "b"))(lambda: 1))["a"]

    result = threads.run(alone(dynamic(unset, retry_policy=TWICE, on_failure=1)))
    assert len(tries) == 2
    assert result.get_state("grow") is S.FAILED


def test_operations_inside_are_attempted_again_by_themselves(threads: ExecutionEngine) -> None:
    @operation(retry_policy=RetryPolicy(max_attempts=3, delay_seconds=0.001))
    def fragile(context: ExecutionContext) -> int:
        if context.attempt < 3:
            raise OSError("not yet")
        return context.attempt

    events: list[tuple[str, str]] = []
    with threads.subscribe(lambda event: events.append((type(event).__name__, getattr(event, "operation", "")))):
        result = threads.run(alone(dynamic(lambda inner: inner.add(fragile))))
    assert result.get_output("grow") == 3
    assert events.count(("OperationRetrying", "grow/fragile")) == 2
    assert ("OperationRetrying", "grow") not in events


def test_fallback_stands_in_for_an_expansion_that_failed(threads: ExecutionEngine) -> None:
    result = threads.run(alone(dynamic(lambda inner: inner.add(boom), on_failure=FallbackValue(None))))
    assert result.is_successful()
    assert result.get_output("grow") is None
    assert [failure.operation for failure in result.fallbacks] == ["grow"]
    result = threads.run(alone(dynamic(lambda inner: inner.add(boom), on_failure=lambda error: str(error))))
    assert result.get_output("grow").startswith("grow/boom failed: ValueError: boom")


def test_fallback_inside_stands_in_inside(threads: ExecutionEngine) -> None:
    inside = operation(on_failure=5, name="inside")(boom)
    result = threads.run(alone(dynamic(lambda inner: inner.add(inside))))
    assert result.get_output("grow") == 5
    assert result.fallbacks == []


@pytest.mark.parametrize("retried", [False, True])
def test_fail_fast_starts_nothing_else_inside(threads: ExecutionEngine, retried: bool) -> None:
    ran: list[str] = []
    began = threading.Event()

    def slow() -> None:
        began.set()
        time.sleep(0.05)

    def fails() -> None:
        await_event(began)
        raise ValueError("boom")

    def build(inner: GraphDefinition) -> Any:
        began.clear()
        first = inner.add(fails)
        later = inner.add(lambda: ran.append("later"))
        inner.add_dependency(inner.add(slow), later)
        cleaning = inner.add(operation(always_run=True, name="cleaning")(lambda: ran.append("cleaning")))
        inner.add_dependency(first, cleaning)
        return first

    graph = alone(dynamic(build, retry_policy=TWICE if retried else None))
    result = threads.run(graph)
    assert result.get_state("grow") is S.FAILED
    assert ran == ["cleaning"] * (1 + retried)
    assert result.states_inside("grow")["grow/lambda"] is S.CANCELLED


def test_failure_that_is_attempted_again_does_not_stop_the_run(threads: ExecutionEngine) -> None:
    tries: list[int] = []

    def build(inner: GraphDefinition) -> Any:
        tries.append(1)
        return inner.add(boom if len(tries) == 1 else (lambda: 1))

    graph = alone(dynamic(build, retry_policy=RetryPolicy(max_attempts=2, delay_seconds=0.01)))
    others = [graph.add(lambda: 1)]
    for _ in range(50):
        others.append(graph.add(lambda x: x, x=others[-1]))
    result = threads.run(graph)
    result.raise_if_failed()
    assert result.get_output(others[-1]) == 1


def test_what_waits_for_a_retry_inside_ends_with_the_expansion(threads: ExecutionEngine) -> None:
    waiting = operation(retry_policy=RetryPolicy(max_attempts=2, delay_seconds=60), name="waiting")(boom)

    def build(inner: GraphDefinition) -> Any:
        inner.map(operation(lambda number: 1 / 0).new(retry_policy=RetryPolicy(2, 60)), over=[1, 2], name="items")
        first = inner.add(waiting)
        slow = inner.add(lambda: time.sleep(0.02))
        last = inner.add(boom)
        inner.add_dependency(slow, last)
        return first

    began = time.monotonic()
    result = threads.run(alone(dynamic(build, retry_policy=TWICE)))
    assert time.monotonic() - began < 30
    states = result.states_inside("grow")
    assert states["grow/waiting"] is S.FAILED
    assert states["grow/boom"] is S.FAILED
    assert states["grow/items"] is S.FAILED


def test_continue_finishes_what_does_not_depend_on_the_failure(threads: ExecutionEngine) -> None:
    def build(inner: GraphDefinition) -> Any:
        failed = inner.add(boom)
        at = inner.add(lambda: 1)
        for _ in range(5):
            at = inner.add(lambda x: x, x=at)
        return inner.add(lambda x, y: x, x=failed, y=at)

    result = threads.run(alone(dynamic(build)), failure_policy="continue")
    states = list(result.states_inside("grow").values())
    assert states.count(S.SUCCEEDED) == 6
    assert states.count(S.UPSTREAM_FAILED) == 1


def test_failure_elsewhere_cancels_what_has_not_started_inside(threads: ExecutionEngine) -> None:
    began, failed = threading.Event(), threading.Event()

    def slow() -> None:
        began.set()
        await_event(failed)
        time.sleep(0.05)

    def build(inner: GraphDefinition) -> Any:
        first = inner.add(slow)
        last = inner.add(lambda: 1)
        inner.add_dependency(first, last)
        return last

    def fails() -> None:
        await_event(began)
        failed.set()
        raise ValueError("elsewhere")

    graph = alone(dynamic(build))
    graph.add(fails)
    result = threads.run(graph)
    assert result.states_inside("grow") == {"grow/slow": S.SUCCEEDED, "grow/lambda": S.CANCELLED}
    assert result.get_state("grow") is S.CANCELLED
    assert result.first_error.operation == "fails"


def test_mapped_expansions_fail_and_are_kept_item_by_item(threads: ExecutionEngine) -> None:
    @operation(dynamic=True, name="grow", retry_policy=TWICE)
    def grow(number: int) -> Any:
        return alone(lambda: 1 / number)

    graph = GraphDefinition()
    kept = graph.map(grow, over=[1, 0, 2], on_error="keep")
    result = threads.run(graph)
    values = result.get_output(kept)
    assert (values[0], values[2]) == (1, 0.5)
    assert isinstance(values[1].error, ExpansionError)
    assert values[1].error.operation == "grow[1]/lambda"
    graph = GraphDefinition()
    graph.map(grow, over=iter([1, 0, 2]))
    message = threads.run(graph).get_error_message() or ""
    assert "grow[1] failed on attempt 2 of 2: ExpansionError: grow[1]/lambda failed: ZeroDivisionError" in message


def test_skipped_ends_inside_leave_the_output_unset(threads: ExecutionEngine) -> None:
    def build(inner: GraphDefinition) -> Any:
        switch = inner.switch(1, cases={"one": 1, "two": 2})
        return inner.add(lambda x: x, x=switch["two"])

    error = threads.run(alone(dynamic(build))).first_error
    assert error is not None
    assert isinstance(error.exception, ContractError)
    assert "ended without setting its output" in error.message


def test_a_worker_that_dies_inside_fails_or_is_attempted_again(processes: ExecutionEngine, tmp_path: Any) -> None:
    marker = str(tmp_path / "died")
    dying = operation(name="dying", executor="process")(_die_once)
    graph = alone(dynamic(lambda inner: inner.add(dying, path=marker), retry_policy=TWICE))
    result = processes.run(graph)
    assert result.get_output("grow") == "alive"
    result = processes.run(alone(dynamic(lambda inner: inner.add(dying, path=str(tmp_path / "no" / "died")))))
    assert result.first_error is not None
    error = result.first_error.exception
    assert isinstance(error, ExpansionError)
    assert isinstance(error.exception, WorkerDied)
    assert error.operation == "grow/dying"


def _die_once(path: str) -> str:
    if os.path.exists(path):
        return "alive"
    if os.path.isdir(os.path.dirname(path)):
        with open(path, "w"):
            pass
    os._exit(3)


@pytest.mark.parametrize("kind", ["threads", "coroutines", "loop", "retrying"])
def test_cancellation_reaches_what_is_inside(kind: str) -> None:
    began = threading.Event()

    def wait(context: ExecutionContext) -> None:
        began.set()
        while not context.cancelled:
            time.sleep(0.001)
        context.raise_if_cancelled()

    async def rest() -> None:
        began.set()
        await asyncio.sleep(60)

    def fail() -> None:
        began.set()
        raise OSError("again")

    retrying = operation(retry_policy=RetryPolicy(max_attempts=5, delay_seconds=60), name="fail")(fail)

    def build(inner: GraphDefinition) -> Any:
        if kind == "loop":
            counted = operation(outputs="n")(lambda n: (began.set(), n + 1)[1])
            return inner.repeat_until(counted, until=lambda n: False, max_iterations=10**9, n=0)
        first = inner.add({"threads": wait, "coroutines": rest, "retrying": retrying}[kind])
        return inner.add(lambda x: x, x=first)

    with ExecutionEngine(max_workers=2) as engine:
        handle = engine.submit(alone(dynamic(build, retry_policy=RetryPolicy(max_attempts=9))))
        await_event(began)
        handle.cancel()
        assert handle.wait(LIMIT_SECONDS)
        result = handle.result()
    assert result.get_state("grow") is S.CANCELLED
    assert S.CANCELLED in result.states_inside("grow").values()


def test_ctrl_c_ends_a_loop_on_the_calling_thread() -> None:
    began: list[int] = []

    @operation(outputs="n")
    def count(n: int) -> int:
        began.append(n)
        if n == 100:
            raise KeyboardInterrupt
        return n + 1

    graph = GraphDefinition()
    loop = graph.repeat_until(count, until=lambda n: False, max_iterations=10**9, n=0)
    with ExecutionEngine(max_workers=1) as engine, pytest.raises(RunInterrupted) as interrupted:
        engine.run(graph)
    result: Any = interrupted.value.result
    assert result.get_state(loop) is S.CANCELLED
    assert result.get_iterations(loop) == len(began) == 101


def test_a_loop_is_attempted_again_from_its_start(threads: ExecutionEngine) -> None:
    calls: list[int] = []

    @operation(outputs="n")
    def count(n: int) -> int:
        calls.append(n)
        if len(calls) == 3:
            raise OSError("once")
        return n + 1

    graph = GraphDefinition()
    loop = graph.add(repeated(count, until=lambda n: n == 4, max_iterations=9, retry_policy=TWICE), n=0)
    result = threads.run(graph)
    assert result.get_output(loop) == 4
    assert calls == [0, 1, 2, 0, 1, 2, 3]
    assert result.get_iterations(loop) == 4
    assert len(result.states_inside(loop)) == 8
    assert result.get_state("count[2]/count") is S.SUCCEEDED


def test_an_expansion_that_always_runs_is_finished_after_a_cancellation() -> None:
    began, ran = threading.Event(), []

    def build(inner: GraphDefinition) -> Any:
        return inner.add(lambda x: ran.append(x), x=inner.add(lambda: 1))

    def wait(context: ExecutionContext) -> None:
        began.set()
        while not context.cancelled:
            time.sleep(0.001)

    graph = GraphDefinition()
    waiting, cleaning = graph.add(wait), graph.add(dynamic(build, always_run=True))
    graph.add_dependency(waiting, cleaning)
    with ExecutionEngine(max_workers=2) as engine:
        handle = engine.submit(graph)
        await_event(began)
        handle.cancel()
        assert eventually(lambda: handle.done)
    assert ran == [1]
    assert handle.result().get_state(cleaning) is S.SUCCEEDED
