"""The names by which a file can find operations again."""

from __future__ import annotations

import sys
from types import MethodType
from typing import Any

from execution_dataflow.functions import OperationFunction
from execution_dataflow.parameters import name_of

__all__ = ["NoReferenceError", "exception_reference", "reference_of"]


class NoReferenceError(Exception):
    """Something that cannot be imported by a name; the message says why, and what to do."""


def reference_of(given: Any) -> str:
    """Return ``"module:Name"`` for a class or a function.

    Parameters
    ----------
    given : type, OperationFunction or callable
        What is to be named.

    Returns
    -------
    str
        The reference. Whoever imports that finds the same object.

    Raises
    ------
    NoReferenceError
        There is none.

    Examples
    --------
    >>> import statistics
    >>> reference_of(statistics.mean)
    'statistics:mean'
    """
    function = given.function if isinstance(given, OperationFunction) else given
    shown = function.__name__ if isinstance(given, type) else name_of(function)
    what = "a class" if isinstance(given, type) else "a function"
    if isinstance(function, MethodType) and not isinstance(function.__self__, type):
        raise NoReferenceError(f"{shown} is a method of an object; make it an Operation, or a function of a module")
    module, qualified = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualified, str):
        raise NoReferenceError(
            f"{type(function).__name__} has no name of its own; write a function that calls it, in a module"
        )
    if "<lambda>" in qualified:
        raise NoReferenceError("a lambda has no name to be imported by; write a function in a module")
    if "<locals>" in qualified:
        raise NoReferenceError(f"{shown} was defined within a function; define {what} in a module")
    if module == "__main__":
        raise NoReferenceError(
            f"{shown} was defined in the program that runs (__main__), which others cannot import; move it to a module"
        )
    found: Any = sys.modules.get(module)
    for part in qualified.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    if found is given or (isinstance(found, OperationFunction) and found.function is function):
        return f"{module}:{qualified}"
    if found is None:
        raise NoReferenceError(f"{module} has no {qualified!r}; define {what} in a module, and keep its name")
    if isinstance(given, OperationFunction) and found is function:
        return f"{module}:{qualified}"
    raise NoReferenceError(f"{module}:{qualified} is something else by now; give {what} a name of its own")


def exception_reference(kind: type[BaseException]) -> str:
    """Return the name of a class of exceptions, without a module for those that are built in."""
    reference = reference_of(kind)
    return reference.removeprefix("builtins:")
