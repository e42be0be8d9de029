"""A run that is cancelled, by its caller or by its deadline: asked first, interrupted after the grace."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from patience import await_event, eventually
from stuck import native_sleep, no_stray_exceptions, spin, threads_named

from execution_dataflow import (
    AttemptCancelled,
    DeadlineExceeded,
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    Operation,
    OperationCancelled,
    OperationState,
    RetryPolicy,
    RunCancelled,
    RunState,
    operation,
)

SOON = 5.0


@pytest.fixture(autouse=True)
def _nothing_astray() -> Iterator[None]:
    with no_stray_exceptions():
        yield


@pytest.fixture
def engine() -> Iterator[ExecutionEngine]:
    with ExecutionEngine(max_workers=2, grace_seconds=0.2) as engine:
        yield engine


def graph_of(*works: Any) -> GraphDefinition:
    graph = GraphDefinition("work")
    for work in works:
        graph.add(work)
    return graph


# ------------------------------------------------------------------ cancel()


def test_operations_are_interrupted_after_the_grace(engine: ExecutionEngine) -> None:
    began, seen = threading.Barrier(3), []

    def works() -> None:
        began.wait(20)
        try:
            spin()
        except Exception:
            seen.append("an exception like any other")
        except AttemptCancelled as error:
            seen.append(str(error))
            raise

    handle = engine.submit(graph_of(works, works, lambda: None))
    began.wait(20)
    cancelled = time.monotonic()
    handle.cancel("enough")
    result = handle.result(20)
    took = time.monotonic() - cancelled
    assert 0.2 <= took < SOON
    assert seen == ["the run was cancelled"] * 2
    assert result.state is RunState.CANCELLED
    assert set(result.states.values()) == {OperationState.CANCELLED}
    assert result.cancelled_by == "enough"


def test_operations_that_look_end_within_the_grace(engine: ExecutionEngine) -> None:
    began = threading.Event()

    def looks(context: ExecutionContext) -> str:
        began.set()
        while not context.cancelled:
            time.sleep(0.001)
        return "partial"

    graph = GraphDefinition()
    node = graph.add(operation(looks))
    handle = engine.submit(graph, retain="all")
    await_event(began)
    handle.cancel(grace_seconds=1000)
    result = handle.result(20)
    assert result.get_output(node) == "partial"


def test_grace_of_one_cancellation(engine: ExecutionEngine) -> None:
    began = threading.Event()

    def works() -> None:
        began.set()
        spin()

    handle = engine.submit(graph_of(works))
    await_event(began)
    handle.cancel(grace_seconds=math.inf)
    assert not handle.wait(0.6), "it is left alone"
    handle.cancel(grace_seconds=0)
    assert handle.wait(SOON)


def test_interruption_that_is_swallowed_comes_again(engine: ExecutionEngine) -> None:
    began, swallowed = threading.Event(), []

    def stubborn() -> None:
        began.set()
        while len(swallowed) < 5:
            try:
                spin()
            except BaseException:
                swallowed.append(time.monotonic())
        spin()

    handle = engine.submit(graph_of(stubborn))
    await_event(began)
    handle.cancel(grace_seconds=0)
    assert handle.result(20).state is RunState.CANCELLED
    assert len(swallowed) == 5


@pytest.mark.parametrize("timed", [False, True])
def test_operation_on_every_kind_of_thread_is_interrupted(timed: bool, engine: ExecutionEngine) -> None:
    # The calling thread is one of the two that work; a timed operation has a thread of its own.
    limit = {"timeout_seconds": 1000} if timed else {}
    result = engine.run(graph_of(*[operation(lambda: spin(), **limit) for _ in range(2)]), deadline_seconds=0.2)
    assert result.state is RunState.CANCELLED
    assert set(result.states.values()) == {OperationState.CANCELLED}
    assert result.seconds < SOON


def test_items_of_a_map_are_interrupted(engine: ExecutionEngine) -> None:
    def step(number: int) -> int:
        if number > 3:
            spin()
        return number

    graph = GraphDefinition()
    node = graph.map(step, over=list(range(10)))
    result = engine.run(graph, deadline_seconds=0.3)
    assert result.state is RunState.CANCELLED
    assert result.get_state(node) is OperationState.CANCELLED
    assert result.seconds < SOON


def test_iterator_that_a_map_pulls_from_is_interrupted(engine: ExecutionEngine) -> None:
    def numbers() -> Iterator[int]:
        yield 1
        spin()
        yield 2

    graph = GraphDefinition()
    graph.map(lambda number: number, over=graph.add(lambda: numbers()))
    result = engine.run(graph, deadline_seconds=0.3)
    assert result.state is RunState.CANCELLED
    assert result.seconds < SOON


def test_run_within_a_run_is_ended_with_it(engine: ExecutionEngine) -> None:
    def outer() -> None:
        engine.run(graph_of(spin, spin, spin)).raise_if_failed()

    result = engine.run(graph_of(outer), deadline_seconds=0.3)
    assert result.state is RunState.CANCELLED
    assert set(result.states.values()) == {OperationState.CANCELLED}
    assert result.seconds < SOON


def test_what_is_stuck_in_native_code_is_waited_for(engine: ExecutionEngine) -> None:
    began = threading.Event()

    def stuck() -> int:
        began.set()
        native_sleep(0.8)
        return 1

    handle = engine.submit(graph_of(stuck))
    await_event(began)
    called = time.monotonic()
    handle.cancel()
    result = handle.result(20)
    assert time.monotonic() - called > 0.4
    assert set(result.states.values()) == {OperationState.CANCELLED}


def test_what_has_a_timeout_and_is_stuck_in_native_code_is_set_aside(engine: ExecutionEngine) -> None:
    began = threading.Event()

    def stuck() -> int:
        began.set()
        native_sleep(1.5)
        return 1

    handle = engine.submit(graph_of(operation(stuck, timeout_seconds=1000)))
    await_event(began)
    called = time.monotonic()
    handle.cancel()
    result = handle.result(20)
    assert 0.4 <= time.monotonic() - called < 1.4
    assert set(result.states.values()) == {OperationState.CANCELLED}
    assert "left to run out by themselves: 'stuck'" in str(result.get_error_message())
    assert eventually(lambda: not threads_named("set-aside"))


def test_cancellation_hits_nothing_of_another_run(engine: ExecutionEngine) -> None:
    began = threading.Event()

    def works() -> None:
        began.set()
        spin()

    with ExecutionEngine(max_workers=2) as other:
        rival = other.submit(graph_of(*[lambda: spin(0.01) for _ in range(100)]))
        handle = engine.submit(graph_of(works, works))
        await_event(began)
        handle.cancel(grace_seconds=0)
        assert handle.result(20).state is RunState.CANCELLED
        assert rival.result(20).is_successful()


def test_events_of_a_cancelled_run_tell_of_interrupted_operations(engine: ExecutionEngine) -> None:
    names: list[str] = []
    engine.subscribe(lambda event: names.append(event.operation), OperationCancelled)
    engine.run(graph_of(operation(spin, name="long")), deadline_seconds=0.1)
    assert names == ["long"]


def test_coroutines_that_clear_up_for_longer_than_the_grace_are_cut_short() -> None:
    seen: list[str] = []

    async def clears_up() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                seen.append("cut short")
                raise

    with ExecutionEngine(max_workers=1, grace_seconds=0.2) as engine:
        result = engine.run(graph_of(clears_up), deadline_seconds=0.2)
    assert seen == ["cut short"]
    assert result.state is RunState.CANCELLED
    assert result.get_error_message() is not None


def test_cancellation_reaches_ten_thousand_coroutines(engine: ExecutionEngine) -> None:
    cancelled, begun = 0, 0

    async def hangs(number: int) -> None:
        nonlocal cancelled, begun
        begun += 1
        try:
            await asyncio.sleep(1000)
        except BaseException:
            cancelled += 1
            raise

    graph = GraphDefinition()
    for number in range(5000):
        graph.add(hangs, number=number)
    graph.map(hangs, over=range(5000), max_concurrency=5000)
    handle = engine.submit(graph)
    assert eventually(lambda: begun == 10_000)
    handle.cancel()
    assert handle.result(20).state is RunState.CANCELLED
    assert cancelled == 10_000


# ------------------------------------------------------------------ deadlines


def deadline_result(engine: ExecutionEngine, graph: GraphDefinition, way: str, seconds: float) -> ExecutionResult:
    if way == "run":
        return engine.run(graph, deadline_seconds=seconds)
    if way == "submit":
        return engine.submit(graph, deadline_seconds=seconds).result(20)
    return asyncio.run(engine.run_async(graph, deadline_seconds=seconds))


@pytest.mark.parametrize("way", ["run", "submit", "run_async"])
def test_run_is_cancelled_at_its_deadline(way: str, engine: ExecutionEngine) -> None:
    seen: list[float] = []

    def looks(context: ExecutionContext) -> None:
        began = time.monotonic()
        while not context.cancelled:
            time.sleep(0.001)
        seen.append(time.monotonic() - began)

    graph = graph_of(operation(looks))
    after = graph.add(lambda: None)
    graph.add_dependency(next(iter(graph.operations)), after)
    result = deadline_result(engine, graph, way, 0.3)
    assert result.state is RunState.CANCELLED
    assert 0.25 < seen[0] < SOON
    assert result.cancelled_by == "its deadline of 300 ms was over"
    assert f"Run {result.run_id!r} of graph 'work' was cancelled: its deadline of 300 ms was over." in str(
        result.get_error_message()
    )
    with pytest.raises(DeadlineExceeded) as caught:
        result.raise_if_failed()
    assert caught.value.deadline_seconds == 0.3
    assert isinstance(caught.value, RunCancelled | TimeoutError)


def test_deadline_comes_although_every_worker_is_busy_and_nothing_looks(engine: ExecutionEngine) -> None:
    result = engine.run(graph_of(*[lambda: spin() for _ in range(8)]), deadline_seconds=0.2)
    assert result.state is RunState.CANCELLED
    assert result.seconds < SOON


def test_deadline_includes_delays_of_retries(engine: ExecutionEngine) -> None:
    def fails() -> None:
        raise OSError("busy")

    policy = RetryPolicy(max_attempts=100, delay_seconds=1000)
    result = engine.run(graph_of(operation(fails, retry_policy=policy)), deadline_seconds=0.3)
    assert result.state is RunState.CANCELLED
    assert 0.3 <= result.seconds < SOON


def test_deadline_includes_the_time_in_the_queue() -> None:
    with ExecutionEngine(max_workers=1, grace_seconds=0) as engine:
        blocker = engine.submit(graph_of(lambda: spin(1.0)))
        late = engine.submit(graph_of(lambda: None), deadline_seconds=0.2)
        assert late.result(20).state is RunState.CANCELLED
        assert blocker.result(20).is_successful()


def test_engine_has_a_deadline_for_all_its_runs_and_one_call_another() -> None:
    with ExecutionEngine(max_workers=1, deadline_seconds=0.1, grace_seconds=0) as engine:
        assert engine.run(graph_of(spin)).state is RunState.CANCELLED
        assert engine.run(graph_of(lambda: spin(0.3)), deadline_seconds=20).is_successful()


def test_run_that_ends_in_time_knows_nothing_of_its_deadline(engine: ExecutionEngine) -> None:
    result = engine.run(graph_of(lambda: 1), deadline_seconds=0.2)
    time.sleep(0.4)
    assert result.is_successful()
    assert result.cancelled_by is None
    result.raise_if_failed()


def test_watchdog_is_there_only_while_something_is_timed(engine: ExecutionEngine) -> None:
    engine.run(graph_of(lambda: 1), deadline_seconds=1000)
    assert eventually(lambda: not threads_named("execution-dataflow-watchdog"))


def test_deadlines_of_many_runs_are_kept_apart() -> None:
    with ExecutionEngine(max_workers=4, grace_seconds=0) as engine:

        async def waits(seconds: float) -> None:
            await asyncio.sleep(seconds)

        def one(seconds: float, deadline: float) -> Any:
            graph = GraphDefinition()
            graph.add(waits, seconds=seconds)
            return engine.submit(graph, deadline_seconds=deadline)

        handles = [one(0.05 if number % 2 else 1000, 0.4 + number * 0.01) for number in range(40)]
        states = [handle.result(20).state for handle in handles]
    assert states == [RunState.CANCELLED, RunState.SUCCEEDED] * 20


@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_deadline_that_is_none_is_refused(value: float, engine: ExecutionEngine) -> None:
    with pytest.raises(ValueError, match=r"deadline_seconds=.* is not possible"):
        engine.run(GraphDefinition(), deadline_seconds=value)


@pytest.mark.parametrize("value", ["1", True])
def test_deadline_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="deadline_seconds is a number of seconds"):
        ExecutionEngine(deadline_seconds=value)
    with pytest.raises(TypeError, match="grace_seconds is a number of seconds"):
        ExecutionEngine(grace_seconds=value)


def test_timeout_of_a_map_belongs_to_its_operation() -> None:
    class Timed(Operation):
        timeout_seconds = 3

        def execute(self, context: ExecutionContext) -> None:
            pass

    assert Timed().timeout_seconds == 3.0
