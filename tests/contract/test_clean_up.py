"""R1, R4, R5: operations with ``always_run=True`` wait for what is before them, and run whatever became of it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from patience import await_event
from work_elsewhere import clean_elsewhere, die_elsewhere

from execution_dataflow import (
    ContractError,
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OperationState,
    OutputPort,
    RateLimit,
    RetryPolicy,
    RunState,
    operation,
)

SUCCEEDED, FAILED = OperationState.SUCCEEDED, OperationState.FAILED
CANCELLED, UPSTREAM_FAILED, SKIPPED = OperationState.CANCELLED, OperationState.UPSTREAM_FAILED, OperationState.SKIPPED


@operation
def fail() -> str:
    raise OSError("disk full")


@operation
def give() -> str:
    return "a connection"


class CleanUp(Operation):
    resource = InputPort(str, optional=True)
    done = OutputPort(str)
    always_run = True

    def execute(self, context: ExecutionContext) -> None:
        self.done = f"closed {self.resource}"


class Unforgiving(Operation):
    resource = InputPort(str)
    always_run = True

    def execute(self, context: ExecutionContext) -> None:
        self.get_input("resource")


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("policy", ["fail_fast", "continue"])
def test_a_clean_up_runs_after_a_failure(policy: str, workers: int) -> None:
    graph = GraphDefinition()
    opened = graph.add(give)
    broken = graph.add(fail)
    behind = graph.add(lambda value: value, value=broken)
    clean = graph.add(CleanUp(), resource=opened)
    for before in (broken, behind):
        graph.add_dependency(before, clean)
    result = ExecutionEngine(max_workers=workers, failure_policy=policy).run(graph)
    assert result.get_state(clean) is SUCCEEDED
    assert result.state is RunState.FAILED
    assert result.get_state(behind) is (UPSTREAM_FAILED if policy == "continue" else CANCELLED)
    assert result.get_output(clean) in ("closed a connection", "closed None")
    assert [error.operation for error in result.errors] == ["fail"]


def test_it_waits_for_the_outcome_of_everything_before_it() -> None:
    order: list[str] = []
    graph = GraphDefinition()
    broken = graph.add(fail)
    slow = graph.add(lambda: order.append("slow"))
    clean = graph.add(operation(always_run=True)(lambda: order.append("clean")))
    graph.add_dependency(broken, clean)
    graph.add_dependency(slow, clean)
    ExecutionEngine(max_workers=2, failure_policy="continue").run(graph)
    assert order == ["slow", "clean"]


def test_a_clean_up_that_never_started_runs_although_the_run_has_stopped() -> None:
    graph = GraphDefinition()
    graph.add(fail)
    cleans = [graph.add(CleanUp()) for _ in range(50)]
    result = ExecutionEngine(max_workers=1).run(graph)
    assert {result.get_state(clean) for clean in cleans} == {SUCCEEDED}


def test_what_depends_on_a_clean_up_follows_the_ordinary_rule() -> None:
    graph = GraphDefinition()
    clean = graph.add(CleanUp(), resource=graph.add(fail))
    after = graph.add(lambda value: value, value=clean)
    assert ExecutionEngine().run(graph, failure_policy="fail_fast").get_state(after) is CANCELLED
    result = ExecutionEngine().run(graph, failure_policy="continue")
    assert result.get_state(after) is SUCCEEDED
    assert result.get_output(after) == "closed None"


@pytest.mark.parametrize("policy", ["fail_fast", "continue"])
def test_reading_an_input_that_is_missing_fails_the_clean_up_and_says_why(policy: str) -> None:
    graph = GraphDefinition()
    clean = graph.add(Unforgiving(), resource=graph.add(fail))
    result = ExecutionEngine(failure_policy=policy).run(graph)
    assert result.get_state(clean) is FAILED
    error = result.errors[1].exception
    assert isinstance(error, ContractError)
    assert str(error) == (
        'input "resource" of Unforgiving has no value and no default: fail ended FAILED. Declare it optional or with a '
        "default if the operation can do without"
    )


def test_a_function_without_its_input_fails_too() -> None:
    graph = GraphDefinition()
    clean = graph.add(operation(always_run=True)(lambda value: value), value=graph.add(fail))
    result = ExecutionEngine(failure_policy="continue").run(graph)
    assert result.get_state(clean) is FAILED
    assert "fail ended FAILED" in result.errors[1].message


def test_an_input_for_many_sources_receives_those_that_succeeded() -> None:
    class Gather(Operation):
        values = InputPort(str, many=True)
        got = OutputPort(list)
        always_run = True

        def execute(self, context: ExecutionContext) -> None:
            self.got = list(self.values)

    graph = GraphDefinition()
    gather = graph.add(Gather(), values=[graph.add(give), graph.add(fail), graph.add(give)])
    result = ExecutionEngine(failure_policy="continue").run(graph)
    assert result.get_output(gather) == ["a connection", "a connection"]


def test_a_clean_up_runs_after_a_branch_not_taken() -> None:
    class Choose(Operation):
        left = OutputPort(str, optional=True)

        def execute(self, context: ExecutionContext) -> None:
            pass

    graph = GraphDefinition()
    skipped = graph.add(lambda value: value, value=graph.add(Choose()))
    clean = graph.add(CleanUp(), resource=skipped)
    result = ExecutionEngine().run(graph)
    assert (result.get_state(skipped), result.get_state(clean)) == (SKIPPED, SUCCEEDED)
    assert result.is_successful()


def test_the_failure_of_a_clean_up_fails_the_run() -> None:
    graph = GraphDefinition()
    clean = graph.add(fail.new(always_run=True))
    graph.add_dependency(graph.add(give), clean)
    result = ExecutionEngine().run(graph)
    assert result.state is RunState.FAILED
    assert result.first_error is not None
    assert result.first_error.operation == "fail"


@pytest.mark.parametrize("delay", [0, 0.02])
@pytest.mark.parametrize("policy", ["fail_fast", "continue"])
def test_a_clean_up_is_retried_although_the_run_has_stopped(policy: str, delay: float) -> None:
    attempts: list[int] = []

    @operation(always_run=True, retry_policy=RetryPolicy(max_attempts=3, delay_seconds=delay))
    def clean(context: ExecutionContext) -> None:
        attempts.append(context.attempt)
        if context.attempt < 3:
            raise OSError("busy")

    graph = GraphDefinition()
    graph.add_dependency(graph.add(fail), last := graph.add(clean))
    result = ExecutionEngine(failure_policy=policy).run(graph)
    assert attempts == [1, 2, 3]
    assert result.get_state(last) is SUCCEEDED


@pytest.mark.parametrize("kind", ["thread", "coroutine"])
def test_a_clean_up_runs_after_a_cancellation(kind: str) -> None:
    entered, go = threading.Event(), threading.Event()

    def block() -> None:
        entered.set()
        assert go.wait(10)

    async def clean_later(context: ExecutionContext) -> str:
        await asyncio.sleep(0.01)
        context.raise_if_cancelled()
        return f"cancelled: {context.cancelled}"

    def clean_now(context: ExecutionContext) -> str:
        context.raise_if_cancelled()
        return f"cancelled: {context.cancelled}"

    graph = GraphDefinition()
    blocked = graph.add(block)
    never = graph.add(lambda: None)
    graph.add_dependency(blocked, never)
    clean = graph.add(operation(always_run=True)(clean_now if kind == "thread" else clean_later))
    graph.add_dependency(never, clean)
    with ExecutionEngine(max_workers=2) as engine:
        handle = engine.submit(graph)
        await_event(entered)
        handle.cancel("enough")
        go.set()
        result = handle.result(10)
    assert result.state is RunState.CANCELLED
    assert (result.get_state(never), result.get_state(clean)) == (CANCELLED, SUCCEEDED)
    assert result.get_output(clean) == "cancelled: True"


def test_a_coroutine_that_cleans_up_is_not_cancelled_amidst() -> None:
    entered = threading.Event()

    @operation(always_run=True)
    async def clean() -> str:
        entered.set()
        await asyncio.sleep(0.05)
        return "done"

    graph = GraphDefinition()
    last = graph.add(clean)
    with ExecutionEngine() as engine:
        handle = engine.submit(graph)
        await_event(entered)
        handle.cancel()
        result = handle.result(10)
    assert result.get_output(last) == "done"
    assert result.get_state(last) is SUCCEEDED


def test_cancelling_the_task_that_awaits_a_run_still_cleans_up() -> None:
    async def main() -> list[str]:
        told: list[str] = []
        begun = asyncio.Event()

        async def wait_for_ever() -> None:
            begun.set()
            await asyncio.sleep(3600)

        async def clean() -> None:
            await asyncio.sleep(0)
            told.append("clean")

        graph = GraphDefinition()
        first = graph.add(wait_for_ever)
        graph.add_dependency(first, graph.add(operation(always_run=True)(clean)))
        with ExecutionEngine() as engine:
            task = asyncio.ensure_future(engine.run_async(graph))
            await asyncio.wait_for(begun.wait(), 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 10)
        return told

    assert asyncio.run(main()) == ["clean"]


def test_an_interrupt_in_one_operation_still_cleans_up() -> None:
    told: list[str] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    graph = GraphDefinition()
    graph.add_dependency(graph.add(interrupt), graph.add(operation(always_run=True)(lambda: told.append("clean"))))
    with pytest.raises(KeyboardInterrupt):
        ExecutionEngine().run(graph)
    assert told == ["clean"]


def test_the_items_of_a_map_that_always_runs_all_run() -> None:
    graph = GraphDefinition()
    broken = graph.add(fail)
    squares = graph.map(lambda x: x * x, over=list(range(100)))
    squares.always_run = True
    graph.add_dependency(broken, squares)
    result = ExecutionEngine(max_workers=2).run(graph)
    assert result.get_output(squares) == [x * x for x in range(100)]


def test_a_clean_up_needs_its_values_and_they_are_kept_for_it() -> None:
    graph = GraphDefinition()
    opened = graph.add(give)
    clean = graph.add(CleanUp(), resource=opened)
    graph.add_dependency(graph.add(fail), clean)
    for _ in range(20):
        result = ExecutionEngine(max_workers=1, failure_policy="continue").run(graph)
        assert result.get_output(clean) == "closed a connection"


@pytest.mark.parametrize("limit", [{"resources": {"db": 1}}, {"rate_limit": RateLimit(200, per_seconds=1)}])
@pytest.mark.parametrize("way", ["failure", "cancellation"])
def test_clean_ups_that_have_to_wait_for_a_limit_all_run_after_the_run_has_stopped(way: str, limit: Any) -> None:
    entered, go = threading.Event(), threading.Event()

    def stop() -> None:
        entered.set()
        assert go.wait(10)
        if way == "failure":
            raise OSError("no")

    graph = GraphDefinition()
    first = graph.add(stop)
    cleans = [graph.add(operation(always_run=True, **limit)(lambda: "clean")) for _ in range(8)]
    others = [graph.add(operation(**limit)(lambda: None)) for _ in range(8)]
    for each in (*cleans, *others):
        graph.add_dependency(first, each)
    with ExecutionEngine(max_workers=3, resources={"db": 1}) as engine:
        handle = engine.submit(graph)
        await_event(entered)
        if way == "cancellation":
            handle.cancel()
        go.set()
        result = handle.result(20)
    assert {result.get_state(clean) for clean in cleans} == {SUCCEEDED}
    assert {result.get_state(other) for other in others} == {CANCELLED}


def test_clean_ups_that_wait_for_a_limit_when_the_run_stops_go_on() -> None:
    entered, go = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert go.wait(10)

    graph = GraphDefinition()
    graph.add(operation(resources={"db": 1}, priority=1)(hold))
    cleans = [graph.add(operation(always_run=True, resources={"db": 1})(lambda: "clean")) for _ in range(5)]
    with ExecutionEngine(max_workers=3, resources={"db": 1}) as engine:
        handle = engine.submit(graph)
        await_event(entered)
        handle.cancel()
        go.set()
        result = handle.result(20)
    assert {result.get_state(clean) for clean in cleans} == {SUCCEEDED}


@pytest.mark.parametrize("way", ["failure", "cancellation"])
def test_a_clean_up_runs_in_a_worker_process_too(way: str) -> None:
    entered, go = threading.Event(), threading.Event()

    def stop() -> None:
        entered.set()
        assert go.wait(10)
        if way == "failure":
            raise OSError("no")

    graph = GraphDefinition()
    first = graph.add(stop)
    cleans = [graph.add(clean_elsewhere.new(always_run=True)) for _ in range(4)]
    others = [graph.add(clean_elsewhere) for _ in range(4)]
    for each in (*cleans, *others):
        graph.add_dependency(first, each)
    with ExecutionEngine(max_workers=2) as engine:
        handle = engine.submit(graph)
        await_event(entered)
        if way == "cancellation":
            handle.cancel()
        go.set()
        result = handle.result(30)
    assert [result.get_output(clean) for clean in cleans] == ["clean"] * 4
    assert {result.get_state(other) for other in others} == {CANCELLED}


def test_a_fallback_stands_in_for_an_operation_whose_process_died() -> None:
    graph = GraphDefinition()
    died = graph.add(die_elsewhere, number=7)
    with ExecutionEngine() as engine:
        result = engine.run(graph)
    assert result.get_output(died) == "7: WorkerDied"
