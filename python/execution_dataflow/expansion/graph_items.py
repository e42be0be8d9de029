"""A graph that runs for each item of a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from execution_dataflow.composition.interface import Definition
from execution_dataflow.composition.nested import NestedGraph
from execution_dataflow.errors import GraphError
from execution_dataflow.operations import Operation, label_of

__all__ = ["BoundGraph", "GraphItem", "mappable"]


@dataclass(frozen=True, slots=True)
class BoundGraph:
    """A graph that is to run, with the values of its parameters.

    Parameters
    ----------
    graph : GraphDefinition
        The graph.
    parameters : dict of str to object
        The values.
    """

    graph: Definition
    parameters: dict[str, Any]


class GraphItem(Operation):
    """Runs a graph in its place, whose parameters are its inputs; what ``graph.map(other_graph)`` runs for each item.

    Parameters
    ----------
    nested : NestedGraph
        The graph.

    Raises
    ------
    GraphError
        An operation of the graph has an input that nothing feeds.
    """

    dynamic = True

    def __init__(self, nested: NestedGraph) -> None:
        super().__init__(name=nested.name, description=nested.description)
        self.graph = nested.graph
        for known in nested.interface().inputs:
            if known.port_index is not None:
                raise GraphError(
                    f"graph {label_of(nested)!r} cannot be mapped: nothing feeds its input {known.name!r}; declare it "
                    f"with graph.parameter({known.name!r}), and connect that"
                )
        for name, port in nested.ports.inputs:
            self.add_input_port(name, port)
        for name, out in nested.ports.outputs:
            self.add_output_port(name, out)

    def execute(self, context: Any) -> BoundGraph:
        """Return the graph with its parameters, which runs in the place of this attempt."""
        return BoundGraph(self.graph, {name: self.get_input(name) for name in self.ports.input_index})

    def _implicit_name(self) -> str:
        return self.graph.name


def mappable(operation: Operation) -> Operation:
    """Return what runs for each item of a map: an operation as it is, a nested graph in another form."""
    return GraphItem(operation) if isinstance(operation, NestedGraph) else operation
