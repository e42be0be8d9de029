"""The graphs that are measured: for each node, the indices of its predecessors; predecessors come first.

A node of `SHAPES` has at most three predecessors, one for each input. `JOINS` have one node, the last, that takes any
number of them as a list.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

Shape = list[tuple[int, ...]]

_MOST_INPUTS = 3


def is_join(taken: tuple[int, ...]) -> bool:
    """Return whether a node takes its predecessors as one list, since they are more than a node has inputs."""
    return len(taken) > _MOST_INPUTS


def sinks(shape: Shape) -> list[int]:
    """Return the nodes that no other node takes: their values are what a run is for."""
    taken = {source for sources in shape for source in sources}
    return [node for node in range(len(shape)) if node not in taken]


def _width(nodes: int) -> int:
    """Rows of a hundred; in small graphs, as many rows as columns."""
    return max(3, min(100, math.isqrt(nodes)))


def chain(nodes: int) -> Shape:
    """Each node takes the one before."""
    return [(node - 1,) if node else () for node in range(nodes)]


def wide(nodes: int) -> Shape:
    """One source, and all others take it."""
    return [(0,) if node else () for node in range(nodes)]


def stencil(nodes: int, width: int = 0) -> Shape:
    """A ring of columns in one dimension; each node takes itself and its two neighbours in the row before."""
    shape: Shape = []
    width = width or _width(nodes)
    for node in range(nodes):
        row, column = divmod(node, width)
        above = (row - 1) * width
        shape.append((above + (column - 1) % width, above + column, above + (column + 1) % width) if row else ())
    return shape


def tree(nodes: int) -> Shape:
    """A binary reduction: half of the nodes are leaves, the others take two; an even one ends in one that takes one."""
    leaves = (nodes + 1) // 2
    last = leaves - 1
    inner: Shape = [(2 * node, 2 * node + 1) if node < last else (2 * node,) for node in range(nodes - leaves)]
    return [()] * leaves + inner


def random_layered(nodes: int) -> Shape:
    """Layers; each node takes one to three random nodes of the layer before."""
    choose, width = random.Random(2013), _width(nodes)
    shape: Shape = []
    for node in range(nodes):
        layer = node // width
        if not layer:
            shape.append(())
            continue
        before = range((layer - 1) * width, layer * width)
        shape.append(tuple(choose.sample(before, choose.randint(1, 3))))
    return shape


def fft(nodes: int) -> Shape:
    """Butterflies of at most 64 points: each node takes its own place and its partner's in the row before."""
    stages = min(6, _width(nodes).bit_length() - 1)
    points = 1 << stages
    shape: Shape = []
    for node in range(nodes):
        row, column = divmod(node, points)
        above = (row - 1) * points
        partner = column ^ (1 << (row - 1) % stages)
        shape.append((above + column, above + partner) if row else ())
    return shape


def wavefront(nodes: int) -> Shape:
    """A grid; each node takes the one above and the one to the left."""
    shape: Shape = []
    width = _width(nodes)
    for node in range(nodes):
        row, column = divmod(node, width)
        above = (node - width,) if row else ()
        left = (node - 1,) if column else ()
        shape.append(above + left)
    return shape


def wide_join(nodes: int) -> Shape:
    """One source, all others but the last take it, and the last takes all of those."""
    return [*wide(nodes - 1), tuple(range(1, nodes - 1))]


def independent(nodes: int) -> Shape:
    """Tasks that take nothing, and the last takes all of them: a map over as many items."""
    return [()] * (nodes - 1) + [tuple(range(nodes - 1))]


SHAPES: dict[str, Callable[[int], Shape]] = {
    "chain": chain,
    "wide": wide,
    "stencil": stencil,
    "tree": tree,
    "random": random_layered,
    "fft": fft,
    "wavefront": wavefront,
}

JOINS: dict[str, Callable[[int], Shape]] = {"wide join": wide_join, "map": independent}

ALL_SHAPES = SHAPES | JOINS
