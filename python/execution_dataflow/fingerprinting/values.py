"""Digests of values: the same for equal values of the same type, in every process and whatever PYTHONHASHSEED is."""

from __future__ import annotations

import copyreg
import struct
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import WRAPPER_ASSIGNMENTS, partial
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    GenericAlias,
    MappingProxyType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    UnionType,
    WrapperDescriptorType,
)
from typing import Any, ForwardRef

from execution_dataflow.fingerprinting.definitions import add_class, add_function, add_named, define, is_class_followed
from execution_dataflow.fingerprinting.instance_state import has_content, undeclared
from execution_dataflow.fingerprinting.library_values import library_rule
from execution_dataflow.fingerprinting.packages import is_installed, package_version
from execution_dataflow.fingerprinting.walks import Findings, Walk

__all__ = ["SCALAR_RULES", "add_value", "new_walk"]

# What only says how others wait or where texts go: no result depends on which one it is.
_MACHINERY = frozenset(
    {
        "_thread.lock",
        "_thread.RLock",
        "threading.Barrier",
        "threading.BoundedSemaphore",
        "threading.Condition",
        "threading.Event",
        "threading.Semaphore",
        "weakref.ReferenceType",
        "weakref.WeakKeyDictionary",
        "weakref.WeakSet",
        "weakref.WeakValueDictionary",
        "execution_dataflow.engine.ExecutionEngine",
    }
)
# What functools.update_wrapper() gives to what it is called with.
_OF_WRAPPERS = frozenset({*WRAPPER_ASSIGNMENTS, "__wrapped__"})
_NATIVE = (
    BuiltinFunctionType,
    MethodWrapperType,
    WrapperDescriptorType,
    MethodDescriptorType,
    ClassMethodDescriptorType,
)


def new_walk(findings: Findings, special: Callable[[Walk, Any], bool] | None = None) -> Walk:
    """Return a walk over values.

    Parameters
    ----------
    findings : Findings
        What is known already.
    special : callable, optional
        Asked about each value that is not plain; adds those that it knows, and returns whether it did.
    """

    def value_of(walk: Walk, value: Any) -> None:
        rule = _RULES.get(type(value))
        if rule is not None:
            rule(walk, value)
        elif special is None or not special(walk, value):
            add_value(walk, value)

    return Walk(findings, value_of, define)


def add_value(walk: Walk, value: Any) -> None:
    """Add a value to a walk, as what it is by itself."""
    kind = type(value)
    rule = _RULES.get(kind)
    if rule is not None:
        rule(walk, value)
        return
    hook = getattr(kind, "__fingerprint__", None)
    if hook is not None:
        _add_hook(walk, value, hook)
        return
    rule = library_rule(value) or _rule_of_kind(value)
    rule(walk, value)


def _rule_of_kind(value: Any) -> Callable[[Walk, Any], None]:
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name in _MACHINERY:
        return _add_machinery
    for base, rule in _KINDS:
        if isinstance(value, base):
            return rule
    if is_dataclass(value):
        return _add_reduced if has_content(value) else _add_dataclass
    if callable(value) and hasattr(value, "__wrapped__"):
        return _add_wrapper
    if hasattr(kind, "__attrs_attrs__"):
        return _add_reduced if has_content(value) else _add_attrs
    return _add_reduced


def _add_hook(walk: Walk, value: Any, hook: Callable[[Any], Any]) -> None:
    add_class(walk, type(value))
    with walk.inside(value) as is_inside:
        if is_inside:
            raise walk.refuse(f"{type(value).__name__}.__fingerprint__ returns the object itself")
        walk.add("hook")
        walk.value(hook(value), f"__fingerprint__() of {type(value).__name__}")


# ---------------------------------------------------------------- plain values


def _add_none(walk: Walk, value: Any) -> None:
    walk.add("None" if value is None else "Ellipsis" if value is ... else "NotImplemented")


def _add_bool(walk: Walk, value: bool) -> None:
    walk.add("bool", b"1" if value else b"0")


def _add_int(walk: Walk, value: int) -> None:
    walk.add("int", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))


def _add_float(walk: Walk, value: float) -> None:
    walk.add("float", struct.pack("<d", value))


def _add_complex(walk: Walk, value: complex) -> None:
    walk.add("complex", struct.pack("<dd", value.real, value.imag))


def _add_str(walk: Walk, value: str) -> None:
    walk.text("str", value)


def _add_bytes(walk: Walk, value: bytes | bytearray) -> None:
    walk.add(type(value).__name__, value)


def _add_memoryview(walk: Walk, value: memoryview) -> None:
    walk.add("memoryview", repr((value.format, value.shape)).encode(), value.tobytes())


# ---------------------------------------------------------------- containers


def _add_sequence(walk: Walk, value: Any) -> None:
    with walk.inside(value) as is_inside:
        if is_inside:
            walk.add("itself")
            return
        walk.add(type(value).__name__, len(value).to_bytes(8, "little"))
        for index, item in enumerate(value):
            rule = _SIMPLE.get(type(item))
            if rule is not None:
                rule(walk, item)
            else:
                walk.value(item, (index,))


def _add_dict(walk: Walk, value: dict[Any, Any]) -> None:
    with walk.inside(value) as is_inside:
        if is_inside:
            walk.add("itself")
            return
        walk.add("dict", len(value).to_bytes(8, "little"))
        for key, item in value.items():
            walk.value(key)
            walk.value(item, (key,))


def _add_set(walk: Walk, value: Any) -> None:
    with walk.inside(value) as is_inside:
        if is_inside:
            walk.add("itself")
            return
        kind = type(value)
        if kind is set or kind is frozenset:
            add_named(walk, kind, is_versioned=False)
            walk.unordered(value)
        else:
            add_class(walk, kind)
            walk.unordered(value)
            _add_rest(walk, value)


# ---------------------------------------------------------------- objects


def _add_machinery(walk: Walk, value: Any) -> None:
    add_named(walk, type(value))


def _add_enum(walk: Walk, value: Enum) -> None:
    add_class(walk, type(value))
    walk.text("member", value.name or "")
    walk.value(value.value)


def _add_module(walk: Walk, value: ModuleType) -> None:
    version = package_version(value.__name__, walk.findings) if is_installed(value.__name__) else ""
    walk.text("module", value.__name__, version)


def _add_native(walk: Walk, value: Any) -> None:
    owner = getattr(value, "__self__", None)
    if owner is not None and not isinstance(owner, ModuleType):
        walk.add("bound")
        walk.value(owner)
    add_named(walk, value)


def _add_method(walk: Walk, value: MethodType) -> None:
    walk.add("method")
    walk.value(value.__func__)
    walk.value(value.__self__, f"what {getattr(value, '__name__', 'a method')} is bound to")


def _add_partial(walk: Walk, value: Any) -> None:
    walk.add("partial")
    walk.value(value.func)
    walk.value(value.args)
    walk.value(value.keywords)


def _add_wrapper(walk: Walk, value: Any) -> None:
    # functools.lru_cache and its like: what they keep is no part of what they do.
    if not is_class_followed(type(value)):
        add_named(walk, type(value))
        walk.value(value.__wrapped__)
        return
    with walk.inside(value) as is_inside:
        if is_inside:
            walk.add("itself")
            return
        add_class(walk, type(value))
        walk.value(value.__wrapped__)
        for name, item in undeclared(value):
            if name not in _OF_WRAPPERS:
                walk.text("attribute", str(name))
                walk.value(item, f"attribute {name!r} of {type(value).__name__}")


def _add_alias(walk: Walk, value: Any) -> None:
    walk.text("type", type(value).__name__, str(getattr(value, "__unpacked__", False)))
    walk.value(getattr(value, "__origin__", None))
    walk.value(value.__args__)


def _add_forward(walk: Walk, value: ForwardRef) -> None:
    walk.text("forward", value.__forward_arg__)


def _add_proxy(walk: Walk, value: MappingProxyType[Any, Any]) -> None:
    walk.add("mappingproxy")
    walk.value(dict(value))


def _add_dataclass(walk: Walk, value: Any) -> None:
    with walk.inside(value) as is_inside:
        if is_inside:
            walk.add("itself")
            return
        add_class(walk, type(value))
        for field in fields(value):
            _add_field(walk, value, field.name)
        _add_rest(walk, value)


def _add_attrs(walk: Walk, value: Any) -> None:
    with walk.inside(value) as is_inside:
        if is_inside:
            walk.add("itself")
            return
        add_class(walk, type(value))
        for attribute in type(value).__attrs_attrs__:
            _add_field(walk, value, attribute.name)
        _add_rest(walk, value)


def _add_field(walk: Walk, value: Any, name: str) -> None:
    walk.text("field", name)
    if hasattr(value, name):
        walk.value(getattr(value, name), f"attribute {name!r} of {type(value).__name__}")


def _add_rest(walk: Walk, value: Any) -> None:
    for name, item in undeclared(value):
        walk.text("attribute", str(name))
        walk.value(item, f"attribute {name!r} of {type(value).__name__}")


def _add_reduced(walk: Walk, value: Any) -> None:
    """Add what the object would be pickled from, without pickling it: pickles say which parts are the same object."""
    with walk.inside(value) as is_inside:
        if is_inside:
            walk.add("itself")
            return
        kind = type(value)
        reduce = copyreg.dispatch_table.get(kind)
        try:
            made = reduce(value) if reduce is not None else value.__reduce_ex__(4)
        except Exception as error:
            raise _not_reduced(walk, value, f"{type(error).__name__}: {error}") from error
        if isinstance(made, str):
            walk.text("global", str(kind.__module__), made)
            return
        if not isinstance(made, tuple) or len(made) < 2:
            raise _not_reduced(walk, value, "its __reduce__ returns no tuple")
        function, arguments, *rest = made
        state, items, pairs = (*rest, None, None, None)[:3]
        if is_class_followed(kind):
            add_class(walk, kind)
        walk.add("reduced")
        walk.value(function)
        walk.value(arguments)
        if isinstance(state, dict):
            _add_state(walk, kind, state)
        else:
            walk.value(state)
        walk.value(None if items is None else list(items))
        walk.value(None if pairs is None else list(pairs))


def _add_state(walk: Walk, kind: type, state: dict[Any, Any]) -> None:
    walk.add("state", len(state).to_bytes(8, "little"))
    # By name: which attribute was set first depends on what was computed when.
    for name in sorted(state, key=str):
        walk.value(name)
        walk.value(state[name], f"attribute {name!r} of {kind.__name__}")


def _not_reduced(walk: Walk, value: Any, why: str) -> Exception:
    kind = type(value)
    return walk.refuse(
        f"{kind.__module__}.{kind.__qualname__} has no content that could be compared with that of another process "
        f"({why}); leave it out of what is configured and make it in execute(), or give its class a method "
        "__fingerprint__(self) that returns what tells one from another, such as a str"
    )


_SIMPLE: dict[type, Callable[[Walk, Any], None]] = {
    type(None): _add_none,
    bool: _add_bool,
    int: _add_int,
    float: _add_float,
    complex: _add_complex,
    str: _add_str,
    bytes: _add_bytes,
    bytearray: _add_bytes,
}
SCALAR_RULES: dict[type, Callable[[Walk, Any], None]] = {
    kind: _SIMPLE[kind] for kind in (type(None), bool, int, float, str)
}
"""How values are added that refer to nothing else."""

_RULES: dict[type, Callable[[Walk, Any], None]] = {
    **_SIMPLE,
    type(...): _add_none,
    type(NotImplemented): _add_none,
    list: _add_sequence,
    tuple: _add_sequence,
    dict: _add_dict,
    set: _add_set,
    frozenset: _add_set,
    memoryview: _add_memoryview,
    FunctionType: add_function,
}
_KINDS: list[tuple[Any, Callable[[Walk, Any], None]]] = [
    (Enum, _add_enum),
    (type, add_class),
    (ModuleType, _add_module),
    (MethodType, _add_method),
    (partial, _add_partial),
    (_NATIVE, _add_native),
    (GenericAlias | UnionType, _add_alias),
    (ForwardRef, _add_forward),
    (MappingProxyType, _add_proxy),
    (set | frozenset, _add_set),
]
