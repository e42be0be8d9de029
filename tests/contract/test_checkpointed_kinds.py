"""Whatever way an operation runs, it is kept by a checkpoint and taken over by the next run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import close_in_time

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OperationState,
    OutputPort,
    RetryPolicy,
    operation,
)

pytest.importorskip("sqlalchemy")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ExecutionEngine]:
    engine = ExecutionEngine(checkpoint=tmp_path / "runs.db", max_workers=2, failure_policy="continue")
    yield engine
    close_in_time(engine.close)


def twice(engine: ExecutionEngine, graph: GraphDefinition, **options: Any) -> None:
    """Run a graph, and again: then nothing runs, and everything is as before."""
    first = engine.run(graph, ExecutionContext("run"), retain="all", **options)
    first.raise_if_failed()
    again = engine.run(graph, ExecutionContext("run"), retain="all", **options)
    again.raise_if_failed()
    assert set(again.states.values()) <= {OperationState.RESTORED, OperationState.SKIPPED}, again.explain_resume()
    assert repr(again.outputs()) == repr(first.outputs())


@operation
def source() -> int:
    return 7


def double(x: int) -> int:
    return 2 * x


@operation
async def later(x: int) -> int:
    await asyncio.sleep(0)
    return x + 1


@operation(on_failure=operation(double))
def breaks(x: int) -> int:
    raise ValueError("always")


@operation(retry_policy=RetryPolicy(max_attempts=2))
def second_time(x: int, context: ExecutionContext) -> int:
    if context.attempt == 1:
        raise ValueError("once")
    return x


class Scaled(Operation):
    values = InputPort(np.ndarray, mutable=True)
    scaled = OutputPort(np.ndarray)
    largest = OutputPort(float, optional=True)

    def execute(self, context: ExecutionContext) -> None:
        values = self.values
        values *= 2
        self.scaled = values
        self.largest = float(values.max())


@operation
def ones(x: int) -> np.ndarray:
    return np.ones(x * 10_000)


def test_functions_classes_and_coroutines(engine: ExecutionEngine) -> None:
    graph = GraphDefinition("kinds")
    first = graph.add(source)
    graph.add(later, x=first)
    graph.add(second_time, x=first)
    graph.add(Scaled(), values=graph.add(ones, x=first))
    twice(engine, graph)


def test_operations_of_worker_processes(engine: ExecutionEngine) -> None:
    graph = GraphDefinition("processes")
    first = graph.add(source)
    graph.add(operation(double, executor="process"), x=first)
    graph.map(operation(double, executor="process", name="mapped"), over=[1, 2, 3])
    twice(engine, graph)


def test_operations_with_time_limits(engine: ExecutionEngine) -> None:
    graph = GraphDefinition("timed")
    graph.add(operation(double, timeout_seconds=30), x=graph.add(source))
    graph.map(operation(double, timeout_seconds=30, name="mapped"), over=[1, 2, 3])
    twice(engine, graph)


def test_what_stood_in_for_a_failure(engine: ExecutionEngine) -> None:
    graph = GraphDefinition("fallbacks")
    graph.add(breaks, x=graph.add(source))
    twice(engine, graph)


def test_nested_graphs_switches_and_maps_of_graphs(engine: ExecutionEngine) -> None:
    inner = GraphDefinition("inner")
    given = inner.parameter("x", int)
    inner.output("y", inner.add(double, x=inner.add(later, x=given)))
    graph = GraphDefinition("outer")
    first = graph.add(source)
    graph.add(inner, x=first)
    graph.map(inner, over=[1, 2, 3])
    parity = graph.switch(first, cases={"even": 0, "odd": 1}, by=lambda number: number % 2)
    half = graph.add(operation(double, name="half"), x=parity["even"])
    tripled = graph.add(operation(double, name="tripled"), x=parity["odd"])
    graph.add(operation(double, name="after"), x=graph.first_of(half, tripled))
    twice(engine, graph)


@pytest.mark.parametrize(
    "options", [{"debug": True}, {"contracts": "off"}, {"memory_limit": "1 GB"}, {"executor": "inline"}], ids=str
)
def test_engines_with_other_options(options: dict[str, Any], tmp_path: Path) -> None:
    graph = GraphDefinition("options")
    first = graph.add(source)
    graph.add(Scaled(), values=graph.add(ones, x=first))
    graph.map(double, over=[1, 2, 3])
    with ExecutionEngine(checkpoint=tmp_path / "runs.db", **options) as engine:
        twice(engine, graph)


def test_targets_and_overrides(engine: ExecutionEngine) -> None:
    graph = GraphDefinition("parts")
    first = graph.add(source)
    wanted = graph.add(double, x=first)
    graph.add(later, x=wanted)
    twice(engine, graph, targets=[wanted])
    # Another value is another configuration of what reads it.
    changed = engine.run(graph, ExecutionContext("run"), targets=[wanted], overrides={first["result"]: 50})
    assert changed.get_output(wanted) == 100


def test_a_failing_branch_does_not_keep_another_from_being_restored(engine: ExecutionEngine) -> None:
    graph = GraphDefinition("branches")
    first = graph.add(source)
    graph.add(operation(double, name="good"), x=first)
    bad = graph.add(operation(lambda x: 1 // (x - 7), name="bad"), x=first)
    graph.add(operation(double, name="after"), x=bad)
    for restored in ([], ["source", "good"]):
        result = engine.run(graph, ExecutionContext("run"))
        assert result.restored == restored
        assert result.get_state("after") is OperationState.UPSTREAM_FAILED
