"""Operations that have another name in a second graph, and are otherwise what they were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Protocol

from execution_dataflow import _core
from execution_dataflow.operations import Operation

__all__ = ["renames_between"]

_PLAIN = (str, int, float, bool, bytes, type(None))


class Side(Protocol):
    """One of the graphs, by the names of its operations."""

    names: Sequence[str]
    operations: Sequence[Operation]
    core: _core.Plan
    survey: _core.Survey
    node_of: dict[str, int]


def renames_between(
    old: Side, new: Side, kind_of: Callable[[Operation], str], are_alike: Callable[[int, int], bool]
) -> dict[str, str]:
    """Return the operations of one graph that another one has under other names.

    One is renamed if it is the same operation, takes from the same and gives to the same, where these may have been
    renamed too; and if no other one could be meant.

    Parameters
    ----------
    old, new : Side
        The graphs.
    kind_of : callable
        Returns what alike operations have in common, as text.
    are_alike : callable
        Whether the operations of two nodes, and the constants that they are given, are the same.

    Returns
    -------
    dict of str to str
        For each of them, by its old name, its new one.
    """
    gone = [node for name, node in old.node_of.items() if name not in new.node_of]
    come = [node for name, node in new.node_of.items() if name not in old.node_of]
    if not gone or not come:
        return {}
    common = old.node_of.keys() & new.node_of.keys()
    before, after = _Shape(old, common, kind_of), _Shape(new, common, kind_of)
    counts, counts_now = Counter(map(before.label, gone)), Counter(map(after.label, come))
    places = {after.label(node): node for node in come}
    pairs = {
        node: places[label]
        for node in gone
        if counts[label := before.label(node)] == counts_now[label] == 1 and are_alike(node, places[label])
    }
    _keep_consistent(pairs, before, after)
    return {old.names[node]: new.names[twin] for node, twin in pairs.items()}


class _Shape:
    """The operations of one graph by where they stand in it, whatever those are called that the other has not."""

    def __init__(self, side: Side, common: Any, kind_of: Callable[[Operation], str]) -> None:
        self.side = side
        self.known = {node: name for name, node in side.node_of.items() if name in common}
        self._kind_of = kind_of
        self.inputs: dict[int, list[tuple[int, int, int]]] = {}
        self.waits: dict[int, set[int]] = {}
        self.outputs: dict[int, list[tuple[int, int, int]]] = {}
        self.followers: dict[int, set[int]] = {}
        self._constants: dict[int, str] = {}
        for node in range(len(side.names)):
            self._read(node)
        self._up: dict[int, bytes] = {}
        self._down: dict[int, bytes] = {}
        order = side.core.order()
        for node in order:
            feeds = [(into, self._up[source], output) for into, source, output in self.inputs[node]]
            waits = sorted(self._up[source] for source in self.waits[node])
            self._up[node] = self._digest(node, feeds, waits)
        for node in reversed(order):
            takes = sorted((output, self._down[target], into) for output, target, into in self.outputs.get(node, ()))
            follow = sorted(self._down[target] for target in self.followers.get(node, ()))
            self._down[node] = self._digest(node, takes, follow)

    def _read(self, node: int) -> None:
        feeds: list[tuple[int, int, int]] = []
        constants: list[str] = []
        for into, given in enumerate(self.side.survey.bindings(node)):
            for source, output, value in given:
                if source >= 0:
                    feeds.append((into, source, output))
                    self.outputs.setdefault(source, []).append((output, node, into))
                else:
                    constants.append(f"{into} {source} {output} {_glimpse(value)}")
        self.inputs[node] = feeds
        self._constants[node] = "\n".join(constants)
        feeding = {source for _, source, _ in feeds}
        self.waits[node] = {before for before in self.side.core.predecessors(node) if before not in feeding}
        for before in self.waits[node]:
            self.followers.setdefault(before, set()).add(node)

    def _digest(self, node: int, *wiring: object) -> bytes:
        name = self.known.get(node)
        if name is not None:
            facts: object = name
        else:
            facts = (self._kind_of(self.side.operations[node]), self._constants[node], wiring)
        return blake2b(repr((name is None, facts)).encode("utf-8", "backslashreplace"), digest_size=16).digest()

    def label(self, node: int) -> tuple[bytes, bytes]:
        """Return what tells a node by all that leads to it, and all that comes of it."""
        return self._up[node], self._down[node]

    def wiring(self, node: int, meant: Callable[[int], object]) -> tuple[Any, ...]:
        """Return what a node is connected to, as another graph calls it."""
        return (
            [(into, meant(source), output) for into, source, output in self.inputs[node]],
            {meant(source) for source in self.waits[node]},
            Counter((output, meant(target), into) for output, target, into in self.outputs.get(node, ())),
            {meant(target) for target in self.followers.get(node, ())},
        )


def _glimpse(value: object) -> str:
    """What can be said of a constant at little cost."""
    return repr(value) if type(value) in _PLAIN else type(value).__qualname__


def _keep_consistent(pairs: dict[int, int], before: _Shape, after: _Shape) -> None:
    """Take out pairs that are not connected alike, given the others; each that goes may take its neighbours along."""
    new_of = {node: after.side.node_of[name] for node, name in before.known.items()}

    def meant(node: int) -> int | None:
        return pairs.get(node, new_of.get(node))

    waiting = list(pairs)
    while waiting:
        node = waiting.pop()
        twin = pairs.get(node)
        if twin is None or before.wiring(node, meant) == after.wiring(twin, lambda each: each):
            continue
        del pairs[node]
        waiting += [source for _, source, _ in before.inputs[node]]
        waiting += [target for _, target, _ in before.outputs.get(node, ())]
        waiting += [*before.waits[node], *before.followers.get(node, ())]
