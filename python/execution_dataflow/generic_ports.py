"""The ports of an operation as types with variables: what it takes and gives, whatever it is connected to."""

from __future__ import annotations

from collections.abc import Iterable
from types import GenericAlias
from typing import Any

from execution_dataflow.expansion.repeating import RepeatedOperation
from execution_dataflow.mapping import MappedOperation
from execution_dataflow.operations import Operation
from execution_dataflow.port_types.type_variables import type_variables

__all__ = ["declared_inputs", "declared_outputs", "is_generic"]


def is_generic(operation: Operation) -> bool:
    """Return whether what an operation gives, or what it takes together, depends on what it is connected to.

    Parameters
    ----------
    operation : Operation
        The operation.

    Returns
    -------
    bool
        ``False`` for one whose ports have no type variables, or that does not answer for what it gives.
    """
    if isinstance(operation, RepeatedOperation):
        return False  # what an iteration gives may be what another port of the next one takes
    if isinstance(operation, MappedOperation):
        return is_generic(operation.item)
    if not any(type_variables(port.data_type) for _, port in (*operation.ports.inputs, *operation.ports.outputs)):
        return False
    return not operation._settings.dynamic


def declared_inputs(operation: Operation) -> list[Any]:
    """Return the types of an operation's inputs; those that a map runs over take any number of the item's."""
    if not isinstance(operation, MappedOperation):
        return [port.data_type for _, port in operation.ports.inputs]
    inner = declared_inputs(operation.item)
    names = [name for name, _ in operation.ports.inputs]
    return [
        GenericAlias(Iterable, (hint,)) if name in operation.over else hint
        for name, hint in zip(names, inner, strict=True)
    ]


def declared_outputs(operation: Operation) -> list[Any]:
    """Return the types of an operation's outputs; ``Any`` where something else may stand in for it."""
    if _has_fallback(operation):
        return [Any] * len(operation.ports.outputs)
    return [port.data_type for _, port in operation.ports.outputs]


def _has_fallback(operation: Operation) -> bool:
    return operation._settings.on_failure is not None
