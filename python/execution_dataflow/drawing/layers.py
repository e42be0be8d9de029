"""The first half of a layered drawing: which layer each vertex lies on, and in which order.

The method is that of Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical System Structures",
IEEE Transactions on Systems, Man, and Cybernetics 11 (1981): cycles are broken, vertices are put on layers, long edges
get a dummy vertex on each layer that they cross, and sweeps by barycentres take crossings away. Layers are those of the
longest paths, and vertices with more successors than predecessors move down towards them, as in Gansner, Koutsofios,
North and Vo, "A Technique for Drawing Directed Graphs", IEEE Transactions on Software Engineering 19 (1993). Crossings
are counted as by Barth, Jünger and Mutzel, "Simple and Efficient Bilayer Cross Counting" (2002).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, sqrt

from execution_dataflow.wiring import levels_of

__all__ = ["Layering", "Segment", "layered"]

# Long edges get this many dummy vertices in all, the short ones first; the rest is drawn straight through.
_MOST_DUMMIES = 3000
_SWEEPS = 12
# Beyond so many pieces of edges a sweep takes long, and there are as few of them as this.
_MANY_SEGMENTS, _FEW_SWEEPS = 4000, 4


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of an edge, from one layer to the next.

    Parameters
    ----------
    upper, lower : int
        The vertices.
    upper_offset, lower_offset : float
        Where it meets them, from their middles.
    """

    upper: int
    lower: int
    upper_offset: float = 0.0
    lower_offset: float = 0.0


@dataclass(slots=True)
class Layering:
    """Vertices on layers.

    Parameters
    ----------
    layers : list of list of int
        The vertices of each layer, in their order; those from `count` on are dummies.
    layer_of : list of int
        The layer of each vertex.
    count : int
        How many vertices were given.
    segments : list of Segment
        The pieces of all edges that are led around.
    chains : list of list of int
        For each edge its dummies from top to bottom; none for an edge that is drawn straight through.
    straight : set of int
        The edges that are: those that lead upwards, since they close a cycle, and very long ones.
    """

    layers: list[list[int]]
    layer_of: list[int]
    count: int
    segments: list[Segment] = field(default_factory=list)
    chains: list[list[int]] = field(default_factory=list)
    straight: set[int] = field(default_factory=set)


def layered(
    count: int,
    edges: Sequence[Segment],
    top: Sequence[int] = (),
    bottom: Sequence[int] = (),
    *,
    may_wrap: bool = True,
) -> Layering:
    """Put the vertices of a directed graph on layers, in an order with few crossings.

    Parameters
    ----------
    count : int
        How many vertices there are.
    edges : sequence of Segment
        The edges.
    top, bottom : sequence of int
        Vertices that lie on a first layer, or on a last one, of their own.
    may_wrap : bool
        Whether a layer with very many vertices becomes several.

    Returns
    -------
    Layering
        Every edge that closes no cycle leads to a later layer.

    Examples
    --------
    >>> layered(3, [Segment(0, 1), Segment(1, 2), Segment(0, 2)]).layers
    [[0], [1, 3], [2]]
    """
    layer_of = _layers(count, [(edge.upper, edge.lower) for edge in edges], set(top), set(bottom), may_wrap)
    layering = Layering([], layer_of, count)
    _lead_around(layering, edges)
    layering.layers = [[] for _ in range(max(layer_of, default=-1) + 1)]
    for vertex in _first_order(layering):
        layering.layers[layer_of[vertex]].append(vertex)
    _take_crossings_away(layering)
    return layering


def _layers(count: int, pairs: Sequence[tuple[int, int]], top: set[int], bottom: set[int], may_wrap: bool) -> list[int]:
    layers = levels_of(count, pairs)
    after: list[list[int]] = [[] for _ in range(count)]
    before = [0] * count
    for source, target in pairs:
        if layers[source] < layers[target]:
            after[source].append(target)
            before[target] += 1
    # From the bottom up, so that whole branches follow.
    for vertex in sorted(range(count), key=layers.__getitem__, reverse=True):
        if after[vertex] and len(after[vertex]) > before[vertex]:
            layers[vertex] = min(layers[target] for target in after[vertex]) - 1
    if may_wrap:
        layers = _wrapped(layers, top | bottom)
    if top:
        layers = [0 if vertex in top else layer + 1 for vertex, layer in enumerate(layers)]
    if bottom:
        last = max(layers) + 1
        layers = [last if vertex in bottom else layer for vertex, layer in enumerate(layers)]
    return _without_gaps(layers)


def _wrapped(layers: Sequence[int], apart: set[int]) -> list[int]:
    """Spread the vertices of a wide layer over several: none of them waits for another."""
    inner = [vertex for vertex in range(len(layers)) if vertex not in apart]
    widest = max(8, ceil(1.6 * sqrt(len(inner))))
    members: dict[int, list[int]] = {}
    for vertex in inner:
        members.setdefault(layers[vertex], []).append(vertex)
    wrapped = list(layers)
    start = 0
    for layer in range(max(layers, default=-1) + 1):
        row = members.get(layer, [])
        rows = max(1, ceil(len(row) / widest))
        for place, vertex in enumerate(row):
            wrapped[vertex] = start + place * rows // len(row)
        for vertex in apart:
            if layers[vertex] == layer:
                wrapped[vertex] = start
        start += rows
    return wrapped


def _without_gaps(layers: Sequence[int]) -> list[int]:
    numbers = {layer: number for number, layer in enumerate(sorted(set(layers)))}
    return [numbers[layer] for layer in layers]


def _lead_around(layering: Layering, edges: Sequence[Segment]) -> None:
    layer_of = layering.layer_of
    spans = [layer_of[edge.lower] - layer_of[edge.upper] for edge in edges]
    layering.chains = [[] for _ in edges]
    left = _MOST_DUMMIES
    for number in sorted(range(len(edges)), key=spans.__getitem__):
        edge, span = edges[number], spans[number]
        if span < 1 or span - 1 > left:
            layering.straight.add(number)
            continue
        left -= span - 1
        chain = list(range(len(layer_of), len(layer_of) + span - 1))
        layer_of.extend(range(layer_of[edge.upper] + 1, layer_of[edge.lower]))
        layering.chains[number] = chain
        offsets = [edge.upper_offset, *[0.0] * (2 * len(chain)), edge.lower_offset]
        for place, (upper, lower) in enumerate(pairwise([edge.upper, *chain, edge.lower])):
            layering.segments.append(Segment(upper, lower, offsets[2 * place], offsets[2 * place + 1]))


def _first_order(layering: Layering) -> list[int]:
    """Depth first along the edges, so that what belongs together begins side by side."""
    total = len(layering.layer_of)
    below: list[list[int]] = [[] for _ in range(total)]
    for segment in layering.segments:
        below[segment.upper].append(segment.lower)
    order, seen = [], [False] * total
    for root in sorted(range(total), key=lambda vertex: (layering.layer_of[vertex], vertex)):
        waiting = [root]
        while waiting:
            vertex = waiting.pop()
            if seen[vertex]:
                continue
            seen[vertex] = True
            order.append(vertex)
            waiting.extend(reversed(below[vertex]))
    return order


def _take_crossings_away(layering: Layering) -> None:
    total = len(layering.layer_of)
    above: list[list[tuple[int, float, float]]] = [[] for _ in range(total)]
    below: list[list[tuple[int, float, float]]] = [[] for _ in range(total)]
    for segment in layering.segments:
        above[segment.lower].append((segment.upper, segment.upper_offset, segment.lower_offset))
        below[segment.upper].append((segment.lower, segment.lower_offset, segment.upper_offset))
    layers = layering.layers
    place = [0.0] * total
    for layer in layers:
        _number(layer, place)
    best, fewest = [list(layer) for layer in layers], _crossings(layers, below, place)
    sweeps = _SWEEPS if len(layering.segments) < _MANY_SEGMENTS else _FEW_SWEEPS
    for sweep in range(sweeps):
        if not fewest:
            break
        is_down = sweep % 2 == 0
        neighbours = above if is_down else below
        for layer in layers if is_down else reversed(layers):
            # Where vertices are met, left or right of the middle, decides between those of equal barycentres.
            middle = {vertex: _barycentre(neighbours[vertex], place, place[vertex]) for vertex in layer}
            layer.sort(key=middle.__getitem__)
            _number(layer, place)
        crossings = _crossings(layers, below, place)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    layering.layers = best


def _number(layer: Sequence[int], place: list[float]) -> None:
    for number, vertex in enumerate(layer):
        place[vertex] = float(number)


def _barycentre(neighbours: Sequence[tuple[int, float, float]], place: Sequence[float], own: float) -> float:
    if not neighbours:
        return own
    # An offset of a few hundred pixels is less than the distance to the next vertex.
    return sum(place[vertex] + offset * 1e-4 for vertex, offset, _ in neighbours) / len(neighbours)


def _crossings(
    layers: Sequence[Sequence[int]], below: Sequence[Sequence[tuple[int, float, float]]], place: Sequence[float]
) -> int:
    """Count the crossings between all pairs of neighbouring layers: the inversions, by a tree of sums."""
    total = 0
    for upper, lower in pairwise(layers):
        ends = [
            int(place[target])
            for vertex in upper
            for _, target in sorted((place[target] + offset * 1e-4, target) for target, offset, _ in below[vertex])
        ]
        tree = [0] * (len(lower) + 1)
        for seen, end in enumerate(ends):
            not_after, at = 0, end + 1
            while at:
                not_after += tree[at]
                at &= at - 1
            total += seen - not_after
            at = end + 1
            while at <= len(lower):
                tree[at] += 1
                at += at & -at
    return total
