"""What type checkers know of ports and results; `make lint` checks the assertions, a test runs them."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    FunctionOperation,
    GraphDefinition,
    InputPort,
    NestedGraph,
    Operation,
    OutputPort,
    operation,
)


class Split(Operation):
    """Ports as class attributes have the types of their values."""

    rows = InputPort(np.ndarray)
    weights = InputPort(float, many=True)
    limit = InputPort(int, optional=True)
    share = InputPort(float, default=0.5)
    head = OutputPort(np.ndarray)
    # Pyright takes what is assigned to self.counts into account, unless the attribute has an annotation.
    counts: OutputPort[dict[str, int]] = OutputPort(dict[str, int])

    def execute(self, context: ExecutionContext) -> None:
        assert_type(self.weights, list[float])
        assert_type(self.limit, int | None)
        assert_type(self.share, float)
        cut = round(len(self.rows) * self.share)
        self.head = self.rows[:cut]
        self.counts = {"head": cut, "limit": self.limit or 0, "weights": len(self.weights)}


@operation
def rows(count: int) -> np.ndarray:
    return np.arange(count)


@operation
def weight(value: float) -> float:
    return value


@operation
async def total(rows: np.ndarray) -> int:
    return int(rows.sum())


def main() -> None:
    """Build a graph and ask for its results."""
    graph = GraphDefinition("types")
    made = graph.add(rows, count=10)
    assert_type(made, FunctionOperation[np.ndarray])
    weights = [graph.add(weight, value=value) for value in (0.5, 1.5)]
    split = graph.add(Split(), rows=made, weights=weights)
    assert_type(split, Split)
    summed = graph.add(total, rows=split["head"])
    assert_type(summed, FunctionOperation[int])
    named = graph.add(total.new(name="again"), rows=split["head"])
    assert_type(named, FunctionOperation[int])
    inner = GraphDefinition("inner")
    inner.add(rows, count=inner.parameter("count", int))
    assert_type(graph.add(inner, count=3), NestedGraph)
    lengths = graph.add_many(weight, value=[1.0, 2.0])

    result = ExecutionEngine().run(graph, retain="all")
    assert_type(result.get_output(summed), int)
    assert_type(result.get_output(named), int)
    assert_type(result.get_output(lengths[0]), float)
    assert_type(result.get_output(split, Split.counts), dict[str, int])
    assert_type(result.get_output("Split", Split.counts), dict[str, int])
    assert_type(result.get_output(split, "counts"), Any)
    assert result.get_output(split, Split.counts) == result.get_output("Split", "counts")
    assert result.get_output(summed) == result.get_output(named) == 10
