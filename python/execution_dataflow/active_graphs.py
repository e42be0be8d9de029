"""The graph of the ``with`` block that is open, to which a call of an operation adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import local
from typing import Any, NamedTuple, Protocol

from execution_dataflow._core import current_frame
from execution_dataflow.errors import GraphError

__all__ = ["OPEN_BLOCKS", "Graph", "active_graph", "enter", "inputs_by_name", "leave"]


class Graph(Protocol):
    """What a block needs of a graph."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    def add(self, operation: Any, /, **inputs: Any) -> Any:
        """Add an operation or a function."""
        ...


class _Block(NamedTuple):
    graph: Graph
    attempt: tuple[Any, ...] | None


class _Blocks(local):
    """Those of one thread, the innermost last."""

    def __init__(self) -> None:
        self.open: list[_Block] = []


_blocks = _Blocks()

OPEN_BLOCKS: list[Graph] = []
"""The graphs of the blocks of all threads: while it is empty, a call of a decorated function has nothing to look up."""


def _attempt_here() -> tuple[Any, ...] | None:
    """Return what tells the attempt that this code belongs to; ``None`` outside of operations."""
    frame = current_frame()
    return None if frame is None else (id(frame.run), frame.node, frame.attempt, frame.items)


def active_graph() -> Graph | None:
    """Return the graph of the innermost block of this thread.

    A block is open for the code that has opened it. An operation that an engine runs within the block, on the same
    thread, is other code: there a decorated function is called.

    Returns
    -------
    Graph or None
        ``None`` where a call is a plain call.
    """
    blocks = _blocks.open
    if not blocks:
        return None
    innermost = blocks[-1]
    return innermost.graph if innermost.attempt == _attempt_here() else None


def enter(graph: Graph) -> None:
    """Open the block of a graph on this thread."""
    _blocks.open.append(_Block(graph, _attempt_here()))
    OPEN_BLOCKS.append(graph)


def leave(graph: Graph) -> None:
    """Close the innermost block of a graph on this thread."""
    blocks = _blocks.open
    for place in reversed(range(len(blocks))):
        if blocks[place].graph is graph:
            del blocks[place]
            OPEN_BLOCKS.pop()
            return
    raise GraphError(f"the block of {graph.name} was not opened on this thread")


def inputs_by_name(label: str, names: Sequence[str], sources: Sequence[Any], inputs: Mapping[str, Any]) -> Any:
    """Return what inputs were given by position and by keyword, all by their names.

    Parameters
    ----------
    label : str
        The operation, for messages.
    names : sequence of str
        The inputs that can be given by position.
    sources : sequence
        What was given by position.
    inputs : mapping of str to object
        What was given by keyword.

    Returns
    -------
    dict of str to object
        For ``graph.add``.

    Raises
    ------
    TypeError
        There are more values than inputs, or an input was given twice.
    """
    if len(sources) > len(names):
        listed = f" ({', '.join(names)})" if names else ""
        raise TypeError(f"{label} takes {len(names)} inputs by position{listed}, and {len(sources)} were given")
    named = dict(zip(names, sources, strict=False))
    for name in inputs:
        if name in named:
            raise TypeError(f"{label} was given its input {name!r} both by position and by keyword")
    return {**named, **inputs}
