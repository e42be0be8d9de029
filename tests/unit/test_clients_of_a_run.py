"""Clients belong to a run: operations share them, and they are gone when the run is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphCompleted,
    GraphDefinition,
    Operation,
    operation,
)
from execution_dataflow.engine import OnFailure


def run_one(function: object, context: ExecutionContext) -> ExecutionResult:
    graph = GraphDefinition("one")
    graph.add(function)
    return ExecutionEngine().run(graph, context)


def test_clients_are_made_once_a_run_and_closed_at_its_end() -> None:
    log: list[str] = []

    class Database:
        def __init__(self) -> None:
            log.append("made")

        def close(self) -> None:
            log.append("closed")

    @operation
    def query(context: ExecutionContext) -> int:
        log.append("used")
        assert context.clients.db is context.clients["db"]
        return id(context.clients.db)

    graph = GraphDefinition()
    nodes = [graph.add(query) for _ in range(3)]
    context = ExecutionContext(clients={"db": Database})
    for _ in range(2):
        result = ExecutionEngine(max_workers=1).run(graph, context)
        result.raise_if_failed()
        assert len({result.get_output(node) for node in nodes}) == 1
    assert [word for word in log if word != "used"] == ["made", "closed"] * 2
    assert log[-1] == "closed"


def test_clients_are_closed_after_a_failure_too() -> None:
    closed: list[bool] = []

    class Database:
        def close(self) -> None:
            closed.append(True)

    @operation
    def query(context: ExecutionContext) -> None:
        raise OSError(f"no answer from {type(context.clients.db).__name__}")

    assert not run_one(query, ExecutionContext(clients={"db": Database})).is_successful()
    assert closed == [True]


def test_a_client_that_cannot_be_closed_is_logged_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Database:
        def close(self) -> None:
            raise OSError("pipe is gone")

    @operation
    def query(context: ExecutionContext) -> bool:
        return context.clients.db is not None

    assert run_one(query, ExecutionContext(clients={"db": Database})).is_successful()
    assert "client 'db' could not be closed" in caplog.text
    assert "pipe is gone" in caplog.text


def test_a_factory_that_fails_fails_the_operation_that_asked() -> None:
    def connect() -> None:
        raise ConnectionError("refused")

    @operation
    def query(context: ExecutionContext) -> None:
        context.clients["db"]

    result = run_one(query, ExecutionContext(clients={"db": connect}))
    assert "ConnectionError: refused (while making client 'db'" in result.get_error_message()


class LoopBound:
    """As the sessions of asynchronous HTTP clients: what it has can be used on the loop alone on which it was made."""

    made: ClassVar[list[LoopBound]] = []

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.closed_on: asyncio.AbstractEventLoop | None = None
        LoopBound.made.append(self)

    async def close(self) -> None:
        await asyncio.sleep(0.001)
        self.closed_on = asyncio.get_running_loop()


class Ask(Operation):
    async def execute(self, context: ExecutionContext) -> None:
        context.clients["session"]

    def revert(self, context: ExecutionContext) -> None:
        """Do nothing: the result names what was reverted."""


@operation
async def fail(context: ExecutionContext) -> None:
    raise OSError("no answer")


def on_this_thread(engine: ExecutionEngine, graph: GraphDefinition, context: ExecutionContext) -> ExecutionResult:
    return engine.run(graph, context)


def submitted(engine: ExecutionEngine, graph: GraphDefinition, context: ExecutionContext) -> ExecutionResult:
    return engine.submit(graph, context).result()


def awaited(engine: ExecutionEngine, graph: GraphDefinition, context: ExecutionContext) -> ExecutionResult:
    return asyncio.run(engine.run_async(graph, context))


@pytest.mark.parametrize("start", [on_this_thread, submitted, awaited])
@pytest.mark.parametrize("succeeds", [True, False])
@pytest.mark.parametrize("on_failure", ["keep", "revert"])
def test_a_client_is_closed_on_the_loop_that_it_was_made_on(
    start: Callable[..., ExecutionResult], succeeds: bool, on_failure: OnFailure, caplog: pytest.LogCaptureFixture
) -> None:
    graph = GraphDefinition("asking")
    asked = graph.add(Ask())
    if not succeeds:
        graph.add_dependency(asked, graph.add(fail))
    LoopBound.made.clear()
    states = []
    with ExecutionEngine(on_failure=on_failure) as engine:
        engine.subscribe(lambda event: states.append(event.state), GraphCompleted)
        result = start(engine, graph, ExecutionContext(clients={"session": LoopBound}))
    [client] = LoopBound.made
    assert client.closed_on is client.loop
    assert result.is_successful() is succeeds
    assert result.reverted == (["Ask"] if on_failure == "revert" and not succeeds else [])
    assert states == [result.state]
    assert not caplog.records


def test_a_result_is_there_when_its_clients_are_closed() -> None:
    graph = GraphDefinition("asking")
    graph.add(Ask())
    with ExecutionEngine() as engine:
        for _ in range(20):
            LoopBound.made.clear()
            handle = engine.submit(graph, ExecutionContext(clients={"session": LoopBound}))
            assert handle.wait(30)
            assert handle.done()
            assert LoopBound.made[0].closed_on is not None
