"""What an instance of a dataclass or an attrs class has besides the fields that its class declares."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from types import FunctionType, MemberDescriptorType
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["has_content", "slots_of", "undeclared"]

# Here functions stand that classes are given with their fields, and that say nothing of what else there is.
_GENERATORS = frozenset({"dataclasses", "attr._make"})
_CONTENT = ("__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__")


class _Kind:
    """What is the same for all instances of a class.

    Parameters
    ----------
    kind : type
        The class.
    """

    def __init__(self, kind: type) -> None:
        fields = getattr(kind, "__dataclass_fields__", {})
        attributes = (attribute.name for attribute in getattr(kind, "__attrs_attrs__", ()))
        computed = (
            name for base in kind.__mro__ for name, member in vars(base).items() if isinstance(member, cached_property)
        )
        self.left_out = frozenset({*fields, *attributes, *computed})
        self.slots = tuple(
            (name, slot) for base, name, slot in slots_of(kind) if name not in self.left_out and not _is_of_attrs(base)
        )
        state = getattr(kind, "__getstate__", None)
        self.tells_state = isinstance(state, FunctionType) and state.__globals__.get("__name__") not in _GENERATORS
        self.has_content = issubclass(kind, list | dict) or any(_is_native(kind, name) for name in _CONTENT)


_kinds: WeakKeyDictionary[type, _Kind] = WeakKeyDictionary()


def _kind_of(value: Any) -> _Kind:
    kind = type(value)
    known = _kinds.get(kind)
    if known is None:
        known = _kinds[kind] = _Kind(kind)
    return known


def has_content(value: Any) -> bool:
    """Return whether an instance holds what no attribute shows, such as the items of a list."""
    return _kind_of(value).has_content


def undeclared(value: Any) -> list[tuple[str, Any]]:
    """Return the attributes that are no declared fields, without what is only computed from others.

    If the class says in a method ``__getstate__`` what an instance is made of, it is asked.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Query:
    ...     table: str
    >>> query = Query("sales")
    >>> query.where = "day = 1"
    >>> undeclared(query)
    [('where', 'day = 1')]
    """
    known = _kind_of(value)
    if known.tells_state:
        state = value.__getstate__()
        if not isinstance(state, dict):
            return [("__getstate__", state)]
        return _by_name([(str(name), item) for name, item in state.items() if name not in known.left_out])
    fields = getattr(value, "__dict__", {})
    found = [(name, item) for name, item in fields.items() if name not in known.left_out]
    for name, slot in known.slots:
        try:
            found.append((name, slot.__get__(value)))
        except AttributeError:
            continue
    return _by_name(found)


def _by_name(found: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return sorted(found, key=lambda pair: str(pair[0]))


def slots_of(kind: type) -> Iterator[tuple[type, str, MemberDescriptorType]]:
    """Yield the slots of a class and of its bases, each with the class that has it and its name there."""
    for base in kind.__mro__:
        if "__slots__" in vars(base):
            for name, member in vars(base).items():
                if isinstance(member, MemberDescriptorType):
                    yield base, name, member


def _is_of_attrs(base: type) -> bool:
    # Its slots are its attributes, and the properties that it keeps.
    return "__attrs_attrs__" in vars(base)


def _is_native(kind: type, name: str) -> bool:
    found = getattr(kind, name, None)
    return found is not None and found is not getattr(object, name, None) and not isinstance(found, FunctionType)
