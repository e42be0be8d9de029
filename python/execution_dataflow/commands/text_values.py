"""Values from the text that was written for them, exactly as their type reads it."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin
from uuid import UUID

from execution_dataflow.nearest import nearest_name
from execution_dataflow.type_rules import describe

__all__ = ["choices", "expected", "is_list", "is_writable", "value_from_texts"]

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_NONE = ("none", "null")
_SEQUENCES = (list, Sequence, Iterable, tuple, set, frozenset)
# How each plain type reads a text, and what a person calls it.
_PLAIN: dict[Any, tuple[Callable[[str], Any], str]] = {
    int: (int, "an integer"),
    float: (float, "a number"),
    complex: (complex, "a complex number"),
    date: (date.fromisoformat, "a date like 2026-11-23"),
    datetime: (datetime.fromisoformat, "a date and time like 2026-11-23T14:20"),
    time: (time.fromisoformat, "a time like 14:20"),
    Decimal: (Decimal, "a decimal number"),
    Fraction: (Fraction, "a fraction like 2/3"),
    UUID: (UUID, "a UUID"),
    Path: (Path, "a path"),
    PurePath: (PurePath, "a path"),
    str: (str, "text"),
    Any: (str, "text"),
    object: (str, "text"),
}


def value_from_texts(texts: Sequence[str], hint: Any) -> Any:
    """Return the value that texts stand for.

    Parameters
    ----------
    texts : sequence of str
        What was written; several texts are the elements of a list, and only lists take several.
    hint : object
        The type that is wanted.

    Returns
    -------
    object
        The value.

    Raises
    ------
    ValueError
        With a message that says what was expected and what was found.

    Examples
    --------
    >>> value_from_texts(["12"], int), value_from_texts(["1", "2"], list[int]), value_from_texts(["[1, 2]"], list[int])
    (12, [1, 2], [1, 2])
    >>> value_from_texts(["fats"], Literal["fast", "safe"])
    Traceback (most recent call last):
        ...
    ValueError: expected one of fast, safe, not 'fats'; did you mean 'fast'?
    """
    hint = _bare(hint)
    if is_list(hint):
        return _list_value(texts, _list_part(hint))
    if len(texts) > 1:
        raise ValueError(f"expected {expected(hint)} once, and it was given {len(texts)} times")
    return _value(texts[0], hint)


def is_list(hint: Any) -> bool:
    """Return whether a parameter of this type may be given several times."""
    return _list_part(_bare(hint)) is not None


def is_writable(hint: Any) -> bool:
    """Return whether values of this type can be written as text at all."""
    hint = _bare(hint)
    if (part := _list_part(hint)) is not None:
        return all(map(is_writable, _element_hints(part)))
    members = _members(hint)
    if members:
        return any(is_writable(member) for member in members if member is not type(None))
    if hint in _PLAIN or hint is bool or get_origin(hint) is Literal:
        return True
    return (isinstance(hint, type) and issubclass(hint, Enum)) or _is_mapping(hint)


def choices(hint: Any) -> list[str]:
    """Return the texts that a type allows, where these are few: for literals, enumerations and booleans.

    Examples
    --------
    >>> choices(Literal["fast", "safe"] | None), choices(int)
    (['fast', 'safe'], [])
    """
    hint = _bare(hint)
    part = _list_part(hint)
    if part is not None:
        return [text for element in _element_hints(part)[:1] for text in choices(element)]
    if members := _members(hint):
        return [text for member in members for text in choices(member)]
    if get_origin(hint) is Literal:
        return [str(value) for value in get_args(hint)]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return list(hint.__members__)
    return ["true", "false"] if hint is bool else []


def expected(hint: Any) -> str:
    """Return what a person calls the values of a type.

    Examples
    --------
    >>> expected(int | None), expected(list[date]), expected(Literal["fast", "safe"])
    ("an integer or 'none'", 'a list, each of it a date like 2026-11-23', 'one of fast, safe')
    """
    hint = _bare(hint)
    if (part := _list_part(hint)) is not None:
        elements = _element_hints(part)
        if _is_fixed_tuple(part):
            return f"a JSON array of {len(elements)}: {', '.join(map(expected, elements))}"
        return f"a list, each of it {expected(elements[0])}"
    if members := _members(hint):
        return " or ".join("'none'" if member is type(None) else expected(member) for member in members)
    if get_origin(hint) is Literal or (isinstance(hint, type) and issubclass(hint, Enum)):
        return f"one of {', '.join(choices(hint))}"
    if hint is bool:
        return "true or false"
    if hint in _PLAIN:
        return _PLAIN[hint][1]
    return "a JSON object" if _is_mapping(hint) else describe(hint)


def _value(text: str, hint: Any) -> Any:
    hint = _bare(hint)
    if (part := _list_part(hint)) is not None:
        return _list_value([text], part)
    if members := _members(hint):
        return _union_value(text, hint, members)
    if get_origin(hint) is Literal:
        return _chosen(text, {str(value): value for value in get_args(hint)})
    if isinstance(hint, type) and issubclass(hint, Enum):
        members_by_name: dict[str, Any] = dict(hint.__members__)
        by_value = {str(member.value): member for member in hint}
        return members_by_name[text] if text in members_by_name else _chosen(text, members_by_name, by_value)
    if hint is bool:
        folded = text.strip().casefold()
        if folded not in (*_TRUE, *_FALSE):
            raise ValueError(_unexpected(hint, text))
        return folded in _TRUE
    if _is_mapping(hint):
        return _mapping_value(text, hint)
    if hint not in _PLAIN:
        raise ValueError(f"a value of type {describe(hint)} cannot be written on a command line")
    read, _ = _PLAIN[hint]
    try:
        return read(text)
    except (ValueError, ArithmeticError):
        raise ValueError(_unexpected(hint, text)) from None


def _unexpected(hint: Any, text: str) -> str:
    found = repr(text) if len(text) <= 80 else f"{text[:80]!r}..."
    return f"expected {expected(hint)}, not {found}"


def _chosen(text: str, known: Mapping[str, Any], also: Mapping[str, Any] | None = None) -> Any:
    for table in (known, also or {}):
        if text in table:
            return table[text]
    nearest = nearest_name(text, known)
    meant = f"; did you mean {nearest!r}?" if nearest is not None else ""
    raise ValueError(f"expected one of {', '.join(known)}, not {text!r}{meant}")


def _union_value(text: str, hint: Any, members: tuple[Any, ...]) -> Any:
    # Text last: everything is text, and who writes int | str means a number by 12.
    for member in sorted(members, key=lambda member: member in (str, Any, object, Path)):
        if member is type(None):
            if text.casefold() in _NONE:
                return None
            continue
        try:
            return _value(text, member)
        except _GivenTwiceError:
            raise
        except ValueError as error:
            only = len([other for other in members if other is not type(None)]) == 1
            if only and choices(member):
                raise error from None
    raise ValueError(_unexpected(hint, text))


def _list_value(texts: Sequence[str], part: Any) -> Any:
    origin = get_origin(part) or part
    given: Sequence[Any] = texts
    if len(texts) == 1 and texts[0].lstrip().startswith("["):
        try:
            given = _loaded(texts[0])
        except _GivenTwiceError:
            raise
        except ValueError:
            pass  # a text that begins with a bracket, for a list of texts
    elements = _element_hints(part)
    if _is_fixed_tuple(part):
        if len(given) != len(elements):
            raise ValueError(f"expected {expected(part)}; it has {len(given)}")
        return tuple(_from_json(value, hint) for value, hint in zip(given, elements, strict=True))
    try:
        values = [_from_json(value, elements[0]) for value in given]
    except ValueError as error:
        if len(texts) == 1 and "," in texts[0]:
            raise ValueError(f"{error}; give it once for each, or all as a JSON array: [...]") from None
        raise
    return origin(values) if origin in (tuple, set, frozenset) else values


class _GivenTwiceError(ValueError):
    """A JSON object has a key twice: one of its values would be lost."""


def _loaded(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for place, (key, _) in enumerate(pairs) if key in dict(pairs[:place]))
        raise _GivenTwiceError(f"the key {twice!r} is given twice in one JSON object; give it once")
    return found


def _mapping_value(text: str, hint: Any) -> Any:
    try:
        loaded = _loaded(text)
    except _GivenTwiceError:
        raise
    except ValueError as error:
        raise ValueError(f"{_unexpected(hint, text)} ({error})") from None
    if not isinstance(loaded, dict):
        raise ValueError(_unexpected(hint, text))
    arguments = get_args(hint)
    if len(arguments) != 2:
        return loaded
    return {_value(key, arguments[0]): _from_json(value, arguments[1]) for key, value in loaded.items()}


def _from_json(value: Any, hint: Any) -> Any:
    """A part of a JSON document, read as its text would be, so that 1.0 is no integer here either."""
    hint = _bare(hint)
    if hint in (Any, object):
        return value
    if isinstance(value, str):
        if hint is str or is_writable(hint):
            return _value(value, hint)
    elif hint is str:
        raise ValueError(_unexpected(hint, json.dumps(value)))
    return _value(json.dumps(value), hint)


def _bare(hint: Any) -> Any:
    while True:
        if get_origin(hint) is Annotated:
            hint = get_args(hint)[0]
        elif isinstance(hint, TypeVar):
            hint = hint.__bound__ or Any
        elif hasattr(hint, "__supertype__"):
            hint = hint.__supertype__
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        elif hint is None:
            return type(None)
        else:
            return hint


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else ()


def _list_part(hint: Any) -> Any:
    """The list in a type, which may be the only thing beside None in a union."""
    members = [member for member in _members(hint) if member is not type(None)]
    if len(members) == 1:
        hint = _bare(members[0])
    return hint if (get_origin(hint) or hint) in _SEQUENCES else None


def _is_fixed_tuple(part: Any) -> bool:
    arguments = get_args(part)
    return get_origin(part) is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis)


def _element_hints(part: Any) -> tuple[Any, ...]:
    arguments = get_args(part)
    if not arguments:
        return (Any,)
    return arguments if _is_fixed_tuple(part) else arguments[:1]


def _is_mapping(hint: Any) -> bool:
    origin = get_origin(hint) or hint
    return isinstance(origin, type) and issubclass(origin, Mapping)
