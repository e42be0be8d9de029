"""What the type variables of an operation's ports stand for, as far as the types of what feeds its inputs tell.

A solution is never narrower than what values may be: each variable stands for the union of all that was found for it,
and for nothing known as soon as one input leaves it open.
"""

from __future__ import annotations

import collections.abc
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

from execution_dataflow.port_types.class_rules import issubclass_safely
from execution_dataflow.port_types.hints import all_of_variable, is_anything, is_union, members, opened, read
from execution_dataflow.port_types.misfits import (
    ITERABLES,
    TupleItems,
    comparable_parameters,
    why_not,
)

__all__ = ["Binding", "Evidence", "Inference", "substituted", "type_variables"]

_CALLABLE: object = collections.abc.Callable
_KEYED: tuple[type, ...] = (collections.abc.Mapping, collections.abc.Generator, collections.abc.AsyncGenerator)


class Evidence(NamedTuple):
    """One type that was found for a variable.

    Parameters
    ----------
    hint : object
        The type.
    source : object
        What it was found in, as the caller names it.
    is_certain : bool
        Whether a value of it arrives in every attempt.
    """

    hint: object
    source: Any
    is_certain: bool


class Binding(NamedTuple):
    """What a variable stands for.

    Parameters
    ----------
    hint : object
        The type; a union where several were found. ``None`` if nothing can be all that it would have to be.
    evidence : tuple of Evidence
        What it was found in.
    """

    hint: object
    evidence: tuple[Evidence, ...]


def type_variables(hint: object) -> tuple[TypeVar, ...]:
    """Return the type variables in a hint.

    Parameters
    ----------
    hint : type or type hint
        The hint.

    Returns
    -------
    tuple of TypeVar
        Each of them once.

    Examples
    --------
    >>> T = TypeVar("T")
    >>> type_variables(dict[str, list[T]]), type_variables(dict[str, int])
    ((~T,), ())
    """
    if type(hint) is type:
        return ()
    if isinstance(hint, TypeVar):
        return (hint,)
    return tuple(each for each in _parameters(hint) if isinstance(each, TypeVar))


def _parameters(hint: Any) -> tuple[object, ...]:
    # A class has parameters too, and an alias: those of its own, which nothing was given for.
    if isinstance(hint, type) and get_origin(hint) is None:
        return ()
    found = () if type(hint).__name__ == "TypeAliasType" else getattr(hint, "__parameters__", ())
    return found if isinstance(found, tuple) else ()


def substituted(hint: Any, known: Mapping[TypeVar, object]) -> object:
    """Return a hint with types in the place of its variables.

    Parameters
    ----------
    hint : type or type hint
        The hint.
    known : mapping of TypeVar to type
        What variables stand for; the others are all that they may be.

    Returns
    -------
    object
        The hint without variables; ``Any`` where it has variables of other kinds.

    Examples
    --------
    >>> T = TypeVar("T")
    >>> substituted(list[T], {T: int}), substituted(T, {})
    (list[int], typing.Any)
    """
    if isinstance(hint, TypeVar):
        return known.get(hint, all_of_variable(hint))
    parameters = _parameters(hint)
    if not parameters:
        return hint
    if not all(isinstance(each, TypeVar) for each in parameters):
        return Any
    try:
        return hint[tuple(known.get(each, all_of_variable(each)) for each in parameters if isinstance(each, TypeVar))]
    except Exception:  # generics of libraries may take less than those of typing do
        return Any


class Inference:
    """Finds out what the type variables of one operation stand for."""

    def __init__(self) -> None:
        self._found: dict[TypeVar, list[Evidence]] = {}
        self._open: set[TypeVar] = set()

    def learn(self, declared: object, given: object, source: object, is_certain: bool = False) -> None:
        """Compare the type that an input declares with what it is given.

        Parameters
        ----------
        declared : type or type hint
            What the input declares.
        given : type or type hint
            The type of what feeds it, without variables.
        source : object
            What that is, for the evidence.
        is_certain : bool
            Whether it arrives in every attempt.
        """
        if not type_variables(declared):
            return
        declared = opened(declared)
        given = read(given)[0]
        if is_anything(given):
            self.leave_open(declared)
        elif isinstance(declared, TypeVar):
            self._bind(declared, given, source, is_certain)
        elif is_union(declared):
            self._learn_union(declared, given, source, is_certain)
        elif is_union(given):
            possible = [one for one in members(given) if why_not(one, declared) is None]
            for one in possible:
                self.learn(declared, one, source)
            if not possible:
                self.leave_open(declared)
        else:
            self._learn_generic(declared, given, source, is_certain)

    def leave_open(self, declared: object) -> None:
        """Say that the variables of a type may stand for anything."""
        self._open.update(type_variables(declared))

    def _learn_union(self, declared: object, given: object, source: object, is_certain: bool) -> None:
        variable = [member for member in members(declared) if type_variables(member)]
        fixed = [member for member in members(declared) if not type_variables(member)]
        none, others = type(None) in fixed, [member for member in fixed if member is not type(None)]
        for one in members(given):
            if none and one is type(None):
                continue
            candidates = [member for member in variable if why_not(one, member) is None]
            if len(candidates) != 1 or any(why_not(one, other) is None for other in others):
                return self.leave_open(declared)
            self.learn(candidates[0], one, source, is_certain and not is_union(given))
        return None

    def _learn_generic(self, declared: Any, given: Any, source: object, is_certain: bool) -> None:
        wanted_class, given_class = get_origin(declared) or declared, get_origin(given) or given
        if not isinstance(wanted_class, type) or not isinstance(given_class, type):
            return self.leave_open(declared)
        mine, theirs = comparable_parameters(given, given_class, declared, wanted_class)
        if not mine or not theirs:
            return self.leave_open(declared)
        pairs: list[tuple[object, object]]
        if wanted_class is _CALLABLE and given_class is _CALLABLE:
            # What a function takes is the other way round: nothing is learnt of it.
            for argument in theirs[0] if isinstance(theirs[0], list) else theirs[:-1]:
                self.leave_open(argument)
            pairs = [(theirs[-1], mine[-1])]
        elif given_class is tuple or wanted_class is tuple:
            items = _tuple_pairs(TupleItems(given_class, mine), TupleItems(wanted_class, theirs))
            if items is None:
                return self.leave_open(declared)
            pairs = items
        elif len(mine) == len(theirs):
            pairs = list(zip(theirs, mine, strict=True))
        elif len(theirs) == 1 and wanted_class in ITERABLES and _is_keyed(given_class):
            pairs = [(theirs[0], mine[0])]
        else:
            return self.leave_open(declared)
        for one, other in pairs:
            self.learn(one, other, source, is_certain)
        return None

    def _bind(self, variable: TypeVar, given: object, source: object, is_certain: bool) -> None:
        kept = [one for one in _widened(given) if why_not(one, variable) is None]
        if not kept or any(map(is_anything, kept)):
            self._open.add(variable)
            return
        bound = None if variable.__bound__ is None else read(variable.__bound__)[0]
        if isinstance(bound, type) and any(_is_wider(one, get_origin(bound) or bound) for one in kept):
            self._open.add(variable)  # the bound says more than what is given
            return
        try:
            hint = _union(kept)
        except TypeError:  # what is no type to typing, or cannot be hashed
            self._open.add(variable)
            return
        self._found.setdefault(variable, []).append(Evidence(hint, source, is_certain and len(kept) == 1))

    def solution(self) -> dict[TypeVar, Binding]:
        """Return what is known of the variables."""
        solved = {}
        for variable, evidence in self._found.items():
            if variable in self._open:
                continue
            if variable.__constraints__:
                hint = _constrained(variable, evidence)
            else:
                hint = _union([each.hint for each in evidence])
            solved[variable] = Binding(hint, tuple(evidence))
        return solved


def _constrained(variable: TypeVar, evidence: list[Evidence]) -> object:
    """Return those of its constraints that a variable may stand for; ``None`` if there are none."""
    certain = [each for each in evidence if each.is_certain]
    possible = tuple(
        constraint
        for constraint in variable.__constraints__
        if all(why_not(each.hint, constraint) is None for each in certain)
    )
    if not possible:
        return None
    if len(certain) < len(evidence):
        possible = variable.__constraints__
    return _union(possible)


def _union(hints: Sequence[Any]) -> Any:
    return Union[tuple(hints)]  # noqa: UP007 - there is no operator for a tuple of members


def _is_keyed(kind: type) -> bool:
    return any(issubclass_safely(kind, base) for base in _KEYED)


def _is_wider(hint: object, kind: type) -> bool:
    own = get_origin(hint) or hint
    return isinstance(own, type) and own is not kind and issubclass_safely(kind, own)


def _widened(hint: object) -> list[object]:
    """Return the members of a type, with the classes of the values of a `Literal` in its place."""
    found: list[object] = []
    for member in members(hint):
        inner = read(member)[0]
        if is_union(inner):
            found += _widened(inner)
        elif get_origin(inner) is Literal:
            found += dict.fromkeys(type(value) for value in get_args(inner))
        else:
            found.append(inner)
    return found


def _tuple_pairs(given: TupleItems, declared: TupleItems) -> list[tuple[object, object]] | None:
    """Return which items belong together; ``None`` if that depends on how many there are."""
    if given.last or declared.last:
        return None
    is_open = given.open is not None, declared.open is not None
    if is_open == (False, False) and len(given.first) != len(declared.first):
        return None
    if any(is_open) and not all(is_open):
        closed = declared if is_open[0] else given
        length = len(closed.first)
        if length < max(given.least, declared.least):
            return None
    else:
        length = max(given.least, declared.least) + all(is_open)
    return list(zip(declared.spread(length), given.spread(length), strict=True))
