"""How targets and overridden ports of a graph are named: by operations, by references, by paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from execution_dataflow.composition.flattening import Flat
from execution_dataflow.composition.nested import NestedGraph
from execution_dataflow.composition.parameter import Parameter
from execution_dataflow.composition.parts import NestedPort, Port
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
        self._nested = flat.layout.nested

    def target(self, item: Any) -> list[int]:
        """Return the operations that a target stands for.

        Parameters
        ----------
        item : Operation, OutputReference, (Operation, str) or str
            An operation, a nested graph, an output of one, the path of an operation or of a nested graph, the name of
            an output of the graph, or ``"path.port"``.

        Returns
        -------
        list of int
            Their places: of a nested graph all its operations.

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
            if item in self._nested:
                return self._inside(item)
            path, dot, name = item.rpartition(".")
            if not dot or not (path in self._by_name or path in self._nested):
                self._refuse_name(item)
            return [self._output(path, name).node]
        if isinstance(item, Operation):
            path = self._path(item)
            return self._inside(path) if path in self._nested else [self._by_name[path]]
        operation, name = self._pair(item, "targets=")
        return [self._output(self._path(operation), name).node]

    def port(self, item: Any) -> Port | NestedPort:
        """Return the port that is overridden.

        Parameters
        ----------
        item : Operation, OutputReference, (Operation, str) or str
            An operation or a nested graph with one output, an output or an input of one, the path of one with one
            output, the name of an output of the graph, or ``"path.port"``.

        Returns
        -------
        Port or NestedPort
            The port.

        Raises
        ------
        UnknownOperationError, UnknownPortError, PortError
            There is no such thing, or it takes many values.
        TypeError
            It is none of these.
        """
        if isinstance(item, str):
            if item in self._outputs:
                return Port(*self._outputs[item])
            if item in self._by_name or item in self._nested:
                return self._output(item, only_output(self._operation(item), item))
            path, dot, name = item.rpartition(".")
            if not dot or not (path in self._by_name or path in self._nested):
                self._refuse_name(item)
            return self._port_of(path, name)
        if isinstance(item, Operation):
            return self._output(self._path(item), only_output(item, label_of(item)))
        operation, name = self._pair(item, "overrides=")
        return self._port_of(self._path(operation), name)

    def _inside(self, path: str) -> list[int]:
        return sorted(self._nested[path].all_places())

    def _operation(self, path: str) -> Operation:
        level = self._nested.get(path)
        operation: Operation | None = self._operations[self._by_name[path]] if level is None else level.nested
        assert operation is not None
        return operation

    def _port_of(self, path: str, name: str) -> Port | NestedPort:
        """Return an output, or else an input."""
        ports = self._operation(path).ports
        if name in ports.output_index:
            return self._output(path, name)
        if name not in ports.input_index:
            raise UnknownPortError(path, name, [*ports.output_index, *ports.input_index], "output")
        index = ports.input_index[name]
        if ports.input_flags[index] & _MANY:
            raise PortError(
                f"{path}.{name} takes many values and cannot be overridden; override what feeds it",
                operation=path,
                port=name,
            )
        return NestedPort(path, index) if path in self._nested else Port(self._by_name[path], index, True)

    def _output(self, path: str, name: str) -> Port:
        known = self._operation(path).ports.output_index
        if name not in known:
            raise UnknownPortError(path, name, list(known), "output")
        if path in self._nested:
            return Port(*self._nested[path].own_output(known[name]))
        return Port(self._by_name[path], known[name])

    def _path(self, operation: Operation) -> str:
        if isinstance(operation, Parameter):
            raise UnknownOperationError(
                f"{operation.name!r} is a parameter; give its value with parameters={{{operation.name!r}: ...}}",
                operation=operation.name,
            )
        if isinstance(operation, NestedGraph):
            return self._flat.layout.path_of(operation) or self._refuse(operation)
        node = self._flat.layout.find(operation)
        return self._flat.layout.names[node] if node >= 0 else self._refuse(operation)

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
        nearest = nearest_name(name, [*self._by_name, *self._outputs, *self._nested])
        hint = f"; did you mean {nearest!r}?" if nearest else ""
        raise UnknownOperationError(f"{self._graph} has no operation or output {name!r}{hint}", operation=name)
