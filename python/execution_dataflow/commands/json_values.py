"""Values as JSON: what JSON has as it is, what has an obvious form in it, and a description of everything else."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from execution_dataflow.error_record import exception_text

__all__ = ["as_json"]

# A numeric array of at most so many elements is shown with them.
_FEW = 100
_DEEPEST = 60
_LONGEST_TEXT = 1000


def as_json(value: Any) -> Any:
    """Return a value of JSON that stands for a value; nothing that a value does can make it fail.

    Numbers, texts, lists, tuples, mappings and dataclasses stay what they are. Dates and paths are texts, and so are
    ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, which JSON has no numbers for. Anything else is an object with
    ``"$type"`` and what is known about it.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    object
        What ``json.dumps(..., allow_nan=False)`` takes.

    Examples
    --------
    >>> as_json({"mean": float("nan"), 2: (1, b"ab")})
    {'mean': 'NaN', '2': [1, {'$type': 'bytes', 'length': 2, 'text': "b'ab'"}]}
    """
    return _plain(value, ())


def _plain(value: Any, above: tuple[int, ...]) -> Any:
    try:
        return _of_kind(value, above)
    except (Exception, SystemExit) as fault:
        return _described(value, problem=exception_text(fault))


def _of_kind(value: Any, above: tuple[int, ...]) -> Any:
    if value is None or value is True or value is False:
        return value
    match value:
        case Enum():
            return _plain(value.value, above)
        case str():
            return str.__str__(value)
        case int():
            return _integer(value)
        case float():
            return _number(float(value))
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case PurePath() | UUID() | Decimal():
            return str(value)
        case bytes() | bytearray():
            return _described(value, length=len(value))
    if id(value) in above or len(above) >= _DEEPEST:
        return _described(value, problem="it contains itself" if id(value) in above else "it is nested too deeply")
    inside = (*above, id(value))
    if isinstance(value, Mapping):
        return _mapping(value, inside)
    if isinstance(value, list | tuple):
        return [_plain(item, inside) for item in value]
    if isinstance(value, set | frozenset):
        return [_plain(item, inside) for item in _in_order(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name), inside) for item in dataclasses.fields(value)}
    return _of_library(value, inside)


def _integer(value: int) -> Any:
    try:
        int.__repr__(value)
    except ValueError:  # more digits than Python writes
        return _described(value, bits=int.bit_length(value))
    return int(value)


def _number(value: float) -> Any:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _mapping(value: Mapping[Any, Any], inside: tuple[int, ...]) -> Any:
    items = list(value.items())
    plain = {_key(key): _plain(item, inside) for key, item in items}
    if len(plain) == len(items):
        return plain
    # Keys that differ, and not as text: 1 and "1".
    return _described(value, items=[[_plain(key, inside), _plain(item, inside)] for key, item in items])


def _key(key: Any) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    plain = _plain(key, ())
    return plain if isinstance(plain, str) else _text(key)


def _in_order(value: Any) -> list[Any]:
    try:
        return sorted(value)
    except TypeError:
        return sorted(value, key=_text)


def _of_library(value: Any, inside: tuple[int, ...]) -> Any:
    """Arrays and tables, known by what they have, so that no library is imported for it."""
    library = type(value).__module__.partition(".")[0]
    if library == "numpy":
        if hasattr(value, "ndim") and value.ndim == 0 and value.dtype.names is None:
            item = value.item()
            return _plain(item, inside) if type(item) is not type(value) else _described(value)
        if hasattr(value, "dtype"):
            return _array(value, inside)
    if library in ("pandas", "polars", "pyarrow") and hasattr(value, "shape"):
        return _table(value)
    return _described(value)


def _array(value: Any, inside: tuple[int, ...]) -> Any:
    facts: dict[str, Any] = {"dtype": str(value.dtype), "shape": list(value.shape)}
    if value.size and value.dtype.kind in "biuf":
        if value.dtype.kind == "f":
            facts["nan"] = int((value != value).sum())
        kept = value[value == value] if facts.get("nan") else value
        if kept.size:
            facts |= {"min": _plain(kept.min(), inside), "max": _plain(kept.max(), inside)}
            facts["mean"] = _plain(kept.mean(), inside)
    if value.size <= _FEW and value.dtype.kind in "biufU":
        facts["values"] = _plain(value.tolist(), inside)
        return {"$type": _type_name(value), **facts}
    return _described(value, **facts)


def _table(value: Any) -> Any:
    facts: dict[str, Any] = {"rows": int(value.shape[0])}
    names = getattr(value, "column_names", None) or getattr(value, "columns", None)
    if names is not None and len(value.shape) == 2:
        kinds = getattr(value, "dtypes", None)
        if kinds is None:
            kinds = value.schema.types
        facts["columns"] = {str(name): str(kind) for name, kind in zip(names, kinds, strict=True)}
    elif hasattr(value, "dtype"):
        facts["dtype"] = str(value.dtype)
    return _described(value, **facts)


def _described(value: Any, **facts: Any) -> dict[str, Any]:
    return {"$type": _type_name(value), **facts, "text": _text(value)}


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _text(value: Any) -> str:
    try:
        text = repr(value)
    except (Exception, SystemExit) as fault:
        return f"(no text: its __repr__ raised {type(fault).__name__})"
    return (
        text
        if len(text) <= _LONGEST_TEXT
        else f"{text[:_LONGEST_TEXT]}... ({len(text) - _LONGEST_TEXT} more characters)"
    )
