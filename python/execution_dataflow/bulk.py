"""Adding and connecting many operations at once: what columns mean, and what to say of a row that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from operator import index
from typing import Any, NoReturn, TypeAlias

from execution_dataflow.building import Building
from execution_dataflow.errors import DuplicateOperationError
from execution_dataflow.faults import refuse_addition, refuse_stranger
from execution_dataflow.functions import OperationFunction
from execution_dataflow.operation_arrays import NodeNumbers, OperationArray, OutputArray
from execution_dataflow.operations import Operation, OutputReference, label_of

__all__ = ["add_many", "connect_many"]

Column: TypeAlias = "tuple[str, str, Any, str | None]"
"""An input, how its column is told, the column, and the output that it takes of each operation."""


class _Vouching:
    """What the builder asks about rows that it cannot judge itself; every method raises where it finds a mistake."""

    def __init__(self, graph: Building) -> None:
        self._graph = graph
        self.ports: tuple[str, str] = ("", "")

    def operation(self, row: int, operation: Operation) -> None:
        """An operation of a new kind, or one that is in the graph already."""
        try:
            self._graph.declare(operation)
        except Exception as error:
            error.add_note(f"at row {row} of add_many()")
            raise

    def twice(self, row: int, operation: Operation) -> NoReturn:
        """An operation that is in the list a second time."""
        kind, label = type(operation).__name__, label_of(operation)
        raise DuplicateOperationError(
            f"add_many() was given {label} twice, again at row {row}; make a second {kind} for a second node",
            operation=label,
        )

    def input(self, row: int, operation: Operation, name: str, given: Any) -> Any:
        """Return what an input was given in the form that the builder reads."""
        try:
            return self._graph.read_inputs(operation, {name: given})[1].get(name, [])
        except Exception as error:
            error.add_note(f"at row {row} of {name}= in add_many()")
            raise

    def channel(self, row: int, source: int, target: int) -> None:
        """Two nodes that are to be connected."""
        builder, (output, into) = self._graph.builder, self.ports
        try:
            self._graph.check_channel(builder.operation(source), output, builder.operation(target), into)
            if source == target:
                self._graph.refuse_self_loop(builder.operation(target), into)
        except Exception as error:
            error.add_note(f"at row {row} of connect_many()")
            raise


def add_many(graph: Building, given: Any, count: int | None, inputs: dict[str, Any]) -> OperationArray[Any]:
    """Add many operations; see `GraphDefinition.add_many`.

    Parameters
    ----------
    graph : Building
        The graph.
    given : callable, class of operations, or iterable of Operation
        What is added.
    count : int, optional
        How many times.
    inputs : dict of str to object
        The columns.

    Returns
    -------
    OperationArray
        What was added.
    """
    builder = graph.builder
    operations = _listed(given)
    if count is not None:
        count = _checked_count(count)
    columns = [_column(graph, name, column) for name, column in inputs.items()]
    lengths = {} if operations is None else {"the operations": len(operations)}
    lengths |= {f"{name}=": length for (name, *_), length in columns if length is not None}
    rows = _row_count(count, lengths)
    if operations is None:
        operations = _made(graph, given, rows)
    vouching = _Vouching(graph)
    first = builder.add_rows(operations, rows, tuple(column for column, _ in columns), vouching)
    return OperationArray(builder, range(first, first + rows))


def _listed(given: Any) -> list[Any] | None:
    """Return operations that were given one by one, or ``None`` for what they are to be made of."""
    if isinstance(given, Operation):
        raise TypeError(f"{given!r} is one operation; add it with add(), or give add_many() a list or a class of them")
    if isinstance(given, type) and issubclass(given, Operation):
        return None
    if isinstance(given, OperationFunction) or (callable(given) and not isinstance(given, type)):
        return None
    if isinstance(given, str) or not isinstance(given, Iterable):
        refuse_addition(given)
    return list(given)


def _made(graph: Building, given: Any, rows: int) -> Any:
    """Return new operations, or a function of which the builder makes them itself."""
    if isinstance(given, type):
        return [given() for _ in range(rows)]
    definition = graph.definition_of(given)
    if definition.has_options:
        return [definition.new() for _ in range(rows)]
    if not graph.builder.knows_function(definition):
        graph.builder.learn_function(definition, definition, graph.declare(definition.new()))
    return definition


def _checked_count(count: object) -> int:
    if isinstance(count, bool) or not hasattr(count, "__index__"):
        raise TypeError(f"the count of add_many() must be an int, not {count!r}; every input is given by its keyword")
    number = index(count)
    if number < 0:
        raise ValueError(f"add_many() cannot add {number} operations")
    return number


def _row_count(count: int | None, lengths: dict[str, int]) -> int:
    """Return the length that all agree on."""
    if count is not None:
        lengths = {"count": count, **lengths}
    if not lengths:
        raise ValueError("add_many() needs a count, or a column with a value for each operation")
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{what} {length}" for what, length in lengths.items())
        raise ValueError(
            f"the columns of add_many() differ in length: {told}; a sequence that is one value for all operations is "
            "given as itertools.repeat(sequence)"
        )
    return next(iter(lengths.values()))


def _column(graph: Building, name: str, given: Any) -> tuple[Column, int | None]:
    """Return a column as the builder takes it, with its length if it has one."""
    if isinstance(given, OperationArray | OutputArray):
        operations, port = (given, None) if isinstance(given, OperationArray) else (given.operations, given.port_name)
        return (name, "nodes", _numbers(graph, operations), port), len(operations)
    if isinstance(given, repeat):
        return (name, "same", next(given), None), None
    items = _items(given)
    if items is None:
        return (name, "same", given, None), None
    return (name, "each", items, None), len(items)


def _items(given: Any) -> list[Any] | None:
    """Return the items of a column, or ``None`` for a value that is the same for all rows."""
    if isinstance(given, str | bytes | bytearray | memoryview | OutputReference):
        return None
    if isinstance(given, Sequence | Iterator):
        return list(given)
    shape = getattr(given, "shape", None)
    if not hasattr(given, "__array_interface__") or not isinstance(shape, tuple) or not shape:
        return None
    return given.tolist() if len(shape) == 1 else list(given)


def _numbers(graph: Building, operations: OperationArray[Any]) -> tuple[int, int, int] | NodeNumbers:
    """Return where operations are, as the builder takes it."""
    if not operations.is_of(graph.builder):
        if len(operations) == 0:
            return 0, 0, 0
        refuse_stranger(operations[0], graph.name, graph.operations)
    nodes = operations.nodes
    return (nodes.start, nodes.step, len(nodes)) if isinstance(nodes, range) else nodes


def connect_many(graph: Building, sources: Any, output: str, targets: Any, into: str) -> None:
    """Connect many operations; see `GraphDefinition.connect_many`.

    Parameters
    ----------
    graph : Building
        The graph.
    sources, targets : OperationArray, iterable of Operation, or Operation
        The operations.
    output, into : str
        The names of their ports.
    """
    builder = graph.builder
    (source_nodes, source_count), (target_nodes, target_count) = _ends(graph, sources), _ends(graph, targets)
    rows = source_count if source_count is not None else target_count
    rows = 1 if rows is None else rows
    if target_count is not None and target_count != rows:
        raise ValueError(
            f"connect_many() was given {rows} sources and {target_count} targets; give as many of each, or a single "
            "operation for one side"
        )
    if source_count is None:
        source_nodes = (source_nodes, 0, rows)
    if target_count is None:
        target_nodes = (target_nodes, 0, rows)
    vouching = _Vouching(graph)
    vouching.ports = (output, into)
    obstacle = builder.connect_rows(source_nodes, output, target_nodes, into, vouching)
    if obstacle is None:
        return
    row, present, target = obstacle
    try:
        graph.refuse_second_source(builder.operation(target), into, present)
    except Exception as error:
        error.add_note(f"at row {row} of connect_many()")
        raise


def _ends(graph: Building, given: Any) -> tuple[Any, int | None]:
    """Return where operations are, and how many; a single one has no count."""
    if isinstance(given, Operation):
        node = graph.builder.index_of(given)
        if node < 0:
            refuse_stranger(given, graph.name, graph.operations)
        return node, None
    if isinstance(given, OperationArray):
        return _numbers(graph, given), len(given)
    if isinstance(given, type | str) or not isinstance(given, Iterable):
        refuse_stranger(given, graph.name, graph.operations)
    operations = list(given)
    nodes = graph.builder.nodes_of(operations)
    if isinstance(nodes, int):
        try:
            refuse_stranger(operations[nodes], graph.name, graph.operations)
        except Exception as error:
            error.add_note(f"at row {nodes} of connect_many()")
            raise
    return nodes, len(operations)
