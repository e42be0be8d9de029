"""Loops for where an operation is wanted instead of a node of a graph: in a map, or as a loop within a loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from execution_dataflow.expansion.repeating import OnLimit, RepeatedOperation, new_loop
from execution_dataflow.graph import GraphDefinition
from execution_dataflow.operations import Operation
from execution_dataflow.policies import RetryPolicy

__all__ = ["repeated"]


def repeated(
    body: Operation | Callable[..., Any],
    /,
    *,
    until: Operation | Callable[..., Any],
    max_iterations: int,
    on_limit: OnLimit = "fail",
    name: str | None = None,
    retry_policy: RetryPolicy | None = None,
    priority: int | None = None,
    description: str | None = None,
    on_failure: Any = None,
) -> RepeatedOperation:
    """Return an operation that repeats another one: for ``graph.add`` and ``graph.map``, and for loops within loops.

    Parameters
    ----------
    body : Operation or callable
        What is repeated.
    until, max_iterations, on_limit
        As for ``graph.repeat_until``.
    name, retry_policy, priority, description, on_failure
        As for `Operation`; they are those of the loop as a whole.

    Returns
    -------
    RepeatedOperation
        The operation. It has the ports of `body`.

    Raises
    ------
    PortError, GraphError, TypeError
        It cannot be repeated so; the message says what to do.

    Examples
    --------
    >>> from execution_dataflow import ExecutionEngine, operation
    >>> @operation(outputs="x")
    ... def halve(x: float) -> float:
    ...     return x / 2
    >>> graph = GraphDefinition("halves")
    >>> small = graph.map(repeated(halve, until=lambda x: x < 1, max_iterations=100), over=[8.0, 100.0])
    >>> ExecutionEngine().run(graph).get_output(small)
    [0.5, 0.78125]
    """
    return new_loop(
        body,
        until,
        max_iterations,
        on_limit,
        GraphDefinition,
        name=name,
        retry_policy=retry_policy,
        priority=priority,
        description=description,
        on_failure=on_failure,
    )
