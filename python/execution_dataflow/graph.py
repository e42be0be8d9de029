"""The definition of a graph: operations, and the channels between them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from threading import Lock
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from execution_dataflow import bulk
from execution_dataflow.building import Building
from execution_dataflow.channels import DataChannel
from execution_dataflow.composition.compilation import compile_part, compile_whole
from execution_dataflow.composition.composed_graph import ComposedGraph
from execution_dataflow.composition.flattening import revision_of
from execution_dataflow.composition.interface import Definition
from execution_dataflow.composition.nested import NestedGraph
from execution_dataflow.contract_levels import ContractLevel, checked_level
from execution_dataflow.definition_files.saved_graphs import SavedGraph
from execution_dataflow.errors import ChannelError, GraphValidationError
from execution_dataflow.expansion.graph_branches import GraphBranches
from execution_dataflow.expansion.graph_items import mappable
from execution_dataflow.faults import refuse_addition, refuse_stranger
from execution_dataflow.functions import FunctionOperation
from execution_dataflow.graph_blocks import GraphBlock
from execution_dataflow.graph_views import GraphViews
from execution_dataflow.mapping import MappedOperation, OnError, mapped, zipped_sources
from execution_dataflow.node_specs import check_runnable
from execution_dataflow.operation_arrays import OperationArray
from execution_dataflow.operations import Operation
from execution_dataflow.plan import Plan

if TYPE_CHECKING:
    from execution_dataflow.wiring import Wiring

__all__ = ["GraphDefinition"]

AnyOperation = TypeVar("AnyOperation", bound=Operation)
T = TypeVar("T")


class GraphDefinition(GraphBlock, SavedGraph, ComposedGraph, GraphBranches, GraphViews):
    """A directed acyclic graph of operations.

    One thread at a time builds a graph; any number of threads may compile and run it.

    Parameters
    ----------
    name : str, optional
        Its name, for events and messages; ``"graph"`` by default.
    contracts : {"values", "connect", "off"}
        What is checked: types when ports are connected and values when they are set, only types, or nothing.

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

    def __init__(self, name: str | None = None, *, contracts: ContractLevel = "values") -> None:
        self._contracts = checked_level(contracts)
        if name is not None and not isinstance(name, str):
            raise TypeError(f"GraphDefinition(name=) must be a str, not {name!r}")
        self._building = Building(name or "graph", checks_types=contracts != "off")
        super().__init__(name or "graph", self._building.builder)
        # Building a graph of a million operations is a million calls of each of these.
        self._add, self._add_with, self._connect = self._builder.add, self._builder.add_with, self._builder.connect
        self._plan: Plan | None = None
        self._plan_revision = -1
        # What else the plan was made of.
        self._nested: list[tuple[Definition, int]] = []
        self._compiling = Lock()

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations, in the order in which they were added."""
        return self._builder.operations()

    @property
    def channels(self) -> tuple[DataChannel, ...]:
        """The data channels, in the order in which they were connected."""
        nodes = self._builder.operations()
        ends = ((nodes[source], output, nodes[target], into) for source, output, target, into in self._builder.edges())
        return tuple(DataChannel(a, a.ports.outputs[out][0], b, b.ports.inputs[into][0]) for a, out, b, into in ends)

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
        if self._add(operation) < 0:
            # The first of its kind, or a mistake.
            self._building.declare(operation)
            self._add(operation)
        return operation

    @overload
    def add(self, operation: AnyOperation, /, **inputs: Any) -> AnyOperation: ...
    @overload
    def add(self, operation: GraphDefinition, /, **inputs: Any) -> NestedGraph: ...
    @overload
    def add(self, operation: Callable[..., Coroutine[Any, Any, T]], /, **inputs: Any) -> FunctionOperation[T]: ...
    @overload
    def add(self, operation: Callable[..., T], /, **inputs: Any) -> FunctionOperation[T]: ...
    def add(self, operation: Operation | GraphDefinition | Callable[..., Any], /, **inputs: Any) -> Operation:
        """Add an operation, a function or another graph, and connect its inputs.

        Parameters
        ----------
        operation : Operation, callable or GraphDefinition
            The operation. A function becomes a new operation each time, and so does a graph.
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
        added = self._add_with(operation, inputs)
        return self._building.add_first(operation, inputs) if added is None else added

    def map(
        self,
        operation: Operation | GraphDefinition | Callable[..., Any],
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
        operation : Operation, callable or GraphDefinition
            What runs for each item; `mapped` makes one that is a map itself. The inputs of a graph are its parameters.
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
        item = mappable(self._building.operation_of(operation))
        if item._ports is None:
            refuse_addition(item)
        check_runnable(item)
        sources = zipped_sources(item, over, broadcast)
        made = mapped(item, over=sources, name=name, stack=stack, max_concurrency=max_concurrency, on_error=on_error)
        return self.add(made, **sources, **broadcast)

    @overload
    def add_many(
        self, operation: type[AnyOperation], count: int | None = None, /, **inputs: Any
    ) -> OperationArray[AnyOperation]: ...
    @overload
    def add_many(
        self, operation: Iterable[AnyOperation], count: int | None = None, /, **inputs: Any
    ) -> OperationArray[AnyOperation]: ...
    @overload
    def add_many(
        self, operation: Callable[..., Coroutine[Any, Any, T]], count: int | None = None, /, **inputs: Any
    ) -> OperationArray[FunctionOperation[T]]: ...
    @overload
    def add_many(
        self, operation: Callable[..., T], count: int | None = None, /, **inputs: Any
    ) -> OperationArray[FunctionOperation[T]]: ...
    def add_many(
        self, operation: Callable[..., Any] | Iterable[Operation], count: int | None = None, /, **inputs: Any
    ) -> OperationArray[Any]:
        """Add many operations at once, and connect their inputs; all of them or, after a mistake, none.

        Parameters
        ----------
        operation : callable, class of operations, or iterable of Operation
            A function, or a class that is made without arguments: each row gets an operation of its own. Or the
            operations themselves.
        count : int, optional
            How many; as many as there are operations or values by default.
        **inputs
            For each input, a column: what `add` takes, for each row. A list, a tuple, another sequence, a numpy array,
            an iterator or an `OperationArray` has an item for each row; ``array["port"]`` stands for one of several
            outputs. One operation, one output, or any other value is the same for all rows; so is a sequence in
            ``itertools.repeat(sequence)``. The numbers of a numpy array of one axis become Python numbers; of an array
            of several axes, each row gets a view.

        Returns
        -------
        OperationArray
            The operations that were added: a sequence that can be sliced and indexed as a numpy array.

        Raises
        ------
        ValueError
            The columns differ in length, or `count` is negative or missing.
        UnknownPortError, PortTypeError, PortError, UnknownOperationError, DuplicateOperationError
            As for `add`; a note says at which row.

        Examples
        --------
        >>> from execution_dataflow.functions import operation
        >>> @operation
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> @operation
        ... def add(x: int, y: int) -> int:
        ...     return x + y
        >>> graph = GraphDefinition()
        >>> doubled = graph.add_many(double, x=range(1000))
        >>> sums = graph.add_many(add, x=doubled[:-1], y=doubled[1:])
        >>> sums
        <OperationArray: 999 operations>
        >>> shifted = graph.add_many(add, x=sums, y=100)
        >>> len(graph), len(graph.channels)
        (2998, 2997)
        """
        return bulk.add_many(self._building, operation, count, inputs)

    def connect_many(
        self,
        source_operations: Operation | Iterable[Operation],
        source_port_name: str,
        target_operations: Operation | Iterable[Operation],
        target_port_name: str,
    ) -> None:
        """Connect an output of each source to an input of each target; all of them or, after a mistake, none.

        Parameters
        ----------
        source_operations : OperationArray, iterable of Operation, or Operation
            The operations that make the values. A single one feeds all targets.
        source_port_name : str
            Their output.
        target_operations : OperationArray, iterable of Operation, or Operation
            The operations that take the values, as many as there are sources. A single one takes the values of all
            sources, in their order; its input is an ``InputPort(many=True)``.
        target_port_name : str
            Their input.

        Raises
        ------
        ValueError
            There are not as many targets as sources.
        UnknownOperationError, UnknownPortError, PortTypeError, ChannelError
            As for `connect`; a note says at which row.

        Examples
        --------
        >>> from execution_dataflow.functions import operation
        >>> @operation
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> graph = GraphDefinition()
        >>> first = graph.add_many(double, x=range(3))
        >>> second = graph.add_many(double, 3)
        >>> graph.connect_many(first, "result", second[::-1], "x")
        >>> [str(channel) for channel in graph.channels][0]
        'double.result -> double.x'
        """
        bulk.connect_many(self._building, source_operations, source_port_name, target_operations, target_port_name)

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
        channel: DataChannel | None = self._connect(
            source_operation, source_port_name, target_operation, target_port_name
        )
        if channel is None:
            check = self._building.check_channel
            output, into = check(source_operation, source_port_name, target_operation, target_port_name)
            channel = self._connect(source_operation, output, target_operation, into)
            if channel is None:
                channel = self._building.connect_to_itself(source_operation, output, target_operation, into)
        return channel

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
        nodes = self._builder.index_of(before), self._builder.index_of(after)
        for operation, node in zip((before, after), nodes, strict=True):
            if node < 0:
                refuse_stranger(operation, self._name, self.operations)
        if before is after:
            label = self._building.label(after)
            raise ChannelError(f"{label} cannot wait for itself", operation=label)
        self._builder.order(*nodes)

    def validate(self) -> None:
        """Find everything that is wrong with the whole.

        Raises
        ------
        GraphValidationError
            With all the `faults`: required inputs without a source, cycles with their paths, names given twice.
        """
        self.compile()

    def compile(self, *, targets: Iterable[Any] | None = None, overrides: Iterable[Any] = ()) -> Plan:
        """Return the graph in the form in which it runs; the same plan until the graph changes.

        The options of operations (retry policy, executor, priority) are read now.

        Parameters
        ----------
        targets : iterable, optional
            What is wanted of the graph: operations, outputs or their names. Only they and what they need are part of
            the plan.
        overrides : iterable
            Ports for which each run is given values: ``operation["port"]``, ``(operation, "port")`` or
            ``"operation.port"``, or an operation with one output. What is needed for nothing else is not part of the
            plan.

        Returns
        -------
        Plan
            The plan.

        Raises
        ------
        GraphValidationError
            With all the `faults`, as `validate` finds them.
        UnknownOperationError, UnknownPortError, PortError, TypeError
            There is no such target or port.
        """
        ports = tuple(overrides)
        if targets is not None or ports:
            return compile_part(self, targets, ports)
        with self._compiling:
            # Before the parts are read: what is added meanwhile makes the next call compile again.
            revision = self._builder.revision + len(self._declared_outputs)
            plan = self._plan
            if (
                plan is not None
                and self._plan_revision == revision
                and not (self._nested and self._has_changed_inside())
            ):
                return plan
            plan, flat = compile_whole(self)
            self._plan, self._plan_revision = plan, revision
            self._nested = [] if flat is None else flat.nested
            return plan

    def _has_changed_inside(self) -> bool:
        return any(revision_of(graph) != revision for graph, revision in self._nested)

    def _empty_copy(self) -> Self:
        return type(self)(self._name, contracts=self._contracts)

    def _as_added(self, other: Any) -> Operation:
        return self._building.operation_of(other)

    def _compiled_graph(self) -> Plan:
        return self.compile()

    def _wiring(self) -> Wiring:
        from execution_dataflow.wiring import DraftWiring

        try:
            return self.compile()._wiring()
        except GraphValidationError as error:
            return DraftWiring(self._name, self._builder, error.faults)

    def __len__(self) -> int:
        return len(self._builder)

    def __bool__(self) -> bool:
        return True  # an empty graph is a graph

    def __contains__(self, operation: object) -> bool:
        return self._builder.index_of(operation) >= 0

    def __repr__(self) -> str:
        return f"<GraphDefinition {self._name!r}: {len(self)} operations, {self._builder.edge_count()} channels>"
