"""The second half of a layered drawing: where on its layer each vertex lies.

Every vertex wants to be in the middle of its neighbours on the layer before, then on the layer behind, and so on for
some rounds. What the vertices of one layer want is met as well as possible, in the sense of least squares, with their
order and distances kept: an isotonic regression, solved by pooling adjacent violators (Ayer et al. 1955). Edges between
dummies weigh most, so that long edges become straight, as in Gansner et al. (1993).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from execution_dataflow.drawing.layers import Layering

__all__ = ["coordinates"]

_ROUNDS = 8
# Gansner et al. (1993), section 4.1: an edge between two dummies, one at a dummy, one between vertices.
_WEIGHTS = (1.0, 2.0, 8.0)
# How much a vertex holds on to where it is, against an edge of weight 1.
_INERTIA = 0.05


def coordinates(layering: Layering, widths: Sequence[float], gap: float, dummy_gap: float) -> list[float]:
    """Return where the middle of each vertex lies across the layers.

    Parameters
    ----------
    layering : Layering
        The layers.
    widths : sequence of float
        How wide each vertex is; dummies have no width.
    gap : float
        How far apart vertices lie at least.
    dummy_gap : float
        How far an edge that passes stays from its neighbours.

    Returns
    -------
    list of float
        For each vertex, dummies included; vertices of one layer do not overlap.
    """
    count = layering.count
    total = len(layering.layer_of)
    width_of = [*widths, *[0.0] * (total - count)]
    near: tuple[list[list[tuple[int, float, float]]], ...] = ([[] for _ in range(total)], [[] for _ in range(total)])
    for segment in layering.segments:
        weight = _WEIGHTS[(segment.upper >= count) + (segment.lower >= count)]
        near[0][segment.lower].append((segment.upper, segment.upper_offset - segment.lower_offset, weight))
        near[1][segment.upper].append((segment.lower, segment.lower_offset - segment.upper_offset, weight))
    steps = [_steps(layer, width_of, count, gap, dummy_gap) for layer in layering.layers]
    place = [0.0] * total
    for layer, offsets in zip(layering.layers, steps, strict=True):
        middle = offsets[-1] / 2
        for vertex, offset in zip(layer, offsets, strict=True):
            place[vertex] = offset - middle
    rows = list(zip(layering.layers, steps, strict=True))
    for turn in range(_ROUNDS):
        # The last rounds look both ways, so that neither side has the last word.
        sides = (near[turn % 2],) if turn < _ROUNDS - 2 else near
        for layer, offsets in rows if turn % 2 == 0 else reversed(rows):
            _settle(layer, offsets, sides, place)
    return place


def _steps(layer: Sequence[int], widths: Sequence[float], count: int, gap: float, dummy_gap: float) -> list[float]:
    """Return for each vertex of a layer how far it lies from the first one at least."""
    steps = [0.0]
    for left, right in pairwise(layer):
        apart = gap if left < count and right < count else dummy_gap
        steps.append(steps[-1] + (widths[left] + widths[right]) / 2 + apart)
    return steps


def _settle(
    layer: Sequence[int],
    offsets: Sequence[float],
    sides: Sequence[Sequence[Sequence[tuple[int, float, float]]]],
    place: list[float],
) -> None:
    # Without the least distances, what is left is an order: a sequence of numbers that must not fall.
    blocks: list[tuple[float, float, int]] = []  # the sum of what is wanted, its weight, how many vertices
    for vertex, offset in zip(layer, offsets, strict=True):
        wanted, weight = place[vertex] * _INERTIA, _INERTIA
        for side in sides:
            for neighbour, shift, edge_weight in side[vertex]:
                wanted += (place[neighbour] + shift) * edge_weight
                weight += edge_weight
        block = (wanted - offset * weight, weight, 1)
        while blocks and blocks[-1][0] * block[1] > block[0] * blocks[-1][1]:
            before = blocks.pop()
            block = (before[0] + block[0], before[1] + block[1], before[2] + block[2])
        blocks.append(block)
    at = 0
    for total, weight, size in blocks:
        for position in range(at, at + size):
            place[layer[position]] = total / weight + offsets[position]
        at += size
