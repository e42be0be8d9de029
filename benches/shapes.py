"""The graphs that are measured: for each node, the indices of its predecessors; predecessors come first."""

from __future__ import annotations

import random
from collections.abc import Callable

Shape = list[tuple[int, ...]]

_WIDTH = 100


def chain(nodes: int) -> Shape:
    """Each node takes the one before."""
    return [(node - 1,) if node else () for node in range(nodes)]


def wide(nodes: int) -> Shape:
    """One source, and all others take it."""
    return [(0,) if node else () for node in range(nodes)]


def stencil(nodes: int) -> Shape:
    """Rows of 100; each node takes its neighbours in the row before."""
    shape: Shape = []
    for node in range(nodes):
        row, column = divmod(node, _WIDTH)
        above = (row - 1) * _WIDTH
        shape.append((above + (column - 1) % _WIDTH, above + column, above + (column + 1) % _WIDTH) if row else ())
    return shape


def tree(nodes: int) -> Shape:
    """A binary reduction: half of the nodes are leaves, each other node takes two."""
    leaves = (nodes + 1) // 2
    return [()] * leaves + [(2 * node, 2 * node + 1) for node in range(nodes - leaves) if 2 * node + 1 < leaves + node]


def random_layered(nodes: int) -> Shape:
    """Layers of 100; each node takes one to three random nodes of the layer before."""
    choose = random.Random(2013)
    shape: Shape = []
    for node in range(nodes):
        layer = node // _WIDTH
        if not layer:
            shape.append(())
            continue
        before = range((layer - 1) * _WIDTH, layer * _WIDTH)
        shape.append(tuple(choose.sample(before, choose.randint(1, 3))))
    return shape


SHAPES: dict[str, Callable[[int], Shape]] = {
    "chain": chain,
    "wide": wide,
    "stencil": stencil,
    "tree": tree,
    "random": random_layered,
}
