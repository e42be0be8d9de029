"""Operations that note that they ran, and fail when they are told to: for tests of what is restored."""

from __future__ import annotations

from typing import Any

from execution_dataflow import ExecutionContext, ExecutionEngine, ExecutionResult, GraphDefinition


class Notes:
    """What ran, and what is to fail: no part of what an operation is computed from."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.broken: set[str] = set()

    def __call__(self, name: str) -> str:
        self.ran.append(name)
        if name in self.broken:
            raise RuntimeError(f"{name} is broken")
        return name

    def __fingerprint__(self) -> str:
        return "notes"

    def run(self, engine: ExecutionEngine, graph: GraphDefinition, *broken: str, **options: Any) -> ExecutionResult:
        """Run a graph in which these are broken, and note what runs."""
        self.ran.clear()
        self.broken = set(broken)
        return engine.run(graph, ExecutionContext("nightly"), **options)
