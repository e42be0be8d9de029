"""R1: an operation starts only when all it needs has an outcome, succeeds once, and has one live attempt at a time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter

import pytest
from patience import await_event, eventually

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OperationState,
    OutputPort,
    RetryPolicy,
    operation,
)


class Join(Operation):
    parts = InputPort(int, many=True)
    total = OutputPort(int)

    def execute(self, context: ExecutionContext) -> None:
        self.total = sum(self.parts)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_join_starts_after_the_last_of_its_sources(workers: int) -> None:
    ended: list[str] = []
    seen: list[int] = []
    graph = GraphDefinition()

    def source(delay: float) -> int:
        time.sleep(delay)
        ended.append("source")
        return 1

    class Watching(Join):
        def execute(self, context: ExecutionContext) -> None:
            seen.append(len(ended))
            super().execute(context)

    sources = [graph.add(source, delay=0.002 * index) for index in range(10)]
    join = graph.add(Watching(), parts=sources)
    with ExecutionEngine(max_workers=workers) as engine:
        assert engine.run(graph).get_output(join) == 10
    assert seen == [10]


def test_an_order_only_dependency_is_waited_for() -> None:
    log: list[str] = []
    graph = GraphDefinition()

    def slow() -> None:
        time.sleep(0.05)
        log.append("first")

    first = graph.add(slow)
    second = graph.add(lambda: log.append("second"))
    graph.add_dependency(first, second)
    with ExecutionEngine(max_workers=4) as engine:
        assert engine.run(graph).is_successful()
    assert log == ["first", "second"]


def test_an_operation_does_not_wait_for_what_it_does_not_need() -> None:
    reached = threading.Event()
    graph = GraphDefinition()
    graph.add(lambda: await_event(reached))
    head = graph.add(lambda: 1)

    @operation
    def tail(value: int) -> int:
        reached.set()
        return value + 1

    last = graph.add(tail, value=head)
    with ExecutionEngine(max_workers=2) as engine:
        assert engine.run(graph).get_output(last) == 2


@pytest.mark.parametrize("way", ["thread", "async"])
def test_attempts_of_one_operation_never_overlap(way: str) -> None:
    live: Counter[str] = Counter()
    most: Counter[str] = Counter()
    graph = GraphDefinition()

    def enter(context: ExecutionContext) -> str:
        name = context.operation_name
        live[name] += 1
        most[name] = max(most[name], live[name])
        return name

    def leave(context: ExecutionContext, name: str) -> int:
        live[name] -= 1
        if context.attempt < 4:
            raise OSError("again")
        return context.attempt

    class Threaded(Operation):
        attempts = OutputPort(int)

        def execute(self, context: ExecutionContext) -> None:
            name = enter(context)
            time.sleep(0.001)
            self.attempts = leave(context, name)

    class Awaited(Operation):
        attempts = OutputPort(int)

        async def execute(self, context: ExecutionContext) -> None:
            name = enter(context)
            await asyncio.sleep(0.001)
            self.attempts = leave(context, name)

    kind = Threaded if way == "thread" else Awaited
    for number in range(30):
        graph.add(kind(retry_policy=RetryPolicy(max_attempts=4, delay_seconds=0.0005 * (number % 2))))
    with ExecutionEngine(max_workers=4) as engine:
        result = engine.run(graph)
    assert {value for outputs in result.outputs().values() for value in outputs.values()} == {4}
    assert len(most) == 30
    assert set(most.values()) == {1}


def test_every_operation_of_a_large_graph_runs_once() -> None:
    counts: Counter[int] = Counter()
    lock = threading.Lock()

    @operation
    def step(number: int, before: int = 0) -> int:
        with lock:
            counts[number] += 1
        return before + 1

    graph = GraphDefinition()
    for chain in range(50):
        last = graph.add(step, number=chain * 100)
        for link in range(1, 40):
            last = graph.add(step, number=chain * 100 + link, before=last)
    with ExecutionEngine(max_workers=8) as engine:
        assert engine.run(graph).is_successful()
    assert len(counts) == 2000
    assert set(counts.values()) == {1}


def test_an_output_set_after_the_attempt_ended_is_refused_and_changes_nothing() -> None:
    errors: list[BaseException] = []
    ended = threading.Event()

    class Leaky(Operation):
        out = OutputPort(str)

        async def execute(self, context: ExecutionContext) -> None:
            self.out = "in time"

            async def late() -> None:
                await asyncio.to_thread(await_event, ended)
                try:
                    self.out = "late"
                except BaseException as error:
                    errors.append(error)

            # Kept on the loop, so that it is not collected before it has run.
            asyncio.get_running_loop().leaked = asyncio.ensure_future(late())  # type: ignore[attr-defined]

    graph = GraphDefinition()
    leaky = graph.add(Leaky())
    with ExecutionEngine(max_workers=1) as engine:
        result = engine.run(graph)
        ended.set()
        assert eventually(lambda: errors)
    assert result.get_output(leaky) == "in time"
    assert "outside of a run" in str(errors[0])


def test_a_stale_outcome_of_a_coroutine_is_discarded() -> None:
    """What a cancelled coroutine returns after all counts only if nobody has ended the attempt before."""
    started = threading.Event()

    class Stubborn(Operation):
        out = OutputPort(int)

        async def execute(self, context: ExecutionContext) -> None:
            started.set()
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                self.out = 1

    graph = GraphDefinition()
    stubborn = graph.add(Stubborn())
    with ExecutionEngine(max_workers=1) as engine:
        handle = engine.submit(graph)
        await_event(started)
        handle.cancel()
        result = handle.result(20)
    timing = result.get_timing(stubborn)
    assert timing is not None
    assert timing.attempts == 1
    assert result.get_state(stubborn) in (OperationState.SUCCEEDED, OperationState.CANCELLED)
