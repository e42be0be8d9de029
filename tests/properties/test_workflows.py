"""Graphs of the shapes of production workflows run to the right end; the real ones too, where they are at hand."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from workflow_shapes import FAMILIES, Shape, levels, profile

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OperationState,
    OutputPort,
    RetryPolicy,
)

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = Path(os.environ.get("EXECUTION_DATAFLOW_WFINSTANCES", ROOT.parent / "shared" / "data" / "wfinstances"))

# Tasks, edges and levels of the instance that each family's defaults stand for.
SIZES = {
    "1000genome": (52, 76, 3),
    "bacass": (11, 14, 5),
    "blast": (43, 120, 3),
    "epigenomics": (41, 48, 9),
    "sarek": (26, 50, 10),
    "seismology": (101, 100, 2),
    "soykb": (96, 194, 11),
    "srasearch": (22, 30, 3),
}


class Task(Operation):
    """Knows what is behind it: the number of paths to it, and the longest of them."""

    parents = InputPort(tuple, many=True, optional=True)
    reached = OutputPort(tuple)

    def execute(self, context: ExecutionContext) -> None:
        self.reached = combined(list(self.parents))


class AsyncTask(Task):
    async def execute(self, context: ExecutionContext) -> None:
        parents = list(self.parents)
        await asyncio.sleep(0)
        self.reached = combined(parents)


class BusyTask(Task):
    retry_policy = RetryPolicy(max_attempts=2)

    def execute(self, context: ExecutionContext) -> None:
        if context.attempt == 1:
            raise OSError("busy")
        self.reached = combined(list(self.parents))


def combined(parents: list[tuple[int, int]]) -> tuple[int, int]:
    return sum(paths for paths, _ in parents) or 1, 1 + max((level for _, level in parents), default=0)


def expected(shape: Shape) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = [(0, 0)] * len(shape)
    for task, _ in sorted(enumerate(levels(shape)), key=lambda item: item[1]):
        found[task] = combined([found[parent] for parent in shape[task]])
    return found


def graph_of(shape: Shape, kind: type[Task]) -> tuple[GraphDefinition, list[Task]]:
    graph = GraphDefinition("workflow")
    tasks = [graph.add(kind(name=f"task-{number}")) for number in range(len(shape))]
    for task, parents in zip(tasks, shape, strict=True):
        for parent in parents:
            graph.connect(tasks[parent], "reached", task, "parents")
    return graph, tasks


def check_runs(shape: Shape, kind: type[Task], workers: int) -> None:
    graph, tasks = graph_of(shape, kind)
    with ExecutionEngine(max_workers=workers, retain="all") as engine:
        result = engine.run(graph)
    assert result.is_successful(), result.get_error_message()
    assert [result.get_output(task, "reached") for task in tasks] == expected(shape)
    assert len(graph.channels) == sum(map(len, shape))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shape_has_the_size_of_its_workflow(family: str) -> None:
    shape = FAMILIES[family]()
    assert (len(shape), sum(map(len, shape)), max(levels(shape))) == SIZES[family]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("kind", [Task, AsyncTask, BusyTask])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_workflow_runs_to_the_right_end(family: str, kind: type[Task], workers: int) -> None:
    check_runs(FAMILIES[family](), kind, workers)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_failure_in_the_widest_level_leaves_the_other_branches_alone(family: str) -> None:
    shape = FAMILIES[family]()
    graph, tasks = graph_of(shape, Task)
    broken = len(shape) // 2

    def fail(context: ExecutionContext) -> None:
        raise RuntimeError("the node went away")

    tasks[broken].execute = fail  # type: ignore[method-assign]
    behind = {broken}
    for task, _ in sorted(enumerate(levels(shape)), key=lambda item: item[1]):
        if behind & set(shape[task]):
            behind.add(task)
    with ExecutionEngine(max_workers=3) as engine:
        result = engine.run(graph, failure_policy="continue")
    for number, task in enumerate(tasks):
        state = OperationState.UPSTREAM_FAILED if number in behind else OperationState.SUCCEEDED
        assert result.get_state(task) is (OperationState.FAILED if number == broken else state)
        assert result.blame(task) == (f"task-{broken}" if number in behind - {broken} else None)


def real_shape(path: Path) -> Shape:
    tasks = json.loads(path.read_text(encoding="utf-8"))["workflow"]["specification"]["tasks"]
    number = {task["id"]: index for index, task in enumerate(tasks)}
    return [[number[parent] for parent in task["parents"]] for task in tasks]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_real_workflow_has_the_generated_shape_and_runs(family: str) -> None:
    instances = sorted(COLLECTION.glob(f"{family}-*.json"))
    if not instances:
        pytest.skip("the collection of workflow instances is not here; EXECUTION_DATAFLOW_WFINSTANCES says where it is")
    shape = real_shape(instances[0])
    assert profile(shape) == profile(FAMILIES[family]())
    check_runs(shape, Task, 2)
