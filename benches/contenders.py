"""The same no-op work in three forms: the loop that one would write by hand, function operations, class operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shapes import Shape

from execution_dataflow import ExecutionEngine, GraphDefinition, InputPort, Operation, OutputPort


def take_0() -> int:
    return 1


def take_1(a: int) -> int:
    return a


def take_2(a: int, b: int) -> int:
    return a


def take_3(a: int, b: int, c: int) -> int:
    return a


FUNCTIONS: tuple[Callable[..., int], ...] = (take_0, take_1, take_2, take_3)
_NAMES = ("a", "b", "c")


class Take0(Operation):
    out = OutputPort(int)

    def execute(self, context: Any) -> None:
        self.set_output("out", 1)


class Take1(Operation):
    a = InputPort(int)
    out = OutputPort(int)

    def execute(self, context: Any) -> None:
        self.set_output("out", self.get_input("a"))


class Take2(Take1):
    b = InputPort(int)

    def execute(self, context: Any) -> None:
        self.get_input("b")
        self.set_output("out", self.get_input("a"))


class Take3(Take2):
    c = InputPort(int)

    def execute(self, context: Any) -> None:
        self.get_input("b")
        self.get_input("c")
        self.set_output("out", self.get_input("a"))


CLASSES: tuple[type[Operation], ...] = (Take0, Take1, Take2, Take3)


def loop_of(shape: Shape) -> Callable[[], int]:
    """Return the hand-written loop over a shape, which gives the value of the last node."""
    plan = [(node, FUNCTIONS[len(taken)], taken) for node, taken in enumerate(shape)]

    def run() -> int:
        slots: list[Any] = [None] * len(plan)
        for node, function, taken in plan:
            slots[node] = function(*[slots[source] for source in taken])
        last: int = slots[-1]
        return last

    return run


def graph_of(shape: Shape, kind: str) -> GraphDefinition:
    """Return a shape as a graph of function or of class operations."""
    graph = GraphDefinition(kind)
    operations: list[Operation] = []
    for taken in shape:
        inputs = {_NAMES[port]: operations[source] for port, source in enumerate(taken)}
        made: Any = FUNCTIONS[len(taken)] if kind == "function" else CLASSES[len(taken)]()
        operations.append(graph.add(made, **inputs))
    return graph


def engine_of(graph: GraphDefinition, engine: ExecutionEngine) -> Callable[[], int]:
    """Return a run of a graph, which gives the value of the last node."""
    last = graph.operations[-1]
    graph.compile()

    def run() -> int:
        value: int = engine.run(graph).get_output(last)
        return value

    return run
