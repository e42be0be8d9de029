"""Graphs whose order matters for memory: the parents of each task, tasks being numbers, parents first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

Shape = list[list[int]]


class _Tasks:
    """Tasks under construction."""

    def __init__(self) -> None:
        self.parents: Shape = []

    def one(self, *parents: int) -> int:
        self.parents.append(sorted(set(parents)))
        return len(self.parents) - 1

    def roots(self, count: int) -> list[int]:
        return [self.one() for _ in range(count)]

    def each(self, sources: list[int], *shared: int) -> list[int]:
        return [self.one(source, *shared) for source in sources]

    def reduce(self, level: list[int], fan: int = 2) -> int:
        while len(level) > 1:
            level = [self.one(*level[start : start + fan]) for start in range(0, len(level), fan)]
        return level[0]


def stencil(rows: int, width: int) -> Shape:
    """Each cell takes its neighbours in the row before."""
    tasks = _Tasks()
    row = tasks.roots(width)
    for _ in range(rows - 1):
        row = [tasks.one(*row[max(0, column - 1) : column + 2]) for column in range(width)]
    return tasks.parents


def ring_stencil(rows: int, width: int) -> Shape:
    """As `stencil`, and the ends are neighbours."""
    tasks = _Tasks()
    row = tasks.roots(width)
    for _ in range(rows - 1):
        row = [tasks.one(row[column - 1], row[column], row[(column + 1) % width]) for column in range(width)]
    return tasks.parents


def tree_reduction(leaves: int, fan: int = 2) -> Shape:
    tasks = _Tasks()
    tasks.reduce(tasks.roots(leaves), fan)
    return tasks.parents


def far_pairs_reduction(leaves: int) -> Shape:
    """A reduction that pairs the first half with the second."""
    tasks = _Tasks()
    level = tasks.roots(leaves)
    while len(level) > 1:
        half = len(level) // 2
        level = [tasks.one(level[place], level[place + half]) for place in range(half)]
    return tasks.parents


def map_reduce(parts: int, steps: int = 1, fan: int | None = None) -> Shape:
    tasks = _Tasks()
    level = tasks.roots(parts)
    for _ in range(steps):
        level = tasks.each(level)
    tasks.reduce(level, fan or parts)
    return tasks.parents


def shuffle(sources: int, targets: int) -> Shape:
    """Every source is split; every target gathers one part of each."""
    tasks = _Tasks()
    split = [[tasks.one(source) for _ in range(targets)] for source in tasks.roots(sources)]
    for target in range(targets):
        tasks.one(*[parts[target] for parts in split])
    return tasks.parents


def split_and_join(parts: int) -> Shape:
    """Two sources are split, the parts joined in pairs, the pairs reduced."""
    tasks = _Tasks()
    left, right = tasks.roots(2)
    lefts, rights = [tasks.one(left) for _ in range(parts)], [tasks.one(right) for _ in range(parts)]
    tasks.reduce([tasks.one(*pair) for pair in zip(lefts, rights, strict=True)], 4)
    return tasks.parents


def anomalies(years: int, months: int) -> Shape:
    """Each month of each year less the mean of that month, and all of that reduced: a climatology."""
    tasks = _Tasks()
    data = [tasks.roots(months) for _ in range(years)]
    means = [tasks.one(*[year[month] for year in data]) for month in range(months)]
    tasks.one(*[tasks.one(year[month], means[month]) for year in data for month in range(months)])
    return tasks.parents


def stored_anomalies(years: int, months: int) -> Shape:
    """As `anomalies`, with a task for each that stores it."""
    tasks = _Tasks()
    data = [tasks.roots(months) for _ in range(years)]
    means = [tasks.one(*[year[month] for year in data]) for month in range(months)]
    for year in data:
        tasks.each([tasks.one(year[month], means[month]) for month in range(months)])
    return tasks.parents


def less_the_mean(parts: int) -> Shape:
    """A mean of all parts, which is taken from each of them."""
    tasks = _Tasks()
    data = tasks.roots(parts)
    tasks.one(*tasks.each(data, tasks.reduce(data, 4)))
    return tasks.parents


def array_store(parts: int, steps: int = 3) -> Shape:
    """Chains that end in a task which also takes the place to store to."""
    tasks = _Tasks()
    place, *level = tasks.roots(parts + 1)
    for _ in range(steps):
        level = tasks.each(level)
    tasks.one(*tasks.each(level, place))
    return tasks.parents


def map_overlap(width: int, steps: int) -> Shape:
    """Blocks take slices of their neighbours."""
    tasks = _Tasks()
    row = tasks.roots(width)
    for _ in range(steps):
        lows, highs = tasks.each(row), tasks.each(row)
        row = [
            tasks.one(row[place], *highs[max(0, place - 1) : place], *lows[place + 1 : place + 2])
            for place in range(width)
        ]
    tasks.each(row)
    return tasks.parents


def matrix_product(blocks: int) -> Shape:
    tasks = _Tasks()
    left, right = tasks.roots(blocks * blocks), tasks.roots(blocks * blocks)
    for row in range(blocks):
        for column in range(blocks):
            pairs = [(left[row * blocks + k], right[k * blocks + column]) for k in range(blocks)]
            tasks.one(*[tasks.one(*pair) for pair in pairs])
    return tasks.parents


def butterfly(levels: int) -> Shape:
    """The exchanges of a fast Fourier transform."""
    tasks = _Tasks()
    row = tasks.roots(1 << levels)
    for level in range(levels):
        row = [tasks.one(row[place], row[place ^ (1 << level)]) for place in range(len(row))]
    return tasks.parents


def wavefront(size: int) -> Shape:
    """Each cell takes the one above and the one to the left."""
    tasks = _Tasks()
    for cell in range(size * size):
        above = [cell - size] if cell >= size else []
        tasks.one(*above, *([cell - 1] if cell % size else []))
    return tasks.parents


def cholesky(blocks: int) -> Shape:
    """The blocked factorisation, each update taking the block as it was."""
    tasks = _Tasks()
    latest: dict[tuple[int, int], int] = {}

    def update(row: int, column: int, *others: int) -> None:
        before = [latest[row, column]] if (row, column) in latest else []
        latest[row, column] = tasks.one(*before, *others)

    for step in range(blocks):
        update(step, step)
        for row in range(step + 1, blocks):
            update(row, step, latest[step, step])
        for row in range(step + 1, blocks):
            for column in range(step + 1, row + 1):
                update(row, column, latest[row, step], latest[column, step])
    return tasks.parents


def random_layers(layers: int, width: int, seed: int) -> Shape:
    random = Random(seed)
    tasks = _Tasks()
    row = tasks.roots(width)
    for _ in range(layers - 1):
        row = [tasks.one(*random.sample(row, random.randint(1, 3))) for _ in range(width)]
    return tasks.parents


def broadcast(parts: int) -> Shape:
    """One value that every part is joined with, then a reduction."""
    tasks = _Tasks()
    shared, *parts_of_it = tasks.roots(parts + 1)
    tasks.reduce(tasks.each(parts_of_it, shared), 4)
    return tasks.parents


def two_reductions(parts: int) -> Shape:
    """A sum and a count over the same parts."""
    tasks = _Tasks()
    data = tasks.roots(parts)
    tasks.one(tasks.reduce(tasks.each(data), 4), tasks.reduce(tasks.each(data), 4))
    return tasks.parents


def stages(items: int, models: int) -> Shape:
    """Every item passes through stages that each need a value of their own."""
    tasks = _Tasks()
    shared, level = tasks.roots(models), tasks.roots(items)
    for model in shared:
        level = tasks.each(level, model)
    tasks.one(*level)
    return tasks.parents


MAKERS: Mapping[str, Callable[[], Shape]] = {
    "stencil 4x16": lambda: stencil(4, 16),
    "stencil 10x10": lambda: stencil(10, 10),
    "stencil 32x8": lambda: stencil(32, 8),
    "stencil 6x40": lambda: stencil(6, 40),
    "ring stencil 10x12": lambda: ring_stencil(10, 12),
    "tree reduction 100": lambda: tree_reduction(100),
    "tree reduction 256": lambda: tree_reduction(256),
    "tree reduction 100 by 8": lambda: tree_reduction(100, 8),
    "far pairs 64": lambda: far_pairs_reduction(64),
    "map and reduce 100": lambda: map_reduce(100),
    "map, map, map and reduce 50 by 4": lambda: map_reduce(50, 3, 4),
    "shuffle 8x8": lambda: shuffle(8, 8),
    "shuffle 20x5": lambda: shuffle(20, 5),
    "split and join 20": lambda: split_and_join(20),
    "anomalies 6x12": lambda: anomalies(6, 12),
    "stored anomalies 6x12": lambda: stored_anomalies(6, 12),
    "less the mean 30": lambda: less_the_mean(30),
    "array store 20": lambda: array_store(20),
    "map overlap 20": lambda: map_overlap(20, 1),
    "map overlap 10, four times": lambda: map_overlap(10, 4),
    "matrix product 5": lambda: matrix_product(5),
    "butterfly 5": lambda: butterfly(5),
    "wavefront 12": lambda: wavefront(12),
    "cholesky 7": lambda: cholesky(7),
    "random layers 8x20": lambda: random_layers(8, 20, 0),
    "random layers 30x6": lambda: random_layers(30, 6, 0),
    "broadcast 30": lambda: broadcast(30),
    "two reductions 64": lambda: two_reductions(64),
    "stages 12x5": lambda: stages(12, 5),
}
"""Every shape by name."""


def peak_of_order(shape: Shape, order: list[int]) -> int:
    """How many values are alive at most: one for each task, until its last consumer is done; results stay."""
    left = [0] * len(shape)
    for parents in shape:
        for parent in parents:
            left[parent] += 1
    alive = peak = 0
    for task in order:
        alive += 1
        peak = max(peak, alive)
        for parent in shape[task]:
            left[parent] -= 1
            alive -= left[parent] == 0
    return peak
