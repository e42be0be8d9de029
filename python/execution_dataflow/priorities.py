"""The priorities of a graph's operations, as the native core takes them."""

from __future__ import annotations

from collections.abc import Sequence

from execution_dataflow.operations import Operation, check_options, label_of

__all__ = ["priorities_of"]

# The core compares priorities as 64-bit integers; beyond that they are all alike.
_HIGHEST = 2**63 - 1


def priorities_of(operations: Sequence[Operation]) -> list[tuple[int, int]]:
    """Return the priorities that are not 0.

    Parameters
    ----------
    operations : sequence of Operation
        The operations of a graph.

    Returns
    -------
    list of (int, int)
        The index of an operation and its priority.

    Raises
    ------
    TypeError
        A priority is not an integer.

    Examples
    --------
    >>> class Idle(Operation):
    ...     def execute(self, context):
    ...         pass
    >>> priorities_of([Idle(), Idle(priority=2)])
    [(1, 2)]
    """
    priorities: list[tuple[int, int]] = []
    for index, operation in enumerate(operations):
        priority = operation.priority
        # `0 == False`, but a bool is refused like everywhere else.
        if priority.__class__ is int and not priority:
            continue
        check_options(label_of(operation), {"priority": priority})
        if priority:
            priorities.append((index, max(-_HIGHEST, min(_HIGHEST, priority))))
    return priorities
