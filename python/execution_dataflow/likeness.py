"""Whether two values are alike: made of the same, of the same classes, though they are not the same object."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from functools import _lru_cache_wrapper
from itertools import zip_longest
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
)
from typing import Any

from execution_dataflow.definition_facts import closure_of
from execution_dataflow.table_likeness import table_rule

__all__ = ["Likeness", "Special", "variables_of"]

Special = Callable[[Any, Any], bool | None]
"""Compares two values of one class, or returns ``None`` where it does not know that class."""

_PACKAGE = __name__.partition(".")[0]
_EXACT = (type(None), bool, int, str, bytes, bytearray)
_BY_TEXT = (float, complex)  # not a number is like itself, and 0.0 is not -0.0
_DESCRIPTORS = (GetSetDescriptorType, MemberDescriptorType)
_LOCKS = frozenset({"_thread.lock", "_thread.RLock"})
# What says of a class where it stands, and what Python keeps with it.
_OF_CLASSES = frozenset(
    {
        *("__dict__", "__weakref__", "__doc__", "__firstlineno__", "__static_attributes__", "__slotnames__"),
        *("_abc_impl", "__annotations_cache__"),
    }
)


class _Nothing:
    """Stands where there is no value."""


_NOTHING = _Nothing()


class Likeness:
    """Compares values, and remembers which ones it found alike.

    Containers, arrays and tables are alike if what is in them is, in the same order; functions by their code, the
    variables around them and their defaults; methods by what they are bound to, too; objects by their own ``==`` if
    their class has one, else by what they would be pickled from. What cannot be compared is like itself alone.

    Parameters
    ----------
    special : callable
        Asked first about two values of one class.
    """

    def __init__(self, special: Special) -> None:
        self._special = special
        # Pairs that are alike, or are being compared: a pair that is met again within itself adds nothing. The values
        # stay alive here, so that no other one gets their identity.
        self._met: dict[tuple[int, int], tuple[Any, Any]] = {}

    def alike(self, before: Any, after: Any) -> bool:
        """Return whether two values are alike."""
        if before is after:
            return True
        kind = type(before)
        if kind in _EXACT:
            return kind is type(after) and bool(before == after)
        if kind in _BY_TEXT:
            return kind is type(after) and repr(before) == repr(after)
        key = id(before), id(after)
        if key in self._met:
            return True
        count = len(self._met)
        self._met[key] = before, after
        try:
            answer = self.alike(kind, type(after)) and self._compared(before, after)
        except Exception:  # the values are anybody's
            answer = False
        if not answer:
            while len(self._met) > count:  # what was found while this was taken for granted
                self._met.popitem()
        return answer

    def all_alike(self, before: Iterable[Any], after: Iterable[Any]) -> bool:
        """Return whether there are as many values, and each is like its counterpart."""
        return all(self.alike(*pair) for pair in zip_longest(before, after, fillvalue=_NOTHING))

    def same_code(self, before: CodeType, after: CodeType) -> bool:
        """Return whether two functions do the same, wherever they stand: without their files and lines."""
        return self.all_alike(_code_facts(before), _code_facts(after))

    def _compared(self, before: Any, after: Any) -> bool:
        answer = self._special(before, after)
        if answer is not None:
            return answer
        kind = type(before)
        rule = _RULES.get(kind)
        if rule is not None:
            return rule(self, before, after)
        table = table_rule(before)
        if table is not None:
            return table(self.alike, before, after)
        if isinstance(before, type):
            return self._classes(before, after)
        if f"{kind.__module__}.{kind.__qualname__}" in _LOCKS:
            return True
        if is_dataclass(kind) and _is_generated(kind.__eq__):
            compared = [field.name for field in fields(kind) if field.compare]
            return self.all_alike(
                [getattr(before, name, _NOTHING) for name in compared],
                [getattr(after, name, _NOTHING) for name in compared],
            )
        if not isinstance(kind.__eq__, FunctionType) or kind.__module__.partition(".")[0] == _PACKAGE:
            return self._by_parts(before, after)
        if kind.__module__ == "typing":
            return bool(before == after) or self._by_parts(before, after)
        return self._by_equality(before, after)

    def _by_equality(self, before: Any, after: Any) -> bool:
        equal = before == after
        if equal is True:
            return True
        if equal is False:
            return bool(before != before and after != after)  # not a number
        for fact in ("shape", "dtype"):
            if not self.alike(getattr(before, fact, None), getattr(after, fact, None)):
                return False
        if not hasattr(equal, "all"):
            return self._by_parts(before, after)
        return bool((equal | ((before != before) & (after != after))).all())

    def _by_parts(self, before: Any, after: Any) -> bool:
        """Compare what the objects would be pickled from; what cannot be pickled, by ``==``."""
        reduce = copyreg.dispatch_table.get(type(before))
        try:
            made, made_now = (value.__reduce_ex__(4) if reduce is None else reduce(value) for value in (before, after))
        except Exception:  # as above
            return bool(before == after)
        if isinstance(made, str) or isinstance(made_now, str):
            return False  # a name, which means one object
        parts, parts_now = (self._parts(*reduced) for reduced in (made, made_now))
        return self.all_alike(parts, parts_now)

    def _parts(
        self, function: Any, arguments: Any, state: Any = None, items: Any = None, pairs: Any = None, *_: Any
    ) -> list[Any]:
        return [
            function,
            arguments,
            _by_name(state),
            None if items is None else list(items),
            None if pairs is None else list(pairs),
        ]

    def _classes(self, before: type, after: type) -> bool:
        if (before.__module__, before.__qualname__) != (after.__module__, after.__qualname__):
            return False
        if not self.all_alike(before.__bases__, after.__bases__):
            return False
        members, members_now = (
            {name: member for name, member in vars(cls).items() if name not in _OF_CLASSES} for cls in (before, after)
        )
        return self.alike(_by_name(members), _by_name(members_now))

    def _sequences(self, before: Any, after: Any) -> bool:
        return len(before) == len(after) and all(map(self.alike, before, after))

    def _dicts(self, before: dict[Any, Any], after: dict[Any, Any]) -> bool:
        if len(before) != len(after):
            return False
        return all(map(self.alike, before, after)) and all(map(self.alike, before.values(), after.values()))

    def _sets(self, before: Any, after: Any) -> bool:
        if len(before) != len(after):
            return False
        equals = {item: item for item in after}
        others = []
        for item in before:
            if item in equals and self.alike(item, equals[item]):
                del equals[item]
            else:
                others.append(item)
        left = list(equals)
        for item in others:
            place = next((place for place, other in enumerate(left) if self.alike(item, other)), None)
            if place is None:
                return False
            del left[place]
        return True

    def _functions(self, before: FunctionType, after: FunctionType) -> bool:
        return (
            self.same_code(before.__code__, after.__code__)
            and self.alike(variables_of(before), variables_of(after))
            and self.alike(before.__defaults__, after.__defaults__)
            and self.alike(before.__kwdefaults__, after.__kwdefaults__)
        )

    def _methods(self, before: Any, after: Any) -> bool:
        return self.alike(before.__func__, after.__func__) and self.alike(before.__self__, after.__self__)

    def _builtins(self, before: BuiltinFunctionType, after: BuiltinFunctionType) -> bool:
        return before.__qualname__ == after.__qualname__ and self.alike(before.__self__, after.__self__)

    def _properties(self, before: property, after: property) -> bool:
        return self.all_alike((before.fget, before.fset, before.fdel), (after.fget, after.fset, after.fdel))

    def _wrapped(self, before: Any, after: Any) -> bool:
        return self.alike(before.__func__, after.__func__)

    def _cached(self, before: Any, after: Any) -> bool:
        # What they keep is no part of what they do.
        return self.alike(before.__wrapped__, after.__wrapped__)

    def _descriptors(self, before: Any, after: Any) -> bool:
        return bool(before.__name__ == after.__name__)

    def _bare(self, before: object, after: object) -> bool:
        return False  # nothing is in them, and so each stands for something of its own


_RULES: dict[type, Callable[[Likeness, Any, Any], bool]] = {
    object: Likeness._bare,
    list: Likeness._sequences,
    tuple: Likeness._sequences,
    dict: Likeness._dicts,
    set: Likeness._sets,
    frozenset: Likeness._sets,
    CodeType: Likeness.same_code,
    FunctionType: Likeness._functions,
    MethodType: Likeness._methods,
    BuiltinFunctionType: Likeness._builtins,
    _lru_cache_wrapper: Likeness._cached,
    property: Likeness._properties,
    staticmethod: Likeness._wrapped,
    classmethod: Likeness._wrapped,
    **dict.fromkeys(_DESCRIPTORS, Likeness._descriptors),
}


def variables_of(function: Any) -> dict[str, Any]:
    """Return what a function knows of the functions around it; of a method, also what it is bound to, as ``self``."""
    if isinstance(function, MethodType):
        return {"self": function.__self__, **variables_of(function.__func__)}
    return dict(closure_of(function, _NOTHING))


def _code_facts(code: CodeType) -> tuple[Any, ...]:
    return (
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags),
        code.co_code,
        code.co_exceptiontable,
        (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars),
        code.co_consts,
    )


def _is_generated(method: Any) -> bool:
    """Whether a method of a dataclass is none that its author wrote."""
    return isinstance(method, FunctionType) and method.__code__.co_filename.startswith("<")


def _by_name(state: Any) -> Any:
    """Return attributes in an order of their own: which one was set first depends on what was computed when."""
    if isinstance(state, dict) and all(type(name) is str for name in state):
        return {name: state[name] for name in sorted(state)}
    if type(state) is tuple:  # attributes, and slots
        return tuple(map(_by_name, state))
    return state
