"""An attempt that takes longer than its `timeout_seconds` is ended and reported, whatever it does (rule R11)."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from patience import await_event, eventually
from stuck import native_sleep, native_sleep_with_lock, no_stray_exceptions, spin, threads_named
from timed_operations import AddAttempt, timeout_of

from execution_dataflow import (
    AttemptTimedOut,
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    InputPort,
    Operation,
    OperationState,
    OperationTimeout,
    OutputPort,
    OutsideRunError,
    RetryPolicy,
    RunFailed,
    operation,
)

# Longer than a machine with two busy cores takes to notice, and far below what the operations would take.
SOON = 5.0


@pytest.fixture(autouse=True)
def _nothing_astray() -> Iterator[None]:
    with no_stray_exceptions():
        yield


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def engine(request: Any) -> Iterator[ExecutionEngine]:
    with ExecutionEngine(max_workers=request.param, grace_seconds=0.3, failure_policy="continue") as engine:
        yield engine


def run_one(engine: ExecutionEngine, work: Any, **inputs: Any) -> tuple[ExecutionResult, Any, float]:
    graph = GraphDefinition()
    node = graph.add(work, **inputs)
    began = time.monotonic()
    result = engine.run(graph)
    return result, node, time.monotonic() - began


def test_operation_that_ends_in_time_is_as_any_other(engine: ExecutionEngine) -> None:
    graph = GraphDefinition()
    first = graph.add(AddAttempt(timeout_seconds=20), a=1, b=2)
    second = graph.add(AddAttempt(), a=first, b=first)
    result = engine.run(graph)
    result.raise_if_failed()
    assert result.get_output(second) == 9


def test_python_code_is_interrupted_at_its_deadline(engine: ExecutionEngine) -> None:
    result, node, took = run_one(engine, operation(spin, timeout_seconds=0.2))
    error = timeout_of(result, node)
    assert 0.2 <= took < SOON
    assert (error.operation, error.timeout_seconds, error.attempt) == ("spin", 0.2, 1)
    assert not error.is_set_aside
    assert isinstance(error, TimeoutError)
    assert error.__cause__ is None


def test_error_shows_where_the_operation_was(engine: ExecutionEngine) -> None:
    def hangs() -> None:
        spin()

    result, _, _ = run_one(engine, operation(hangs, timeout_seconds=0.1))
    message = result.get_error_message()
    assert message is not None
    assert "OperationTimeout: 'hangs' did not end within 100 ms" in message
    assert "stuck.py" in message
    assert result.first_error is not None
    assert "in hangs" in result.first_error.traceback_text
    with pytest.raises(RunFailed) as caught:
        result.raise_if_failed()
    assert type(caught.value.__cause__) is OperationTimeout


def test_what_the_operation_raises_then_is_the_cause(engine: ExecutionEngine) -> None:
    def clears_up_badly() -> None:
        try:
            spin()
        finally:
            raise OSError("disk full")

    result, node, _ = run_one(engine, operation(clears_up_badly, timeout_seconds=0.1))
    assert repr(timeout_of(result, node).__cause__) == "OSError('disk full')"


def test_operation_clears_up_when_it_is_interrupted(engine: ExecutionEngine) -> None:
    seen: list[object] = []

    def works() -> None:
        try:
            spin()
        except Exception as error:
            seen.append(error)
        except AttemptTimedOut as error:
            seen.append(str(error))
            raise
        finally:
            seen.append("closed")

    result, node, _ = run_one(engine, operation(works, timeout_seconds=0.1))
    timeout_of(result, node)
    assert seen == ["the operation was interrupted, since its time was over", "closed"]


def test_interruption_that_is_swallowed_comes_again(engine: ExecutionEngine) -> None:
    swallowed = 0

    def stubborn() -> None:
        nonlocal swallowed
        while swallowed < 3:
            try:
                spin()
            except BaseException:
                swallowed += 1

    result, node, took = run_one(engine, operation(stubborn, timeout_seconds=0.1))
    assert not timeout_of(result, node).is_set_aside
    assert swallowed == 3
    assert took < SOON


def test_result_of_an_operation_that_ends_after_its_time_is_not_used(engine: ExecutionEngine) -> None:
    def late() -> int:
        with suppress(AttemptTimedOut):
            spin()
        return 1

    result, node, _ = run_one(engine, operation(late, timeout_seconds=0.1))
    timeout_of(result, node)


def test_operation_stuck_in_native_code_is_set_aside_and_its_thread_replaced(engine: ExecutionEngine) -> None:
    over = threading.Event()

    def stuck() -> int:
        try:
            native_sleep(1.5)
            return 1
        finally:
            over.set()

    result, node, took = run_one(engine, operation(stuck, timeout_seconds=0.1))
    error = timeout_of(result, node)
    assert 0.4 <= took < 1.4
    assert error.is_set_aside
    assert error.where is not None
    assert "in native_sleep" in error.where
    assert "its thread, which is stuck at" in str(error)
    assert threads_named("set-aside: stuck")
    # Others go on meanwhile, and so does this one's thread once it is free, without doing harm.
    again, node, _ = run_one(engine, operation(lambda: 2, timeout_seconds=20))
    assert again.get_output(node) == 2
    await_event(over)
    assert eventually(lambda: not threads_named("set-aside"))


def test_code_that_was_set_aside_is_ended_and_its_outputs_are_dropped() -> None:
    seen: list[BaseException] = []

    class Stuck(Operation):
        value = InputPort(list)
        out = OutputPort(list)

        def execute(self, context: ExecutionContext) -> None:
            with suppress(AttemptTimedOut):
                native_sleep(0.8)
                spin()
            # It is still there, reads what it was given, and changes nothing.
            self.out = [*self.value, "late"]
            try:
                context.progress(0.5)
            except BaseException as error:
                seen.append(error)
                raise

    graph = GraphDefinition()
    source = graph.add(lambda: ["some", "values"])
    node = graph.add(Stuck(timeout_seconds=0.1), value=source)
    with ExecutionEngine(max_workers=1, grace_seconds=0.2) as engine:
        result = engine.run(graph)
        assert timeout_of(result, node).is_set_aside
        assert eventually(lambda: seen)
    assert isinstance(seen[0], AttemptTimedOut | OutsideRunError)
    assert result.get_state(node) is OperationState.FAILED


def test_nobody_can_interrupt_code_that_holds_the_interpreter_but_its_time_is_over_all_the_same() -> None:
    # With the lock held nobody else runs until it returns; without such a lock it is set aside as any other.
    with ExecutionEngine(max_workers=1, grace_seconds=0.05) as engine:
        result, node, took = run_one(engine, operation(lambda: native_sleep_with_lock(0.5), timeout_seconds=0.1))
        timeout_of(result, node)
        assert took < SOON


def test_each_attempt_has_its_time(engine: ExecutionEngine) -> None:
    took: list[float] = []

    def slow(context: ExecutionContext) -> int:
        began = time.monotonic()
        try:
            if context.attempt < 3:
                spin()
        finally:
            took.append(time.monotonic() - began)
        return context.attempt

    policy = RetryPolicy(max_attempts=3, delay_seconds=0.3, retry_on=OperationTimeout)
    result, node, _ = run_one(engine, operation(slow, timeout_seconds=0.2, retry_policy=policy))
    assert result.get_output(node) == 3
    assert all(0.15 <= seconds < SOON for seconds in took[:2])
    assert [text.split(":")[0] for text in result._record.superseded[0]] == ["OperationTimeout"] * 2


def test_timeouts_that_a_policy_gives_up_on_are_not_tried_again(engine: ExecutionEngine) -> None:
    policy = RetryPolicy(max_attempts=3, give_up_on=TimeoutError)
    result, node, _ = run_one(engine, operation(spin, timeout_seconds=0.1, retry_policy=policy))
    assert timeout_of(result, node).attempt == 1


def test_time_in_the_queue_does_not_count() -> None:
    graph = GraphDefinition()
    nodes = [graph.add(operation(lambda: time.sleep(0.15), timeout_seconds=0.4)) for _ in range(6)]
    with ExecutionEngine(max_workers=1) as engine:
        result = engine.run(graph)
    assert [result.get_state(node) for node in nodes] == [OperationState.SUCCEEDED] * 6


def test_operations_with_a_timeout_do_not_run_on_the_calling_thread(engine: ExecutionEngine) -> None:
    result, node, _ = run_one(engine, operation(lambda: threading.current_thread(), timeout_seconds=20))
    thread = result.get_output(node)
    assert thread is not threading.current_thread()
    assert thread.daemon
    assert thread.name.startswith("execution-dataflow-timed-")


def test_threads_of_timed_operations_are_used_again(engine: ExecutionEngine) -> None:
    graph = GraphDefinition()
    nodes = [graph.add(operation(lambda: threading.get_ident(), timeout_seconds=20)) for _ in range(50)]
    result = engine.run(graph)
    assert len({result.get_output(node) for node in nodes}) <= engine.max_workers + 1


def test_no_more_timed_operations_run_at_once_than_there_are_workers() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def counts() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1

    graph = GraphDefinition()
    for _ in range(12):
        graph.add(operation(counts, timeout_seconds=20))
    with ExecutionEngine(max_workers=2) as engine:
        engine.run(graph).raise_if_failed()
    assert most == 2


def test_timed_operation_sees_the_context_variables_of_the_caller_and_keeps_its_own() -> None:
    variable = contextvars.ContextVar("variable", default="none")

    def changes() -> str:
        before = variable.get()
        variable.set("its own")
        return before

    variable.set("the caller's")
    graph = GraphDefinition()
    nodes = [graph.add(operation(changes, timeout_seconds=20)) for _ in range(5)]
    with ExecutionEngine(max_workers=1) as engine:
        result = engine.run(graph)
    assert {result.get_output(node) for node in nodes} == {"the caller's"}
    assert variable.get() == "the caller's"


def test_items_of_a_map_have_their_time_each(engine: ExecutionEngine) -> None:
    def step(number: int) -> int:
        if number in (3, 7):
            spin()
        return number * 2

    graph = GraphDefinition()
    node = graph.map(operation(step, timeout_seconds=0.2), over=list(range(10)), on_error="keep")
    result = engine.run(graph)
    values = result.get_output(node)
    assert [value for index, value in enumerate(values) if index not in (3, 7)] == [0, 2, 4, 8, 10, 12, 16, 18]
    errors = [values[3].error, values[7].error]
    assert [error.operation for error in errors] == ["step[3]", "step[7]"]
    assert all(type(error) is OperationTimeout for error in errors)


def test_stuck_items_of_a_map_are_set_aside_and_tried_again(engine: ExecutionEngine) -> None:
    def step(number: int, context: ExecutionContext) -> int:
        if number == 2 and context.attempt == 1:
            native_sleep(1.0)
        return number * 2

    policy = RetryPolicy(max_attempts=2)
    graph = GraphDefinition()
    node = graph.map(operation(step, timeout_seconds=0.1, retry_policy=policy), over=iter(range(5)))
    result = engine.run(graph)
    assert result.get_output(node) == [0, 2, 4, 6, 8]
    assert eventually(lambda: not threads_named("set-aside"))


def test_run_within_a_timed_operation_is_ended_with_it(engine: ExecutionEngine) -> None:
    seen: list[object] = []

    def inner() -> None:
        try:
            spin()
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    def outer() -> None:
        graph = GraphDefinition("inner")
        for _ in range(4):
            graph.add(operation(inner))
        try:
            engine.run(graph)
            seen.append("went on")
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    result, node, took = run_one(engine, operation(outer, timeout_seconds=0.3))
    error = timeout_of(result, node)
    assert not error.is_set_aside
    assert took < SOON
    assert seen[-1] == "OuterAttemptInterrupted"
    assert "went on" not in seen


def test_run_that_an_interrupted_operation_waits_for_on_other_threads_is_ended() -> None:
    # Its own thread is parked by then, and nothing could be raised in it.
    began = threading.Event()

    def inner() -> None:
        began.set()
        spin()

    def outer() -> None:
        graph = GraphDefinition("inner")
        source = graph.add(lambda: None)
        graph.add_dependency(source, graph.add(operation(inner)))
        nested = other.submit(graph)
        nested.result()

    with (
        ExecutionEngine(max_workers=1, grace_seconds=0.3) as engine,
        ExecutionEngine(max_workers=2, grace_seconds=0.3) as other,
    ):
        result, node, took = run_one(engine, operation(outer, timeout_seconds=0.3))
        assert began.is_set()
        timeout_of(result, node)
        assert took < SOON


def test_timed_operation_within_a_timed_operation(engine: ExecutionEngine) -> None:
    def outer() -> str:
        graph = GraphDefinition("inner")
        node = graph.add(operation(spin, timeout_seconds=0.2))
        result = engine.run(graph)
        return type(timeout_of(result, node)).__name__

    result, node, _ = run_one(engine, operation(outer, timeout_seconds=20))
    assert result.get_output(node) == "OperationTimeout"


def test_dependents_of_an_operation_that_timed_out_do_not_run(engine: ExecutionEngine) -> None:
    graph = GraphDefinition()
    slow = graph.add(operation(spin, timeout_seconds=0.1))
    after = graph.add(lambda: None)
    graph.add_dependency(slow, after)
    beside = graph.add(lambda: 1)
    result = engine.run(graph)
    assert result.get_state(after) is OperationState.UPSTREAM_FAILED
    assert result.get_output(beside) == 1


def test_companions_end_when_the_engine_is_closed() -> None:
    with ExecutionEngine(max_workers=2) as engine:
        run_one(engine, operation(lambda: None, timeout_seconds=20))
    assert eventually(lambda: not threads_named("execution-dataflow-timed"))
