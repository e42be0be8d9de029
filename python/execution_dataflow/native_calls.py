"""Calls of functions of extension modules, such as those of numpy: without the arguments that nobody gave.

What the signature of such a function names as a default need not be what the function takes for one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from execution_dataflow.definition_facts import module_of
from execution_dataflow.parameters import innermost

__all__ = ["native_call"]

_PLAIN = (bool, int, float, str, bytes)


def native_call(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is called as an operation calls it, with a value for each parameter.

    Parameters
    ----------
    function : callable
        The function.

    Returns
    -------
    callable
        The function itself if it has Python code, comes with Python, or has no parameter with a default; otherwise one
        that leaves out what is the default.

    Examples
    --------
    >>> def scale(x, factor=2): ...
    >>> native_call(scale) is scale
    True
    >>> import numpy
    >>> native_call(numpy.where)([False, True], None, None)  # as numpy.where([False, True])
    (array([1]),)
    """
    if hasattr(function, "__code__") or not _is_of_an_extension(innermost(function)):
        return function
    numpy: Any = sys.modules.get("numpy")
    is_ufunc = numpy is not None and isinstance(function, numpy.ufunc)
    if is_ufunc:  # whose inputs have no defaults
        return function
    import inspect

    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return function
    if all(parameter.default is parameter.empty for parameter in parameters):
        return function
    return _NativeCall(function, list(parameters))


def _is_of_an_extension(function: Any) -> bool:
    if hasattr(function, "__code__"):
        return False
    return module_of(function).partition(".")[0] not in sys.stdlib_module_names


class _NativeCall:
    __slots__ = ("_defaults", "_function", "_parameters")

    def __init__(self, function: Callable[..., Any], parameters: list[Any]) -> None:
        self._function = function
        self._parameters = parameters
        self._defaults = {parameter.name: parameter.default for parameter in parameters}

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        given = {name: value for name, value in keywords.items() if not _is_default(value, self._defaults[name])}
        positional = list(zip(self._parameters, args, strict=False))
        missing = [_is_default(value, parameter.default) for parameter, value in positional]
        # Those before one that has no name to callers must be passed.
        unnamed = [
            place
            for place, (parameter, _) in enumerate(positional)
            if parameter.kind is parameter.POSITIONAL_ONLY and not missing[place]
        ]
        count = max(unnamed, default=-1) + 1
        while count < len(positional) and not missing[count]:
            count += 1
        for (parameter, value), is_missing in zip(positional[count:], missing[count:], strict=True):
            if not is_missing:
                given[parameter.name] = value
        return self._function(*args[:count], **given)

    def __reduce__(self) -> tuple[Any, ...]:
        return native_call, (self._function,)


def _is_default(value: object, default: object) -> bool:
    if value is default:
        return True
    # One that was sent to another process is a copy.
    return type(value) is type(default) and type(value) in _PLAIN and value == default
