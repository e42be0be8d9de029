"""Running one operation on an engine with worker processes, or on one without, for tests that compare them."""

from __future__ import annotations

from typing import Any

from execution_dataflow import ExecutionContext, ExecutionEngine, ExecutionResult, GraphDefinition


def one(function: Any, **inputs: Any) -> GraphDefinition:
    graph = GraphDefinition("one")
    graph.add(function, **inputs)
    return graph


def value_of(engine: ExecutionEngine, function: Any, **inputs: Any) -> Any:
    graph = GraphDefinition("one")
    added = graph.add(function, **inputs)
    result = engine.run(graph, ExecutionContext(seed=7))
    result.raise_if_failed()
    return result.get_output(added)


def error_of(engine: ExecutionEngine, function: Any, **inputs: Any) -> tuple[BaseException, ExecutionResult]:
    result = engine.run(one(function, **inputs))
    assert result.first_error is not None
    return result.first_error.exception, result
