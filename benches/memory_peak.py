"""How much memory arrays take at most, ours beside Dask's threaded scheduler: ``python benches/memory_peak.py``.

Every task gives an array of a megabyte, which adds up what it takes; the results are compared. The peak is what
tracemalloc counts, numpy's buffers included. Runs of both engines take turns, and the table shows medians and their
ratio. Dask must be installed.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from execution_dataflow import ExecutionContext, ExecutionEngine, GraphDefinition, InputPort, Operation, OutputPort

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from memory_shapes import Shape, map_reduce, shuffle, split_and_join, stencil, tree_reduction

Array = NDArray[np.float64]
_ITEMS = 131_072  # a megabyte

SHAPES: dict[str, Callable[[], Shape]] = {
    "stencil 12x24": partial(stencil, 12, 24),
    "stencil 40x10": partial(stencil, 40, 10),
    "tree reduction 128": partial(tree_reduction, 128),
    "map and reduce by 4, 100": partial(map_reduce, 100, 1, 4),
    "shuffle 10x10": partial(shuffle, 10, 10),
    "split and join 40": partial(split_and_join, 40),
}


def add_up(task: int, taken: Sequence[Array]) -> Array:
    """An array of its own, whatever is taken."""
    total = np.full(_ITEMS, float(task % 7))
    for array in taken:
        total += array
    return total


class Sum(Operation):
    """Adds its inputs up."""

    taken = InputPort(np.ndarray, many=True, optional=True)
    made = OutputPort(np.ndarray)

    def __init__(self, task: int) -> None:
        super().__init__()
        self.task = task

    def execute(self, context: ExecutionContext) -> None:
        """Add."""
        self.set_output("made", add_up(self.task, self.get_input("taken")))


def sinks(shape: Shape) -> list[int]:
    """The tasks whose values are the results."""
    taken = {parent for parents in shape for parent in parents}
    return [task for task in range(len(shape)) if task not in taken]


def ours(shape: Shape, workers: int) -> Callable[[], float]:
    """A run by this library."""
    graph = GraphDefinition()
    tasks = [Sum(number) for number in range(len(shape))]
    for task in tasks:
        graph.add_operation(task)
    for number, parents in enumerate(shape):
        for parent in parents:
            graph.connect(tasks[parent], "made", tasks[number], "taken")
    graph.compile()

    def run() -> float:
        with ExecutionEngine(max_workers=workers) as engine:
            result = engine.run(graph)
            result.raise_if_failed()
            return float(sum(result.get_output(tasks[sink], "made")[0] for sink in sinks(shape)))

    return run


def dasks(shape: Shape, workers: int) -> Callable[[], float]:
    """A run by Dask's threaded scheduler."""
    from dask.threaded import get

    def task(number: int, *taken: Array) -> Array:
        return add_up(number, taken)

    graph: dict[str, Any] = {
        f"task-{number:05}": (task, number, *[f"task-{parent:05}" for parent in parents])
        for number, parents in enumerate(shape)
    }
    wanted = [f"task-{sink:05}" for sink in sinks(shape)]
    return lambda: float(sum(array[0] for array in get(graph, wanted, num_workers=workers)))


def peak_megabytes(run: Callable[[], float]) -> tuple[float, float]:
    """The result of a run, and how much more than before it was allocated at most."""
    gc.collect()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    result = run()
    _, peak = tracemalloc.get_traced_memory()
    return result, (peak - before) / (_ITEMS * 8)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    tracemalloc.start()
    print(f"{'shape':28}{'workers':>8}{'ours':>8}{'dask':>8}{'ratio':>8}   (peak in MB, median of {rounds})")
    for name, make in SHAPES.items():
        for workers in (1, 2):
            runs = ours(make(), workers), dasks(make(), workers)
            samples: tuple[list[float], list[float]] = [], []
            for _ in range(rounds):
                results = set()
                for run, peaks in zip(runs, samples, strict=True):
                    result, peak = peak_megabytes(run)
                    results.add(result)
                    peaks.append(peak)
                assert len(results) == 1, f"{name}: the engines disagree"
            mine, theirs = map(statistics.median, samples)
            print(f"{name:28}{workers:8}{mine:8.1f}{theirs:8.1f}{mine / theirs:8.2f}", flush=True)


if __name__ == "__main__":
    main()
