"""The code of what has a version: its name, where it is defined, and the functions that it was made with."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

from execution_dataflow.definition_facts import closure_of, module_of
from execution_dataflow.fingerprinting.code_objects import code_facts
from execution_dataflow.fingerprinting.definitions import is_code, values_of
from execution_dataflow.fingerprinting.packages import is_followed
from execution_dataflow.fingerprinting.walks import Walk
from execution_dataflow.functions import OperationFunction

__all__ = ["add_versioned"]


def add_versioned(walk: Walk, made: Any, version: str) -> None:
    """Add code that counts by its version.

    Functions that it was made with count by their names, since they tell what one function makes from what it makes
    another time. What it uses by global names does not count.

    Parameters
    ----------
    walk : Walk
        Where it is added.
    made : object
        A function, a class, or another callable.
    version : str
        Its version.
    """
    while isinstance(made, partial | MethodType | OperationFunction):
        made = made.func if isinstance(made, partial) else _function_in(made)
    walk.text("version", version)
    owner = getattr(made, "__self__", None)
    if owner is not None and not isinstance(owner, ModuleType):
        walk.value(owner, f"what {getattr(made, '__name__', 'a method')} is bound to")
    if isinstance(made, type):
        _add_class(walk, made)
    elif isinstance(getattr(made, "__qualname__", None), str):
        _add_function(walk, made, is_outermost=True)
    else:
        _add_name(walk, type(made))


def _function_in(made: Any) -> Any:
    return made.__func__ if isinstance(made, MethodType) else made.function


def _add_name(walk: Walk, definition: Any) -> None:
    name = getattr(definition, "__qualname__", None) or getattr(definition, "__name__", "")
    walk.text("named", _place_of(definition), str(name))


def _place_of(definition: Any) -> str:
    """Return the module of a definition, and of one of the program that runs the module or the file that this is."""
    module = module_of(definition)
    if module != "__main__":
        return module
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return str(Path(file).resolve()) if isinstance(file, str) else module


def _add_function(walk: Walk, function: Any, *, is_outermost: bool = False) -> None:
    """Add a function by its name, with what tells it from others of this name; a version says what it does."""
    _add_name(walk, function)
    if not isinstance(function, FunctionType) or not is_followed(module_of(function), module_of(function)):
        return
    is_local = "<" in function.__qualname__
    if function.__name__ == "<lambda>":  # which all of them are called
        walk.add("code", code_facts(function.__code__).digest)
    with walk.inside(function) as is_inside:
        if not is_inside and (is_local or is_outermost):
            _add_made_with(walk, function, values_of(function), with_values=not is_outermost)


def _add_made_with(walk: Walk, owner: Any, found: Iterable[tuple[str, Any]], *, with_values: bool) -> None:
    for name, value in found:
        if not is_code(value):
            if with_values:
                walk.text("value", name)
                walk.value(value, f"{name!r} of {owner.__qualname__}")
        elif isinstance(value, ModuleType):
            walk.text("module", name, value.__name__)
        else:
            walk.text("has", name)
            _add_function(walk, value.function if isinstance(value, OperationFunction) else value)


def _add_class(walk: Walk, cls: type) -> None:
    """Add a class by its name, with what its methods have of the function in which it is defined."""
    _add_name(walk, cls)
    for name, member in sorted(vars(cls).items()):
        if isinstance(member, FunctionType) and "<locals>" in cls.__qualname__:
            walk.text("method", name)
            _add_made_with(walk, member, closure_of(member), with_values=True)
