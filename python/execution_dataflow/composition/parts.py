"""The part of a graph that one run needs: up to its targets, and down from what it is given instead."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from execution_dataflow._core import GraphBuilder
from execution_dataflow.composition.flattening import GIVEN, new_builder
from execution_dataflow.composition.levels import LEFT_OUT

__all__ = ["NestedPort", "Part", "Port", "part_of"]


class Port(NamedTuple):
    """A port of an operation in a flat graph, by its place and its index."""

    node: int
    port_index: int
    is_input: bool = False


class NestedPort(NamedTuple):
    """An input of a nested graph, by the path of that and its index."""

    path: str
    port_index: int


class Part(NamedTuple):
    """Some operations of a flat graph.

    Parameters
    ----------
    builder : GraphBuilder
        The operations and connections that are left.
    places : array of unsigned int
        For each operation of the whole its place in the part, or `LEFT_OUT`.
    kept : list of int
        For each operation of the part its place in the whole.
    """

    builder: GraphBuilder
    places: array[int]
    kept: list[int]


def part_of(
    builder: GraphBuilder, targets: Iterable[int] | None, overridden: Mapping[Port, int], whole: GraphBuilder
) -> Part:
    """Return what a run needs that has targets, or that is given what operations would have made.

    Parameters
    ----------
    builder : GraphBuilder
        A graph without parameters and nested graphs.
    targets : iterable of int or None
        The nodes that have to run; by default those that nothing follows.
    overridden : mapping of Port to int
        The outputs and inputs for which the run is given values, with their numbers among all that it is given.
    whole : GraphBuilder
        The same graph before inputs of nested graphs were given values: what fed only these ends nothing.

    Returns
    -------
    Part
        The targets and all that they need; an operation whose outputs are all given is not needed.
    """
    edges, orders = builder.edges(), builder.orders()
    inputs = {(port.node, port.port_index) for port in overridden if port.is_input}
    outputs = {(port.node, port.port_index) for port in overridden if not port.is_input}
    needs: dict[int, list[int]] = {}
    has_successor = {source for source, _, _, _ in whole.edges()}
    for source, output, target, into in edges:
        if (source, output) not in outputs and (target, into) not in inputs:
            needs.setdefault(target, []).append(source)
    for before, after in orders:
        has_successor.add(before)
        needs.setdefault(after, []).append(before)
    if targets is None:
        replaced = {node for node, _ in outputs}
        targets = (node for node in range(len(builder)) if node not in has_successor and node not in replaced)
    wanted = set(targets)
    waiting = list(wanted)
    while waiting:
        for node in needs.get(waiting.pop(), ()):
            if node not in wanted:
                wanted.add(node)
                waiting.append(node)
    return _copy(builder, sorted(wanted), overridden)


def _copy(builder: GraphBuilder, kept: list[int], overridden: Mapping[Port, int]) -> Part:
    part = new_builder()
    places = array("I", [LEFT_OUT]) * len(builder)
    begin = 0
    while begin < len(kept):
        end = begin + 1
        while end < len(kept) and kept[end] == kept[end - 1] + 1:
            end += 1
        part.copy_nodes(builder, kept[begin], kept[end - 1] + 1)
        for place in range(begin, end):
            places[kept[place]] = place
        begin = end
    instead: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
    inputs: list[tuple[Port, int]] = []
    for port, number in overridden.items():
        if port.is_input:
            inputs.append((port, number))
        else:
            instead[port.node, port.port_index] = [(GIVEN, number)]
    part.copy_links(builder, places.tobytes(), instead, [(port.node, port.port_index) for port, _ in inputs])
    for port, number in inputs:
        if places[port.node] != LEFT_OUT:
            part.bind_source(places[port.node], port.port_index, (GIVEN, number))
    for before, after in builder.orders():
        if places[before] != LEFT_OUT and places[after] != LEFT_OUT:
            part.order(places[before], places[after])
    return Part(part, places, kept)
