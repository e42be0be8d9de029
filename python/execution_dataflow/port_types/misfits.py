"""Whether two types can be connected, and why they cannot: a pair is refused only if no value could satisfy both."""

from __future__ import annotations

import collections.abc
from typing import Any, Generic, Literal, Protocol, TypeVarTuple, get_args, get_origin

from execution_dataflow.array_rules import Shape, array_facts, arrays_misfit, is_array_class, joint_shape
from execution_dataflow.port_types.class_rules import why_classes
from execution_dataflow.port_types.hints import (
    Spec,
    describe,
    has_names,
    is_anything,
    is_union,
    members,
    read,
    struct_fields,
)
from execution_dataflow.port_types.specs import ArraySpec, ValueSpec

__all__ = ["ITERABLES", "TupleItems", "array_facts_of", "comparable_parameters", "fits", "misfit", "why_not"]

# Types that lead back to themselves by ever new ways must come to an end: what is not known to differ fits.
_MOST_COMPARISONS = 2000

_CALLABLE: object = collections.abc.Callable
_CONTAINER_MODULES = {"builtins", "collections", "collections.abc"}
# Of these the one parameter is what iteration gives, which is the first parameter of those with more.
ITERABLES: tuple[object, ...] = (
    collections.abc.Iterable,
    collections.abc.Container,
    collections.abc.Collection,
    collections.abc.Iterator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
)


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
    return source is target or why_not(source, target) is None


def misfit(source: object, target: object) -> str | None:
    """Return why a value of one type can never satisfy another.

    Parameters
    ----------
    source : type or type hint
        What an output declares.
    target : type or type hint
        What an input declares.

    Returns
    -------
    str or None
        The reason; ``None`` if some value may satisfy both.

    Examples
    --------
    >>> misfit(list[int], list[str])
    'list[int] is no list[str]: int is no str'
    >>> print(misfit(int, float))
    None
    """
    return _sentence(source, target, why_not(source, target))


def why_not(source: object, target: object) -> str | None:
    """As `misfit`, without the two types themselves: an empty text where there is no more to say."""
    return _Comparison().why(source, target)


def _sentence(source: object, target: object, why: str | None) -> str | None:
    if why is None:
        return None
    return f"{describe(source)} is no {describe(target)}{f': {why}' if why else ''}"


def array_facts_of(hint: object, specs: tuple[Spec, ...]) -> tuple[object, Shape | None]:
    """Return the dtype and the shape that a hint asks for, as `read` returned it with its specs."""
    dtype, shape = array_facts(hint)
    for spec in specs:
        if isinstance(spec, ArraySpec):
            own, own_shape = spec.facts
            dtype, shape = dtype if own is None else own, joint_shape(own_shape, shape)
    return dtype, shape


class _Comparison:
    """One question and those that it leads to.

    Every answer is the reason without the types themselves, or ``None`` where they fit.
    """

    def __init__(self) -> None:
        self._answers: dict[tuple[object, object], str | None] = {}
        self._count = 0

    def why(self, source: object, target: object) -> str | None:
        """Answer it; what is asked again on the way to its own answer fits as far as that goes."""
        self._count += 1
        if source is target or self._count > _MOST_COMPARISONS:
            return None
        key = (source, target)
        try:
            if key in self._answers:
                return self._answers[key]
            self._answers[key] = None
        except TypeError:  # a hint that cannot be hashed
            return self._why(source, target)
        found = self._answers[key] = self._why(source, target)
        return found

    def _inner(self, source: object, target: object, where: str = "") -> str | None:
        """Answer for parts of two types, with the types of the parts."""
        sentence = _sentence(source, target, self.why(source, target))
        return None if sentence is None else f"{where}{sentence}"

    def _why(self, source: object, target: object) -> str | None:
        source, source_specs = read(source)
        target, target_specs = read(target)
        if is_union(source) or is_union(target):
            return self._why_unions(source, target) or self._why_specs(source, source_specs, target, target_specs)
        if source is not target and not is_anything(source) and not is_anything(target):
            why = self._why_types(source, target)
            if why is not None:
                return why
        return self._why_specs(source, source_specs, target, target_specs)

    def _why_specs(
        self, source: object, source_specs: tuple[Spec, ...], target: object, target_specs: tuple[Spec, ...]
    ) -> str | None:
        ours = array_facts_of(source, source_specs)
        theirs = array_facts_of(target, target_specs)
        why = arrays_misfit(ours, theirs)
        if why is not None:
            return why
        for spec in source_specs:
            for other in target_specs:
                if isinstance(spec, ValueSpec) and isinstance(other, ValueSpec):
                    why = spec.misfit(other)
                    if why is not None:
                        return why
        return None

    def _why_unions(self, source: object, target: object) -> str | None:
        reasons = []
        for one in members(source):
            for other in members(target):
                why = self.why(one, other)
                if why is None:
                    return None
                reasons.append(_sentence(one, other, why))
        return reasons[0] if len(reasons) == 1 else "no member of one fits a member of the other"

    def _why_types(self, source: object, target: object) -> str | None:
        if get_origin(source) is Literal or get_origin(target) is Literal:
            return self._why_literals(source, target)
        fields, other_fields = struct_fields(source), struct_fields(target)
        source_class = dict if fields is not None else get_origin(source) or source
        target_class = dict if other_fields is not None else get_origin(target) or target
        if not isinstance(source_class, type) or not isinstance(target_class, type):
            return None
        why = why_classes(source_class, target_class)
        if why is not None:
            return why
        if fields is not None or other_fields is not None:
            return self._why_fields(source, fields, target, other_fields)
        if is_array_class(source_class) and is_array_class(target_class):
            return None  # their parameters are dtype and shape
        if not get_args(source) and not get_args(target) and not _has_parameters(source_class, target_class):
            return None
        why = self._why_parameters(source, source_class, target, target_class)
        return None if why is None or _is_subhint(source, target) else why

    def _why_literals(self, source: object, target: object) -> str | None:
        if get_origin(source) is Literal and get_origin(target) is Literal:
            wanted = [(type(value), value) for value in get_args(target)]
            return None if any((type(value), value) in wanted for value in get_args(source)) else ""
        literal, other, is_source = (source, target, True) if get_origin(source) is Literal else (target, source, False)
        kinds = dict.fromkeys(type(value) for value in get_args(literal))
        reasons = [self.why(kind, other) if is_source else self.why(other, kind) for kind in kinds]
        return None if any(why is None for why in reasons) else ""

    def _why_fields(
        self,
        source: object,
        fields: tuple[dict[str, object], frozenset[str]] | None,
        target: object,
        others: tuple[dict[str, object], frozenset[str]] | None,
    ) -> str | None:
        """Compare a TypedDict with another one or with a mapping."""
        if fields is not None and others is not None:
            (mine, required), (theirs, others_required) = fields, others
            for key, hint in mine.items():
                if key in theirs and key in required | others_required:
                    why = self._inner(hint, theirs[key], f"the key {key!r}: ")
                    if why is not None:
                        return why
            return None
        if fields is not None:
            plain, (known, required) = _mapping_arguments(target), fields
            hints = [(f"the key {key!r}: ", known[key], plain[1]) for key in known if plain and key in required]
            keys: tuple[object, object] | None = (str, plain[0]) if plain else None
        else:
            assert others is not None
            plain, (known, required) = _mapping_arguments(source), others
            hints = [(f"the key {key!r}: ", plain[1], known[key]) for key in known if plain and key in required]
            keys = (plain[0], str) if plain else None
        if keys is not None and required:
            hints.insert(0, ("its keys: ", *keys))
        for where, one, other in hints:
            why = self._inner(one, other, where)
            if why is not None:
                return why
        return None

    def _why_parameters(self, source: Any, source_class: type, target: Any, target_class: type) -> str | None:
        """Compare the parameters of two generic types whose classes fit; what is not understood fits."""
        mine, theirs = comparable_parameters(source, source_class, target, target_class)
        if not mine or not theirs:
            return None
        if source_class is _CALLABLE and target_class is _CALLABLE:
            return self._inner(mine[-1], theirs[-1], "what they return: ")
        if source_class is tuple or target_class is tuple:
            return self._why_tuples(TupleItems(source_class, mine), TupleItems(target_class, theirs))
        if len(mine) != len(theirs):
            if len(theirs) == 1 and target_class in ITERABLES:
                is_mapping = issubclass(source_class, collections.abc.Mapping)
                return self._inner(mine[0], theirs[0], "its keys: " if is_mapping else "")
            return None
        for number, (one, other) in enumerate(zip(mine, theirs, strict=True)):
            why = self._inner(one, other, _place(source_class, len(mine), number))
            if why is not None:
                return why
        return None

    def _why_tuples(self, source: TupleItems, target: TupleItems) -> str | None:
        if source.open is None and target.open is None and len(source.first) != len(target.first):
            return f"{len(source.first)} items are not {len(target.first)}"
        if (source.open is None) != (target.open is None):
            closed, least = (source, target.least) if source.open is None else (target, source.least)
            if len(closed.first) < least:
                return f"{len(closed.first)} items are not {least} or more"
        length = max(source.least, target.least, 1)
        for number, (one, other) in enumerate(zip(source.spread(length), target.spread(length), strict=False), 1):
            why = self._inner(one, other, f"item {number}: " if source.is_tuple and target.is_tuple else "")
            if why is not None:
                return why
        return None


class TupleItems:
    """The items of a tuple or a sequence: some at the beginning, any number of one type, some at the end."""

    def __init__(self, kind: type, arguments: tuple[object, ...]) -> None:
        self.is_tuple = kind is tuple
        self.first: list[object] = []
        self.open: object = None
        self.last: list[object] = []
        if not self.is_tuple:
            self.open = arguments[0]
            return
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            self.open = arguments[0]
            return
        for argument in arguments:
            inner = _unpacked(argument)
            if inner is None:
                (self.first if self.open is None else self.last).append(argument)
            elif inner and inner[-1] is not Ellipsis:
                (self.first if self.open is None else self.last).extend(inner)
            else:
                self.open = inner[0] if inner else Any

    @property
    def least(self) -> int:
        """How many items there are at least."""
        return len(self.first) + len(self.last)

    def spread(self, length: int) -> list[object]:
        """Return the types of so many items, if there may be so many."""
        between = [] if self.open is None else [self.open] * (length - self.least)
        return [*self.first, *between, *self.last]


def _unpacked(hint: object) -> tuple[object, ...] | None:
    """Return what `*tuple[...]` or `*Ts` stands for: items, any number of one type, or nothing that is known."""
    if isinstance(hint, TypeVarTuple):
        return ()
    if not getattr(hint, "__unpacked__", False) and getattr(get_origin(hint), "_name", "") != "Unpack":
        return None
    arguments = get_args(hint)
    inner = arguments[0] if getattr(get_origin(hint), "_name", "") == "Unpack" and arguments else hint
    return get_args(inner) if get_origin(inner) is tuple else ()


def _place(kind: type, count: int, number: int) -> str:
    if count == 2 and issubclass(kind, collections.abc.Mapping):
        return ("its keys: ", "its values: ")[number]
    return "" if count == 1 else f"parameter {number + 1}: "


def _has_parameters(*kinds: type) -> bool:
    return any(hasattr(kind, "__orig_bases__") for kind in kinds)


def comparable_parameters(source: Any, source_class: type, target: Any, target_class: type) -> tuple[Any, Any]:
    """Return the parameters of both as those of the one class that they have in common, if that is known."""
    mine, theirs = get_args(source), get_args(target)
    if source_class is target_class:
        return mine, theirs
    if {source_class.__module__, target_class.__module__} <= _CONTAINER_MODULES:
        return mine, theirs  # which have no class statements to say how their parameters belong together
    if target_class in source_class.__mro__:
        return _arguments_as(source, target_class), theirs
    if source_class in target_class.__mro__:
        return mine, _arguments_as(target, source_class)
    return (), ()


def _arguments_as(hint: Any, base: type) -> tuple[object, ...]:
    """Return the parameters of a type seen as one of its bases, by what its class statements say."""
    kind, arguments = get_origin(hint) or hint, get_args(hint)
    if kind is base:
        return arguments
    for parent in vars(kind).get("__orig_bases__", ()):
        parent_class = get_origin(parent) or parent
        if (
            parent_class in (Generic, Protocol)
            or not isinstance(parent_class, type)
            or base not in parent_class.__mro__
        ):
            continue
        free = getattr(parent, "__parameters__", ())
        if arguments and free and not isinstance(parent, type):
            given = dict(zip(getattr(kind, "__parameters__", ()), arguments, strict=False))
            try:
                parent = parent[tuple(given.get(each, Any) for each in free)]
            except TypeError:
                return ()
        return _arguments_as(parent, base)
    return ()


def _mapping_arguments(hint: object) -> tuple[object, object] | None:
    arguments = get_args(hint)
    return (arguments[0], arguments[1]) if len(arguments) == 2 else None


def _is_subhint(source: object, target: object) -> bool:
    """Ask beartype before a pair of generic types is refused; what it cannot read may fit."""
    if has_names(source) or has_names(target):
        return False  # which it takes for anything
    from beartype.door import is_subhint

    try:
        return is_subhint(source, target) or is_subhint(target, source)
    except Exception:  # beartype's errors on hints it does not support have no common public base
        return False
