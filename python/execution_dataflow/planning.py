"""What one run is asked to do: which plan it runs, and the values that it is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from logging import getLogger
from typing import Any, TypeAlias

from execution_dataflow.check_errors import CheckFailed
from execution_dataflow.composition.given_values import given_values
from execution_dataflow.context import ExecutionContext
from execution_dataflow.contract_levels import ContractLevel
from execution_dataflow.errors import UnknownPortError
from execution_dataflow.graph import GraphDefinition
from execution_dataflow.plan import Plan
from execution_dataflow.run_logging import RUN_LOGGER

__all__ = ["Asked", "planned"]

Asked: TypeAlias = tuple[Mapping[str, Any] | None, Iterable[Any] | None, Mapping[Any, Any] | None]
"""The arguments of a run that say what of its graph runs, and with what: parameters, targets, overrides."""


def planned(
    graph: GraphDefinition | Plan,
    context: ExecutionContext | None,
    asked: Asked,
    contracts: ContractLevel = "values",
) -> tuple[Plan, Sequence[Any]]:
    """Return the plan of a run, and the values that it is given.

    Parameters
    ----------
    graph : GraphDefinition or Plan
        What to run.
    context : ExecutionContext or None
        The context of the run.
    asked : tuple
        The values of the graph's parameters, what is wanted of it, and values for ports; each ``None`` if not given.
    contracts : {"values", "connect", "off"}
        How much of the contracts the engine checks.

    Returns
    -------
    (Plan, sequence of object)
        The plan, and a value for each of its `given`.

    Raises
    ------
    GraphValidationError
        The graph has faults.
    ParameterError, UnknownOperationError, UnknownPortError, PortError, PortTypeError
        Something that was given does not exist or does not fit.
    CheckFailed, BrokenCheckError
        The value for an output does not pass a check of it.
    TypeError
        Something is of a wrong type.
    """
    parameters, targets, overrides = asked
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
        return plan, ()
    of_context = {} if context is None else context.parameters
    replaced = _by_name(plan, graph is plan, overrides or {})
    is_checked = contracts != "off" and plan.contracts != "off"
    values = given_values(plan.name, plan.given, parameters, replaced, of_context, is_checked)
    if is_checked and replaced:
        _check_overrides(plan, context, values)
    return plan, values


def _check_overrides(plan: Plan, context: ExecutionContext | None, values: Sequence[Any]) -> None:
    """Ask the checks of overridden outputs, of which the operations do not run; what is wrong stops the run."""
    failed = []
    for item, value in zip(plan.given, values, strict=True):
        for check in item.checks:
            if check.uses_ports:
                continue  # of an operation that has no values there
            operation, _, port = item.name.rpartition(".")
            outcome = check.outcome_for(port, "output", value, {}, operation)
            if context is not None and not outcome.passed:
                outcome = outcome.redacted(context.secrets.redact)
            if outcome.status == "warned":
                logger = getLogger(RUN_LOGGER) if context is None else context.logger
                logger.warning("the override of %s: %s", item.name, outcome.message)
            elif outcome.status == "failed":
                failed.append((item.name, outcome))
    if not failed:
        return
    name, first = failed[0]
    texts = "; ".join(f"the override of {name} does not pass: {outcome.message}" for name, outcome in failed)
    raise CheckFailed(
        f"graph {plan.name!r} cannot run: {texts}",
        operation=first.operation,
        port=name.rpartition(".")[2],
        outcomes=[outcome for _, outcome in failed],
    )


def _ports(overrides: Mapping[Any, Any] | None) -> tuple[Any, ...]:
    if overrides is not None and not isinstance(overrides, Mapping):
        raise TypeError(f"overrides= is a mapping of ports to values, not {type(overrides).__name__}")
    return tuple(overrides or ())


def _by_name(plan: Plan, is_given_plan: bool, overrides: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the values of overridden ports by the names that the plan has for them."""
    names = {item.name: item.asked for item in plan.given if not item.is_parameter}
    if not is_given_plan:
        return {item.name: overrides[item.asked] for item in plan.given if not item.is_parameter}
    values: dict[str, Any] = {}
    for key, value in overrides.items():
        name = next((name for name, asked in names.items() if asked == key), key)
        if name not in names and not isinstance(key, str):
            node, port, _ = plan.output_of(*key) if isinstance(key, tuple) else plan.output_of(key)
            name = f"{plan.label(node)}.{port}"
        if name not in names:
            raise UnknownPortError(
                plan.name, str(name), [*names], "output", "A plan has the overrides of its compile()."
            )
        values[name] = value
    for name in names:
        if name not in values:
            raise UnknownPortError(
                plan.name, name, list(values), "output", f"The plan needs overrides={{{name!r}: ...}}."
            )
    return values
