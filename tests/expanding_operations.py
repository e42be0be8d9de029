"""Dynamic operations and loops for every executor; at the top of a module, where worker processes find them."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from execution_dataflow import (
    ExecutionContext,
    GraphDefinition,
    Operation,
    OutputPort,
    RetryPolicy,
    operation,
    repeated,
)

__all__ = ["add", "countdown", "draw", "executed", "fan", "fragile", "graph_of_everything", "halve", "numbers", "tower"]


@operation
def add(a: int, b: int) -> int:
    return a + b


@operation
def square(number: int) -> int:
    return number * number


@operation
async def later(number: int) -> int:
    await asyncio.sleep(0)
    return number + 1


@operation
def draw(number: int, context: ExecutionContext) -> float:
    return float(context.random().random()) + number


@operation(retry_policy=RetryPolicy(max_attempts=2))
def fragile(number: int, context: ExecutionContext) -> int:
    if context.attempt == 1:
        raise OSError(f"not yet with {number}")
    return number


@operation(outputs="x")
def halve(x: float) -> float:
    return x / 2


@operation
def pid() -> int:
    return os.getpid()


class Numbers(Operation):
    """A dynamic operation that is a class: a graph with two outputs."""

    dynamic = True
    low = OutputPort(int)
    high = OutputPort(int)

    def __init__(self, executor: Any = None) -> None:
        super().__init__()
        self.inner_executor = executor

    def execute(self, context: Any) -> Any:
        graph = GraphDefinition("numbers")
        low = graph.add(add.new(name="low", executor=self.inner_executor), a=1, b=2)
        high = graph.add(add.new(name="high", executor=self.inner_executor), a=low, b=10)
        return graph, {"low": low, "high": high}


numbers = Numbers


@operation(dynamic=True)
def fan(count: int, executor: str | None = None) -> Any:
    """A map in a dynamic graph."""
    graph = GraphDefinition("fan")
    squares = graph.map(square.new(executor=executor), over=range(count))
    graph.add(sum, iterable=squares)
    return graph


@operation(dynamic=True)
def tower(levels: int, executor: str | None = None) -> Any:
    """A dynamic graph in a dynamic graph."""
    graph = GraphDefinition("tower")
    below = graph.add(tower.new(name="tower"), levels=levels - 1, executor=executor) if levels else 0
    graph.add(add.new(executor=executor), a=below, b=levels)
    return graph


@operation(dynamic=True)
async def countdown(number: int) -> Any:
    """A dynamic coroutine."""
    await asyncio.sleep(0)
    graph = GraphDefinition("countdown")
    last = graph.repeat_until(
        operation(outputs="number")(lambda number: number - 1),
        name="down",
        until=lambda number: number <= 0,
        max_iterations=100,
        number=number,
    )
    graph.add(later, number=last)
    return graph


@operation(dynamic=True)
def drawn(number: int, executor: str | None = None) -> Any:
    graph = GraphDefinition("drawn")
    graph.add(draw.new(executor=executor), number=graph.add(fragile.new(executor=executor), number=number))
    return graph


def graph_of_everything(executor: Any = None) -> GraphDefinition:
    """Each kind of expansion, and each within each other."""
    graph = GraphDefinition("everything")
    numbers = graph.add(Numbers(executor))
    graph.add(add.new(name="both"), a=numbers["low"], b=numbers["high"])
    graph.add(fan.new(name="fan"), count=4, executor=executor)
    graph.add(tower.new(name="tower"), levels=3, executor=executor)
    graph.add(countdown.new(name="countdown"), number=3)
    graph.map(fan.new(name="fans"), over={"count": [0, 2, 3]}, executor=executor)
    graph.map(
        repeated(halve.new(executor=executor), name="halves", until=_is_small, max_iterations=20), over=[8.0, 3.0]
    )
    graph.repeat_until(drawing, name="draws", until=lambda number: number > 3, max_iterations=9, number=0.0)
    return graph


def _is_small(x: float) -> bool:
    return x < 1


@operation(dynamic=True, outputs="number")
def drawing(number: float) -> Any:
    """A dynamic operation in a loop."""
    graph = GraphDefinition("drawing")
    graph.add(draw, number=int(number) + 1)
    return graph


def executed(result: Any) -> dict[str, str]:
    """The names and states of all operations of a run of `graph_of_everything`, those inside too."""
    states = {name: state.name for name, state in result.states.items()}
    waiting = [*states, *(f"fans[{index}]" for index in range(3))]
    while waiting:
        name = waiting.pop()
        inside = result.states_inside(name)
        states |= {inner: state.name for inner, state in inside.items()}
        waiting += inside
    return states
