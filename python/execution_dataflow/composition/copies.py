"""Variants of a graph: the same operations but for some."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any, Protocol

from execution_dataflow import _core
from execution_dataflow.composition.interface import Definition
from execution_dataflow.composition.parameter import Parameter
from execution_dataflow.composition_errors import ParameterError
from execution_dataflow.contract_levels import ContractLevel
from execution_dataflow.errors import PortTypeError, UnknownPortError
from execution_dataflow.names import stable_names
from execution_dataflow.nearest import nearest_name
from execution_dataflow.operations import Operation, OutputReference
from execution_dataflow.signatures import describe_type
from execution_dataflow.type_rules import check_value

__all__ = ["copy_graph", "parameters_with_defaults"]

_OUTPUT = 0  # the kind of a source, as the native builder tells it


class Copy(Protocol):
    """The graph that is made."""

    @property
    def _builder(self) -> _core.GraphBuilder:
        """Its operations and connections."""

    @property
    def _contracts(self) -> ContractLevel:
        """How much of its contracts is checked."""

    @property
    def _declared_outputs(self) -> dict[str, OutputReference]:
        """The outputs that were declared."""

    def add_operation(self, operation: Any) -> Any:
        """Add an operation."""

    def connect(
        self, source_operation: Operation, source_port_name: str, target_operation: Operation, target_port_name: str
    ) -> Any:
        """Connect two operations, or raise an error that says why they cannot be."""


def parameters_with_defaults(graph: Definition, values: Mapping[str, Any]) -> dict[int, Operation]:
    """Return parameters with other defaults, by the nodes of those that they replace.

    Raises
    ------
    ParameterError
        There is no such parameter, or a value has a wrong type.
    """
    builder = graph._builder
    nodes = {str(builder.operation(node).name): node for node in builder.nodes_of_classes((Parameter,))}
    made: dict[int, Operation] = {}
    for name, value in values.items():
        if name not in nodes:
            nearest = nearest_name(name, list(nodes))
            hint = f"; did you mean {nearest!r}?" if nearest else ""
            raise ParameterError(
                f"graph {graph.name!r} has no parameter {name!r}{hint}", graph=graph.name, unknown=[name]
            )
        old = builder.operation(nodes[name])
        if (fault := old.fault_of(value)) is not None:
            raise ParameterError(f"parameter {name!r} is wrong: {fault}", graph=graph.name, wrong=[name])
        made[nodes[name]] = Parameter(name, old.ports.outputs[0][1], default=value, description=old.description)
    return made


def copy_graph(graph: Definition, copy: Copy, instead: Mapping[int, Operation]) -> None:
    """Fill an empty graph with the operations of another one, or with what replaces them.

    Parameters
    ----------
    graph : GraphDefinition
        What is copied.
    copy : GraphDefinition
        An empty graph.
    instead : mapping of int to Operation
        What stands at a node in the place of its operation.

    Raises
    ------
    UnknownPortError, PortTypeError
        What replaces an operation lacks a port that is connected, or its type can never fit.
    """
    builder, operations = graph._builder, list(graph._builder.operations())
    begin = 0
    for node in [*sorted(instead), len(operations)]:
        copy._builder.copy_nodes(builder, begin, node)
        if node < len(operations):
            operations[node] = copy.add_operation(instead[node])
        begin = node + 1
    _copy_links(builder, copy, operations, instead)
    for before, after in builder.orders():
        copy._builder.order(before, after)
    for name, (operation, port) in graph._declared_outputs.items():
        node = builder.index_of(operation)
        copy._declared_outputs[name] = operations[node].output(port)


def _copy_links(
    builder: _core.GraphBuilder, copy: Copy, operations: list[Operation], instead: Mapping[int, Operation]
) -> None:
    # What leads from or to a replaced operation is connected by name, and checked as if it were new.
    by_name = [edge for edge in builder.edges() if edge[0] in instead or edge[2] in instead]
    inputs = {(target, into) for _, _, target, into in by_name}
    inputs |= {(node, index) for node in instead for index, _ in builder.sources_into(node)}
    outputs: dict[tuple[int, int], list[tuple[Any, ...]]] = {
        (source, output): [] for source, output, _, _ in by_name if source in instead
    }
    copy._builder.copy_links(builder, array("I", range(len(operations))).tobytes(), outputs, sorted(inputs))
    for node, index in sorted(inputs):
        old = builder.operation(node)
        name = old.ports.inputs[index][0]
        for _, source in (given for given in builder.sources_into(node) if given[0] == index):
            if source[0] == _OUTPUT:
                output = builder.operation(source[1]).ports.outputs[source[2]][0]
                copy.connect(operations[source[1]], output, operations[node], name)
            else:
                copy._builder.bind_source(node, _checked(copy, operations, node, name, source[1]), source)


def _checked(copy: Copy, operations: list[Operation], node: int, name: str, value: Any) -> int:
    """Return the index of the input of a replacement that takes a constant."""
    ports = operations[node].ports
    index = ports.input_index.get(name)
    label = stable_names(operations)[node]
    if index is None:
        raise UnknownPortError(label, name, list(ports.input_index), "input")
    wrong = None if copy._contracts == "off" else check_value(ports.input_checks[index], value)
    if wrong is not None:
        raise PortTypeError(
            f"the constant for {label}.{name} is wrong: {wrong}",
            source=f"constant {type(value).__name__}",
            target=f"{label}.{name}",
            source_type=type(value).__name__,
            target_type=describe_type(ports.input_types[index]),
            reason=wrong,
        )
    return index
