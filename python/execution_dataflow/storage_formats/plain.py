"""Plain data as JSON, exactly: what is read is equal, of the same types, and in the same order.

There are two forms. The first is JSON as everybody knows it, for values of `str`, `int`, `float`, `bool`, `None`,
lists, and dicts whose keys are text; ``NaN`` and ``Infinity`` are written as Python writes them. The second has an
object with one name that begins with ``$`` for each value that JSON lacks: ``{"$tuple": [1, 2]}``.

Subclasses, such as enumerations, named tuples and ordered dicts, are no plain data. Nor is what refers to itself, or
has the same list, dict or set at two places, since that would come back as two.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring
from typing import Any

from execution_dataflow.storage_formats.exact import marked, unmarked
from execution_dataflow.storage_formats.plain_data import MAX_DEPTH, SCALARS, NotPlainError

__all__ = [
    "exact_text",
    "read_exact",
    "read_exact_value",
    "read_text",
    "scalar_text",
    "text_of",
]

_TEXT = frozenset({str})


def _float_text(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (_INFINITY, -_INFINITY):
        return "Infinity" if value > 0 else "-Infinity"
    return float.__repr__(value)


_INFINITY = float("inf")

scalar_text: dict[type, Callable[[Any], str]] = {
    int: int.__repr__,
    str: encode_basestring,
    float: _float_text,
    bool: {True: "true", False: "false"}.__getitem__,
    type(None): {None: "null"}.__getitem__,
}
"""How a scalar is written, by its exact type. Integers of more digits than Python writes raise a ValueError."""


def _make_encoder() -> Callable[[Any], str]:
    """Return what writes plain values: the C encoder, made once; ``json.dumps`` makes a new one for each call."""
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    slow = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))
    if make is None:
        return slow.encode
    try:
        encode = make(None, slow.default, encode_basestring, None, ":", ",", False, False, True)
        encode([1], 0)
    except TypeError:
        return slow.encode

    def written(value: Any) -> str:
        return "".join(encode(value, 0))

    return written


_written = _make_encoder()


def _is_plain(value: Any, depth: int, seen: set[int]) -> bool:
    """Whether a list or dict has the first form. `seen` has the identities of the containers met so far."""
    if type(value) is dict:
        if not _TEXT.issuperset(map(type, value)):
            return False
        items: Iterable[Any] = value.values()
    else:
        items = value
    if id(value) in seen or depth > MAX_DEPTH:
        return False
    kinds = set(map(type, items))
    if SCALARS.issuperset(kinds):
        seen.add(id(value))
        return True
    seen.add(id(value))
    for item in items:
        kind = type(item)
        if kind in SCALARS:
            continue
        if (kind is not dict and kind is not list) or not _is_plain(item, depth + 1, seen):
            return False
    return True


def text_of(value: Any) -> str | None:
    """Return a list or dict in the first form; ``None`` if it has none.

    Examples
    --------
    >>> text_of({"rows": [1, 2.5, None]})
    '{"rows":[1,2.5,null]}'
    >>> text_of([1, (2, 3)]) is None
    True
    """
    kind = type(value)
    if kind is dict and SCALARS.issuperset(map(type, value.values())):
        # Most are so small that a set of what was met would cost more than the text.
        if not _TEXT.issuperset(map(type, value)):
            return None
    elif (kind is not dict and kind is not list) or not _is_plain(value, 0, set()):
        return None
    try:
        return _written(value)
    except ValueError:
        # An integer of thousands of digits.
        return None


def exact_text(value: Any) -> str:
    """Return a value in the second form.

    Raises
    ------
    NotPlainError
        It has none.

    Examples
    --------
    >>> exact_text([1, (2, b"ab")])
    '[1,{"$tuple":[2,{"$bytes":"YWI="}]}]'
    """
    try:
        return _written(marked(value, 0, set()))
    except RecursionError:
        raise NotPlainError from None


def _long_integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        # More digits than the interpreter converts here; it did where they were written.
        from decimal import Decimal

        return int(Decimal(digits))


def _scanner(**options: Any) -> Any:
    # JSONDecoder.decode looks for space around the value by two regular expressions; this is what it calls between.
    decoder: Any = json.JSONDecoder(**options)
    return decoder.scan_once


_scan = _scanner()
_scan_slowly = _scanner(parse_int=_long_integer)


def read_text(text: str) -> Any:
    """Return the value of a whole text in the first form.

    Raises
    ------
    ValueError, RecursionError
        It is none.

    Examples
    --------
    >>> read_text('{"rows":[1,2.5,null]}')
    {'rows': [1, 2.5, None]}
    """
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        raise ValueError("the text is empty or cut off") from None
    except json.JSONDecodeError:
        raise
    except ValueError:
        value, end = _scan_slowly(text, 0)
    if end != len(text):
        raise ValueError(f"something follows the value at {end}")
    return value


def read_exact_value(value: Any) -> Any:
    """Return the value of one in the second form that was read as JSON.

    Raises
    ------
    Exception
        It is none.
    """
    return unmarked(value)


def read_exact(text: str) -> Any:
    """Return the value of a text in the second form.

    Raises
    ------
    Exception
        It is none.
    """
    return read_exact_value(read_text(text))
