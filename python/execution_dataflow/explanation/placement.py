"""Where an operation runs, and what holds it back, each with the reason."""

from __future__ import annotations

from collections.abc import Mapping

from execution_dataflow.functions import FunctionOperation
from execution_dataflow.mapping import MappedOperation
from execution_dataflow.operations import Operation, label_of
from execution_dataflow.parameters import is_coroutine_function
from execution_dataflow.quantities import bytes_text, duration_text

__all__ = ["limits_of", "place_of"]


def place_of(operation: Operation, executor: str | None) -> tuple[str, str]:
    """Return where an operation runs on an engine.

    Parameters
    ----------
    operation : Operation
        The operation.
    executor : str or None
        The executor of the engine.

    Returns
    -------
    (str, str)
        ``"thread"``, ``"process"``, ``"async"`` or ``"inline"``, and why.
    """
    if isinstance(operation, MappedOperation):
        place, reason = place_of(operation.item, executor)
        return place, f"each item: {reason}"
    function = operation.function if isinstance(operation, FunctionOperation) else operation.execute
    if is_coroutine_function(function):
        return "async", "since it is a coroutine function"
    if operation.executor == "process":
        return "process", "since it says executor='process'"
    if executor == "inline":
        return "inline", "since the engine says executor='inline'"
    if operation.executor is not None:
        return operation.executor, f"since it says executor={operation.executor!r}"
    if executor is not None:
        return executor, f"since the engine says executor={executor!r}"
    if operation.timeout_seconds is not None:
        return "thread", "the default, on a thread that can be set aside when its time is over"
    return "thread", "the default"


def limits_of(operation: Operation, resources: Mapping[str, float] | None) -> tuple[str, ...]:
    """Return what holds an operation back, ends it or stands in for it.

    Parameters
    ----------
    operation : Operation
        The operation.
    resources : mapping of str to float, optional
        What the engine has.

    Returns
    -------
    tuple of str
        Each in a few words.
    """
    while isinstance(operation, MappedOperation):
        operation = operation.item
    limits = []
    for name, amount in operation.resources.items():
        text = f"{amount:g} of {name}"
        if resources is not None:
            there = resources.get(name, 0.0)
            at_once = f"{int(there / amount + 1e-9):,} at a time" if there >= amount else "which it can never get"
            text += f" ({there:g} there, {at_once})"
        limits.append(text)
    if operation.max_concurrency is not None:
        limits.append(f"{operation.max_concurrency:,} of its kind at a time")
    if operation.rate_limit is not None:
        limits.append(repr(operation.rate_limit))
    tags = tuple(operation.tags)
    if tags:
        limits.append(f"tags {', '.join(tags)}")
    if operation.timeout_seconds is not None:
        limits.append(f"{duration_text(operation.timeout_seconds)} for an attempt")
    if operation.output_bytes is not None:
        limits.append(f"outputs of {bytes_text(operation.output_bytes)}")
    policy = operation.retry_policy
    if policy is not None and policy.max_attempts > 1:
        limits.append(f"{policy.max_attempts:,} attempts")
    fallback = operation.on_failure
    if fallback is not None:
        what = f"{label_of(fallback)} stands in" if isinstance(fallback, Operation) else "a fallback stands in"
        limits.append(f"{what} when it fails")
    if operation.always_run:
        limits.append("always runs")
    if operation.priority:
        limits.append(f"priority {operation.priority}")
    return tuple(limits)
