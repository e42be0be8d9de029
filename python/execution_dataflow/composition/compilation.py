"""From a graph to the plan of a run: the whole, or the part that the run needs."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from execution_dataflow import _core
from execution_dataflow.composition.addresses import Addresses
from execution_dataflow.composition.flattening import Flat, flatten
from execution_dataflow.composition.given_values import Given
from execution_dataflow.composition.interface import Definition, graph_outputs
from execution_dataflow.composition.levels import LEFT_OUT, Layout, Level, Selection
from execution_dataflow.composition.parts import NestedPort, Port, part_of
from execution_dataflow.dimension_flow import dimension_faults
from execution_dataflow.errors import GraphValidationError
from execution_dataflow.faults import structural_faults
from execution_dataflow.node_specs import SpecTable
from execution_dataflow.operations import Operation, OutputReference
from execution_dataflow.places import place_in
from execution_dataflow.plan import Plan
from execution_dataflow.type_flow import type_faults

__all__ = ["compile_part", "compile_whole"]


def compile_whole(graph: Definition) -> tuple[Plan, Flat | None]:
    """Compile a graph.

    Parameters
    ----------
    graph : GraphDefinition
        The graph.

    Returns
    -------
    (Plan, Flat or None)
        The plan, and what it was compiled from if the graph has parameters or nested graphs.

    Raises
    ------
    GraphValidationError
        With all the faults.
    """
    flat = flatten(graph)
    if flat is None:
        outputs = graph_outputs(graph) if graph._declared_outputs else None
        return _compile(graph, graph._builder, None, (), outputs), None
    _raise(graph.name, flat.faults)
    return _compile(graph, flat.builder, flat.layout, _given(flat), _outputs(graph, flat)), flat


def compile_part(graph: Definition, targets: Iterable[Any] | None, overrides: Sequence[Any]) -> Plan:
    """Compile the part of a graph that a run needs.

    Parameters
    ----------
    graph : GraphDefinition
        The graph.
    targets : iterable or None
        What is wanted, as `Addresses.target` takes it.
    overrides : sequence
        Ports for which the run is given values, as `Addresses.port` takes them.

    Returns
    -------
    Plan
        The plan; runs of it are given the values of the parameters, and then of these ports in their order.

    Raises
    ------
    GraphValidationError
        The part has faults.
    UnknownOperationError, UnknownPortError, PortError, TypeError
        A target or a port does not exist.
    """
    flat = flatten(graph) or _plain(graph)
    _raise(graph.name, flat.faults)
    outputs = _outputs(graph, flat)
    addresses = Addresses(graph.name, flat, outputs)
    wanted = None if targets is None else [node for item in _several(targets) for node in addresses.target(item)]
    ports: dict[Port, int] = {}
    into_nested: dict[tuple[str, int], int] = {}
    given = list(_given(flat))
    for item in overrides:
        port = addresses.port(item)
        if isinstance(port, NestedPort):
            into_nested[port.path, port.port_index] = len(given)
            given.append(_given_nested(flat, port, item))
        else:
            ports[port] = len(given)
            given.append(_given_port(flat, port, item))
    whole = flat.builder
    if into_nested:
        flat = flatten(graph, into_nested) or flat
        _raise(graph.name, flat.faults)
    part = part_of(flat.builder, wanted, ports, whole)
    if wanted is not None:
        outputs = _of_targets(flat, wanted, outputs)
    kept = {name: (part.places[node], index) for name, (node, index) in outputs.items()}
    kept = {name: place for name, place in kept.items() if place[0] != LEFT_OUT}
    return _compile(graph, part.builder, Selection(flat.layout, part.places, part.kept), tuple(given), kept)


def _several(targets: Iterable[Any]) -> Iterable[Any]:
    if isinstance(targets, str | Operation | OutputReference):
        item = repr(targets) if isinstance(targets, str) else "..."
        raise TypeError(f"targets= takes a list, such as targets=[{item}], and not a single target: {targets!r}")
    return targets


def _plain(graph: Definition) -> Flat:
    level = Level(graph._builder.operations())
    level.places = array("I", range(len(level.operations)))
    return Flat(graph._builder, Layout(level, len(level.operations)), [], [])


def _outputs(graph: Definition, flat: Flat) -> dict[str, tuple[int, int]]:
    root = flat.layout.root
    return {name: root.place_of_output(node, index) for name, (node, index) in graph_outputs(graph).items()}


def _of_targets(flat: Flat, targets: Sequence[int], outputs: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Return the outputs of targets by name: what was asked for is kept, whether or not something else takes it."""
    known = {place: name for name, place in outputs.items()}
    places = [(node, port) for node in targets for port in enumerate(flat.builder.operation(node).ports.outputs)]
    paths = flat.layout.names
    return {
        known.get((node, index), f"{paths[node]}.{port_name}"): (node, index)
        for node, (index, (port_name, _)) in places
    }


def _given(flat: Flat) -> tuple[Given, ...]:
    return tuple(
        Given(str(parameter.name), parameter.data_type, parameter.ports.output_checks[0], parameter.default)
        for parameter in flat.parameters
    )


def _given_port(flat: Flat, port: Port, asked: Any) -> Given:
    ports = flat.builder.operation(port.node).ports
    port_name, declared = (ports.inputs if port.is_input else ports.outputs)[port.port_index]
    name = f"{flat.layout.names[port.node]}.{port_name}"
    check = (ports.input_checks if port.is_input else ports.output_checks)[port.port_index]
    # An input is looked at by its operation, which runs.
    checks = () if port.is_input else declared.checks
    return Given(name, declared.data_type, check, is_parameter=False, checks=checks, asked=asked)


def _given_nested(flat: Flat, port: NestedPort, asked: Any) -> Given:
    nested = flat.layout.nested[port.path].nested
    assert nested is not None
    name, declared = nested.ports.inputs[port.port_index]
    check = nested.ports.input_checks[port.port_index]
    return Given(f"{port.path}.{name}", declared.data_type, check, is_parameter=False, asked=asked)


def _raise(name: str, faults: Sequence[Any]) -> None:
    if faults:
        raise GraphValidationError(name, list(faults))


def _compile(
    graph: Definition,
    builder: _core.GraphBuilder,
    layout: Layout | Selection | None,
    given: tuple[Given, ...],
    outputs: dict[str, tuple[int, int]] | None,
) -> Plan:
    name, table = graph.name, SpecTable()
    core, found, named = builder.compile(table.resolve, table.specs)
    faults = list(table.faults)
    operations = builder.operations() if found else ()
    names = None if layout is None else (lambda: layout.names)
    # Names of nested graphs were looked at one by one.
    faults += structural_faults(found, operations, named if layout is None else (), names, partial(place_in, builder))
    _raise(name, faults)
    assert core is not None
    contracts = graph._contracts
    plan = Plan(
        name, core, table.specs, table.limited, layout=layout, given=given, outputs=outputs, contracts=contracts
    )
    if contracts != "off":
        along = type_faults(plan) if table.has_type_variables else []
        if plan.has_dimensions:
            along += dimension_faults(plan)
        _raise(name, along)
    return plan
