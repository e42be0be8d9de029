"""A graph as an operation of another graph."""

from __future__ import annotations

from typing import Any, Never

from execution_dataflow.composition.interface import Definition, Interface, interface_of
from execution_dataflow.errors import GraphError
from execution_dataflow.operations import Operation, label_of

__all__ = ["NestedGraph"]


class NestedGraph(Operation):
    """A graph as an operation of another one; made by ``graph.as_operation()`` and by ``graph.add(other_graph)``.

    It is no more than its operations: when the outer graph is compiled, they take its place, with names such as
    ``clean/parse``. An option such as a retry policy belongs to one of them.

    Parameters
    ----------
    graph : GraphDefinition
        The inner graph.
    name : str, optional
        Its name; that of the graph by default.
    description : str, optional
        What it is for.

    Raises
    ------
    PortError
        Two of its inputs or outputs would have one name.

    Attributes
    ----------
    graph : GraphDefinition
        The inner graph.
    """

    _never_runs = "is a nested graph, which is added to a graph as it is, and cannot stand in for others"

    def __init__(self, graph: Definition, *, name: str | None = None, description: str | None = None) -> None:
        super().__init__(name=name, description=description)
        self.graph = graph
        self._interface = interface_of(graph)
        for known in self._interface.inputs:
            self.add_input_port(known.name, known.port)
        for out in self._interface.outputs:
            self.add_output_port(out.name, out.port)

    def interface(self) -> Interface:
        """Return where its ports lead in the inner graph as it is now.

        Returns
        -------
        Interface
            Inputs and outputs in the order of its ports.

        Raises
        ------
        GraphError
            The inner graph has got other inputs or outputs since.
        """
        now = interface_of(self.graph)
        if [known[:2] for known in now.inputs] != [known[:2] for known in self._interface.inputs] or [
            out[:2] for out in now.outputs
        ] != [out[:2] for out in self._interface.outputs]:
            raise GraphError(
                f"graph {self.graph.name!r} has got other inputs or outputs since it was nested as "
                f"{self.name or self.graph.name!r}; nest it when they are complete"
            )
        return now

    def execute(self, context: Any) -> Never:
        """Do nothing: its operations take its place when the outer graph is compiled."""
        raise GraphError(f"{label_of(self)} {self._never_runs}")

    def _implicit_name(self) -> str:
        return self.graph.name

    def __repr__(self) -> str:
        return f"<NestedGraph {self.name or self.graph.name!r}: {len(self.graph._builder)} operations>"
