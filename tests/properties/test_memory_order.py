"""On one worker no more values are alive than under Dask, on our shapes and on the graphs of Dask's own tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from memory_shapes import MAKERS, Shape, peak_of_order

from execution_dataflow import ExecutionContext, ExecutionEngine, GraphDefinition, InputPort, Operation, OutputPort

# Made by benches/memory_order.py, which is where Dask is needed.
PEAKS = json.loads((Path(__file__).parent.parent / "data" / "dask_peaks.json").read_text(encoding="utf-8"))["graphs"]


class Census:
    """Counts values while they live."""

    def __init__(self) -> None:
        self.alive = self.peak = 0
        self.order: list[int] = []


class Value:
    def __init__(self, census: Census) -> None:
        self.census = census
        census.alive += 1
        census.peak = max(census.peak, census.alive)

    def __del__(self) -> None:
        self.census.alive -= 1


class Root(Operation):
    made = OutputPort(Value)

    def __init__(self, census: Census, number: int) -> None:
        super().__init__()
        self.census, self.number = census, number

    def execute(self, context: ExecutionContext) -> None:
        self.census.order.append(self.number)
        self.set_output("made", Value(self.census))


class Inner(Root):
    taken = InputPort(Value, many=True)


def graph_of(shape: Shape, census: Census) -> GraphDefinition:
    graph = GraphDefinition()
    operations: list[Any] = [
        graph.add_operation((Inner if parents else Root)(census, task)) for task, parents in enumerate(shape)
    ]
    for task, parents in enumerate(shape):
        for parent in parents:
            graph.connect(operations[parent], "made", operations[task], "taken")
    return graph


def run_alone(shape: Shape) -> Census:
    census = Census()
    with ExecutionEngine(max_workers=1) as engine:
        engine.run(graph_of(shape, census)).raise_if_failed()
    return census


@pytest.mark.parametrize("name", sorted(PEAKS))
def test_no_more_values_are_alive_than_under_dask(name: str) -> None:
    theirs = PEAKS[name]
    shape = theirs.get("parents") or MAKERS[name]()
    census = run_alone(shape)
    assert census.alive == 0, "a run that is gone keeps nothing"
    assert census.peak == peak_of_order(shape, census.order), "values leave with their last consumer"
    assert census.peak <= min(theirs["threaded"], theirs["order"])


def test_every_shape_is_compared() -> None:
    assert MAKERS.keys() <= PEAKS.keys()
    assert len(PEAKS.keys() - MAKERS.keys()) >= 30


@pytest.mark.parametrize("name", ["split and join 20", "stencil 6x40", "random layers 8x20"])
def test_one_worker_takes_the_same_order_every_time(name: str) -> None:
    shape = MAKERS[name]()
    first = run_alone(shape).order
    assert all(run_alone(shape).order == first for _ in range(3))


@pytest.mark.parametrize("workers", [2, 4])
def test_several_workers_stay_near(workers: int) -> None:
    shape, peaks = MAKERS["split and join 20"](), []
    for _ in range(5):
        census = Census()
        with ExecutionEngine(max_workers=workers) as engine:
            engine.run(graph_of(shape, census)).raise_if_failed()
        assert sorted(census.order) == list(range(len(shape)))
        peaks.append(census.peak)
    # One worker needs 11; a scheduler that splits everything first needs 40, every time. A worker that the system keeps
    # from its one operation for long may hold up many joins.
    assert min(peaks) <= 11 + 4 * workers
