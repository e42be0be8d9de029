"""Where values come from and where they go: what lies before and behind an operation, and the way between two."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from execution_dataflow.operations import Operation
from execution_dataflow.wiring import Wiring

__all__ = ["LineageStep", "names_downstream", "names_upstream", "path_of_channels"]


class LineageStep(NamedTuple):
    """One channel on the way from an operation to another, by names.

    Parameters
    ----------
    source : str
        The operation that makes the value.
    source_port_name : str
        Its output.
    target : str
        The operation that takes the value.
    target_port_name : str
        Its input.

    Examples
    --------
    >>> str(LineageStep("load", "result", "clean", "raw"))
    'load.result -> clean.raw'
    """

    source: str
    source_port_name: str
    target: str
    target_port_name: str

    def __str__(self) -> str:
        return f"{self.source}.{self.source_port_name} -> {self.target}.{self.target_port_name}"


def names_upstream(wiring: Wiring, operation: Operation | str, with_order: bool) -> tuple[str, ...]:
    """Return the names of the operations before one, in topological order."""
    nodes = wiring.lineage(wiring.nodes_of(operation), True, with_order)
    return tuple(wiring.names[node] for node in nodes)


def names_downstream(wiring: Wiring, operation: Operation | str, with_order: bool) -> tuple[str, ...]:
    """Return the names of the operations behind one, in topological order."""
    nodes = wiring.lineage(wiring.nodes_of(operation), False, with_order)
    return tuple(wiring.names[node] for node in nodes)


def path_of_channels(wiring: Wiring, source: Operation | str, target: Operation | str) -> tuple[LineageStep, ...]:
    """Return a shortest path of channels from one operation to another; an empty one if there is none."""
    shortest: list[int] = []
    for start in wiring.nodes_of(source):
        for end in wiring.nodes_of(target):
            path = wiring.shortest_path(start, end)
            if path is not None and len(path) > 1 and (not shortest or len(path) < len(shortest)):
                shortest = path
    return tuple(_step(wiring, before, node) for before, node in pairwise(shortest))


def _step(wiring: Wiring, before: int, node: int) -> LineageStep:
    feed = next(feed for feed in wiring.feeds(node) if feed.source == before)
    return LineageStep(
        wiring.names[before],
        wiring.operations[before].ports.outputs[feed.output][0],
        wiring.names[node],
        wiring.operations[node].ports.inputs[feed.input][0],
    )
