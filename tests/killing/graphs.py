"""Graphs of all kinds of operations, each execution of which leaves a line in a file.

The lines are what the harness believes: they are written with O_APPEND when an operation has begun, in one call, so
that no kill can lose one or tear it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from execution_dataflow import (
    ExecutionContext,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    RetryPolicy,
    operation,
)
from execution_dataflow.process_errors import WorkerDied
from execution_dataflow.store_errors import StateConflictError

__all__ = ["GRAPHS", "TOTALS", "executions_in", "expected_totals"]

TOTALS = "totals"
"""The namespace of the state that operations share."""

# How long an operation takes that takes any time.
PAUSE = 0.002
ITEMS = 6
# Many update the same total at once; each conflict is somebody's success.
PATIENCE = RetryPolicy(max_attempts=50, delay_seconds=0.001, retry_on=StateConflictError)
# A worker process may be killed as often as the harness likes.
MANY_LIVES = RetryPolicy(max_attempts=50, retry_on=(WorkerDied, StateConflictError))


def note(name: str) -> None:
    """Leave a line that this operation is executed, in which process and in which execution of the run."""
    line = f"{name} {os.environ['KILLING_EXECUTION']} {os.getpid()}\n".encode()
    handle = os.open(os.environ["KILLING_EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, line)
    finally:
        os.close(handle)


def executions_in(path: str) -> list[tuple[str, int]]:
    """Return which operation was executed in which execution of the run, in the order in which they began."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [(line.split(" ")[0], int(line.split(" ")[1])) for line in file]


def count(context: ExecutionContext, name: str) -> None:
    """Count in the operation's own state, and in a total that all of them share."""
    context.state.update("successes", lambda number: number + 1, default=0)
    context.state.namespace(TOTALS).update(name, lambda number: number + 1, default=0)


@operation
def numbers(size: int, context: ExecutionContext) -> np.ndarray:
    note(context.operation_name)
    time.sleep(PAUSE)
    return context.rng().normal(size=size)


@operation(outputs=("low", "high"))
def limits(values: np.ndarray, context: ExecutionContext) -> tuple[float, float]:
    note(context.operation_name)
    return float(values.min()), float(values.max())


@operation
def scaled(values: np.ndarray, low: float, high: float, context: ExecutionContext) -> np.ndarray:
    note(context.operation_name)
    time.sleep(PAUSE)
    return (values - low) / (high - low)


class Tally(Operation):
    """Counts what went through it, in its own state and in a total, and says what it saw."""

    values = InputPort(np.ndarray)
    counted = OutputPort(dict)

    def __init__(self, name: str) -> None:
        super().__init__(name=name, retry_policy=PATIENCE)

    def execute(self, context: ExecutionContext) -> None:
        note(self.name)
        count(context, "tallies")
        time.sleep(PAUSE)
        self.counted = {"size": len(self.values), "sum": round(float(self.values.sum()), 9), "texts": ["ä", None]}


@operation(retry_policy=PATIENCE)
def piece(index: int, values: np.ndarray, context: ExecutionContext) -> np.ndarray:
    note(f"{context.operation_name}")
    time.sleep(PAUSE)
    context.state.namespace(TOTALS).update("pieces", lambda number: number + 1, default=0)
    return np.sort(values[index::ITEMS])


@operation
async def waited(counted: dict[str, Any], context: ExecutionContext) -> str:
    note(context.operation_name)
    await asyncio.sleep(PAUSE)
    return f"{counted['size']} values"


@operation(outputs=("small", "large"))
def both(values: np.ndarray, context: ExecutionContext) -> tuple[int, np.ndarray]:
    note(context.operation_name)
    return len(values), np.cumsum(values)


@operation
def gathered(pieces: list[Any], said: str, small: int, context: ExecutionContext) -> np.ndarray:
    note(context.operation_name)
    time.sleep(PAUSE)
    return np.concatenate([*pieces, [float(small), float(len(said))]])


@operation(outputs=("guess", "change"))
def nearer(guess: float, aim: float, context: ExecutionContext) -> tuple[float, float]:
    note(context.operation_name)
    time.sleep(PAUSE)
    better = (guess + aim) / 2
    return better, abs(better - guess)


def is_close(change: float) -> bool:
    return change < 0.2


@operation(dynamic=True)
def unfolded(size: int, context: ExecutionContext) -> Any:
    note(context.operation_name)
    inside = GraphDefinition("inside")
    ends = [
        inside.add(limits.new(name=f"limits_{part}"), values=inside.add(numbers.new(name=f"numbers_{part}"), size=size))
        for part in range(2)
    ]
    return inside, {"result": inside.add(lambda low, high: high - low, low=ends[0]["low"], high=ends[1]["high"])}


@operation(executor="process", retry_policy=MANY_LIVES)
def far(values: np.ndarray, context: ExecutionContext) -> np.ndarray:
    note(context.operation_name)
    time.sleep(5 * PAUSE)
    return np.sqrt(np.abs(values))


class FarTally(Operation):
    """Counts in a worker process."""

    values = InputPort(np.ndarray)
    mean = OutputPort(float)

    def __init__(self, name: str) -> None:
        super().__init__(name=name, executor="process", retry_policy=MANY_LIVES)

    def execute(self, context: ExecutionContext) -> None:
        note(self.name)
        time.sleep(5 * PAUSE)
        count(context, "tallies")
        self.mean = round(float(self.values.mean()), 12)


def mixed() -> GraphDefinition:
    """Functions, classes, a coroutine, maps, a loop, a dynamic operation, arrays as artifacts, and state."""
    graph = GraphDefinition("mixed")
    whole = []
    for branch in "abc":
        values = graph.add(numbers.new(name=f"numbers_{branch}"), size=3_000)
        ends = graph.add(limits.new(name=f"limits_{branch}"), values=values)
        flat = graph.add(scaled.new(name=f"scaled_{branch}"), values=values, low=ends["low"], high=ends["high"])
        counted = graph.add(Tally(f"tally_{branch}"), values=flat)
        said = graph.add(waited.new(name=f"waited_{branch}"), counted=counted)
        pieces = graph.map(piece.new(name=f"piece_{branch}"), over={"index": list(range(ITEMS))}, values=flat)
        two = graph.add(both.new(name=f"both_{branch}"), values=flat)
        small = two["small"]
        whole.append(graph.add(gathered.new(name=f"gathered_{branch}"), pieces=pieces, said=said, small=small))
        graph.output(f"large_{branch}", two["large"])
    span = graph.add(unfolded, size=200)
    near = graph.repeat_until(nearer, until=is_close, max_iterations=20, guess=0.0, aim=span)
    graph.output("span", span)
    graph.output("near", near["guess"])
    for number, array in enumerate(whole):
        graph.output(f"whole_{number}", array)
    return graph


def far_away() -> GraphDefinition:
    """Operations in worker processes, between some that are not."""
    graph = GraphDefinition("far_away")
    for branch in "ab":
        values = graph.add(numbers.new(name=f"numbers_{branch}"), size=50_000)
        first = graph.add(far.new(name=f"far_{branch}"), values=values)
        mean = graph.add(FarTally(f"tally_{branch}"), values=first)
        last = graph.add(far.new(name=f"last_{branch}"), values=first)
        ends = graph.add(limits.new(name=f"limits_{branch}"), values=last)
        graph.output(f"mean_{branch}", mean)
        graph.output(f"low_{branch}", ends["low"])
    return graph


GRAPHS: Mapping[str, Callable[[], GraphDefinition]] = {"mixed": mixed, "far_away": far_away}


def expected_totals(graph: str) -> dict[str, int]:
    """Return what the shared totals are when every operation has committed once."""
    return {"mixed": {"tallies": 3, "pieces": 3 * ITEMS}, "far_away": {"tallies": 2}}[graph]
