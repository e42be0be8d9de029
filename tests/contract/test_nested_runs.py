"""R8: an operation may run graphs itself; that never deadlocks, whatever the workers, threads and other runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from patience import LIMIT_SECONDS, await_event, close_in_time, eventually

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OperationState,
    OutputPort,
    RunHandle,
    operation,
)


@pytest.fixture(params=[1, 2])
def engine(request: pytest.FixtureRequest) -> Iterator[ExecutionEngine]:
    engine = ExecutionEngine(max_workers=request.param)
    yield engine
    close_in_time(engine.close)


def nest(engine: ExecutionEngine, depth: int, width: int = 2) -> int:
    """The number of leaves of a tree of runs."""
    if depth == 0:
        return 1

    @operation
    def inner() -> int:
        return nest(engine, depth - 1, width)

    @operation
    async def inner_async() -> int:
        await asyncio.sleep(0)
        return await asyncio.to_thread(nest, engine, depth - 1, width)

    class Total(Operation):
        parts = InputPort(int, many=True)
        total = OutputPort(int)

        def execute(self, context: ExecutionContext) -> None:
            self.total = sum(self.parts)

    graph = GraphDefinition(f"depth-{depth}")
    # Not deeper: the few threads of asyncio.to_thread would wait for each other.
    kinds = [inner, inner_async] if depth == 1 else [inner, inner]
    total = graph.add(Total(), parts=[graph.add(kinds[index % 2]) for index in range(width)])
    result = engine.run(graph)
    result.raise_if_failed()
    return int(result.get_output(total))


def test_runs_nest_to_depth_five(engine: ExecutionEngine) -> None:
    assert nest(engine, 5) == 2**5


def test_nested_runs_from_several_threads_at_once(engine: ExecutionEngine) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(nest(engine, 4)), daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: len(found) == 6)
    assert found == [2**4] * 6


def test_nested_runs_while_others_run_and_are_submitted(engine: ExecutionEngine) -> None:
    graph = GraphDefinition()
    nested = graph.add(operation(lambda: nest(engine, 3)))
    handles = [engine.submit(graph) for _ in range(8)]
    results = [engine.run(graph), *[handle.result(LIMIT_SECONDS) for handle in handles]]
    assert [result.get_output(nested) for result in results] == [2**3] * 9


def test_a_nested_run_on_an_engine_of_its_own(engine: ExecutionEngine) -> None:
    @operation
    def inner() -> int:
        with ExecutionEngine(max_workers=2) as other:
            return nest(other, 2)

    graph = GraphDefinition()
    nodes = [graph.add(inner) for _ in range(4)]
    result = engine.run(graph)
    assert [result.get_output(node) for node in nodes] == [4] * 4


def test_the_calling_worker_executes_only_nodes_of_the_run_it_waits_for() -> None:
    """Else an operation could find itself below one of its own run, with its thread's state changed under it."""
    stack = threading.local()
    wrong: list[str] = []

    @operation
    def leaf() -> int:
        if getattr(stack, "outer", None) == "leaf":
            wrong.append("leaf below leaf")
        return 1

    @operation
    def outer() -> int:
        if getattr(stack, "busy", False):
            wrong.append("an outer operation ran inside of another one")
        stack.busy = True
        graph = GraphDefinition()
        for _ in range(20):
            graph.add(leaf)
        engine.run(graph)
        stack.busy = False
        return 1

    with ExecutionEngine(max_workers=3) as engine:
        graph = GraphDefinition()
        for _ in range(30):
            graph.add(outer)
        assert engine.run(graph).is_successful()
    assert wrong == []


def test_ports_and_context_belong_to_the_innermost_operation() -> None:
    class Inner(Operation):
        given = InputPort(int)
        names = OutputPort(list)

        def execute(self, context: ExecutionContext) -> None:
            self.names = [context.operation_name, context.run_id, self.given]

    class Outer(Operation):
        given = InputPort(int)
        names = OutputPort(list)

        def execute(self, context: ExecutionContext) -> None:
            before = context.operation_name
            graph = GraphDefinition()
            inner = graph.add(Inner(name="inside"), given=self.given + 1)
            result = engine.run(graph, ExecutionContext("inner-run"))
            # The outer frame is back, and its ports were within reach all the time.
            self.names = [before, *result.get_output(inner), context.operation_name, context.run_id, self.given]

    graph = GraphDefinition()
    outer = graph.add(Outer(name="outside"), given=1)
    with ExecutionEngine(max_workers=1) as engine:
        result = engine.run(graph, ExecutionContext("outer-run"))
    assert result.get_output(outer) == ["outside", "inside", "inner-run", 2, "outside", "outer-run", 1]


def test_one_operation_object_in_a_run_inside_of_itself() -> None:
    class Countdown(Operation):
        left = InputPort(int)
        trace = OutputPort(list)

        def execute(self, context: ExecutionContext) -> None:
            left = self.left
            below: list[int] = []
            if left:
                graph = GraphDefinition()
                graph.add(self, left=left - 1)
                below = engine.run(graph).get_output(self)
            assert self.left == left
            self.trace = [left, *below]

    countdown = Countdown()
    graph = GraphDefinition()
    graph.add(countdown, left=5)
    with ExecutionEngine(max_workers=1) as engine:
        result = engine.run(graph)
    result.raise_if_failed()
    assert result.get_output(countdown) == [5, 4, 3, 2, 1, 0]


def test_a_failure_of_a_nested_run_fails_the_outer_operation_only_if_it_is_raised(engine: ExecutionEngine) -> None:
    def breaks() -> None:
        raise ValueError("inner")

    inner = GraphDefinition()
    inner.add(breaks)

    @operation
    def passes_on() -> None:
        engine.run(inner).raise_if_failed()

    @operation
    def looks() -> str:
        return str(engine.run(inner).state)

    graph = GraphDefinition()
    looking, passing = graph.add(looks), graph.add(passes_on)
    result = engine.run(graph, failure_policy="continue")
    assert result.get_output(looking) == "FAILED"
    assert result.get_state(passing) is OperationState.FAILED
    assert "inner" in str(result.get_error_message())


def test_a_coroutine_that_calls_run_on_its_own_loop_is_told_of_run_async(engine: ExecutionEngine) -> None:
    @operation
    async def wrong() -> int:
        return len(engine.run(GraphDefinition()).states)

    graph = GraphDefinition()
    graph.add(wrong)
    message = str(engine.run(graph).get_error_message())
    assert "RuntimeError" in message
    assert "run_async" in message


def test_coroutines_await_nested_runs(engine: ExecutionEngine) -> None:
    @operation
    def leaf() -> int:
        return 1

    @operation
    async def leaf_async() -> int:
        await asyncio.sleep(0)
        return 1

    async def nested(depth: int) -> int:
        graph = GraphDefinition()
        if depth:
            nodes = [graph.add(operation(name="deeper")(lambda_async(depth - 1))) for _ in range(2)]
        else:
            nodes = [graph.add(leaf), graph.add(leaf_async)]
        result = await engine.run_async(graph)
        result.raise_if_failed()
        return sum(result.get_output(node) for node in nodes)

    def lambda_async(depth: int):  # type: ignore[no-untyped-def]
        async def deeper() -> int:
            return await nested(depth)

        return deeper

    graph = GraphDefinition()
    top = graph.add(operation(lambda_async(3)))
    for result in (engine.run(graph), engine.submit(graph).result(20), asyncio.run(engine.run_async(graph))):
        result.raise_if_failed()
        assert result.get_output(top) == 2**4


def test_run_works_on_a_thread_whose_event_loop_runs_as_in_a_notebook(engine: ExecutionEngine) -> None:
    @operation
    async def awaited(value: int) -> int:
        await asyncio.sleep(0.001)
        return value + 1

    @operation
    def plain(value: int) -> int:
        return value * 2

    graph = GraphDefinition()
    end = graph.add(plain, value=graph.add(awaited, value=1))

    async def cell() -> int:
        result = engine.run(graph)
        result.raise_if_failed()
        return int(result.get_output(end))

    assert asyncio.run(cell()) == 4


def chain_of_submits(engine: ExecutionEngine, depth: int, timeout: float | None) -> int:
    if depth == 0:
        return 0
    graph = GraphDefinition()
    node = graph.add(lambda: chain_of_submits(engine, depth - 1, timeout) + 1)
    return int(engine.submit(graph).result(timeout).get_output(node))


@pytest.mark.parametrize("timeout", [None, LIMIT_SECONDS])
def test_operations_that_wait_for_submitted_runs_do_not_starve_them(
    engine: ExecutionEngine, timeout: float | None
) -> None:
    graph = GraphDefinition()
    nodes = [graph.add(lambda: chain_of_submits(engine, 4, timeout)) for _ in range(4)]
    for result in (engine.run(graph), engine.submit(graph).result(LIMIT_SECONDS)):
        assert [result.get_output(node) for node in nodes] == [4] * 4


def test_a_run_async_on_a_loop_of_an_operations_own_ends_too(engine: ExecutionEngine) -> None:
    inner = GraphDefinition()
    leaf = inner.add(lambda: 1)
    graph = GraphDefinition()
    nodes = [graph.add(lambda: asyncio.run(engine.run_async(inner)).get_output(leaf)) for _ in range(4)]
    for result in (engine.run(graph), engine.submit(graph).result(LIMIT_SECONDS)):
        assert [result.get_output(node) for node in nodes] == [1] * 4


def test_an_operation_that_waits_for_its_own_run_is_told_so() -> None:
    handles: list[RunHandle] = []
    known = threading.Event()

    @operation
    def waits() -> None:
        await_event(known)
        handles[0].wait()

    graph = GraphDefinition()
    graph.add(waits)
    with ExecutionEngine(max_workers=1) as engine:
        handles.append(engine.submit(graph))
        known.set()
        result = handles[0].result(LIMIT_SECONDS)
    assert isinstance(result.errors[0].exception, RuntimeError)


def test_an_operation_that_closes_its_own_engine_is_told_so() -> None:
    graph = GraphDefinition()
    graph.add(lambda: engine.close())
    with ExecutionEngine(max_workers=1) as engine:
        result = engine.run(graph)
    assert isinstance(result.errors[0].exception, RuntimeError)
    assert "close" in str(result.get_error_message())
