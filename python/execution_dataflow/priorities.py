"""The priority of an operation, as the native core takes it."""

from __future__ import annotations

from execution_dataflow.operations import Operation, check_options, label_of

__all__ = ["priority_of"]

# The core compares priorities as 64-bit integers; beyond that they are all alike.
_HIGHEST = 2**63 - 1


def priority_of(operation: Operation) -> int:
    """Return the priority of an operation, within the bounds of the core.

    Parameters
    ----------
    operation : Operation
        The operation.

    Returns
    -------
    int
        Its priority.

    Raises
    ------
    TypeError
        The priority is not an integer.

    Examples
    --------
    >>> class Idle(Operation):
    ...     def execute(self, context):
    ...         pass
    >>> priority_of(Idle(priority=2))
    2
    """
    priority = operation.priority
    check_options(label_of(operation), {"priority": priority})
    return max(-_HIGHEST, min(_HIGHEST, priority))
