"""What an operation costs that does nothing, beside the hand-written loop over the same graph."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from contenders import engine_of, graph_of, loop_of
from pytest_benchmark.fixture import BenchmarkFixture
from shapes import SHAPES

from execution_dataflow import ExecutionEngine, GraphDefinition

NODES = 20_000


@pytest.fixture(params=[1, 2], ids=["1_worker", "2_workers"])
def engine(request: pytest.FixtureRequest) -> Iterator[ExecutionEngine]:
    with ExecutionEngine(max_workers=request.param) as engine:
        yield engine


@pytest.mark.parametrize("shape", SHAPES)
def test_loop(benchmark: BenchmarkFixture, shape: str) -> None:
    benchmark.group = shape
    assert benchmark(loop_of(SHAPES[shape](NODES))) == 1


@pytest.mark.parametrize("kind", ["function", "class"])
@pytest.mark.parametrize("shape", SHAPES)
def test_engine(benchmark: BenchmarkFixture, engine: ExecutionEngine, shape: str, kind: str) -> None:
    benchmark.group = shape
    assert benchmark(engine_of(graph_of(SHAPES[shape](NODES), kind), engine)) == 1


def test_one_operation(benchmark: BenchmarkFixture, engine: ExecutionEngine) -> None:
    """What a whole run costs on an engine that is reused."""
    benchmark.group = "one operation"
    graph = GraphDefinition()
    one = graph.add(lambda: 1)
    assert benchmark(lambda: engine.run(graph).get_output(one)) == 1
