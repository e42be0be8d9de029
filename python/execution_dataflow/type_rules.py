"""The typing rules of ports (rule G3): which types may be connected, and which values a port takes.

When ports are connected, a pair of types is refused only if no value could ever satisfy both. When a value is set it is
checked exactly, by class, dtype and shape; elements of containers are never sampled.
"""

from __future__ import annotations

import collections.abc
from collections.abc import Callable
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Literal,
    NewType,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    is_typeddict,
)

from execution_dataflow.array_rules import ArrayCheck, Shape, array_facts, arrays_fit, normal_dtype

__all__ = ["Check", "check_value", "describe", "fits", "or_none", "value_check"]

Check: TypeAlias = type | tuple[type, ...] | Callable[[object], str | None] | None
"""How a value is checked: not at all, by class, or by a callable that returns what is wrong."""

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: set for every class made by a class statement


def fits(source: object, target: object) -> bool:
    """Return whether a value of one type may ever satisfy another.

    A subclass fits its base; a base may fit its subclass, which the value then shows; ``int`` fits ``float``; a union
    fits where one member does.

    Parameters
    ----------
    source : type or type hint
        What an output declares.
    target : type or type hint
        What an input declares.

    Returns
    -------
    bool
        ``False`` only if no value can satisfy both.

    Examples
    --------
    >>> fits(int, float), fits(bytes, str), fits(int | None, str | None)
    (True, False, True)
    >>> fits(list[int], list[str]), fits(list, list[str])
    (False, True)
    """
    source, target = _normal(source), _normal(target)
    if source is target or source in _ANYTHING or target in _ANYTHING:
        return True
    if _is_union(source) or _is_union(target):
        return any(fits(one, other) for one in _members(source) for other in _members(target))
    if get_origin(source) is Literal or get_origin(target) is Literal:
        return _literals_fit(source, target)
    source_class, target_class = get_origin(source) or source, get_origin(target) or target
    if not isinstance(source_class, type) or not isinstance(target_class, type):
        return True
    if not _classes_fit(source_class, target_class):
        return False
    source_arguments, target_arguments = get_args(source), get_args(target)
    if not source_arguments or not target_arguments:
        return True
    as_arrays = arrays_fit(source, target)
    if as_arrays is not None:
        return as_arrays
    return _arguments_fit(source_class, source_arguments, target_class, target_arguments) or _is_subhint(source, target)


def _normal(hint: object) -> object:
    """Strip what says nothing about the class of a value; what cannot be known is ``Any``."""
    if type(hint) is type:
        return hint
    if hint is None:
        return NoneType
    if isinstance(hint, str | ForwardRef):
        return Any
    if get_origin(hint) is Annotated:
        return _normal(get_args(hint)[0])
    if isinstance(hint, NewType):
        return _normal(hint.__supertype__)
    if isinstance(hint, TypeVar):
        if hint.__constraints__:
            return Union[hint.__constraints__]  # noqa: UP007 - there is no operator for a tuple of members
        return Any if hint.__bound__ is None else _normal(hint.__bound__)
    if is_typeddict(hint):
        return dict
    return _normal_alias(hint)


def _normal_alias(hint: object) -> object:
    """Expand what a `type X[T] = ...` statement named, from Python 3.12; numpy's `NDArray` is one."""
    if type(hint).__name__ == "TypeAliasType":
        return _normal(getattr(hint, "__value__", Any))
    origin = get_origin(hint)
    if type(origin).__name__ != "TypeAliasType":
        return hint
    value: Any = getattr(origin, "__value__", Any)
    try:
        return _normal(value[get_args(hint)])
    except TypeError:  # its parameters are not used
        return _normal(value)


_ANYTHING: tuple[object, ...] = (Any, object)


def _is_union(hint: object) -> bool:
    return get_origin(hint) in (Union, UnionType)


def _members(hint: object) -> tuple[object, ...]:
    """Return the members of a union, or the hint alone."""
    return get_args(hint) if _is_union(hint) else (hint,)


def _literals_fit(source: object, target: object) -> bool:
    if get_origin(source) is Literal and get_origin(target) is Literal:
        wanted = [(type(value), value) for value in get_args(target)]
        return any((type(value), value) in wanted for value in get_args(source))
    if get_origin(source) is Literal:
        return any(fits(type(value), target) for value in get_args(source))
    return any(fits(source, type(value)) for value in get_args(target))


def _classes_fit(source: type, target: type) -> bool:
    try:
        if issubclass(source, target) or issubclass(target, source):
            return True
        if target is float:
            return issubclass(source, int)
        if target is complex:
            return issubclass(source, int | float)
    except TypeError:
        return True  # a protocol that cannot be checked by class
    # An abstract class says what a value can do, so a class that is unrelated by name may have subclasses that can; for
    # the classes that Python itself brings, what they can do is known.
    source_is_abstract, target_is_abstract = _is_abstract(source), _is_abstract(target)
    if source_is_abstract and target_is_abstract:
        return True
    if target_is_abstract:
        return bool(source.__flags__ & _HEAP_TYPE)
    if source_is_abstract:
        return bool(target.__flags__ & _HEAP_TYPE)
    return False


def _is_abstract(kind: type) -> bool:
    return bool(getattr(kind, "_is_protocol", False) or getattr(kind, "__abstractmethods__", None))


def _arguments_fit(
    source: type, source_arguments: tuple[object, ...], target: type, target_arguments: tuple[object, ...]
) -> bool:
    """Compare the parameters of two generic types whose classes fit; what is not understood fits."""
    if source in _CALLABLE and target in _CALLABLE:
        return fits(source_arguments[-1], target_arguments[-1])
    if source is tuple or target is tuple:
        return _tuples_fit(_items(source, source_arguments), _items(target, target_arguments))
    if len(source_arguments) != len(target_arguments):
        return True
    if source is not target and not {source.__module__, target.__module__} <= _CONTAINER_MODULES:
        return True
    return all(fits(one, other) for one, other in zip(source_arguments, target_arguments, strict=True))


_CALLABLE: tuple[object, ...] = (collections.abc.Callable,)
_CONTAINER_MODULES = {"builtins", "collections", "collections.abc"}


def _items(kind: type, arguments: tuple[object, ...]) -> tuple[object, ...]:
    """Return the items of a sequence as those of a tuple: any number of one type ends with an ellipsis."""
    return arguments if kind is tuple else (arguments[0], Ellipsis)


def _tuples_fit(source: tuple[object, ...], target: tuple[object, ...]) -> bool:
    if source[-1] is Ellipsis and target[-1] is Ellipsis:
        return fits(source[0], target[0])
    if source[-1] is Ellipsis:
        return all(fits(source[0], item) for item in target)
    if target[-1] is Ellipsis:
        return all(fits(item, target[0]) for item in source)
    return len(source) == len(target) and all(fits(one, other) for one, other in zip(source, target, strict=True))


def _is_subhint(source: object, target: object) -> bool:
    """Ask beartype before a pair of generic types is refused; what it cannot read may fit."""
    from beartype.door import is_subhint

    try:
        return is_subhint(source, target)
    except Exception:  # beartype's errors on hints it does not support have no common public base
        return True


def value_check(hint: object, dtype: object = None, shape: Shape | None = None) -> Check:
    """Return the check of values that a type hint asks for.

    Parameters
    ----------
    hint : type or type hint
        What the port declares.
    dtype : object
        A dtype that arrays must have, as numpy takes it.
    shape : tuple of (int or None), optional
        The lengths of the axes that arrays must have; ``None`` is any length.

    Returns
    -------
    None, type, tuple of type, or callable
        ``None`` takes anything. A callable returns ``None`` for a good value, and otherwise says what is wrong.

    Examples
    --------
    >>> value_check(list[int]), value_check(float), value_check(int | None)
    (<class 'list'>, (<class 'float'>, <class 'int'>), (<class 'int'>, <class 'NoneType'>))
    """
    if dtype is not None or shape is not None:
        check = value_check(hint)
        classes = check if isinstance(check, tuple) else (check,) if isinstance(check, type) else None
        return ArrayCheck(classes, None if dtype is None else normal_dtype(dtype), shape)
    hint = _normal(hint)
    if hint in _ANYTHING:
        return None
    if _is_union(hint):
        return _union_check(get_args(hint))
    if get_origin(hint) is Literal:
        return LiteralCheck(get_args(hint))
    scalar, lengths = array_facts(hint)
    kind = get_origin(hint) or hint
    if not isinstance(kind, type):
        return str if getattr(hint, "__name__", "") == "LiteralString" else None
    if scalar is not None or lengths is not None:
        return ArrayCheck((kind,), scalar, lengths)
    if getattr(kind, "_is_protocol", False) and not getattr(kind, "_is_runtime_protocol", False):
        return None
    return _PROMOTIONS.get(kind, kind)


_PROMOTIONS: dict[type, tuple[type, ...]] = {float: (float, int), complex: (complex, float, int)}


def _union_check(members: tuple[object, ...]) -> Check:
    checks = [value_check(member) for member in members]
    if any(check is None for check in checks):
        return None
    classes: list[type] = []
    for check in checks:
        if isinstance(check, tuple):
            classes.extend(check)
        elif isinstance(check, type):
            classes.append(check)
        else:
            return AnyOfCheck(tuple(checks), describe(Union[members]))  # noqa: UP007 - members is a tuple
    return tuple(dict.fromkeys(classes))


def or_none(check: Check, expected: str) -> Check:
    """Return a check that takes ``None`` too; `expected` is the type that it is for, as text."""
    if check is None:
        return None
    if isinstance(check, type | tuple):
        classes = check if isinstance(check, tuple) else (check,)
        return classes if NoneType in classes else (*classes, NoneType)
    return AnyOfCheck((check, NoneType), f"{expected} | None")


class LiteralCheck:
    """Checks that a value is one of the given ones, of the same type.

    Parameters
    ----------
    values : tuple
        The values.
    """

    __slots__ = ("values",)

    def __init__(self, values: tuple[object, ...]) -> None:
        self.values = values

    def __call__(self, value: object) -> str | None:
        if any(type(value) is type(known) and value == known for known in self.values):
            return None
        return f"expected one of {', '.join(map(repr, self.values))}, got {_shorten(value)}"


class AnyOfCheck:
    """Checks that a value passes one of several checks.

    Parameters
    ----------
    checks : tuple
        The checks.
    expected : str
        The union, as text.
    """

    __slots__ = ("checks", "expected")

    def __init__(self, checks: tuple[Check, ...], expected: str) -> None:
        self.checks = checks
        self.expected = expected

    def __call__(self, value: object) -> str | None:
        if any(check_value(check, value) is None for check in self.checks):
            return None
        return f"expected {self.expected}, got {_shorten(value)}"


def check_value(check: Check, value: object) -> str | None:
    """Apply a check.

    Parameters
    ----------
    check : None, type, tuple of type, or callable
        What `value_check` returned.
    value : object
        The value.

    Returns
    -------
    str or None
        What is wrong, or ``None``.

    Examples
    --------
    >>> check_value(value_check(float), "3")
    "expected float or int, got str ('3')"
    """
    if check is None:
        return None
    if isinstance(check, type | tuple):
        if isinstance(value, check):
            return None
        kinds = check if isinstance(check, tuple) else (check,)
        return f"expected {' or '.join(describe(kind) for kind in kinds)}, got {_shorten(value)}"
    return check(value)


def _shorten(value: object) -> str:
    """Return the class of a value, with the value where it is short."""
    kind = describe(type(value))
    try:
        text = repr(value) if isinstance(value, str | bytes | int | float) else ""
    except Exception:  # a user's subclass may fail in any way
        text = ""
    return f"{kind} ({text})" if text and len(text) <= 40 else kind


def describe(hint: object) -> str:
    """Return a type hint as a person writes it.

    Parameters
    ----------
    hint : type or type hint
        The hint.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> from collections import OrderedDict
    >>> describe(int), describe(list[int]), describe(int | None), describe(OrderedDict), describe(None)
    ('int', 'list[int]', 'int | None', 'collections.OrderedDict', 'None')
    """
    if hint is None or hint is NoneType:
        return "None"
    if hint is Any:
        return "Any"
    if isinstance(hint, str):
        return hint
    if _is_union(hint):
        return " | ".join(describe(member) for member in get_args(hint))
    if isinstance(hint, type) and get_origin(hint) is None:
        module = "" if hint.__module__ in ("builtins", "__main__") else f"{hint.__module__}."
        return f"{module}{hint.__qualname__}"
    return repr(hint).replace("typing.", "")
