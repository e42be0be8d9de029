"""The stable identities of the operations of a graph (rule G6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from execution_dataflow.operations import Operation, label_of

__all__ = ["duplicate_names", "explicit_name", "stable_names"]


def explicit_name(operation: Operation) -> str | None:
    """Return the name that this very operation was given; a name that its class has is shared by all instances."""
    name = operation.name
    if name is None or name is type(operation).name or not isinstance(name, str):
        return None
    return name


def stable_names(operations: Sequence[Operation]) -> tuple[str, ...]:
    """Return a name for each operation of a graph.

    An explicit name stays as it is. The others are called after their class or function, and then with ``_2``, ``_3``
    in the order in which they were added.

    Parameters
    ----------
    operations : sequence of Operation
        The operations, in the order in which they were added.

    Returns
    -------
    tuple of str
        Their names; all different if no explicit name comes twice.
    """
    explicit = [explicit_name(operation) for operation in operations]
    taken = {name for name in explicit if name is not None}
    last: dict[str, int] = {}
    names = []
    for name, operation in zip(explicit, operations, strict=True):
        if name is None:
            label = label_of(operation)
            number = last.get(label, 0) + 1
            name = label if number == 1 else f"{label}_{number}"
            while name in taken:
                number += 1
                name = f"{label}_{number}"
            last[label] = number
            taken.add(name)
        names.append(name)
    return tuple(names)


def duplicate_names(operations: Iterable[Operation]) -> list[str]:
    """Return the explicit names that several operations have, in the order of their first use."""
    given = [operation for operation in operations if operation.name is not None]
    counts = Counter(name for operation in given if (name := explicit_name(operation)) is not None)
    return [name for name, count in counts.items() if count > 1]
