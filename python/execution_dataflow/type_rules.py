"""The typing rules of ports (rule G3): which types may be connected, and which values a port takes.

When ports are connected, a pair of types is refused only if no value could ever satisfy both. When a value is set it is
checked exactly, by class, dtype and shape; elements of containers are never sampled.
"""

from __future__ import annotations

from collections.abc import Callable
from types import NoneType
from typing import Literal, TypeAlias, Union, get_args, get_origin

from execution_dataflow.array_rules import ArrayCheck, Shape, joint_shape, normal_dtype
from execution_dataflow.port_types.hints import Spec, describe, is_anything, is_union, read, struct_fields
from execution_dataflow.port_types.misfits import array_facts_of, fits, misfit
from execution_dataflow.port_types.specs import ValueSpec

__all__ = ["Check", "check_value", "describe", "fits", "misfit", "or_none", "value_check"]

Check: TypeAlias = type | tuple[type, ...] | Callable[[object], str | None] | None
"""How a value is checked: not at all, by class, or by a callable that returns what is wrong."""


def value_check(hint: object, dtype: object = None, shape: Shape | None = None) -> Check:
    """Return the check of values that a type hint asks for.

    Parameters
    ----------
    hint : type or type hint
        What the port declares.
    dtype : object
        A dtype that arrays must have, as numpy takes it.
    shape : tuple of (int, str or None), optional
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
    hint, specs = read(hint)
    own_dtype, own_shape = array_facts_of(hint, specs)
    dtype = own_dtype if dtype is None else normal_dtype(dtype)
    shape = joint_shape(shape, own_shape)
    check = _class_check(hint)
    if dtype is not None or shape is not None:
        check = _array_check(hint, check, dtype, shape)
    return _with_specs(check, specs)


def _class_check(hint: object) -> Check:
    if is_anything(hint):
        return None
    if is_union(hint):
        return _union_check(get_args(hint))
    if get_origin(hint) is Literal:
        return LiteralCheck(get_args(hint))
    if struct_fields(hint) is not None:
        return dict
    kind = get_origin(hint) or hint
    if not isinstance(kind, type):
        return None
    if getattr(kind, "_is_protocol", False) and not getattr(kind, "_is_runtime_protocol", False):
        return None
    return _PROMOTIONS.get(kind, kind)


_PROMOTIONS: dict[type, tuple[type, ...]] = {float: (float, int), complex: (complex, float, int)}


def _array_check(hint: object, check: Check, dtype: object, shape: Shape | None) -> Check:
    if isinstance(check, type | tuple):
        classes = check if isinstance(check, tuple) else (check,)
        arrays = tuple(kind for kind in classes if kind is not NoneType)
        wanted = ArrayCheck(arrays, dtype, shape)
        return wanted if len(arrays) == len(classes) else or_none(wanted, describe(hint))
    return AllOfCheck((check, ArrayCheck(None, dtype, shape))) if check is not None else ArrayCheck(None, dtype, shape)


def _with_specs(check: Check, specs: tuple[Spec, ...]) -> Check:
    further: tuple[Check, ...] = tuple(spec.fault for spec in specs if isinstance(spec, ValueSpec))
    if not further:
        return check
    return further[0] if check is None and len(further) == 1 else AllOfCheck((check, *further))


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


class AllOfCheck:
    """Checks that a value passes all of several checks.

    Parameters
    ----------
    checks : tuple
        The checks, from the cheapest.
    """

    __slots__ = ("checks",)

    def __init__(self, checks: tuple[Check, ...]) -> None:
        self.checks = checks

    def __call__(self, value: object) -> str | None:
        faults = (check_value(check, value) for check in self.checks)
        return next((fault for fault in faults if fault is not None), None)


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
