"""Mistakes with parameters, with parts of graphs, and with graphs in graphs."""

from __future__ import annotations

from typing import Any

from bad_input import row

from execution_dataflow import ExecutionEngine, GraphDefinition, operation
from execution_dataflow.checks import in_range


def load(day: str, rate: float = 1.0) -> str:
    return day


def etl(**values: Any) -> object:
    graph = GraphDefinition("etl")
    graph.add(load, day=graph.parameter("day", str), rate=graph.parameter("rate", float, default=1.0))
    return ExecutionEngine().run(graph, **values)


@row("a parameter that was not given")
def _() -> object:
    return etl()


@row("a misspelt parameter")
def _() -> object:
    return etl(parameters={"day": "Monday", "rat": 2.0})


@row("a parameter of the wrong type")
def _() -> object:
    return etl(parameters={"day": "Monday", "rate": "fast"})


@row("a default of a parameter of the wrong type")
def _() -> None:
    GraphDefinition().parameter("rate", float, default="fast")


@row("a misspelt target")
def _() -> object:
    return etl(parameters={"day": "Monday"}, targets=["laod"])


@row("a value that does not fit the port it overrides")
def _() -> object:
    return etl(parameters={"day": "Monday"}, overrides={"load.result": 3})


@row("a value that does not pass a check of the output it overrides")
def _() -> object:
    @operation(checks={"result": [in_range(low=0)]})
    def rate() -> int:
        return 3

    graph = GraphDefinition("etl")
    graph.add(rate)
    return ExecutionEngine().run(graph, overrides={"rate.result": -1})


@row("a graph nested in itself")
def _() -> None:
    graph = GraphDefinition("etl")
    graph.add(graph)
    graph.compile()


@row("a nested graph that has got other inputs")
def _() -> None:
    part, whole = GraphDefinition("part"), GraphDefinition("whole")
    whole.add(part)
    part.parameter("day")
    whole.compile()
