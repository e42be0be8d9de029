"""What sees the operations of a test being executed, and may do something meanwhile.

It is looked up by name when an operation runs: what a function names itself belongs to its fingerprint.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["executed", "meanwhile", "saw"]

executed: list[str] = []
"""The operations that were executed, in the order in which they began."""

meanwhile: dict[str, Callable[[], object]] = {}
"""By the name of an operation, what happens before it ends."""


def saw(operation: str) -> None:
    """Note that an operation is executed, and do what is to be done meanwhile."""
    executed.append(operation)
    act = meanwhile.get(operation)
    if act is not None:
        act()
