"""Whether an object may be of two classes: by inheritance, and by what protocols and abstract classes ask for."""

from __future__ import annotations

import enum

from execution_dataflow.port_types.hints import describe

__all__ = ["issubclass_safely", "why_classes"]

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: set for every class made by a class statement
_BASE_TYPE = 1 << 10  # Py_TPFLAGS_BASETYPE: set for every class that may have subclasses

# Whether a class derives from two others is looked for among so many.
_MOST_SUBCLASSES = 1000


def issubclass_safely(kind: type, base: type) -> bool:
    """Return whether a class is known to be a subclass of another one; metaclasses may raise anything."""
    try:
        return issubclass(kind, base)
    except Exception:
        return False


def why_classes(source: type, target: type) -> str | None:
    """Return why no object can be of both classes, or ``None`` if one may.

    Parameters
    ----------
    source, target : type
        The classes; one of them may be a protocol or an abstract class.

    Returns
    -------
    str or None
        What the one lacks; an empty text where there is no more to say than that they differ.
    """
    try:
        if issubclass(source, target) or issubclass(target, source):
            return None
        if target is float and issubclass(source, int):
            return None
        if target is complex and issubclass(source, int | float):
            return None
    except Exception:  # a protocol that cannot be checked by class, or a metaclass of the user's
        return _lacks(source, target) or _lacks(target, source)
    # An abstract class says what a value can do, so a class that is unrelated by name may have subclasses that can; for
    # the classes that Python itself brings, and those that have no subclasses, what they can do is known.
    source_is_abstract, target_is_abstract = _is_abstract(source), _is_abstract(target)
    if source_is_abstract and target_is_abstract:
        return None
    if target_is_abstract:
        return None if _may_learn(source) else _lacks(source, target) or ""
    if source_is_abstract:
        return None if _may_learn(target) else _lacks(target, source) or ""
    return None if _have_common_subclass(source, target) else ""


def _have_common_subclass(one: type, other: type) -> bool:
    """Return whether some class that is there derives from both; classes that nobody has joined so far do not fit."""
    if not (one.__flags__ & _HEAP_TYPE or other.__flags__ & _HEAP_TYPE):
        return False
    kind, base = (one, other) if one.__flags__ & _HEAP_TYPE else (other, one)
    waiting: list[type] = [kind]
    seen: set[type] = {kind}
    while waiting and len(seen) < _MOST_SUBCLASSES:
        subclasses: list[type] = type.__subclasses__(waiting.pop())
        for subclass in subclasses:
            if issubclass_safely(subclass, base):
                return True
            if subclass not in seen:
                seen.add(subclass)
                waiting.append(subclass)
    return False


def _is_abstract(kind: type) -> bool:
    return bool(getattr(kind, "_is_protocol", False) or getattr(kind, "__abstractmethods__", None))


def _may_learn(kind: type) -> bool:
    """Return whether objects of a class may do what the class does not: as objects of a subclass."""
    if getattr(kind, "__final__", False) or not kind.__flags__ & _BASE_TYPE:
        return False
    if issubclass_safely(kind, enum.Enum) and getattr(kind, "_member_names_", None):
        return False
    return bool(kind.__flags__ & _HEAP_TYPE)


def _lacks(kind: type, protocol: type) -> str | None:
    """Return what a protocol asks for that objects of a class cannot have, or ``None``."""
    if not getattr(protocol, "_is_protocol", False) or getattr(kind, "_is_protocol", False) or _may_learn(kind):
        return None
    if kind.__dictoffset__:
        return None  # each object may have attributes of its own
    asked: set[str] = set()
    for base in protocol.__mro__:
        if getattr(base, "_is_protocol", False) and base.__module__ not in ("typing", "typing_extensions"):
            asked |= {name for name in vars(base) if not name.startswith("_")} | set(
                vars(base).get("__annotations__", ())
            )
            asked |= {name for name, value in vars(base).items() if name in _METHODS and callable(value)}
    missing = sorted(name for name in asked if not hasattr(kind, name))
    return f"{describe(kind)} has no {', '.join(missing)}" if missing else None


_METHODS = {"__len__", "__iter__", "__next__", "__contains__", "__getitem__", "__call__", "__enter__", "__exit__"}
