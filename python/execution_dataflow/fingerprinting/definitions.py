"""Digests of functions and classes: what they do, with what they refer to, wherever in a file they stand."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from enum import Enum
from functools import cached_property, partial, partialmethod
from types import (
    BuiltinFunctionType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

from execution_dataflow.definition_facts import closure_of, module_of
from execution_dataflow.fingerprinting.code_objects import Import, Name, code_facts
from execution_dataflow.fingerprinting.declared_fields import GENERATED, add_declared, is_generated
from execution_dataflow.fingerprinting.module_files import module_texts
from execution_dataflow.fingerprinting.packages import is_followed, is_installed, package_version
from execution_dataflow.fingerprinting.walks import Walk
from execution_dataflow.operations import OPTIONS, Operation
from execution_dataflow.ports import InputPort, OutputPort

__all__ = [
    "add_class",
    "add_function",
    "add_function_code",
    "add_function_values",
    "add_named",
    "define",
    "is_class_followed",
    "is_code",
    "values_of",
]

# What a class has besides what its author wrote.
_NOT_WRITTEN = frozenset({"_abc_impl", "__slotnames__"})
_OF_OPERATIONS = frozenset({*OPTIONS, "_settings", "_given_settings", "_computed_settings", "_declared", "__new__"})
_OF_NAMED_TUPLES = frozenset({"_make", "_replace", "__replace__", "_asdict", "__getnewargs__", "__new__", "__repr__"})

# Of the flags of a type: it was made while the program runs.
_MADE = 1 << 9


def add_named(walk: Walk, definition: Any, *, is_versioned: bool = True) -> None:
    """Add something that counts by its name and the version of its package."""
    module = module_of(definition)
    name = getattr(definition, "__qualname__", None) or getattr(definition, "__name__", "")
    version = package_version(module, walk.findings) if is_versioned else ""
    walk.text("named", module, str(name), version)


def add_class(walk: Walk, cls: type) -> None:
    """Add a class: followed if it is the user's, else by its name."""
    if _is_builtin(cls) or not is_followed(_module_of_class(cls), walk.user):
        add_named(walk, cls)
    else:
        walk.definition(cls)


def is_class_followed(cls: type) -> bool:
    """Return whether a class counts by its text."""
    return not _is_builtin(cls) and is_followed(_module_of_class(cls), None)


def _is_builtin(cls: type) -> bool:
    # A class that exec() makes with names of its own says that it is one.
    return cls.__module__ == "builtins" and (not cls.__flags__ & _MADE or vars(builtins).get(cls.__name__) is cls)


def _module_of_class(cls: type) -> str:
    return "" if cls.__module__ == "builtins" else cls.__module__


def add_function(walk: Walk, function: FunctionType) -> None:
    """Add a function as `add_class` does."""
    if is_followed(module_of(function), walk.user):
        walk.definition(function)
    else:
        add_named(walk, function)


def define(walk: Walk, definition: Any) -> None:
    """Add what a function or a class is made of."""
    walk.user = module_of(definition)
    if isinstance(definition, type):
        _define_class(walk, definition)
    else:
        add_function_code(walk, definition)
        add_function_values(walk, definition)


# ---------------------------------------------------------------- functions


def is_code(value: Any) -> bool:
    """Return whether a value that a function has is code, such as the function that it wraps."""
    if isinstance(value, MethodType | partial):
        return False
    return isinstance(value, FunctionType | BuiltinFunctionType | ModuleType | type) or hasattr(value, "__wrapped__")


def add_function_code(walk: Walk, function: FunctionType) -> None:
    """Add what a function does, with the functions and constants that it names."""
    facts = code_facts(function.__code__)
    walk.add("code", facts.digest)
    for use in facts.uses:
        if isinstance(use, Name):
            _add_name(walk, function, use)
        else:
            _add_import(walk, function, use)
    for name, value in values_of(function):
        if is_code(value):
            walk.text("has", name)
            walk.value(value, f"{name!r} of {function.__qualname__}")
    wrapped = function.__dict__.get("__wrapped__")
    if wrapped is not None:
        walk.add("wraps")
        walk.value(wrapped)


def add_function_values(walk: Walk, function: FunctionType) -> None:
    """Add the values that a function was made with: defaults, and the variables of the function around it."""
    for name, value in values_of(function):
        if not is_code(value):
            walk.text("value", name)
            walk.value(value, f"{name!r} of {function.__qualname__}")


def values_of(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of what a function has: variables of the function around it, defaults, attributes."""
    yield from closure_of(function)
    code = function.__code__
    defaults = function.__defaults__ or ()
    positional = code.co_varnames[: code.co_argcount]
    yield from zip(positional[len(positional) - len(defaults) :], defaults, strict=True)
    yield from sorted((function.__kwdefaults__ or {}).items())
    for name, value in sorted(function.__dict__.items()):
        if not (name.startswith("__") and name.endswith("__")):
            yield f".{name}", value


def _add_name(walk: Walk, function: FunctionType, use: Name) -> None:
    names = function.__globals__
    if use.name not in names:
        if not hasattr(builtins, use.name):
            walk.text("missing", use.name)
        return
    found = names[use.name]
    spelled = use.name
    for attribute in use.attributes:
        if not isinstance(found, ModuleType) or is_installed(found.__name__) or not hasattr(found, attribute):
            break
        found = getattr(found, attribute)
        spelled += f".{attribute}"
    walk.text("global", spelled)
    walk.value(found, f"the global {spelled!r} that {function.__qualname__} uses")


def _add_import(walk: Walk, function: FunctionType, use: Import) -> None:
    package = function.__globals__.get("__package__")
    for name, digest in module_texts(use, package if isinstance(package, str) else "", walk.findings):
        walk.text("import", name)
        walk.add("module", digest)


# ---------------------------------------------------------------- classes


def _define_class(walk: Walk, cls: type) -> None:
    walk.add("class")
    if type(cls) is not type:
        walk.value(type(cls))
    for base in cls.__bases__:
        walk.value(base)
    add_declared(walk, cls)
    for name, member in sorted(vars(cls).items()):
        if _is_written(cls, name, member):
            walk.text("member", name)
            for part in _parts_of(member):
                walk.value(part, f"attribute {name!r} of class {cls.__qualname__}")


def _is_written(cls: type, name: str, member: Any) -> bool:
    if name in _NOT_WRITTEN or isinstance(member, InputPort | OutputPort | GetSetDescriptorType | MemberDescriptorType):
        return False
    if issubclass(cls, Operation) and name in _OF_OPERATIONS:
        return False
    if issubclass(cls, Enum):
        if not _is_method(member):
            return name not in cls.__members__ and not (name.startswith("_") and name.endswith("_"))
        return any(module_of(part) == cls.__module__ for part in _parts_of(member))
    fields = getattr(cls, "__pydantic_fields__", None)
    if fields is not None and (name in fields or name == "model_config"):
        return False
    is_named_tuple = issubclass(cls, tuple) and hasattr(cls, "_fields")
    if is_named_tuple and (name in _OF_NAMED_TUPLES or type(member).__name__ == "_tuplegetter"):
        return False
    if name in GENERATED and is_generated(cls, member):
        return False
    is_special = name.startswith("__") and name.endswith("__")
    return _is_method(member) or not is_special or name == "__slots__"


_METHODS = (FunctionType, property, staticmethod, classmethod, cached_property, partialmethod)


def _is_method(member: Any) -> bool:
    return isinstance(member, _METHODS) or callable(getattr(member, "__wrapped__", None))


def _parts_of(member: Any) -> tuple[Any, ...]:
    if isinstance(member, property):
        return member.fget, member.fset, member.fdel
    if isinstance(member, staticmethod | classmethod):
        return (member.__func__,)
    if isinstance(member, cached_property):
        return (member.func,)
    if isinstance(member, partialmethod):
        return member.func, member.args, member.keywords
    return (member,)
