"""Operations with checks, and what runs them, for the tests of checks."""

from __future__ import annotations

from typing import Any

from execution_dataflow import (
    CheckFailed,
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    Operation,
    OutputPort,
)
from execution_dataflow.checks import in_range, not_null, unique

ROWS = [{"id": 1, "age": 5}, {"id": 2, "age": 500}, {"id": 2, "age": None}]
Rows = list[dict[str, Any]]


class Load(Operation):
    rows = OutputPort(
        list,
        checks=[
            not_null("id"),
            in_range("age", 0, 120, severity="warn"),
            unique("id", severity="record", description="the key"),
        ],
    )

    def __init__(self, given: Rows = ROWS) -> None:
        super().__init__()
        self.given = given

    def execute(self, context: ExecutionContext) -> None:
        self.rows = self.given


def run(*operations: Any, engine: ExecutionEngine | None = None, **inputs: Any) -> ExecutionResult:
    graph = GraphDefinition("checked")
    for added in operations:
        graph.add(added, **inputs)
    return (engine or ExecutionEngine(max_workers=1)).run(graph)


def failure(result: ExecutionResult) -> CheckFailed:
    assert result.first_error is not None
    error = result.first_error.exception
    assert isinstance(error, CheckFailed)
    return error
