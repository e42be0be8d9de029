"""The channel between two ports, as a graph describes it."""

from __future__ import annotations

from typing import NamedTuple

from execution_dataflow.operations import Operation, label_of

__all__ = ["DataChannel"]


class DataChannel(NamedTuple):
    """The flow of data from an output of one operation to an input of another.

    It is a description: graphs keep their edges as integers, and make channels when asked for.

    Parameters
    ----------
    source_operation : Operation
        The operation that makes the value.
    source_port_name : str
        Its output.
    target_operation : Operation
        The operation that takes the value.
    target_port_name : str
        Its input.
    """

    source_operation: Operation
    source_port_name: str
    target_operation: Operation
    target_port_name: str

    def __str__(self) -> str:
        source, target = label_of(self.source_operation), label_of(self.target_operation)
        return f"{source}.{self.source_port_name} -> {target}.{self.target_port_name}"
