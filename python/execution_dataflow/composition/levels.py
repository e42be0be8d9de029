"""Where the operations of nested graphs are in the one flat graph that is compiled."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NoReturn

from execution_dataflow.composition.interface import Interface
from execution_dataflow.composition.nested import NestedGraph
from execution_dataflow.composition.parameter import Parameter
from execution_dataflow.errors import UnknownOperationError, UnknownPortError
from execution_dataflow.names import stable_names
from execution_dataflow.operations import Operation, label_of

__all__ = ["LEFT_OUT", "Layout", "Level", "Selection"]

LEFT_OUT = 0xFFFF_FFFF
"""The place of a node that has none in the flat graph."""


_NO_INTERFACE = Interface((), ())


class Level:
    """One graph, at the place where it is nested.

    Parameters
    ----------
    operations : sequence of Operation
        Its operations.
    nested : NestedGraph, optional
        What it is in the graph around it.
    interface : Interface
        Where its inputs and outputs lead.

    Attributes
    ----------
    places : array of unsigned int
        For each operation where it is in the flat graph, or `LEFT_OUT`.
    children : dict of int to Level
        The graphs that are nested in it, by their nodes.
    parameters : dict of int to Parameter
        Its parameters, by their nodes.
    """

    __slots__ = ("children", "interface", "nested", "operations", "parameters", "places")

    def __init__(
        self, operations: Sequence[Operation], nested: NestedGraph | None = None, interface: Interface = _NO_INTERFACE
    ) -> None:
        self.operations = operations
        self.nested = nested
        self.interface = interface
        self.places = array("I")
        self.children: dict[int, Level] = {}
        self.parameters: dict[int, Parameter] = {}

    def place_of_output(self, node: int, index: int) -> tuple[int, int]:
        """Return where an output of one of its nodes is set in the flat graph."""
        child = self.children.get(node)
        if child is None:
            return self.places[node], index
        return child.own_output(index)

    def own_output(self, index: int) -> tuple[int, int]:
        """Return where an output of the nested graph itself is set in the flat graph."""
        out = self.interface.outputs[index]
        return self.place_of_output(out.node, out.port_index)

    def all_places(self) -> Iterator[int]:
        """Return where its operations are in the flat graph, and those of the graphs in it."""
        yield from (place for place in self.places if place != LEFT_OUT)
        for child in self.children.values():
            yield from child.all_places()


class Layout:
    """The nested graphs of a plan, and the names of their operations.

    Parameters
    ----------
    root : Level
        The outermost graph.
    count : int
        How many operations the flat graph has.
    """

    def __init__(self, root: Level, count: int) -> None:
        self.root = root
        self.count = count

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each operation: its path (rule G6)."""
        names = [""] * self.count
        _name(self.root, "", names)
        return tuple(names)

    @cached_property
    def _levels(self) -> tuple[tuple[str, Level], ...]:
        found: list[tuple[str, Level]] = []
        _walk(self.root, "", found)
        return tuple(found)

    @cached_property
    def _places(self) -> dict[int, list[int]]:
        places: dict[int, list[int]] = {}
        for _, level in self._levels:
            for operation, place in zip(level.operations, level.places, strict=True):
                if place != LEFT_OUT:
                    places.setdefault(id(operation), []).append(place)
        return places

    def find(self, operation: Operation) -> int:
        """Return where an operation is in the flat graph, or -1.

        Raises
        ------
        UnknownOperationError
            It is in the graph several times, because what it is part of is; or it is a parameter or a nested graph.
        """
        places = self._places.get(id(operation), ())
        if len(places) > 1:
            paths = " or ".join(repr(self.names[place]) for place in places[:5])
            raise UnknownOperationError(
                f"{label_of(operation)} is part of this graph {len(places)} times; say which one by its path: {paths}",
                operation=label_of(operation),
            )
        if places:
            return places[0]
        if isinstance(operation, Parameter | NestedGraph):
            self._refuse(operation)
        return -1

    @cached_property
    def nested(self) -> dict[str, Level]:
        """The nested graphs by their paths."""
        return {prefix[:-1]: level for prefix, level in self._levels if level is not self.root}

    def path_of(self, nested: NestedGraph) -> str | None:
        """Return the path of a nested graph; ``None`` for a stranger.

        Raises
        ------
        UnknownOperationError
            It is in the graph several times, because what it is part of is.
        """
        paths = [path for path, level in self.nested.items() if level.nested is nested]
        if len(paths) > 1:
            shown = " or ".join(map(repr, paths[:5]))
            raise UnknownOperationError(
                f"{label_of(nested)} is part of this graph {len(paths)} times; say which one by its path: {shown}",
                operation=label_of(nested),
            )
        return paths[0] if paths else None

    def output_of(self, nested: NestedGraph, port: str) -> tuple[int, int] | None:
        """Return which output in the flat graph an output of a nested graph is; ``None`` for a stranger."""
        path = self.path_of(nested)
        if path is None:
            return None
        index = nested.ports.output_index.get(port)
        if index is None:
            raise UnknownPortError(label_of(nested), port, list(nested.ports.output_index), "output")
        return self.nested[path].own_output(index)

    def places_in(self, nested: object) -> list[int]:
        """Return where the operations of a nested graph are; none for anything else."""
        inside = [child for _, level in self._levels for child in level.children.values() if child.nested is nested]
        return sorted(place for child in inside for place in child.all_places())

    def is_left_out(self, name: str) -> bool:
        """Return whether the graph has an operation of that name which is not in its plan; of a whole graph, none."""
        return False

    def _refuse(self, operation: Operation) -> NoReturn:
        label = label_of(operation)
        if isinstance(operation, Parameter):
            raise UnknownOperationError(f"{label!r} is a parameter, which does not run", operation=label)
        raise UnknownOperationError(
            f"{label!r} is a graph: ask for one of its operations, such as '{label}/name', or for one of its outputs",
            operation=label,
        )


class Selection:
    """The names of the operations that a part of a graph has; they keep those that they have in the whole.

    Parameters
    ----------
    whole : Layout
        The whole graph.
    places : sequence of int
        For each operation of the whole its place in the part, or `LEFT_OUT`.
    kept : sequence of int
        For each operation of the part its place in the whole.
    """

    def __init__(self, whole: Layout, places: Sequence[int], kept: Sequence[int]) -> None:
        self._whole = whole
        self._places = places
        self._kept = kept

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each operation."""
        return tuple(map(self._whole.names.__getitem__, self._kept))

    def find(self, operation: Operation) -> int:
        """Return where an operation is in the part, or -1.

        Raises
        ------
        UnknownOperationError
            It is part of the whole alone, or as `Layout.find` says.
        """
        place = self._whole.find(operation)
        return place if place < 0 else self._place(place)

    def output_of(self, nested: NestedGraph, port: str) -> tuple[int, int] | None:
        """Return which output in the part an output of a nested graph is; ``None`` for a stranger."""
        found = self._whole.output_of(nested, port)
        return None if found is None else (self._place(found[0]), found[1])

    def places_in(self, nested: object) -> list[int]:
        """Return where the operations of a nested graph are that the part has."""
        places = [self._places[place] for place in self._whole.places_in(nested)]
        return [place for place in places if place != LEFT_OUT]

    def is_left_out(self, name: str) -> bool:
        """Return whether the whole has an operation of that name, and the part has not."""
        return name in self._whole.names

    def _place(self, place: int) -> int:
        if self._places[place] == LEFT_OUT:
            name = self._whole.names[place]
            raise UnknownOperationError(
                f"{name!r} has not run: it is no target of this run, and no target needs it", operation=name
            )
        return self._places[place]


def _name(level: Level, prefix: str, names: list[str]) -> None:
    for node, name in enumerate(stable_names(level.operations)):
        child = level.children.get(node)
        if child is not None:
            _name(child, f"{prefix}{name}/", names)
        elif level.places[node] != LEFT_OUT:
            names[level.places[node]] = prefix + name


def _walk(level: Level, prefix: str, found: list[tuple[str, Level]]) -> None:
    found.append((prefix, level))
    if level.children:
        names = stable_names(level.operations)
        for node, child in level.children.items():
            _walk(child, f"{prefix}{names[node]}/", found)
