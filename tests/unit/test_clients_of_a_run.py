"""Clients belong to a run: operations share them, and they are gone when the run is."""

from __future__ import annotations

import pytest

from execution_dataflow import ExecutionContext, ExecutionEngine, ExecutionResult, GraphDefinition, operation


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
