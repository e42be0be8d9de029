"""The marks by which JSON holds what it has no form for: tuples, bytes, sets, dates, decimals, dicts with any keys."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from execution_dataflow.storage_formats.plain_data import MAX_DEPTH, SCALARS, NotPlainError

__all__ = ["marked", "unmarked"]

# Python converts integers of fewer digits than this, whatever limit it was given (sys.set_int_max_str_digits: 640).
_LARGE = 10**600


def _zone_is_an_offset(zone: Any) -> bool:
    """Whether a time zone is nothing but an offset: others have names and rules."""
    if zone is None:
        return True
    return type(zone) is timezone and zone.tzname(None) == timezone(zone.utcoffset(None)).tzname(None)


def _time_text(value: datetime | time) -> list[Any]:
    if not _zone_is_an_offset(value.tzinfo):
        raise NotPlainError
    return [value.isoformat(), value.fold]


def _span(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _base64(value: bytes | bytearray) -> str:
    return b64encode(value).decode("ascii")


_LEAVES: dict[type, tuple[str, Callable[[Any], Any]]] = {
    bytes: ("$bytes", _base64),
    bytearray: ("$bytearray", _base64),
    complex: ("$complex", lambda value: [value.real, value.imag]),
    datetime: ("$datetime", _time_text),
    date: ("$date", date.isoformat),
    time: ("$time", _time_text),
    timedelta: ("$timedelta", _span),
    Decimal: ("$decimal", str),
    type(Path()): ("$path", str),
}
_SEQUENCES: dict[type, str] = {tuple: "$tuple", set: "$set", frozenset: "$frozenset"}


def marked(value: Any, depth: int, seen: set[int]) -> Any:
    """Return a value that JSON has a form for and `unmarked` makes this one of.

    Parameters
    ----------
    value : object
        The value.
    depth : int
        How deep it lies in the one that is written.
    seen : set of int
        The identities of the containers met so far.

    Raises
    ------
    NotPlainError
        There is none.
    """
    kind = type(value)
    if kind in SCALARS:
        return value if kind is not int or -_LARGE < value < _LARGE else {"$int": hex(value)}
    leaf = _LEAVES.get(kind)
    if leaf is not None:
        if kind is bytearray:
            _meet(value, depth, seen)
        return {leaf[0]: leaf[1](value)}
    mark = _SEQUENCES.get(kind)
    if mark is not None:
        if not (kind is not set and SCALARS.issuperset(map(type, value))):
            _meet(value, depth, seen)
        return {mark: [marked(item, depth + 1, seen) for item in value]}
    if kind is list:
        _meet(value, depth, seen)
        return [marked(item, depth + 1, seen) for item in value]
    if kind is dict:
        _meet(value, depth, seen)
        pairs = [(key, marked(item, depth + 1, seen)) for key, item in value.items()]
        if all(type(key) is str and not key.startswith("$") for key, _ in pairs):
            return dict(pairs)
        return {"$dict": [[marked(key, depth + 1, seen), item] for key, item in pairs]}
    raise NotPlainError


def _meet(container: Any, depth: int, seen: set[int]) -> None:
    if depth > MAX_DEPTH or id(container) in seen:
        raise NotPlainError
    seen.add(id(container))


def _datetime(parts: list[Any]) -> datetime:
    return datetime.fromisoformat(parts[0]).replace(fold=parts[1])


def _time(parts: list[Any]) -> time:
    return time.fromisoformat(parts[0]).replace(fold=parts[1])


def _bytes(text: str) -> bytes:
    return b64decode(text, validate=True)


_READERS: dict[str, Callable[[Any], Any]] = {
    "$bytes": _bytes,
    "$bytearray": lambda text: bytearray(_bytes(text)),
    "$complex": lambda parts: complex(parts[0], parts[1]),
    "$datetime": _datetime,
    "$date": date.fromisoformat,
    "$time": _time,
    "$timedelta": lambda parts: timedelta(*parts),
    "$decimal": Decimal,
    "$path": Path,
    "$int": lambda text: int(text, 16),
    "$tuple": lambda items: tuple(map(unmarked, items)),
    "$set": lambda items: set(map(unmarked, items)),
    "$frozenset": lambda items: frozenset(map(unmarked, items)),
    "$dict": lambda pairs: {unmarked(key): unmarked(item) for key, item in pairs},
}


def unmarked(value: Any) -> Any:
    """Return the value that `marked` was given.

    Raises
    ------
    Exception
        `marked` has not made this.
    """
    if type(value) is list:
        return [unmarked(item) for item in value]
    if type(value) is not dict:
        return value
    if len(value) == 1:
        ((mark, content),) = value.items()
        if mark.startswith("$"):
            return _READERS[mark](content)
    return {key: unmarked(item) for key, item in value.items()}
