"""Mistakes in limits, for the register of `bad_input`."""

from __future__ import annotations

from bad_input import Load, row

from execution_dataflow import ExecutionEngine, GraphDefinition, RateLimit, operation


@row("more of a resource than the engine has")
def _() -> None:
    graph = GraphDefinition("etl")
    graph.add(Load(resources={"gpu": 2}))
    ExecutionEngine(resources={"gpu": 1}).run(graph)


@row("a resource that the engine does not have")
def _() -> None:
    graph = GraphDefinition("etl")
    graph.add(Load(resources={"gpus": 1}))
    ExecutionEngine(resources={"gpu": 1}).run(graph)


@row("a resource without an amount")
def _() -> None:
    Load(resources=["gpu"])  # type: ignore[arg-type]


@row("no concurrency at all")
def _() -> None:
    Load(max_concurrency=0)


@row("a number where a rate belongs")
def _() -> None:
    Load(rate_limit=10)  # type: ignore[arg-type]


@row("a rate of nothing")
def _() -> None:
    RateLimit(0)


@row("one tag instead of a list")
def _() -> None:
    Load(tags="crm")


@row("a limit of memory that says no size")
def _() -> None:
    ExecutionEngine(memory_limit="lots")


@row("a nested run that needs what its own operation holds")
def _() -> object:
    inner = GraphDefinition("inner")
    inner.add(Load(resources={"gpu": 1}))
    engine = ExecutionEngine(resources={"gpu": 1})
    sweep = operation(resources={"gpu": 1}, name="sweep")(lambda: engine.run(inner))
    graph = GraphDefinition("etl")
    graph.add(sweep)
    return engine.run(graph)
