"""Operations whose results are kept, and that leave a trace where they compute: a line in a file for each time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from execution_dataflow import (
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    operation,
)


def note(trace: str, text: object) -> None:
    """Leave a line in a file; one write, so that processes do not mix theirs."""
    with open(trace, "ab", buffering=0) as file:
        file.write(f"{text}\n".encode())


def noted(trace: Path) -> list[str]:
    """Return the lines of a file, and empty it."""
    lines = trace.read_text().splitlines() if trace.exists() else []
    trace.write_text("")
    return lines


@operation(cache=True)
def square(x: int, trace: str) -> int:
    note(trace, x)
    return x * x


@operation(cache=True, outputs=("low", "high"))
def ends(values: list[int], trace: str) -> tuple[int, int]:
    note(trace, "ends")
    return min(values), max(values)


@operation(cache=True)
async def cube(x: int, trace: str, seconds: float = 0.0) -> int:
    note(trace, x)
    await asyncio.sleep(seconds)
    return x**3


@operation(cache=True)
def slow(x: int, trace: str, seconds: float = 0.3) -> int:
    note(trace, f"{x} {os.getpid()}")
    time.sleep(seconds)
    return x + 1


@operation(cache=True, executor="process")
def elsewhere(x: int, trace: str) -> int:
    note(trace, x)
    return os.getpid()


class Shift(Operation):
    """Adds what it is configured with; says in another output that it was much."""

    cache = True
    x = InputPort(int)
    trace = InputPort(str)
    y = OutputPort(int)
    much = OutputPort(bool, optional=True)

    def __init__(self, by: int, **options: Any) -> None:
        super().__init__(**options)
        self.by = by

    def execute(self, context: Any) -> None:
        note(self.trace, f"by {self.by}")
        self.y = self.x + self.by
        if self.by > 100:
            self.much = True


def run_one(engine: ExecutionEngine, step: Operation | Callable[..., Any], /, **inputs: Any) -> ExecutionResult:
    """Run a graph with one operation, called ``step``."""
    graph = GraphDefinition("one")
    made = step if isinstance(step, Operation) else operation(step).new(name="step")
    graph.add(made, **inputs)
    result = engine.run(graph)
    result.raise_if_failed()
    return result
