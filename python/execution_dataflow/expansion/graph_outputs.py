"""What a dynamic operation has returned: its graph, compiled, and which of its outputs are those of the operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from execution_dataflow.errors import ContractError, GraphError, PortError
from execution_dataflow.graph import GraphDefinition
from execution_dataflow.nearest import nearest_name
from execution_dataflow.operations import Operation, OutputReference
from execution_dataflow.plan import Plan

__all__ = ["outputs_for"]

_OPTIONAL = 1
_NONE = (-1, 0)


def outputs_for(name: str, operation: Operation, returned: Any) -> tuple[Plan, tuple[tuple[int, int], ...]]:
    """Read what a dynamic operation has returned.

    Parameters
    ----------
    name : str
        Its stable identity, for messages.
    operation : Operation
        The operation.
    returned : GraphDefinition or (GraphDefinition, mapping of str to Operation or OutputReference)
        A graph, and where its outputs are, unless their names say that.

    Returns
    -------
    tuple of (Plan, tuple)
        The plan, and for each output of the operation the index of the operation inside and that of its output; a
        negative one for an optional output that is not there.

    Raises
    ------
    ContractError
        It is something else, or an output is missing.
    GraphValidationError
        The graph has faults.
    """
    graph, named = returned, None
    if isinstance(returned, tuple) and len(returned) == 2:
        graph, named = returned
    if not isinstance(graph, GraphDefinition):
        raise ContractError(
            f"{name} is dynamic and must return a GraphDefinition, or one with a dict of its outputs, not "
            f"{type(returned).__name__}; leave out dynamic=True if what it returns is the value itself",
            operation=name,
        )
    plan = graph.compile()
    if named is None:
        found: Mapping[str, tuple[int, int]] = plan.outputs
    elif isinstance(named, Mapping):
        found = {port: _place(name, plan, port, source) for port, source in named.items()}
    else:
        raise ContractError(
            f"{name} must return its graph with a dict such as {{'result': operation}}, not with a "
            f"{type(named).__name__}",
            operation=name,
        )
    return plan, _matched(name, operation, found, is_named=named is not None)


def _place(name: str, plan: Plan, port: object, source: Any) -> tuple[int, int]:
    if not isinstance(source, Operation | OutputReference):
        raise ContractError(
            f"{name} says that its output {port!r} is {source!r}; give an operation of the graph, or one of its "
            "outputs, operation['port']",
            operation=name,
        )
    try:
        node, _, index = plan.output_of(source)
    except (GraphError, PortError) as fault:
        raise ContractError(f"{name} says where its output {port!r} is: {fault}", operation=name) from None
    return node, index


def _matched(
    name: str, operation: Operation, found: Mapping[str, tuple[int, int]], *, is_named: bool
) -> tuple[tuple[int, int], ...]:
    ports = operation.ports
    wanted = list(ports.output_index)
    if is_named:
        for given in found:
            if given not in ports.output_index:
                nearest = nearest_name(str(given), wanted)
                suggestion = f"; did you mean {nearest!r}?" if nearest else ""
                have = ", ".join(map(repr, wanted)) or "none"
                raise ContractError(
                    f"{name} has no output {given!r} for its graph to give{suggestion}. Its outputs: {have}",
                    operation=name,
                )
    elif len(wanted) == 1 and wanted[0] not in found and len(found) == 1:
        # One output on either side: its name says nothing.
        return (next(iter(found.values())),)
    places = []
    for port, flags in zip(wanted, ports.output_flags, strict=True):
        place = found.get(port)
        if place is None and not flags & _OPTIONAL:
            have = ", ".join(map(repr, found)) or "none"
            raise ContractError(
                f"{name} has an output {port!r}, and the graph that it returned has no output of that name; its "
                f"outputs: {have}. Say which it is: return graph, {{{port!r}: operation}}",
                operation=name,
            )
        places.append(_NONE if place is None else place)
    return tuple(places)
