"""G4 and G6: plans hold no state of runs, and every operation has a stable identity."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from patience import LIMIT_SECONDS

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    RetryPolicy,
    UnknownOperationError,
    operation,
)


class Step(Operation):
    """Adds a parameter of its run, after having failed once."""

    retry_policy = RetryPolicy(max_attempts=2)
    before = InputPort(int, default=0)
    after = OutputPort(int)

    def execute(self, context: ExecutionContext) -> None:
        if context.attempt == 1:
            raise OSError("busy")
        self.after = self.before + context.parameters["step"]


class AsyncStep(Step):
    async def execute(self, context: ExecutionContext) -> None:
        await asyncio.sleep(0)
        super().execute(context)


def chain(length: int = 30) -> tuple[GraphDefinition, Operation]:
    graph = GraphDefinition()
    last: Operation = graph.add(Step())
    for number in range(1, length):
        last = graph.add(AsyncStep() if number % 7 == 0 else Step(), before=last)
    return graph, last


def in_threads(work: Callable[[int], None], count: int) -> None:
    errors: list[BaseException] = []

    def safely(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=safely, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_SECONDS)
        assert not thread.is_alive(), "a run hangs"
    assert errors == []


@pytest.mark.parametrize("workers", [1, 3])
def test_one_graph_runs_in_several_threads_at_once(workers: int) -> None:
    graph, last = chain()
    results: dict[int, list[ExecutionResult]] = {}
    with ExecutionEngine(max_workers=workers) as engine:

        def work(number: int) -> None:
            context = ExecutionContext(f"run-{number}", parameters={"step": number})
            ways = [engine.run, lambda *given: engine.submit(*given).result(LIMIT_SECONDS)]
            ways.append(lambda *given: asyncio.run(engine.run_async(*given)))
            results[number] = [way(graph, context) for way in ways for _ in range(5)]

        in_threads(work, 6)
    for number, runs in results.items():
        assert [result.get_output(last) for result in runs] == [30 * number] * 15
    assert len(results) == 6


def test_a_plan_runs_as_its_graph_does_and_does_not_see_what_comes_later() -> None:
    graph, last = chain(3)
    plan = graph.compile()
    assert graph.compile() is plan
    later = graph.add(Step(), before=last)
    context = ExecutionContext(parameters={"step": 1})
    with ExecutionEngine(max_workers=1) as engine:
        old, new = engine.run(plan, context), engine.run(graph, context)
        assert len(old.states) == 3
        assert len(new.states) == 4
        assert old.get_output(last) == 3
        assert new.get_output(later) == 4
        with pytest.raises(UnknownOperationError):
            old.get_output(later)
    assert graph.compile() is not plan


def test_compiling_in_many_threads_gives_one_plan() -> None:
    graph, _ = chain(300)
    plans: list[object] = []
    in_threads(lambda _: plans.append(graph.compile()), 8)
    assert len(plans) == 8
    assert len(set(map(id, plans))) == 1


def test_one_operation_is_part_of_several_graphs_at_once() -> None:
    shared = Step(name="shared")

    @operation
    def times(value: int, factor: int) -> int:
        return value * factor

    ends = []
    for factor in range(1, 5):
        graph = GraphDefinition(f"times-{factor}")
        graph.add(shared)
        ends.append((graph, graph.add(times, value=shared, factor=factor)))
    context = ExecutionContext(parameters={"step": 5})
    with ExecutionEngine(max_workers=2) as engine:

        def work(number: int) -> None:
            graph, end = ends[number]
            for _ in range(20):
                assert engine.run(graph, context).get_output(end) == 5 * (number + 1)

        in_threads(work, 4)


def test_an_operation_in_two_graphs_has_other_channels_in_each() -> None:
    shared = Step()
    alone, fed = GraphDefinition("alone"), GraphDefinition("fed")
    alone.add(shared)
    fed.add(shared, before=fed.add(lambda: 100))
    context = ExecutionContext(parameters={"step": 1})
    with ExecutionEngine(max_workers=1) as engine:
        assert engine.run(alone, context).get_output(shared) == 1
        assert engine.run(fed, context).get_output(shared) == 101
        assert engine.run(alone, context).get_output(shared) == 1


def test_names_are_stable_and_used_everywhere() -> None:
    def build() -> GraphDefinition:
        graph = GraphDefinition()
        graph.add(Step())
        graph.add(Step(name="mine"))
        graph.add(Step())
        graph.add(Step(name="Step_3"))
        graph.add(Step())
        return graph

    names = build().compile().names
    assert names == ("Step", "mine", "Step_2", "Step_3", "Step_4")
    assert build().compile().names == names
    events: list[str] = []
    with ExecutionEngine(max_workers=2) as engine:
        engine.subscribe(lambda event: events.append(getattr(event, "operation", "")))
        result = engine.run(build(), ExecutionContext(parameters={}))
    assert set(result.states) == set(names)
    assert set(events) <= {*names, ""}
    assert {record.operation for record in result.errors} <= set(names)
    assert {timing.operation for timing in result.timings} <= set(names)


def test_results_of_a_graph_do_not_disturb_each_other() -> None:
    graph, last = chain(5)
    with ExecutionEngine(max_workers=1) as engine:
        results = [engine.run(graph, ExecutionContext(parameters={"step": step})) for step in range(10)]
        del engine
    assert [result.get_output(last) for result in results] == [5 * step for step in range(10)]
