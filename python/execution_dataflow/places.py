"""Where in the user's code, or in a file, an operation was added to a graph."""

from __future__ import annotations

from execution_dataflow._core import GraphBuilder
from execution_dataflow.operations import Operation

__all__ = ["place_in"]


def place_in(builder: GraphBuilder, where: Operation | int) -> str | None:
    """Return where an operation was added.

    Parameters
    ----------
    builder : GraphBuilder
        The graph.
    where : Operation or int
        The operation, or its node.

    Returns
    -------
    str or None
        A file and a line: ``"etl.py:12"``; ``None`` if that is not known.
    """
    node = where if isinstance(where, int) else builder.index_of(where)
    place = None if node < 0 else builder.place_of(node)
    return f"{place[0]}:{place[1]}" if isinstance(place, tuple) else place
