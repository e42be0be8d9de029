"""The long way of building a graph: the first operation of a kind, a connection not seen before, and every mistake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os.path import dirname, sep
from typing import Any, NoReturn

from execution_dataflow._core import GraphBuilder
from execution_dataflow.bindings import Source, exact_inputs, read_bindings
from execution_dataflow.channels import DataChannel
from execution_dataflow.composition.composed_graph import ComposedGraph
from execution_dataflow.composition.flattening import OUTPUT
from execution_dataflow.composition.nested import NestedGraph
from execution_dataflow.errors import ChannelError, DuplicateOperationError, GraphError
from execution_dataflow.faults import refuse_addition, refuse_stranger, types_never_fit, unknown_port
from execution_dataflow.functions import FunctionOperation, OperationFunction, operation_of
from execution_dataflow.names import stable_names
from execution_dataflow.node_specs import check_runnable
from execution_dataflow.operations import Operation, OutputReference, label_of
from execution_dataflow.places import place_in
from execution_dataflow.signatures import ports_fit

__all__ = ["Building"]


class Building:
    """The native builder of one graph, with what it is told about operations and what is said about mistakes.

    The builder does alone what it has seen before; see ``_core.GraphBuilder``.

    Parameters
    ----------
    name : str
        The name of the graph.
    checks_types : bool
        Whether ports are connected, and constants given, only where their types fit.

    Attributes
    ----------
    builder : _core.GraphBuilder
        The native builder.
    """

    def __init__(self, name: str, checks_types: bool = True) -> None:
        self.name = name
        self.checks_types = checks_types
        self.builder = GraphBuilder(DataChannel, OutputReference, OperationFunction, FunctionOperation, _HOME)
        self._functions: dict[Callable[..., Any], OperationFunction[..., Any]] = {}

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations, in the order in which they were added."""
        return self.builder.operations()

    def declare(self, operation: Operation) -> int:
        """Tell the builder what an operation looks like that is to be added, and return the number of its kind."""
        ports = getattr(operation, "_ports", None)
        if ports is None or not isinstance(operation, Operation):
            refuse_addition(operation)
        if self.builder.index_of(operation) >= 0:
            label = self.label(operation)
            raise DuplicateOperationError(
                f"{label} is part of {self.name} already; make a second {type(operation).__name__} for a second node",
                operation=label,
            )
        check_runnable(operation)
        return self.builder.add_kind(type(operation), ports, ports.layout)

    def add_first(self, operation: Operation | ComposedGraph | Callable[..., Any], inputs: dict[str, Any]) -> Operation:
        """Add what takes a closer look: the first of its kind, a connection not seen before, or a mistake."""
        added = self.operation_of(operation)
        kind, exact = self.read_inputs(added, inputs)
        if isinstance(added, FunctionOperation) and added is not operation and not added.definition.has_options:
            self.builder.learn_function(operation, added.definition, kind)
        if self.builder.add_with(added, exact, True) is None:
            raise GraphError(f"{label_of(added)} changed {self.name} while it was added to it")
        return added

    def read_inputs(self, operation: Operation, inputs: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Check what the inputs of an operation were given; return its kind and the inputs as the builder reads them.

        All is read before anything is added: a mistake leaves the graph as it was.
        """
        if operation._ports is None:
            refuse_addition(operation)
        bindings = read_bindings(operation, inputs, self._check_binding, self.checks_types)
        kind = self.builder.known_kind(operation)
        if kind < 0:
            kind = self.declare(operation)
        for binding in bindings:
            if isinstance(binding, Source):
                source = self.builder.index_of(binding.operation)
                self.builder.let_fit(source, binding.output, kind, binding.input)
        return kind, exact_inputs(operation, bindings)

    def operation_of(self, given: Any) -> Operation:
        """Return what may be added: an operation as it is, a function or a graph as a new one."""
        if isinstance(given, Operation):
            return given
        if isinstance(given, ComposedGraph):
            return given.as_operation()
        return self.definition_of(given).new()

    def definition_of(self, function: Callable[..., Any]) -> OperationFunction[..., Any]:
        """Return the decorated form of a function, the same one each time."""
        if isinstance(function, OperationFunction):
            return function
        if isinstance(function, type) or not callable(function):
            refuse_addition(function)
        try:
            known = self._functions.get(function)
        except TypeError:  # an unhashable callable
            return operation_of(function)
        if known is None:
            known = self._functions[function] = operation_of(function)
        return known

    def _check_binding(self, source: Operation, output: int, target: Operation, into: int) -> None:
        if source is target:
            self.refuse_self_loop(target, target.ports.inputs[into][0])
        if self.builder.index_of(source) < 0:
            refuse_stranger(source, self.name, self.operations)
        self._check_types(source, output, target, into)

    def check_channel(self, source: Operation, output_name: str, target: Operation, into_name: str) -> tuple[str, str]:
        """Tell the builder that two ports may be connected, and return their names; raise if they may not."""
        source_node, target_node = self.builder.index_of(source), self.builder.index_of(target)
        try:
            if source_node < 0 or target_node < 0:
                raise KeyError
            output, into = source.ports.output_index[output_name], target.ports.input_index[into_name]
        except (KeyError, TypeError):
            self._refuse_ends(source, output_name, target, into_name)
        if source is target and not isinstance(target, NestedGraph):
            # A nested graph is its operations, and only these can be in a circle; compiling finds it.
            self.refuse_self_loop(target, into_name)
        self._check_types(source, output, target, into)
        self.builder.let_fit(source_node, output, self.builder.kind_of(target_node), into)
        return source.ports.outputs[output][0], target.ports.inputs[into][0]

    def _check_types(self, source: Operation, output: int, target: Operation, into: int) -> None:
        gives, takes = source.ports.output_types[output], target.ports.input_types[into]
        if self.checks_types and not ports_fit(gives, takes):
            self._refuse_types(source, output, target, into)

    def place_of(self, operation: Operation) -> str | None:
        """Return where an operation was added: a file and a line, or ``None`` if that is not known."""
        return place_in(self.builder, operation)

    def label(self, operation: Operation) -> str:
        """Return the name of an operation as the plan will have it."""
        found = self.builder.index_of(operation)
        return label_of(operation) if found < 0 else stable_names(self.operations)[found]

    def _refuse_ends(self, source: Operation, output: str, target: Operation, into: str) -> NoReturn:
        for operation in (source, target):
            if self.builder.index_of(operation) < 0:
                refuse_stranger(operation, self.name, self.operations)
        if output not in source.ports.output_index:
            raise unknown_port(self.label(source), source.ports, output, "output")
        raise unknown_port(self.label(target), target.ports, into, "input")

    def refuse_self_loop(self, operation: Operation, port: str) -> NoReturn:
        """Raise the error for an operation that would feed itself."""
        label = self.label(operation)
        is_nested = isinstance(operation, NestedGraph)
        why = "add it first, and let connect() do it then" if is_nested else "a graph has no cycles"
        raise ChannelError(f"{label} cannot feed its own input {port!r}: {why}", operation=label, port=port)

    def _refuse_types(self, source: Operation, output: int, target: Operation, into: int) -> NoReturn:
        source_end = f"{self.label(source)}.{source.ports.outputs[output][0]}"
        target_end = f"{self.label(target)}.{target.ports.inputs[into][0]}"
        raise types_never_fit(source_end, source.ports.output_types[output], target_end, target.ports.input_types[into])

    def connect_to_itself(self, source: Operation, output: str, target: Operation, into: str) -> DataChannel:
        """Connect a nested graph to itself; for anything else, raise the error for an input that has its source."""
        if source is not target:
            self.refuse_second_source(target, into)
        node = self.builder.index_of(source)
        try:
            self.builder.bind_source(
                node, target.ports.input_index[into], (OUTPUT, node, source.ports.output_index[output])
            )
        except ValueError:
            self.refuse_second_source(target, into)
        return DataChannel(source, output, target, into)

    def refuse_second_source(
        self, operation: Operation, port: str, sources: Sequence[tuple[int, int]] | None = None
    ) -> NoReturn:
        """Raise the error for an input that has its source already: the one given, or the one that it has now."""
        label = self.label(operation)
        if sources is None:
            sources = self.builder.source_of(self.builder.index_of(operation), operation.ports.input_index[port])
        if sources:
            node, output = sources[0]
            upstream = self.builder.operation(node)
            present = f"connected to {self.label(upstream)}.{upstream.ports.outputs[output][0]} already"
        else:
            present = "bound to a constant already"
        raise ChannelError(
            f"{label}.{port} is {present}; an input has one source unless it is an InputPort(many=True)",
            operation=label,
            port=port,
        )


# What the package's own code is told by: the place of an operation is in the code that calls the package.
_HOME = dirname(Building.__init__.__code__.co_filename) + sep
