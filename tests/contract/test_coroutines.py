"""Coroutine operations and `run_async`: many at once on few threads, and cancellation that is passed on."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import pytest
from patience import await_event, close_in_time, eventually

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphCompleted,
    GraphDefinition,
    GraphError,
    InputPort,
    Operation,
    OperationState,
    OutputPort,
    RunState,
    operation,
)


@operation
async def sleeps(seconds: float) -> int:
    await asyncio.sleep(seconds)
    return 1


class Total(Operation):
    parts = InputPort(int, many=True)
    total = OutputPort(int)

    def execute(self, context: ExecutionContext) -> None:
        self.total = sum(self.parts)


@pytest.mark.parametrize("way", ["run", "submit", "run_async"])
def test_five_hundred_sleeping_coroutines_take_one_sleep_and_no_threads(way: str) -> None:
    graph = GraphDefinition()
    total = graph.add(Total(), parts=[graph.add(sleeps, seconds=0.5) for _ in range(500)])
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, threading.active_count())
            await asyncio.sleep(0.01)

    graph.add(operation(lambda: None))
    with ExecutionEngine(max_workers=2) as engine:
        engine.run(GraphDefinition())
        before = threading.active_count()

        async def main() -> ExecutionResult:
            watching = asyncio.create_task(watch())
            try:
                if way == "run_async":
                    return await engine.run_async(graph)
                return await asyncio.to_thread(
                    lambda: engine.run(graph) if way == "run" else engine.submit(graph).result(20)
                )
            finally:
                watching.cancel()

        began = time.monotonic()
        result = asyncio.run(main())
        took = time.monotonic() - began
    assert result.get_output(total) == 500
    assert 0.5 <= took < 2
    # Two workers, the engine's loop, and the helper thread of asyncio that called run().
    assert most <= before + 4


def test_coroutines_of_a_run_async_run_on_the_loop_that_awaits_it() -> None:
    @operation
    async def loop_of() -> object:
        return asyncio.get_running_loop()

    graph = GraphDefinition()
    node = graph.add(loop_of)

    async def main() -> None:
        result = await engine.run_async(graph)
        assert result.get_output(node) is asyncio.get_running_loop()

    with ExecutionEngine(max_workers=1) as engine:
        asyncio.run(main())
        on_own = engine.run(graph).get_output(node)
        assert engine.run(graph).get_output(node) is on_own


def test_coroutines_of_one_run_may_share_things_of_their_loop() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()

    @operation
    async def put(number: int) -> None:
        await queue.put(number)

    @operation
    async def take() -> int:
        return await asyncio.wait_for(queue.get(), 20)

    graph = GraphDefinition()
    takers = [graph.add(take) for _ in range(5)]
    for number in range(5):
        graph.add(put, number=number)
    with ExecutionEngine(max_workers=1) as engine:
        result = engine.run(graph)
    assert sorted(result.get_output(taker) for taker in takers) == [0, 1, 2, 3, 4]


def test_the_loop_stays_free_while_threads_work() -> None:
    @operation
    def blocks() -> None:
        time.sleep(0.3)

    graph = GraphDefinition()
    graph.add(blocks)

    async def main() -> int:
        ticks = 0
        run = asyncio.ensure_future(engine.run_async(graph))
        while not run.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert run.result().is_successful()
        return ticks

    with ExecutionEngine(max_workers=1) as engine:
        assert asyncio.run(main()) > 10


def test_cancelling_the_awaiting_task_cancels_the_run_and_is_passed_on_when_nothing_runs() -> None:
    log: list[str] = []

    @operation
    async def cleans_up() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.05)
            log.append("cleaned")

    @operation
    def polls(context: ExecutionContext) -> None:
        while not context.cancelled:
            time.sleep(0.001)
        log.append("noticed")

    graph = GraphDefinition()
    after = graph.add(cleans_up)
    graph.add(polls)
    graph.add_dependency(after, graph.add(lambda: log.append("never")))

    async def main() -> None:
        task = asyncio.ensure_future(engine.run_async(graph))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(log) == ["cleaned", "noticed"]

    with ExecutionEngine(max_workers=2) as engine:
        asyncio.run(main())
        assert engine.run(GraphDefinition()).is_successful()
    assert sorted(log) == ["cleaned", "noticed"]


def test_a_timeout_of_asyncio_ends_a_run() -> None:
    graph = GraphDefinition()
    graph.add(sleeps, seconds=3600.0)

    async def main() -> None:
        async with asyncio.timeout(0.05):
            await engine.run_async(graph)

    with ExecutionEngine(max_workers=1) as engine:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            asyncio.run(main())
    assert time.monotonic() - began < 5


def test_many_runs_are_awaited_at_once() -> None:
    graph = GraphDefinition()
    end = graph.add(Total(), parts=[graph.add(sleeps, seconds=0.05) for _ in range(5)])

    async def main() -> list[ExecutionResult]:
        return await asyncio.gather(*[engine.run_async(graph) for _ in range(40)])

    with ExecutionEngine(max_workers=2) as engine:
        began = time.monotonic()
        results = asyncio.run(main())
    assert time.monotonic() - began < 3
    assert [result.get_output(end) for result in results] == [5] * 40
    assert len({result.run_id for result in results}) == 40


def test_one_engine_serves_one_loop_after_the_other() -> None:
    graph = GraphDefinition()
    node = graph.add(sleeps, seconds=0.001)
    with ExecutionEngine(max_workers=1) as engine:
        for _ in range(5):
            assert asyncio.run(engine.run_async(graph)).get_output(node) == 1
            assert engine.run(graph).get_output(node) == 1


def test_a_coroutine_that_raises_cancelled_error_by_itself_fails() -> None:
    @operation
    async def gives_up() -> None:
        raise asyncio.CancelledError("by itself")

    graph = GraphDefinition()
    node = graph.add(gives_up)
    with ExecutionEngine(max_workers=1) as engine:
        for result in (engine.run(graph), asyncio.run(engine.run_async(graph))):
            assert result.get_state(node) is OperationState.FAILED
            assert result.state is RunState.FAILED


def test_coroutines_are_found_where_execute_is_inherited_or_wrapped() -> None:
    class Base(Operation):
        out = OutputPort(str)

        async def execute(self, context: ExecutionContext) -> None:
            await asyncio.sleep(0)
            self.out = type(self).__name__

    class Derived(Base):
        pass

    graph = GraphDefinition()
    derived = graph.add(Derived())
    with ExecutionEngine(max_workers=1) as engine:
        assert engine.run(graph).get_output(derived) == "Derived"


def test_the_wrong_executor_is_refused_when_the_operation_is_added() -> None:
    class Plain(Operation):
        executor = "async"

        def execute(self, context: ExecutionContext) -> None: ...

    class Coroutine(Operation):
        executor = "thread"

        async def execute(self, context: ExecutionContext) -> None: ...

    for kind in (Plain, Coroutine):
        with pytest.raises(GraphError, match="executor"):
            GraphDefinition().add(kind())


def test_a_long_chain_of_coroutines_and_threads_alternates() -> None:
    @operation
    async def up(value: int) -> int:
        return value + 1

    @operation
    def double(value: int) -> int:
        return value * 2 % 1_000_003

    graph = GraphDefinition()
    last, expected = graph.add(up, value=0), 1
    for number in range(2000):
        last = graph.add(double if number % 2 else up, value=last)
        expected = expected * 2 % 1_000_003 if number % 2 else expected + 1
    with ExecutionEngine(max_workers=2) as engine:
        assert engine.run(graph).get_output(last) == expected
        assert asyncio.run(engine.run_async(graph)).get_output(last) == expected


def close_the_loop_under_a_run(engine: ExecutionEngine, graph: GraphDefinition, began: threading.Event) -> None:
    async def leave() -> None:
        running.append(asyncio.create_task(engine.run_async(graph)))
        await asyncio.to_thread(await_event, began)

    running: list[asyncio.Task[ExecutionResult]] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    loop.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", ["close", "deadline"])
def test_run_whose_event_loop_is_closed_under_it_ends(way: str) -> None:
    began = threading.Event()

    @operation
    async def lasts() -> None:
        began.set()
        await asyncio.sleep(1000)

    @operation(always_run=True)
    async def clears_up() -> None:
        await asyncio.sleep(1000)

    ended: list[RunState] = []
    engine = ExecutionEngine(deadline_seconds=0.5 if way == "deadline" else None, grace_seconds=0.2)
    engine.subscribe(lambda event: ended.append(event.state), GraphCompleted)
    graph = GraphDefinition()
    graph.add_dependency(graph.add(lasts), graph.add(clears_up))
    close_the_loop_under_a_run(engine, graph, began)
    if way == "deadline":
        assert eventually(lambda: ended)
    close_in_time(engine.close)
    assert ended == [RunState.CANCELLED]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_end_of_a_run_whose_event_loop_was_closed_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    began, goes_on = threading.Event(), threading.Event()
    raised: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)

    def works() -> None:
        began.set()
        await_event(goes_on)

    engine = ExecutionEngine()
    graph = GraphDefinition()
    graph.add(works)
    close_the_loop_under_a_run(engine, graph, began)
    goes_on.set()
    close_in_time(engine.close)
    assert not raised
    assert "Event loop is closed" not in capsys.readouterr().err
    assert engine._submitted_seats == 0
