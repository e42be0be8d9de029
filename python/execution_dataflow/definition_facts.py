"""What Python knows of a function or a class: the module that defines it, and the variables around it."""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType
from typing import Any

__all__ = ["closure_of", "module_of"]


def module_of(definition: Any) -> str:
    """Return the module in which something is defined."""
    name = getattr(definition, "__module__", None)
    if isinstance(name, str):
        return name
    if isinstance(definition, FunctionType):
        return ""  # made by exec() with names of its own
    owner = getattr(definition, "__objclass__", None) or type(getattr(definition, "__self__", None))
    return str(getattr(owner, "__module__", ""))


def closure_of(function: FunctionType, unset: object = None) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of the variables that a function has of the function around it.

    Parameters
    ----------
    function : function
        The function.
    unset : object
        The value of one that is not set yet.
    """
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if name != "__class__":  # the class around it, for super(), which has it anyway
            try:
                yield name, cell.cell_contents
            except ValueError:
                yield name, unset
