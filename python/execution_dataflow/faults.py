"""What can be wrong with a graph, told by name: the faults of one call, and those of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NoReturn

from execution_dataflow.errors import (
    CycleError,
    DuplicateNameError,
    GraphError,
    PortTypeError,
    UnconnectedInputError,
    UnknownOperationError,
    UnknownPortError,
)
from execution_dataflow.functions import OperationFunction
from execution_dataflow.names import duplicate_names, explicit_name, stable_names
from execution_dataflow.operations import Operation, label_of
from execution_dataflow.signatures import PortSignature, describe_type, ports_misfit

__all__ = ["refuse_addition", "refuse_stranger", "structural_faults", "types_never_fit", "unknown_port"]

_NO_PORT = -1  # the port of an order-only edge
_Edge = tuple[int, int, int, int]
_PlaceOf = Callable[[Operation | int], str | None]
_MOST_PLACES = 5  # a message is read by people


def structural_faults(
    found: Sequence[tuple[str, Any]],
    operations: Sequence[Operation],
    named: Sequence[Operation],
    names_of: Callable[[], Sequence[str]] | None = None,
    place_of: _PlaceOf = lambda where: None,
) -> list[GraphError]:
    """Return everything that is wrong with the shape of a graph and with its names.

    Parameters
    ----------
    found : sequence of (str, object)
        What the native core found.
    operations : sequence of Operation
        The operation of each node.
    named : sequence of Operation
        Those of them that have a name.
    names_of : callable, optional
        Returns the names of the nodes; by default they are worked out of the operations.
    place_of : callable
        Returns where an operation, or that of a node, was added, if that is known.

    Returns
    -------
    list of GraphError
        The faults.
    """
    faults: list[GraphError] = [
        _duplicate(name, [operation for operation in named if explicit_name(operation) == name], place_of)
        for name in duplicate_names(named)
    ]
    if not found:
        return faults
    names = stable_names(operations) if names_of is None else names_of()
    for kind, detail in found:
        if kind == "cycle":
            faults.append(_cycle(detail, operations, names, place_of))
        else:
            node, port = detail
            faults.append(_unconnected(operations[node], names[node], port, place_of(node)))
    return faults


def _duplicate(name: str, operations: Sequence[Operation], place_of: _PlaceOf) -> DuplicateNameError:
    known = [(operation, place) for operation in operations if (place := place_of(operation)) is not None]
    where = _listed(dict.fromkeys(f"{operation._implicit_name()} added at {place}" for operation, place in known))
    return DuplicateNameError(
        f"several operations are named {name!r}; give each a name of its own{where}",
        name=name,
        places=[place for _, place in known],
    )


def _listed(told: Iterable[str]) -> str:
    """Return the first few of what is told, as a remark at the end of a message."""
    items = list(told)
    rest = len(items) - _MOST_PLACES
    return f" ({', '.join(items[:_MOST_PLACES])}{f' and {rest} more' if rest > 0 else ''})" if items else ""


def _unconnected(operation: Operation, name: str, index: int, place: str | None) -> UnconnectedInputError:
    ports = operation.ports
    port_name = ports.inputs[index][0]
    return UnconnectedInputError(
        f"the required input {name}.{port_name} ({describe_type(ports.input_types[index])}) is not connected; "
        f"connect it, give it a constant, or make it optional{_added(operation, place)}",
        operation=name,
        port=port_name,
        place=place,
    )


def _added(operation: Operation, place: str | None) -> str:
    return "" if place is None else f" ({operation._implicit_name()} added at {place})"


def _cycle(
    edges: list[_Edge],
    operations: Sequence[Operation],
    names: Sequence[str],
    place_of: _PlaceOf,
) -> CycleError:
    path: list[str] = []
    text = ""
    for source, output, _, _ in edges:
        is_order = output == _NO_PORT
        path.append(names[source] if is_order else f"{names[source]}.{operations[source].ports.outputs[output][0]}")
        text += f"{path[-1]} {'=>' if is_order else '->'} "
    path.append(path[0])
    on_it = {names[source]: place_of(source) for source, *_ in edges}
    places = {name: place for name, place in on_it.items() if place is not None}
    where = _listed(f"{name} added at {place}" for name, place in places.items())
    return CycleError(f"the graph has a cycle: {text}{path[0]}{where}", path=path, places=places)


def types_never_fit(source: str, source_type: object, target: str, target_type: object) -> PortTypeError:
    """Return the error for two ports, given as ``operation.port``, that no value can satisfy."""
    gives, takes = describe_type(source_type), describe_type(target_type)
    why = ports_misfit(source_type, target_type)
    more = f": {why}" if why else ""
    return PortTypeError(
        f"{source} gives {gives}, which can never fit {target}, which takes {takes}{more}",
        source=source,
        target=target,
        source_type=gives,
        target_type=takes,
        reason=f"{gives} is no {takes}{more}",
    )


def unknown_port(
    operation: str, ports: PortSignature, name: str, direction: Literal["input", "output"]
) -> UnknownPortError:
    """Return the error for a port that an operation does not have in a direction."""
    known, opposite = ports.input_index, ports.output_index
    if direction == "output":
        known, opposite = opposite, known
    hint = f"{name!r} is one of its {'inputs' if direction == 'output' else 'outputs'}." if name in opposite else ""
    return UnknownPortError(operation, str(name), list(known), direction, hint)


def refuse_stranger(operation: object, graph: str, known: Sequence[Operation]) -> NoReturn:
    """Raise the error for what was to be connected and is no operation of the graph."""
    if not isinstance(operation, Operation):
        if callable(operation):
            refuse_addition(operation)
        raise TypeError(f"only operations that were added to {graph} can be connected, not {operation!r}")
    label = label_of(operation)
    twin = f" (that has another {label}, which is not this object)" if label in map(label_of, known) else ""
    raise UnknownOperationError(
        f"{label} is not an operation of {graph}{twin}; add it with add_operation() before it is connected",
        operation=label,
    )


def refuse_addition(operation: object) -> NoReturn:
    """Raise the error for what a graph cannot take."""
    if isinstance(operation, type):
        name = operation.__name__
        if issubclass(operation, Operation):
            raise TypeError(f"{name} is a class; add an instance: {name}()")
        raise TypeError(
            f"{name} is a class and no operation; wrap it in a function, such as def make(value): return {name}(value)"
        )
    if isinstance(operation, Operation):
        _ = operation.ports  # says that it was not initialised
    if isinstance(operation, OperationFunction):
        raise TypeError(f"{operation!r} is a function; use graph.add(), or its operation: {operation.label}.new()")
    if callable(operation):
        raise TypeError(f"{operation!r} is a function and no operation yet; graph.add() makes one of it")
    raise TypeError(f"a graph is made of operations and functions, not of {operation!r}")
