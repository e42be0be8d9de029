"""The dtypes of columns, as numpy, pandas, polars and Arrow call them, brought to one name; nothing is imported."""

from __future__ import annotations

import datetime
import decimal
import re
from typing import Any

__all__ = ["describe_dtype", "dtype_fits", "dtype_is"]

# What a class of Python, or its name, stands for: every dtype of that kind, of any width and unit.
_KIND_OF_CLASS: dict[object, str] = {
    int: "int",
    float: "float",
    complex: "complex",
    bool: "bool",
    str: "string",
    bytes: "binary",
    datetime.datetime: "datetime",
    datetime.date: "date",
    datetime.time: "time",
    datetime.timedelta: "duration",
    decimal.Decimal: "decimal",
}
_KINDS = set(_KIND_OF_CLASS.values())
# Only names that differ from library to library. Arrow's `float` has 32 bits; as a word of the user's it is the kind.
_ONE_NAME = {
    "boolean": "bool",
    "bool_": "bool",
    "double": "float64",
    "halffloat": "float16",
    "str": "string",
    "utf8": "string",
    "large_string": "string",
    "string_view": "string",
    "large_binary": "binary",
    "binary_view": "binary",
    "bytes": "binary",
    "date32": "date",
    "categorical": "category",
    "enum": "category",
    "dictionary": "category",
    "datetime64": "datetime",
    "timestamp": "datetime",
    "timedelta64": "duration",
    "timedelta": "duration",
    "decimal32": "decimal",
    "decimal64": "decimal",
    "decimal128": "decimal",
    "decimal256": "decimal",
    "time32": "time",
    "time64": "time",
    "large_list": "list",
}
_NUMPY_TEXT = re.compile(r"[<>|=](?:U|S)\d*")
_UNIT = re.compile(r"\b(ns|us|ms|s|d)\b")


def _normal_name(text: str) -> str:
    """Return the one name of a dtype, from what its library calls it."""
    if _NUMPY_TEXT.fullmatch(text):
        return "string" if "U" in text else "binary"
    text = text.lower().removesuffix("[pyarrow]").replace("μs", "us")
    head, bracket, parameters = re.match(r"([a-z_]*[0-9]*)([\[\(<]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    name = _ONE_NAME.get(head, head)
    if name in ("datetime", "duration") and bracket:
        unit = _UNIT.search(parameters)
        zone = re.search(r"(?:tz=|time_zone=|, ?)'?([a-z_]+/?[a-z_/+0-9:-]*|[+-][0-9:]+)'?[\]\)]", parameters)
        shown = [unit.group(1)] if unit else []
        shown += [zone.group(1)] if zone and zone.group(1) not in ("none", *shown) else []
        return f"{name}[{', '.join(shown)}]"
    if name in ("category", "date", "time") or not bracket:
        return name
    return re.sub(r"\s", "", f"{name}{bracket}{parameters}")


def _kind(name: str) -> str | None:
    """Return the kind of a normal name, or ``None`` where it is not known, as of ``object``."""
    head = re.match(r"u?([a-z]*)", name).group(1)  # type: ignore[union-attr]
    return head if head in _KINDS else None


def _meaning(expected: object) -> tuple[str | None, str | None]:
    """Return the normal name that a dtype must have and its kind; ``None`` for what it leaves open."""
    try:
        kind = _KIND_OF_CLASS.get(expected)
    except TypeError:  # not hashable
        kind = None
    if kind is not None:
        return None, kind
    if isinstance(expected, type):
        expected = getattr(expected, "__name__", "")
    name = _normal_name(str(expected))
    return (None, name) if name in _KINDS - {"bool", "string", "binary", "date", "time"} else (name, _kind(name))


def dtype_is(expected: Any, found: Any) -> bool:
    """Return whether a column has the dtype that is asked for.

    Parameters
    ----------
    expected : object
        A dtype of the table's library, its name in any of the libraries, or a class of Python for all of its kind.
    found : object
        The dtype of the column.

    Returns
    -------
    bool
        Whether it has.

    Examples
    --------
    >>> import numpy as np
    >>> dtype_is("int64", np.dtype("int64")), dtype_is(int, np.dtype("int8")), dtype_is("int64", np.dtype("int32"))
    (True, True, False)
    """
    if expected is Any:
        return True
    if not isinstance(expected, str) and expected not in _KIND_OF_CLASS and _equal(expected, found):
        return True
    if isinstance(expected, type) and expected not in _KIND_OF_CLASS:
        scalar = getattr(found, "type", None)
        if isinstance(found, expected) or (isinstance(scalar, type) and issubclass(scalar, expected)):
            return True
    name, kind = _meaning(expected)
    have = _normal_name(_text(found))
    if name is not None:
        return name == have
    return kind is not None and kind == _kind(have)


def _text(found: object) -> str:
    # Arrow alone calls 32 bits just `float`.
    text = str(found)
    return "float32" if text == "float" else text


def dtype_fits(source: Any, target: Any) -> bool:
    """Return whether a column may have both dtypes that are asked for; ``False`` only if that is known."""
    if source is Any or target is Any or _equal(source, target):
        return True
    (name, kind), (target_name, target_kind) = _meaning(source), _meaning(target)
    if kind is None or target_kind is None:
        return True
    if kind != target_kind:
        return False
    return name is None or target_name is None or name == target_name


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # libraries raise what they like for the dtypes of others
        return False


def describe_dtype(dtype: object) -> str:
    """Return a dtype as text, for messages."""
    return dtype.__name__ if isinstance(dtype, type) else str(dtype)
