"""The register of mistakes that docs/errors.md lists: each a function that makes one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from execution_dataflow import ExecutionEngine, ExecutionResult, GraphDefinition, InputPort, Operation, OutputPort

CASES: dict[str, Callable[[], object]] = {}


def row(what: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Register what a row is about; the function raises its error, or returns the result of a run that failed."""

    def register(case: Callable[[], object]) -> Callable[[], object]:
        assert what not in CASES, what
        CASES[what] = case
        return case

    return register


class Load(Operation):
    rows = OutputPort(int)

    def execute(self, context: object) -> None:
        self.rows = 1


class Clean(Operation):
    raw = InputPort(int)
    clean = OutputPort(int)

    def execute(self, context: object) -> None:
        self.clean = self.raw


class Print(Operation):
    text = InputPort(str)

    def execute(self, context: object) -> None:
        pass


def pair() -> tuple[GraphDefinition, Load, Clean]:
    """A graph called etl with two operations that are not connected."""
    graph = GraphDefinition("etl")
    return graph, graph.add_operation(Load()), graph.add_operation(Clean())


def run_one(work: Any, **options: Any) -> ExecutionResult:
    """Run a graph of one operation."""
    graph = GraphDefinition("etl")
    graph.add(work)
    return ExecutionEngine().run(graph, **options)
