"""Nested graphs become one: their operations are copied to where they stand, and connections go through their ports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from execution_dataflow._core import GraphBuilder
from execution_dataflow.channels import DataChannel
from execution_dataflow.composition.interface import Definition, NestedInput
from execution_dataflow.composition.levels import LEFT_OUT, Layout, Level
from execution_dataflow.composition.nested import NestedGraph
from execution_dataflow.composition.parameter import Parameter
from execution_dataflow.errors import CycleError, DuplicateNameError, GraphError
from execution_dataflow.functions import FunctionOperation, OperationFunction
from execution_dataflow.names import duplicate_names, stable_names
from execution_dataflow.operations import OutputReference

__all__ = ["CONSTANT", "GIVEN", "MOST_NESTED", "OUTPUT", "Flat", "Source", "flatten", "new_builder", "revision_of"]

OUTPUT, CONSTANT, GIVEN = 0, 1, 2
"""Kinds of source, as the native builder reads them."""

MOST_NESTED = 300
"""Within how many others a graph can be nested: what walks through them has a stack."""

Source: TypeAlias = tuple[Any, ...]
"""``(OUTPUT, node, index)``, ``(CONSTANT, value)`` or ``(GIVEN, number)``."""


def new_builder() -> GraphBuilder:
    """Return an empty builder."""
    return GraphBuilder(DataChannel, OutputReference, OperationFunction, FunctionOperation)


def revision_of(graph: Definition) -> int:
    """Return what grows whenever a graph does; the graphs that are nested in it have revisions of their own."""
    return graph._builder.revision + len(graph._declared_outputs)


class Flat:
    """A graph without parameters and nested graphs.

    Parameters
    ----------
    builder : GraphBuilder
        Its operations and connections.
    layout : Layout
        The nested graphs, and the names.
    nested : list of (GraphDefinition, int)
        The graphs that were nested in it, and their revisions.
    faults : list of GraphError
        What is wrong.

    Attributes
    ----------
    parameters : tuple of Parameter
        What each run is given, in that order.
    """

    def __init__(
        self,
        builder: GraphBuilder,
        layout: Layout,
        nested: list[tuple[Definition, int]],
        faults: list[GraphError],
    ) -> None:
        self.builder = builder
        self.layout = layout
        self.parameters = tuple(layout.root.parameters.values())
        self.nested = nested
        self.faults = faults


def flatten(graph: Definition, given: Mapping[tuple[str, int], int] | None = None) -> Flat | None:
    """Return a graph without parameters and nested graphs, or ``None`` if it has none.

    Parameters
    ----------
    graph : GraphDefinition
        The graph.
    given : mapping of (str, int) to int, optional
        Inputs of nested graphs that each run is given values for, whatever they are connected to: the path of the
        nested graph and the index of the input, and the number of the value.

    Returns
    -------
    Flat or None
        The flat graph, with what is wrong in its `faults`.
    """
    if not graph._builder.nodes_of_classes((Parameter, NestedGraph)):
        return None
    return _Flattening(graph, given or {}).run()


class _Flattening:
    def __init__(self, graph: Definition, given: Mapping[tuple[str, int], int]) -> None:
        self._graph = graph
        self._given = given
        self._given_inputs: dict[tuple[Level, int], int] = {}
        self._builders: dict[Level, GraphBuilder] = {}
        self._parents: dict[Level, tuple[Level, int]] = {}
        self._inputs: dict[Level, list[list[Source]]] = {}
        self._resolving: set[tuple[Level, int]] = set()
        self._root = Level(graph._builder.operations())
        self._numbers: dict[int, int] = {}
        self._flat = new_builder()
        self._nested: list[tuple[Definition, int]] = []
        self._faults: list[GraphError] = []

    def run(self) -> Flat:
        self._place(self._root, self._graph, (self._graph,))
        self._numbers = {node: number for number, node in enumerate(self._root.parameters)}
        layout = Layout(self._root, len(self._flat))
        if not self._faults:
            self._given_inputs = {(layout.nested[path], index): number for (path, index), number in self._given.items()}
            for level in self._builders:
                self._connect(level)
            for level in self._builders:
                self._order(level)
            self._check_paths(layout.names)
        return Flat(self._flat, layout, self._nested, self._faults)

    def _place(self, level: Level, graph: Definition, path: tuple[Definition, ...]) -> None:
        builder = graph._builder
        self._builders[level] = builder
        if level is not self._root:
            self._nested.append((graph, revision_of(graph)))
        self._faults += [
            DuplicateNameError(f"several operations of graph {graph.name!r} are named {name!r}", name=name)
            for name in duplicate_names(level.operations)
        ]
        begin = 0
        for node in [*builder.nodes_of_classes((Parameter, NestedGraph)), len(level.operations)]:
            first = self._flat.copy_nodes(builder, begin, node)
            level.places.extend(range(first, first + node - begin))
            begin = node + 1
            if node == len(level.operations):
                break
            level.places.append(LEFT_OUT)
            operation = level.operations[node]
            if isinstance(operation, Parameter):
                level.parameters[node] = operation
            else:
                assert isinstance(operation, NestedGraph)
                self._place_nested(level, node, operation, path)

    def _place_nested(self, level: Level, node: int, nested: NestedGraph, path: tuple[Definition, ...]) -> None:
        if any(nested.graph is graph for graph in path):
            chain = " in ".join(repr(graph.name) for graph in (nested.graph, *reversed(path)))
            self._faults.append(GraphError(f"a graph cannot be nested in itself: {chain}"))
            return
        if len(path) > MOST_NESTED:
            self._faults.append(
                GraphError(
                    f"graph {nested.graph.name!r} is nested too deep: within {len(path)} others, and {MOST_NESTED} are "
                    "possible; add what belongs together to one graph, and what is to be done again and again with "
                    "graph.repeat_until"
                )
            )
            return
        try:
            interface = nested.interface()
        except GraphError as fault:
            self._faults.append(fault)
            return
        child = Level(nested.graph._builder.operations(), nested, interface)
        level.children[node] = child
        self._parents[child] = level, node
        self._place(child, nested.graph, (*path, nested.graph))

    def _connect(self, level: Level) -> None:
        """Copy the connections of one graph, and what is connected to the inputs that its operations lack."""
        builder, flat = self._builders[level], self._flat
        instead = {}
        try:
            for node in sorted({*level.children, *level.parameters}):
                for index in range(len(level.operations[node].ports.outputs)):
                    instead[node, index] = self._sources(level, node, index)
        except CycleError as fault:
            self._faults.append(fault)
            return
        flat.copy_links(builder, level.places.tobytes(), instead, [])
        for known, sources in self._inputs_of(level):
            # A graph that is nested once more asks for what it is handed down itself.
            if known.port_index is not None and known.node not in level.children:
                for source in sources:
                    flat.bind_source(level.places[known.node], known.port_index, source)

    def _sources(self, level: Level, node: int, index: int) -> list[Source]:
        """Return what an output of one of a graph's nodes is in the flat graph."""
        if node in level.parameters:
            return self._value_of(level, node)
        child = level.children.get(node)
        if child is None:
            return [(OUTPUT, level.places[node], index)]
        if (level, node) in self._resolving:
            name = stable_names(level.operations)[node]
            raise CycleError(f"nested graphs hand their inputs round in a circle, through {name}", path=[name, name])
        self._resolving.add((level, node))
        try:
            out = child.interface.outputs[index]
            return self._sources(child, out.node, out.port_index)
        finally:
            self._resolving.discard((level, node))

    def _value_of(self, level: Level, node: int) -> list[Source]:
        parameter = level.parameters[node]
        if level is self._root:
            return [(GIVEN, self._numbers[node])]
        for known, sources in self._inputs_of(level):
            if known.node == node and sources:
                return sources
        return [] if parameter.is_required else [(CONSTANT, parameter.default)]

    def _inputs_of(self, level: Level) -> Iterator[tuple[NestedInput, list[Source]]]:
        """Return the inputs of a nested graph, each with what it is connected to in the flat graph."""
        return zip(level.interface.inputs, self._given_to(level), strict=True)

    def _given_to(self, level: Level) -> list[list[Source]]:
        if level is self._root:
            return []
        known = self._inputs.get(level)
        if known is not None:
            return known
        parent, node = self._parents[level]
        inputs: list[list[Source]] = [[] for _ in parent.operations[node].ports.inputs]
        for index, source in self._builders[parent].sources_into(node):
            if (level, index) not in self._given_inputs:
                inputs[index] += self._sources(parent, *source[1:]) if source[0] == OUTPUT else [source]
        for index, sources in enumerate(inputs):
            if (level, index) in self._given_inputs:
                sources.append((GIVEN, self._given_inputs[level, index]))
            elif not sources:
                inputs[index] = self._handed_down(parent, node, index)
        self._inputs[level] = inputs
        return inputs

    def _handed_down(self, level: Level, node: int, index: int) -> list[Source]:
        """Return what an input of a node is connected to from outside of its graph, if it is an input of that too."""
        for known, sources in self._inputs_of(level):
            if (known.node, known.port_index) == (node, index):
                return sources
        return []

    def _order(self, level: Level) -> None:
        flat = self._flat
        orders = self._builders[level].orders()
        if not orders:
            return
        edges: list[tuple[int, int]] | None = None
        for before, after in orders:
            if before in level.children or after in level.children:
                edges = edges or [(source, target) for source, _, target, _ in flat.edges()] + flat.orders()
            lasts = _ends(level, before, edges or [], 0)
            firsts = _ends(level, after, edges or [], 1)
            for last in lasts:
                for first in firsts:
                    flat.order(last, first)

    def _check_paths(self, names: Sequence[str]) -> None:
        if len(set(names)) < len(names):
            seen: set[str] = set()
            for name in names:
                if name in seen:
                    self._faults.append(
                        DuplicateNameError(
                            f"several operations have the path {name!r}; name one of them otherwise", name=name
                        )
                    )
                seen.add(name)


def _ends(level: Level, node: int, edges: list[tuple[int, int]], side: int) -> list[int]:
    """Return the last (side 0) or first (side 1) operations of what stands at a node."""
    if node in level.parameters:
        return []
    child = level.children.get(node)
    if child is None:
        return [level.places[node]]
    inside = set(child.all_places())
    within = {edge[side] for edge in edges if edge[0] in inside and edge[1] in inside}
    return sorted(inside - within)
