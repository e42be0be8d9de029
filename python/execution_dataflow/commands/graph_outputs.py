"""The values that a run of a graph is for, by the names that a person knows them by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from execution_dataflow.commands.targets import Graph
from execution_dataflow.plan import Plan
from execution_dataflow.result import ExecutionResult

__all__ = ["named_outputs"]


def named_outputs(graph: Graph, plan: Plan, result: ExecutionResult, retain: Sequence[str]) -> dict[str, Any]:
    """Return what a run gave, by name.

    Parameters
    ----------
    graph : GraphDefinition or Plan
        What was run.
    plan : Plan
        Its plan.
    result : ExecutionResult
        What came of it.
    retain : sequence of str
        The further names that were asked for.

    Returns
    -------
    dict
        The outputs that no other operation consumes, and those that were retained: by the name of their port where no
        other has it, as ``operation.port`` otherwise. What was not produced is left out.
    """
    kept = [(operation, port, value) for operation, ports in result.outputs().items() for port, value in ports.items()]
    times = Counter(port for _, port, _ in kept)
    return {port if times[port] == 1 and not retain else f"{name}.{port}": value for name, port, value in kept}
