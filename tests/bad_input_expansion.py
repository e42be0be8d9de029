"""Mistakes with branches, loops and dynamic operations."""

from __future__ import annotations

from typing import Any

from bad_input import row

from execution_dataflow import ExecutionEngine, GraphDefinition, operation


@operation(outputs="x")
def halve(x: float) -> float:
    return x / 2


def small(x: float) -> bool:
    return x < 1


def ran(graph: GraphDefinition) -> object:
    return ExecutionEngine().run(graph)


def of_dynamic(returned: Any) -> object:
    graph = GraphDefinition()
    graph.add(operation(dynamic=True, name="plan")(lambda: returned()))
    return ran(graph)


@row("a value that no case of a switch is for")
def _() -> object:
    graph = GraphDefinition()
    graph.switch("quite", cases=["loud", "quiet"])
    return ran(graph)


@row("a switch without cases")
def _() -> None:
    GraphDefinition().switch(1, cases=[])


@row("a join of nothing")
def _() -> None:
    GraphDefinition().first_of()


@row("a loop that comes to its maximum")
def _() -> object:
    graph = GraphDefinition()
    graph.repeat_until(halve, until=small, max_iterations=2, x=8.0)
    return ran(graph)


@row("a loop that never ends by itself")
def _() -> None:
    GraphDefinition().repeat_until(halve, until=small, max_iterations=0, x=8.0)


@row("a condition that asks for what there is not")
def _() -> None:
    GraphDefinition().repeat_until(halve, until=lambda y: y < 1, max_iterations=9, x=8.0)


@row("a body whose output does not fit its input")
def _() -> None:
    @operation(outputs="x")
    def shown(x: float) -> str:
        return str(x)

    GraphDefinition().repeat_until(shown, until=lambda: True, max_iterations=9, x=8.0)


@row("a dynamic operation that returns no graph")
def _() -> object:
    return of_dynamic(lambda: 3)


@row("a dynamic operation whose graph has other outputs")
def _() -> object:
    graph = GraphDefinition()
    graph.add(halve.new(name="one"), x=1.0)
    graph.add(halve.new(name="two"), x=1.0)
    return of_dynamic(lambda: graph)


@row("a dynamic operation for a worker process")
def _() -> None:
    GraphDefinition().add(operation(dynamic=True, executor="process", name="plan")(lambda: GraphDefinition()))


@row("dynamic operations without end")
def _() -> object:
    @operation(dynamic=True)
    def plan() -> Any:
        graph = GraphDefinition()
        graph.add(plan)
        return graph

    graph = GraphDefinition()
    graph.add(plan)
    return ran(graph)


@row("an operation that fails inside of a dynamic one")
def _() -> object:
    graph = GraphDefinition()
    graph.add(operation(name="fit")(lambda: 1 / 0))
    return of_dynamic(lambda: graph)
