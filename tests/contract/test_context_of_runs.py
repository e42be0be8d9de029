"""C1: operations receive the very context that was given, and concurrent runs may share one."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass

import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    OutsideRunError,
    RetryPolicy,
    operation,
)


class TenantContext(ExecutionContext):
    """A user's own context."""

    def __init__(self, tenant: str, run_id: str | None = None) -> None:
        super().__init__(run_id)
        self.tenant = tenant


@dataclass
class PlainDataContext(ExecutionContext):
    """One that never calls the constructor of its base."""

    region: str = "eu"


@operation
def context_of_function(context: ExecutionContext) -> object:
    return context


@operation
async def context_of_coroutine(context: ExecutionContext) -> object:
    await asyncio.sleep(0)
    return context


class ContextOfClass(Operation):
    seen = OutputPort(object)

    def execute(self, context: ExecutionContext) -> None:
        self.seen = context


@pytest.mark.parametrize("context", [ExecutionContext(), TenantContext("acme"), PlainDataContext("us")])
def test_every_operation_receives_the_very_object(context: ExecutionContext) -> None:
    context.added_later = "survives"  # type: ignore[attr-defined]
    graph = GraphDefinition()
    nodes = [graph.add(each) for each in (context_of_function, context_of_coroutine, ContextOfClass())]
    with ExecutionEngine(max_workers=2) as engine:
        for result in (
            engine.run(graph, context),
            engine.submit(graph, context).result(20),
            asyncio.run(engine.run_async(graph, context)),
        ):
            assert all(result.get_output(node) is context for node in nodes)


def test_runs_at_the_same_time_share_one_context_and_see_their_own_facts() -> None:
    context = TenantContext("acme")
    meeting = threading.Barrier(4, timeout=20)

    @operation(retry_policy=RetryPolicy(max_attempts=2))
    def look(number: int, context: ExecutionContext) -> tuple[object, ...]:
        if number == context.attempt == 1:
            raise OSError("busy")
        meeting.wait()
        seen = (context.run_id, context.attempt, context.operation_name, context.tenant)  # type: ignore[attr-defined]
        meeting.wait()
        assert context.run_id == seen[0]
        return seen

    graphs = []
    for number in range(4):
        graph = GraphDefinition(f"graph-{number}")
        graphs.append((graph, graph.add(look.new(name=f"look-{number}"), number=number)))
    with ExecutionEngine(max_workers=4) as engine:
        handles = [engine.submit(graph, context) for graph, _ in graphs]
        results = [handle.result(20) for handle in handles]
    seen = [result.get_output(node) for result, (_, node) in zip(results, graphs, strict=True)]
    assert [facts[0] for facts in seen] == [result.run_id for result in results]
    assert len({facts[0] for facts in seen}) == 4
    assert [facts[1:] for facts in seen] == [(2 if n == 1 else 1, f"look-{n}", "acme") for n in range(4)]


def test_shared_state_is_updated_atomically_by_all_operations() -> None:
    context = ExecutionContext(shared={"count": 0})

    @operation
    def count(context: ExecutionContext) -> None:
        for _ in range(50):
            context.shared.update("count", lambda value: value + 1, 0)

    graph = GraphDefinition()
    for _ in range(40):
        graph.add(count)
    with ExecutionEngine(max_workers=4) as engine:
        engine.run(graph, context)
    assert context.shared.get("count") == 2000


def test_streams_are_the_same_whatever_the_order_the_workers_and_the_attempt() -> None:
    @operation(retry_policy=RetryPolicy(max_attempts=2))
    def draw(number: int, context: ExecutionContext) -> tuple[float, float]:
        drawn = float(context.rng().random()), context.random().random()
        if number % 3 == 0 and context.attempt == 1:
            raise OSError("after drawing")
        return drawn

    graph = GraphDefinition()
    nodes = [graph.add(draw, number=number) for number in range(12)]

    def drawn(workers: int, seed: int | None) -> tuple[list[tuple[float, float]], int]:
        with ExecutionEngine(max_workers=workers) as engine:
            result = engine.run(graph, ExecutionContext(seed=seed))
        return [result.get_output(node) for node in nodes], result.seed

    first, seed = drawn(1, None)
    assert len(set(first)) == 12
    assert drawn(4, seed) == (first, seed)
    assert drawn(2, 7)[0] != first


class Talks(Operation):
    """Reads its port and logs from a child task and from a helper thread of asyncio."""

    given = InputPort(int)
    seen = OutputPort(list)

    async def execute(self, context: ExecutionContext) -> None:
        async def child() -> tuple[object, ...]:
            await asyncio.sleep(0)
            context.logger.info("from a child task")
            return self.given, context.attempt, context.operation_name, context.run_id

        def in_thread() -> tuple[object, ...]:
            context.logger.info("from a thread")
            return self.given, context.attempt, context.operation_name, context.run_id

        first, second = await asyncio.gather(child(), asyncio.create_task(child()))
        third = await asyncio.to_thread(in_thread)
        self.seen = [first, second, third]


class SetsInChild(Operation):
    seen = OutputPort(list)

    async def execute(self, context: ExecutionContext) -> None:
        async def child() -> None:
            self.seen = ["set by a child task"]

        await asyncio.create_task(child())


def test_child_tasks_and_to_thread_see_ports_and_context(caplog: pytest.LogCaptureFixture) -> None:
    graph = GraphDefinition()
    nodes = [graph.add(Talks(name=f"talks-{number}"), given=number) for number in range(5)]
    sets = graph.add(SetsInChild())
    with ExecutionEngine(max_workers=2) as engine, caplog.at_level(logging.INFO):
        for way in ("run", "run_async"):
            context = ExecutionContext(way)
            result = engine.run(graph, context) if way == "run" else asyncio.run(engine.run_async(graph, context))
            result.raise_if_failed()
            for number, node in enumerate(nodes):
                assert result.get_output(node) == [(number, 1, f"talks-{number}", way)] * 3
            assert result.get_output(sets) == ["set by a child task"]
    said = {(record.run_id, record.operation) for record in caplog.records if hasattr(record, "run_id")}
    assert said == {(way, f"talks-{number}") for way in ("run", "run_async") for number in range(5)}


def test_any_other_thread_gets_a_named_error() -> None:
    errors: dict[str, BaseException] = {}

    class Starts(Operation):
        given = InputPort(int)
        out = OutputPort(int)

        def execute(self, context: ExecutionContext) -> None:
            def elsewhere() -> None:
                asked = {
                    "input": lambda: self.given,
                    "output": lambda: self.set_output("out", 2),
                    "attempt": lambda: context.attempt,
                    "progress": lambda: context.progress(0.5),
                    "rng": context.rng,
                    "clients": lambda: context.clients,
                }
                for name, ask in asked.items():
                    try:
                        ask()
                    except BaseException as error:
                        errors[name] = error

            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
            self.out = 1

    graph = GraphDefinition()
    starts = graph.add(Starts(), given=1)
    with ExecutionEngine(max_workers=1) as engine:
        assert engine.run(graph).get_output(starts) == 1
    assert set(errors) == {"input", "output", "attempt", "progress", "rng", "clients"}
    assert all(isinstance(error, OutsideRunError) for error in errors.values())
    assert "get_input" in str(errors["input"])
    assert "Starts" in str(errors["input"])
    assert "attempt" in str(errors["attempt"])


def test_ports_outside_of_any_run_are_a_named_error() -> None:
    class Plain(Operation):
        given = InputPort(int)
        out = OutputPort(int)

        def execute(self, context: ExecutionContext) -> None: ...

    plain = Plain()
    with pytest.raises(OutsideRunError, match="get_input"):
        _ = plain.given
    with pytest.raises(OutsideRunError, match="set_output"):
        plain.out = 1


def test_ports_of_another_operation_are_not_within_reach() -> None:
    class Plain(Operation):
        given = InputPort(int)

        def execute(self, context: ExecutionContext) -> None: ...

    other = Plain()

    @operation
    def reaches() -> int:
        return other.given

    graph = GraphDefinition()
    graph.add(reaches)
    with ExecutionEngine(max_workers=1) as engine:
        assert isinstance(engine.run(graph).errors[0].exception, OutsideRunError)


def test_clients_are_made_once_a_run_and_closed_at_its_end() -> None:
    made: list[Client] = []

    class Client:
        def __init__(self) -> None:
            made.append(self)
            self.open = True

        def close(self) -> None:
            self.open = False

    @operation
    def use(context: ExecutionContext) -> bool:
        return context.clients["db"].open

    graph = GraphDefinition()
    nodes = [graph.add(use) for _ in range(20)]
    context = ExecutionContext(clients={"db": Client})
    with ExecutionEngine(max_workers=4) as engine:
        for count in (1, 2):
            result = engine.run(graph, context)
            assert all(result.get_output(node) for node in nodes)
            assert len(made) == count
            assert not made[-1].open
