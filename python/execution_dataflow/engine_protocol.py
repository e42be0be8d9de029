"""What an engine is: the local one implements it, and others can (Dask, Ray, Celery)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from execution_dataflow.context import ExecutionContext
    from execution_dataflow.graph import GraphDefinition
    from execution_dataflow.plan import Plan
    from execution_dataflow.result import ExecutionResult

__all__ = ["Engine"]


@runtime_checkable
class Engine(Protocol):
    """Runs graphs.

    Examples
    --------
    >>> from execution_dataflow import ExecutionEngine
    >>> isinstance(ExecutionEngine(), Engine)
    True
    """

    def run(self, graph: GraphDefinition | Plan, context: ExecutionContext | None = None) -> ExecutionResult:
        """Run a graph to its end. An invalid graph raises before anything starts; a failing operation never does."""

    async def run_async(
        self, graph: GraphDefinition | Plan, context: ExecutionContext | None = None
    ) -> ExecutionResult:
        """Run a graph without holding up the event loop."""

    def submit(self, graph: GraphDefinition | Plan, context: ExecutionContext | None = None) -> Any:
        """Start a run and return a handle with ``result``, ``wait`` and ``cancel``."""

    def subscribe(self, callback: Callable[[Any], object], *event_types: type) -> Any:
        """Have the events of later runs delivered."""

    def close(self) -> None:
        """Free what the engine holds."""
