"""How targets and overridden ports of a graph are named: by operations, by references, by paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from execution_dataflow.composition.flattening import Flat
from execution_dataflow.composition.nested import NestedGraph
from execution_dataflow.composition.parameter import Parameter
from execution_dataflow.composition.parts import Port
from execution_dataflow.errors import PortError, UnknownOperationError, UnknownPortError
from execution_dataflow.nearest import nearest_name
from execution_dataflow.operations import Operation, OutputReference, label_of
from execution_dataflow.output_choice import only_output

__all__ = ["Addresses"]

_MANY = 2  # the flag of an input that takes many values


class Addresses:
    """Finds operations and ports of a graph.

    Parameters
    ----------
    graph : str
        Its name, for messages.
    flat : Flat
        The graph without parameters and nested graphs.
    outputs : mapping of str to (int, int)
        Its outputs by name: the operation in the flat graph, and the port.
    """

    def __init__(self, graph: str, flat: Flat, outputs: Mapping[str, tuple[int, int]]) -> None:
        self._graph = graph
        self._flat = flat
        self._outputs = outputs
        self._operations = flat.builder.operations()
        self._by_name = {name: node for node, name in enumerate(flat.layout.names)}

    def target(self, item: Any) -> list[int]:
        """Return the operations that a target stands for.

        Parameters
        ----------
        item : Operation, OutputReference, (Operation, str) or str
            An operation, an output of one, the path of an operation, or the name of an output of the graph.

        Returns
        -------
        list of int
            Their places: several for a nested graph.

        Raises
        ------
        UnknownOperationError, UnknownPortError
            There is no such thing.
        TypeError
            It is none of these.
        """
        if isinstance(item, str):
            if item in self._by_name:
                return [self._by_name[item]]
            if item in self._outputs:
                return [self._outputs[item][0]]
            inside = [node for name, node in self._by_name.items() if name.startswith(f"{item}/")]
            return inside or self._refuse_name(item)
        if isinstance(item, NestedGraph):
            return [self._output(item, port).node for port in item.ports.output_index]
        if isinstance(item, Operation):
            return [self._node(item)]
        operation, port = self._pair(item, "targets=")
        return [self._output(operation, port).node]

    def port(self, item: Any) -> tuple[Port, str]:
        """Return the port that is overridden, and its name.

        Parameters
        ----------
        item : Operation, OutputReference, (Operation, str) or str
            An operation with one output, an output or an input of one, or ``"path.port"``.

        Returns
        -------
        (Port, str)
            The port; its name as ``path.port``.

        Raises
        ------
        UnknownOperationError, UnknownPortError, PortError
            There is no such thing, or it takes many values.
        TypeError
            It is none of these.
        """
        if isinstance(item, str):
            path, dot, name = item.rpartition(".")
            if item in self._outputs:
                found = Port(*self._outputs[item])
            elif not dot:
                self._refuse_name(item)
            else:
                found = self._port_of(self._by_name[path] if path in self._by_name else self._refuse_name(path), name)
        elif isinstance(item, Operation):
            found = self._output(item, only_output(item, label_of(item)))
        else:
            operation, name = self._pair(item, "overrides=")
            if isinstance(operation, NestedGraph) or name in operation.ports.output_index:
                found = self._output(operation, name)
            else:
                found = self._port_of(self._node(operation), name)
        ports = self._operations[found.node].ports
        name = (ports.inputs if found.is_input else ports.outputs)[found.port_index][0]
        return found, f"{self._flat.layout.names[found.node]}.{name}"

    def _port_of(self, node: int, name: str) -> Port:
        ports = self._operations[node].ports
        if name in ports.output_index:
            return Port(node, ports.output_index[name])
        label = self._flat.layout.names[node]
        if name not in ports.input_index:
            raise UnknownPortError(label, name, [*ports.output_index, *ports.input_index], "output")
        index = ports.input_index[name]
        if ports.input_flags[index] & _MANY:
            raise PortError(
                f"{label}.{name} takes many values and cannot be overridden; override what feeds it",
                operation=label,
                port=name,
            )
        return Port(node, index, True)

    def _output(self, operation: Operation, name: str) -> Port:
        if isinstance(operation, NestedGraph):
            place = self._flat.layout.output_of(operation, name)
            return Port(*place) if place is not None else self._refuse(operation)
        node = self._node(operation)
        if name not in operation.ports.output_index:
            raise UnknownPortError(self._flat.layout.names[node], name, list(operation.ports.output_index), "output")
        return Port(node, operation.ports.output_index[name])

    def _node(self, operation: Operation) -> int:
        if isinstance(operation, Parameter):
            raise UnknownOperationError(
                f"{operation.name!r} is a parameter; give its value with parameters={{{operation.name!r}: ...}}",
                operation=operation.name,
            )
        node = self._flat.layout.find(operation)
        return node if node >= 0 else self._refuse(operation)

    @staticmethod
    def _pair(item: Any, argument: str) -> tuple[Operation, str]:
        if isinstance(item, OutputReference | tuple) and len(item) == 2:
            operation, name = item
            if isinstance(operation, Operation) and isinstance(name, str):
                return operation, name
        raise TypeError(f"{argument} takes operations, operation['port'], (operation, 'port') and names, not {item!r}")

    def _refuse(self, operation: Operation) -> NoReturn:
        label = label_of(operation)
        raise UnknownOperationError(f"{label} is not an operation of {self._graph}", operation=label)

    def _refuse_name(self, name: str) -> NoReturn:
        nearest = nearest_name(name, [*self._by_name, *self._outputs])
        hint = f"; did you mean {nearest!r}?" if nearest else ""
        raise UnknownOperationError(f"{self._graph} has no operation or output {name!r}{hint}", operation=name)
