"""Helps to test operations: runs one alone, as an engine would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from execution_dataflow.context import ExecutionContext
from execution_dataflow.engine import ExecutionEngine
from execution_dataflow.graph import GraphDefinition
from execution_dataflow.operations import Operation
from execution_dataflow.result import ExecutionResult

__all__ = ["run_operation"]


def run_operation(
    operation: Operation | Callable[..., Any],
    /,
    *,
    context: ExecutionContext | None = None,
    executor: str | None = None,
    **inputs: Any,
) -> ExecutionResult:
    """Run one operation alone, with its types checked, its retries and its time limit.

    Parameters
    ----------
    operation : Operation or callable
        The operation or the function.
    context : ExecutionContext, optional
        What it receives; a new one by default.
    executor : str, optional
        Where it runs that does not say so itself: ``"inline"`` by default, on the calling thread.
    **inputs
        The values of its inputs.

    Returns
    -------
    ExecutionResult
        What came of it: ``result.values`` has the outputs by name, ``result.raise_if_failed()`` raises what it raised.

    Raises
    ------
    GraphValidationError, UnknownPortError, PortTypeError
        An input is missing, unknown or of a wrong type.

    Examples
    --------
    >>> from execution_dataflow import operation
    >>> @operation
    ... def divide(a: float, b: float) -> float:
    ...     return a / b
    >>> run_operation(divide, a=1.0, b=4.0).values
    {'result': 0.25}
    >>> run_operation(divide, a=1.0, b=0.0).first_error.exception
    ZeroDivisionError('float division by zero')
    """
    graph = GraphDefinition("alone")
    graph.add(operation, **inputs)
    with ExecutionEngine(max_workers=1, executor=executor or "inline") as engine:
        return engine.run(graph, context)
