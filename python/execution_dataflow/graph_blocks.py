"""Graphs that are built in a ``with`` block."""

from __future__ import annotations

from typing import Self, cast

from execution_dataflow.active_graphs import Graph, enter, leave

__all__ = ["GraphBlock"]


class GraphBlock:
    """What lets a graph be built by calls: the part of `GraphDefinition` that opens and closes the block.

    Within the block a call of a decorated function, of what its ``new(...)`` returns, or of an `Operation` adds it to
    the graph and returns the operation that was added. The block belongs to the thread, and to the code, that opened
    it: operations that an engine runs meanwhile call functions as ever.

    Examples
    --------
    >>> from execution_dataflow import ExecutionEngine, GraphDefinition, operation
    >>> @operation
    ... def load(path: str) -> list[str]:
    ...     return path.split("/")
    >>> @operation
    ... def count(parts: list[str]) -> int:
    ...     return len(parts)
    >>> with GraphDefinition("counting") as graph:
    ...     total = count(load("a/b/c"))
    >>> [str(channel) for channel in graph.channels]
    ['load.result -> count.parts']
    >>> ExecutionEngine().run(graph).outputs()
    {'count': {'result': 3}}
    >>> count(["a", "b"])
    2
    """

    def __enter__(self) -> Self:
        """Open the block on this thread."""
        enter(cast(Graph, self))
        return self

    def __exit__(self, *error: object) -> None:
        """Close the block. What was added stays, whatever was raised."""
        leave(cast(Graph, self))
