"""What feeds what in a graph, by the numbers of its operations: of a plan, or of a graph that has faults still."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple, Protocol

from execution_dataflow._core import GraphBuilder, Survey
from execution_dataflow._core import Plan as NativePlan
from execution_dataflow.errors import GraphError, UnknownOperationError
from execution_dataflow.names import stable_names
from execution_dataflow.nearest import nearest_name
from execution_dataflow.operations import Operation, label_of

__all__ = ["Bundle", "CompiledGraph", "DraftWiring", "Feed", "PlanWiring", "Wiring", "levels_of"]


class Feed(NamedTuple):
    """A channel into a known operation.

    Parameters
    ----------
    source : int
        The operation that it comes from.
    output, input : int
        The ports.
    """

    source: int
    output: int
    input: int


class Bundle(NamedTuple):
    """All that leads from one group of operations to another.

    Parameters
    ----------
    source, target : int
        The groups.
    channels : int
        How many channels.
    orders : int
        How many pairs of operations of which one only waits for the other.
    """

    source: int
    target: int
    channels: int
    orders: int


class CompiledGraph(Protocol):
    """What a plan has, as far as it is looked at here."""

    @property
    def name(self) -> str:
        """The name of the graph."""

    @property
    def core(self) -> NativePlan:
        """The native plan."""

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations, in the order in which they were added."""

    @property
    def names(self) -> tuple[str, ...]:
        """The stable identity of each operation."""


class Wiring:
    """The operations of a graph with their names, and what lies between them.

    Parameters
    ----------
    name : str
        The name of the graph.
    faults : sequence of GraphError
        What keeps it from running.
    """

    operations: tuple[Operation, ...]
    names: tuple[str, ...]

    def __init__(self, name: str, faults: Sequence[GraphError] = ()) -> None:
        self.name = name
        self.faults = tuple(faults)

    def __len__(self) -> int:
        return len(self.operations)

    def nodes_of(self, operation: object) -> list[int]:
        """Return the nodes of an operation, or of all operations of a nested graph.

        Parameters
        ----------
        operation : Operation or str
            The operation, its name, or the name of a nested graph.

        Returns
        -------
        list of int
            At least one node.

        Raises
        ------
        UnknownOperationError
            There is no such operation.
        """
        if not isinstance(operation, str):
            found = [node for node, known in enumerate(self.operations) if known is operation]
            if found:
                return found
            label = label_of(operation) if isinstance(operation, Operation) else repr(operation)
            raise UnknownOperationError(f"{label} is not an operation of {self.name}", operation=label)
        found = [node for node, name in enumerate(self.names) if name == operation]
        found = found or [node for node, name in enumerate(self.names) if name.startswith(f"{operation}/")]
        if found:
            return found
        nearest = nearest_name(operation, self.names)
        suggestion = f"; did you mean {nearest!r}?" if nearest else ""
        raise UnknownOperationError(
            f"{self.name} has no operation named {operation!r}{suggestion}", operation=operation
        )

    def levels(self) -> list[int]:
        """Return for each node the number of nodes before it on the longest path to it."""
        raise NotImplementedError

    def quotient(self, groups: Sequence[int]) -> list[Bundle]:
        """Return what leads from one group of nodes to another, given the group of each node."""
        raise NotImplementedError

    def lineage(self, nodes: Sequence[int], upstream: bool, with_order: bool) -> list[int]:
        """Return the nodes before some nodes, or behind them, in topological order."""
        raise NotImplementedError

    def shortest_path(self, source: int, target: int) -> list[int] | None:
        """Return the nodes of a shortest path of channels, with both ends."""
        raise NotImplementedError

    def feeds(self, node: int) -> list[Feed]:
        """Return the channels into a node, in the order of its inputs."""
        raise NotImplementedError


class PlanWiring(Wiring):
    """The wiring of a compiled graph, which the native core knows.

    Parameters
    ----------
    plan : CompiledGraph
        The plan.
    """

    def __init__(self, plan: CompiledGraph) -> None:
        super().__init__(plan.name)
        self._core = plan.core
        self._survey = Survey(plan.core)
        self.operations = plan.operations
        self.names = plan.names

    def levels(self) -> list[int]:
        """Return for each node the number of nodes before it on the longest path to it."""
        return self._survey.levels()

    def quotient(self, groups: Sequence[int]) -> list[Bundle]:
        """Return what leads from one group of nodes to another, given the group of each node."""
        return [Bundle(*bundle) for bundle in self._survey.quotient(groups)]

    def lineage(self, nodes: Sequence[int], upstream: bool, with_order: bool) -> list[int]:
        """Return the nodes before some nodes, or behind them, in topological order."""
        return self._survey.lineage(nodes, upstream, with_order)

    def shortest_path(self, source: int, target: int) -> list[int] | None:
        """Return the nodes of a shortest path of channels, with both ends."""
        return self._survey.shortest_path(source, target)

    def feeds(self, node: int) -> list[Feed]:
        """Return the channels into a node, in the order of its inputs."""
        inputs = self._core.feeders(node)
        return [Feed(source, output, into) for into, sources in enumerate(inputs) for source, output in sources]


class DraftWiring(Wiring):
    """The wiring of a graph that cannot be compiled yet, because of its faults; it may have cycles.

    Parameters
    ----------
    name : str
        The name of the graph.
    builder : GraphBuilder
        The graph under construction.
    faults : sequence of GraphError
        What keeps it from running.
    """

    def __init__(self, name: str, builder: GraphBuilder, faults: Sequence[GraphError]) -> None:
        super().__init__(name, faults)
        self.operations = builder.operations()
        # Explicit names may come twice here, which is one of the faults.
        self.names = stable_names(self.operations)
        self._feeds: list[list[Feed]] = [[] for _ in self.operations]
        for source, output, target, into in builder.edges():
            self._feeds[target].append(Feed(source, output, into))
        self._orders: list[list[int]] = [[] for _ in self.operations]
        for before, after in builder.orders():
            self._orders[after].append(before)

    @cached_property
    def _before(self) -> list[list[int]]:
        return [
            sorted({*(feed.source for feed in feeds), *orders})
            for feeds, orders in zip(self._feeds, self._orders, strict=True)
        ]

    def levels(self) -> list[int]:
        """Return for each node its level; what closes a cycle does not count."""
        pairs = [(before, node) for node, all_before in enumerate(self._before) for before in all_before]
        return levels_of(len(self), pairs)

    def quotient(self, groups: Sequence[int]) -> list[Bundle]:
        """Return what leads from one group of nodes to another, given the group of each node."""
        counts: dict[tuple[int, int], list[int]] = {}
        for node, group in enumerate(groups):
            sources = [feed.source for feed in self._feeds[node]]
            only_orders = set(self._orders[node]).difference(sources)
            for is_order, before in [*((0, source) for source in sources), *((1, before) for before in only_orders)]:
                if groups[before] != group:
                    counts.setdefault((groups[before], group), [0, 0])[is_order] += 1
        return [Bundle(*pair, *both) for pair, both in counts.items()]

    def lineage(self, nodes: Sequence[int], upstream: bool, with_order: bool) -> list[int]:
        """Return the nodes before some nodes, or behind them, level by level."""
        before = self._before if with_order else [[feed.source for feed in feeds] for feeds in self._feeds]
        neighbours = before if upstream else _reversed(before)
        found: set[int] = set()
        waiting = list(nodes)
        while waiting:
            for neighbour in neighbours[waiting.pop()]:
                if neighbour not in found:
                    found.add(neighbour)
                    waiting.append(neighbour)
        levels = self.levels()
        return sorted(found, key=lambda node: (levels[node], node))

    def shortest_path(self, source: int, target: int) -> list[int] | None:
        """Return the nodes of a shortest path of channels, with both ends."""
        then: dict[int, int] = {target: target}
        queue = deque([target])
        while queue:
            node = queue.popleft()
            if node == source:
                path = [source]
                while path[-1] != target:
                    path.append(then[path[-1]])
                return path
            for feed in self._feeds[node]:
                if feed.source not in then:
                    then[feed.source] = node
                    queue.append(feed.source)
        return None

    def feeds(self, node: int) -> list[Feed]:
        """Return the channels into a node, in the order of its inputs."""
        return sorted(self._feeds[node], key=lambda feed: feed.input)


def _reversed(before: Sequence[Iterable[int]]) -> list[list[int]]:
    after: list[list[int]] = [[] for _ in before]
    for node, all_before in enumerate(before):
        for source in all_before:
            after[source].append(node)
    return after


def levels_of(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Return levels for the nodes of any directed graph: longest paths, without the pairs that close a cycle.

    Parameters
    ----------
    count : int
        The number of nodes.
    pairs : iterable of (int, int)
        Source and target of each edge.

    Returns
    -------
    list of int
        For each node 0 or more; every edge that closes no cycle leads to a higher level.

    Examples
    --------
    >>> levels_of(3, [(0, 1), (1, 2), (0, 2)])
    [0, 1, 2]
    >>> levels_of(2, [(0, 1), (1, 0)])
    [0, 1]
    """
    after: list[list[int]] = [[] for _ in range(count)]
    waits = [0] * count
    for source, target in pairs:
        after[source].append(target)
        waits[target] += 1
    levels = [0] * count
    done = [False] * count
    ready = [node for node in range(count) if not waits[node]]
    left = 0
    while True:
        for node in ready:  # which grows
            done[node] = True
            for target in after[node]:
                if done[target]:
                    continue
                levels[target] = max(levels[target], levels[node] + 1)
                waits[target] -= 1
                if not waits[target]:
                    ready.append(target)
        while left < count and done[left]:
            left += 1
        if left == count:
            return levels
        # Every node that is left lies on a cycle or behind one: the first goes ahead.
        waits[left] = 0
        ready = [left]
