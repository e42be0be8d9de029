"""The definition of a graph: operations, and the channels between them."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, NoReturn, TypeVar, overload

from execution_dataflow import _core
from execution_dataflow.bindings import Source, read_bindings
from execution_dataflow.channels import DataChannel
from execution_dataflow.errors import (
    ChannelError,
    DuplicateOperationError,
    GraphValidationError,
)
from execution_dataflow.faults import (
    refuse_addition,
    refuse_stranger,
    structural_faults,
    types_never_fit,
    unknown_port,
)
from execution_dataflow.functions import FunctionOperation, OperationFunction, operation_of
from execution_dataflow.mapping import MappedOperation, OnError, mapped, zipped_sources
from execution_dataflow.names import stable_names
from execution_dataflow.node_specs import NodeSpecs, check_runnable, node_specs
from execution_dataflow.operations import Operation, label_of
from execution_dataflow.plan import Plan
from execution_dataflow.signatures import PortSignature, ports_fit

__all__ = ["GraphDefinition"]

AnyOperation = TypeVar("AnyOperation", bound=Operation)


class GraphDefinition:
    """A directed acyclic graph of operations.

    One thread at a time builds a graph; any number of threads may compile and run it.

    Parameters
    ----------
    name : str, optional
        Its name, for events and messages; ``"graph"`` by default.

    Examples
    --------
    >>> from execution_dataflow.functions import operation
    >>> @operation
    ... def load(path: str) -> bytes:
    ...     return path.encode()
    >>> @operation
    ... def shout(raw: bytes, times: int = 1) -> str:
    ...     return raw.decode().upper() * times
    >>> graph = GraphDefinition("shouting")
    >>> source = graph.add(load, path="hello")
    >>> loud = graph.add(shout, raw=source)
    >>> [str(channel) for channel in graph.channels]
    ['load.result -> shout.raw']
    """

    def __init__(self, name: str | None = None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"GraphDefinition(name=) must be a str, not {name!r}")
        self._name = name or "graph"
        self._topology = _core.Topology()
        self._operations: list[Operation] = []
        # By id, since an operation may define == or be unhashable; the list keeps each alive, so no id is used again.
        self._index: dict[int, int] = {}
        self._constants: list[Any] = []
        self._shapes: dict[PortSignature, tuple[int, PortSignature]] = {}
        self._functions: dict[Callable[..., Any], OperationFunction[..., Any]] = {}
        self._plan: Plan | None = None
        self._is_changed = True
        self._compiling = Lock()

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations, in the order in which they were added."""
        return tuple(self._operations)

    @property
    def channels(self) -> tuple[DataChannel, ...]:
        """The data channels, in the order in which they were connected."""
        operations = self._operations
        return tuple(
            DataChannel(
                operations[source],
                operations[source].ports.outputs[output][0],
                operations[target],
                operations[target].ports.inputs[into][0],
            )
            for source, output, target, into in self._topology.edges()
        )

    def add_operation(self, operation: AnyOperation) -> AnyOperation:
        """Add an operation; its ports are fixed from now on.

        Parameters
        ----------
        operation : Operation
            The operation. It may be part of other graphs too.

        Returns
        -------
        Operation
            The same operation.

        Raises
        ------
        DuplicateOperationError
            It is part of this graph already.
        GraphError
            Its class defines no ``execute``, or its ``__init__`` did not call ``super().__init__()``.
        TypeError
            It is no operation.
        """
        ports = getattr(operation, "_ports", None)
        if ports is None:
            refuse_addition(operation)
        identity = id(operation)
        if identity in self._index:
            label = self._label(operation)
            raise DuplicateOperationError(
                f"{label} is part of {self._name} already; make a second {type(operation).__name__} for a second node",
                operation=label,
            )
        known = self._shapes.get(ports)
        if known is None:
            known = self._new_shape(operation, ports)
        shape, operation._ports = known
        self._index[identity] = self._topology.add_node(shape)
        self._operations.append(operation)
        self._is_changed = True
        return operation

    def _new_shape(self, operation: Operation, ports: PortSignature) -> tuple[int, PortSignature]:
        check_runnable(operation)
        frozen = ports.frozen
        shape = self._topology.add_shape(ports.input_flags, ports.output_flags)
        self._shapes[ports] = self._shapes[frozen] = shape, frozen
        return shape, frozen

    @overload
    def add(self, operation: AnyOperation, /, **inputs: Any) -> AnyOperation: ...
    @overload
    def add(self, operation: Callable[..., Any], /, **inputs: Any) -> FunctionOperation: ...
    def add(self, operation: Operation | Callable[..., Any], /, **inputs: Any) -> Operation:
        """Add an operation or a function, and connect its inputs.

        Parameters
        ----------
        operation : Operation or callable
            The operation. A function becomes a new operation each time.
        **inputs
            For each input, where its value comes from: an operation of this graph, which stands for its only output;
            ``operation["port"]`` for one of several; a list of these for an `InputPort` with ``many=True``; anything
            else is a constant. Options such as a name belong to the operation: ``graph.add(load.new(name="first"))``.

        Returns
        -------
        Operation
            The operation that was added.

        Raises
        ------
        UnknownPortError
            A keyword is no input.
        PortTypeError
            An output or a constant can never fit its input.
        PortError
            An operation was given that has several outputs, or a list where the input takes one source.
        UnknownOperationError
            An operation was given that is not part of this graph.
        """
        added = operation if isinstance(operation, Operation) else self._operation_of(operation)
        if added._ports is None:
            refuse_addition(added)
        # All is read before anything is added: a mistake leaves the graph as it was.
        bindings = read_bindings(added, inputs, self._check_binding)
        self.add_operation(added)
        node = self._index[id(added)]
        for binding in bindings:
            if isinstance(binding, Source):
                self._topology.connect(self._index[id(binding.operation)], binding.output, node, binding.input)
            else:
                self._topology.bind(node, binding.input, len(self._constants))
                self._constants.append(binding.value)
        return added

    def map(
        self,
        operation: Operation | Callable[..., Any],
        /,
        *,
        over: Any,
        name: str | None = None,
        stack: bool = False,
        max_concurrency: int | None = None,
        on_error: OnError = "fail",
        **broadcast: Any,
    ) -> MappedOperation:
        """Add an operation that runs another one once for each item of a source, and gathers the results in order.

        Items come from a list or another sequence, from an array along its first axis (views), or from any other
        iterable, whose end need not be known. They run side by side, each with the retry policy of `operation`; item
        17 of the map ``square`` is called ``square[17]`` in errors, events and logs, and has a random stream of its
        own.

        Parameters
        ----------
        operation : Operation or callable
            What runs for each item; `mapped` makes one that is a map itself.
        over : object
            Where the items come from: an operation of this graph, one of its outputs, or a constant. A dict gives a
            source to each of several inputs, which must have equally many items. An iterator that is given as a
            constant serves one run.
        name : str, optional
            Its name; that of `operation` by default.
        stack : bool
            Whether the results go into one array with a row for each item; they must have one shape and dtype.
        max_concurrency : int, optional
            How many items may be under way at a time, those that wait for another attempt included.
        on_error : {"fail", "keep"}
            Whether a failed item fails the map with a `MapError`, or leaves an `ItemFailure` in its place.
        **broadcast
            Inputs that are the same for all items, as for `add`.

        Returns
        -------
        MappedOperation
            The operation that was added. It has the outputs of `operation`, each a list of results.

        Raises
        ------
        PortError, UnknownPortError, PortTypeError, UnknownOperationError, GraphError, TypeError
            It is not clear what is mapped over, or an option has no such value; otherwise as for `add`.

        Examples
        --------
        >>> from execution_dataflow import ExecutionEngine
        >>> def power(base: int, exponent: int) -> int:
        ...     return base**exponent
        >>> graph = GraphDefinition("squares")
        >>> squares = graph.map(power, over={"base": range(5)}, exponent=2)
        >>> total = graph.add(sum, iterable=squares)
        >>> ExecutionEngine().run(graph).get_output(total)
        30
        """
        item = operation if isinstance(operation, Operation) else self._operation_of(operation)
        if item._ports is None:
            refuse_addition(item)
        check_runnable(item)
        sources = zipped_sources(item, over, broadcast)
        made = mapped(item, over=sources, name=name, stack=stack, max_concurrency=max_concurrency, on_error=on_error)
        return self.add(made, **sources, **broadcast)

    def _operation_of(self, function: Callable[..., Any]) -> FunctionOperation:
        if isinstance(function, OperationFunction):
            return function.new()
        if isinstance(function, type) or not callable(function):
            refuse_addition(function)
        try:
            known = self._functions.get(function)
        except TypeError:  # an unhashable callable
            return operation_of(function).new()
        if known is None:
            known = self._functions[function] = operation_of(function)
        return known.new()

    def _check_binding(self, source: Operation, output: int, target: Operation, into: int) -> None:
        if source is target:
            self._refuse_self_loop(target, target.ports.inputs[into][0])
        if id(source) not in self._index:
            refuse_stranger(source, self._name, self._operations)
        source_ports, target_ports = source._ports or source.ports, target._ports or target.ports
        if not ports_fit(source_ports.output_types[output], target_ports.input_types[into]):
            self._refuse_types(source, output, target, into)

    def connect(
        self,
        source_operation: Operation,
        source_port_name: str,
        target_operation: Operation,
        target_port_name: str,
    ) -> DataChannel:
        """Connect an output of one operation to an input of another.

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

        Returns
        -------
        DataChannel
            The channel.

        Raises
        ------
        UnknownOperationError
            An operation is not part of this graph.
        UnknownPortError
            There is no such port; the nearest name is suggested.
        PortTypeError
            No value of the output can ever fit the input.
        ChannelError
            The input is connected already, or the operation would feed itself.
        """
        index = self._index
        try:
            source, target = index[id(source_operation)], index[id(target_operation)]
            source_ports = source_operation._ports or source_operation.ports
            target_ports = target_operation._ports or target_operation.ports
            output = source_ports.output_index[source_port_name]
            into = target_ports.input_index[target_port_name]
        except (KeyError, TypeError):
            self._refuse_ends(source_operation, source_port_name, target_operation, target_port_name)
        if source == target:
            self._refuse_self_loop(target_operation, target_port_name)
        offered, wanted = source_ports.output_types[output], target_ports.input_types[into]
        if offered is not wanted and wanted is not Any and not ports_fit(offered, wanted):
            self._refuse_types(source_operation, output, target_operation, into)
        if not self._topology.connect(source, output, target, into):
            self._refuse_second_source(target_operation, target_port_name, target, into)
        self._is_changed = True
        return DataChannel(source_operation, source_port_name, target_operation, target_port_name)

    def add_dependency(self, before: Operation, after: Operation) -> None:
        """Let an operation run only after another one has succeeded, without a value between them.

        Parameters
        ----------
        before : Operation
            Runs first.
        after : Operation
            Runs after it.

        Raises
        ------
        UnknownOperationError
            An operation is not part of this graph.
        ChannelError
            Both are the same operation.
        """
        for operation in (before, after):
            if id(operation) not in self._index:
                refuse_stranger(operation, self._name, self._operations)
        if before is after:
            label = self._label(after)
            raise ChannelError(f"{label} cannot wait for itself", operation=label)
        self._topology.order(self._index[id(before)], self._index[id(after)])
        self._is_changed = True

    def validate(self) -> None:
        """Find everything that is wrong with the whole.

        Raises
        ------
        GraphValidationError
            With all the `faults`: required inputs without a source, cycles with their paths, names given twice.
        """
        self.compile()

    def compile(self) -> Plan:
        """Return the graph in the form in which it runs; the same plan until the graph changes.

        The options of operations (retry policy, executor) are read now.

        Returns
        -------
        Plan
            The plan.

        Raises
        ------
        GraphValidationError
            With all the `faults`, as `validate` finds them.
        """
        with self._compiling:
            if self._plan is None or self._is_changed:
                # Before the parts are read: what is added meanwhile makes the next call compile again.
                self._is_changed = False
                try:
                    self._plan = self._compiled()
                except BaseException:
                    self._is_changed = True
                    raise
            return self._plan

    def _compiled(self) -> Plan:
        operations = tuple(self._operations)
        specs: NodeSpecs = node_specs(operations)
        faults = [*specs.faults, *structural_faults(self._topology, operations)]
        if faults:
            raise GraphValidationError(self._name, faults)
        core = _core.Plan(self._topology, specs.specs, specs.spec_of, list(operations), list(self._constants))
        return Plan(self._name, core, operations, self._index, specs.specs, specs.spec_of)

    def __len__(self) -> int:
        return len(self._operations)

    def __bool__(self) -> bool:
        return True  # an empty graph is a graph

    def __contains__(self, operation: object) -> bool:
        return id(operation) in self._index

    def __repr__(self) -> str:
        return f"<GraphDefinition {self._name!r}: {len(self)} operations, {len(self._topology.edges())} channels>"

    def _label(self, operation: Operation) -> str:
        """Return the name of an operation as the plan will have it."""
        found = self._index.get(id(operation))
        return label_of(operation) if found is None else stable_names(self._operations)[found]

    def _refuse_ends(self, source: Operation, output: str, target: Operation, into: str) -> NoReturn:
        for operation in (source, target):
            if id(operation) not in self._index:
                refuse_stranger(operation, self._name, self._operations)
        if output not in source.ports.output_index:
            raise unknown_port(self._label(source), source.ports, output, "output")
        raise unknown_port(self._label(target), target.ports, into, "input")

    def _refuse_self_loop(self, operation: Operation, port: str) -> NoReturn:
        label = self._label(operation)
        raise ChannelError(
            f"{label} cannot feed its own input {port!r}: a graph has no cycles", operation=label, port=port
        )

    def _refuse_types(self, source: Operation, output: int, target: Operation, into: int) -> NoReturn:
        source_end = f"{self._label(source)}.{source.ports.outputs[output][0]}"
        target_end = f"{self._label(target)}.{target.ports.inputs[into][0]}"
        raise types_never_fit(source_end, source.ports.output_types[output], target_end, target.ports.input_types[into])

    def _refuse_second_source(self, operation: Operation, port: str, node: int, into: int) -> NoReturn:
        label = self._label(operation)
        sources = self._topology.source_of(node, into)
        if sources:
            source, output = sources[0]
            upstream = self._operations[source]
            present = f"connected to {self._label(upstream)}.{upstream.ports.outputs[output][0]} already"
        else:
            present = "bound to a constant already"
        raise ChannelError(
            f"{label}.{port} is {present}; an input has one source unless it is an InputPort(many=True)",
            operation=label,
            port=port,
        )
