"""What one run is asked to do: which plan it runs, and the values that it is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from execution_dataflow.composition.given_values import given_values
from execution_dataflow.context import ExecutionContext
from execution_dataflow.errors import UnknownPortError
from execution_dataflow.graph import GraphDefinition
from execution_dataflow.plan import Plan

__all__ = ["planned"]

_NOTHING: list[Any] = []


def planned(
    graph: GraphDefinition | Plan,
    context: ExecutionContext | None,
    parameters: Mapping[str, Any] | None,
    targets: Iterable[Any] | None,
    overrides: Mapping[Any, Any] | None,
) -> tuple[Plan, list[Any]]:
    """Return the plan of a run, and the values that it is given.

    Parameters
    ----------
    graph : GraphDefinition or Plan
        What to run.
    context : ExecutionContext or None
        The context of the run.
    parameters : mapping of str to object or None
        The values of the graph's parameters.
    targets : iterable or None
        What is wanted of the graph.
    overrides : mapping or None
        Values for ports.

    Returns
    -------
    (Plan, list of object)
        The plan, and a value for each of its `given`.

    Raises
    ------
    GraphValidationError
        The graph has faults.
    ParameterError, UnknownOperationError, UnknownPortError, PortError, PortTypeError
        Something that was given does not exist or does not fit.
    TypeError
        Something is of a wrong type.
    """
    if isinstance(graph, GraphDefinition):
        if targets is None and not overrides:
            plan = graph.compile()
        else:
            plan = graph.compile(targets=targets, overrides=_ports(overrides))
    elif isinstance(graph, Plan):
        plan = graph
        if targets is not None:
            raise TypeError("targets= is for a GraphDefinition; a plan has its own: graph.compile(targets=...)")
    else:
        raise TypeError(f"run() takes a GraphDefinition or a Plan, not {type(graph).__name__}")
    if not plan.given and parameters is None and not overrides:
        return plan, _NOTHING
    of_context = {} if context is None else context.parameters
    replaced = _by_name(plan, graph is plan, overrides or {})
    return plan, given_values(plan.name, plan.given, parameters, replaced, of_context)


def _ports(overrides: Mapping[Any, Any] | None) -> tuple[Any, ...]:
    if overrides is not None and not isinstance(overrides, Mapping):
        raise TypeError(f"overrides= is a mapping of ports to values, not {type(overrides).__name__}")
    return tuple(overrides or ())


def _by_name(plan: Plan, is_given_plan: bool, overrides: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the values of overridden ports by the names that the plan has for them."""
    names = [item.name for item in plan.given if not item.is_parameter]
    if not is_given_plan:
        return dict(zip(names, overrides.values(), strict=True))
    values: dict[str, Any] = {}
    for key, value in overrides.items():
        name = key
        if not isinstance(key, str):
            node, port, _ = plan.output_of(*key) if isinstance(key, tuple) else plan.output_of(key)
            name = f"{plan.label(node)}.{port}"
        if name not in names:
            raise UnknownPortError(plan.name, str(name), names, "output", "A plan has the overrides of its compile().")
        values[name] = value
    for name in names:
        if name not in values:
            raise UnknownPortError(
                plan.name, name, list(values), "output", f"The plan needs overrides={{{name!r}: ...}}."
            )
    return values
