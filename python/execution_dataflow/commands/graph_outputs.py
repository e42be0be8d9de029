"""The values that a run of a graph is for, by the names that a person knows them by."""

from __future__ import annotations

from typing import Any

from execution_dataflow.plan import Plan
from execution_dataflow.result import ExecutionResult

__all__ = ["named_outputs"]


def named_outputs(plan: Plan, result: ExecutionResult) -> dict[str, Any]:
    """Return what a run gave, by name.

    Parameters
    ----------
    plan : Plan
        What ran.
    result : ExecutionResult
        What came of it.

    Returns
    -------
    dict
        The outputs of the graph by their names, and then what was retained beside them, as ``operation.port``. What was
        not produced is left out.
    """
    found = dict(result.values)
    shown = {(plan.label(node), plan.operations[node].ports.outputs[port][0]) for node, port in plan.outputs.values()}
    for operation, ports in result.outputs().items():
        for port, value in ports.items():
            if (operation, port) not in shown:
                found[f"{operation}.{port}"] = value
    return found
