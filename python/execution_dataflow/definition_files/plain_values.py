"""Constants and arguments as plain data, and back: what a file can hold, and nothing that runs code.

What the formats have no sign of their own for is a mapping of one member whose name begins with ``$``:
``{$tuple: [1, 2]}``, ``{$bytes: "AAE="}``. So all three formats hold the same.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path as FilePath
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, TypeAlias
from uuid import UUID

from execution_dataflow.definition_files.located import MAX_DEPTH, Faults, Located, Path, told
from execution_dataflow.mapping import OneShot
from execution_dataflow.nearest import nearest_name

__all__ = ["FUNCTION", "Encoder", "FunctionOf", "NotPlainError", "decode"]

FUNCTION = "$function"
"""The mark of a function, which stands in arguments alone."""

FunctionOf: TypeAlias = Callable[[Located, Path], Any]

# Constants stand some way down in a definition.
_MOST_DEPTH = MAX_DEPTH // 2 - 8
_LONGEST_INT = 2**63


class NotPlainError(Exception):
    """A value that a file cannot hold; the message says why, and what to do."""


# ---------------------------------------------------------------- writing


class Encoder:
    """Turns values into plain data that a format can hold.

    Parameters
    ----------
    keeps_order : bool
        Whether the format keeps the order of the members of a mapping; TOML puts tables after all else.
    function : callable, optional
        Returns the reference to a function; without it functions cannot be written.
    """

    def __init__(self, keeps_order: bool = True, function: Callable[[Any], str] | None = None) -> None:
        self._keeps_order = keeps_order
        self._function = function

    def with_functions(self, function: Callable[[Any], str]) -> Encoder:
        """Return an encoder that writes functions as the references that `function` returns."""
        return Encoder(self._keeps_order, function)

    def encode(self, value: Any, depth: int = 0) -> Any:
        """Return a value as plain data.

        Parameters
        ----------
        value : object
            A constant or an argument.
        depth : int
            How deep it stands in another one.

        Returns
        -------
        object
            Of ``None``, bool, int, float, str, list and dict.

        Raises
        ------
        NotPlainError
            It cannot be written; its class must be exactly one of those that come back as they were.
        """
        if depth > _MOST_DEPTH:
            raise NotPlainError(f"it nests more than {_MOST_DEPTH} deep, or contains itself")
        kind = type(value)
        if kind is str:
            return _checked_text(value)
        if kind is bool or value is None:
            return value
        if kind is int:
            return value if -_LONGEST_INT <= value < _LONGEST_INT else {"$int": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {"$float": repr(value)}
        if kind is list:
            return [self.encode(item, depth + 1) for item in value]
        if kind is dict:
            return self._dict(value, depth)
        for name, (kinds, parts, written) in _WRITTEN.items():
            if kind in kinds:
                return {name: written([self.encode(part, depth + 2) for part in parts(value)])}
        if self._function is not None and callable(value) and not isinstance(value, type):
            return {FUNCTION: self._function(value)}
        raise NotPlainError(_advice(value))

    def _dict(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        if all(type(name) is str and not name.startswith("$") for name in value):
            members = {_checked_text(name): self.encode(member, depth + 1) for name, member in value.items()}
            if self._keeps_order or not _is_reordered(members):
                return members
        return {"$dict": [[self.encode(name, depth + 3), self.encode(value[name], depth + 3)] for name in value]}


def _checked_text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NotPlainError("a text with half of a surrogate pair cannot be written") from None
    return value


def _is_reordered(members: dict[str, Any]) -> bool:
    """Whether TOML would write a member that is no table before one that is and comes earlier."""
    # `None`, which TOML does not have, becomes one.
    tables = [member is None or isinstance(member, dict | list) for member in members.values()]
    return any(earlier and not later for earlier, later in pairwise(tables))


def _itself(value: Any) -> list[Any]:
    return [value]


def _written_time(value: Any) -> list[str]:
    zone = getattr(value, "tzinfo", None)
    if getattr(value, "fold", 0) or type(zone) not in (type(None), timezone):
        raise NotPlainError("a time in a zone with rules cannot be written; convert it to UTC")
    if zone is not None and zone.tzname(None) != timezone(zone.utcoffset(None)).tzname(None):
        raise NotPlainError(
            f"a time in a zone with a name of its own ({zone.tzname(None)!r}) cannot be written; leave out the name, "
            "or convert it to UTC"
        )
    return [value.isoformat()]


def _only(items: list[Any]) -> Any:
    return items[0]


def _sorted(items: list[Any]) -> list[Any]:
    return sorted(items, key=repr)  # a set has no order of its own, and a file should be the same each time


def _in_base64(value: Any) -> list[str]:
    return [base64.b64encode(value).decode()]


def _as_text(value: Any) -> list[str]:
    return [str(value)]


_Parts: TypeAlias = Callable[[Any], Iterable[Any]]

# The classes that are written so, what they are made of, and how the encoded parts stand in the file.
_WRITTEN: dict[str, tuple[tuple[type, ...], _Parts, Callable[[list[Any]], Any]]] = {
    "$tuple": ((tuple,), tuple, list),
    "$set": ((set,), tuple, _sorted),
    "$frozenset": ((frozenset,), tuple, _sorted),
    "$bytes": ((bytes,), _in_base64, _only),
    "$bytearray": ((bytearray,), _in_base64, _only),
    "$datetime": ((datetime,), _written_time, _only),
    "$date": ((date,), _written_time, _only),
    "$time": ((time,), _written_time, _only),
    "$duration": ((timedelta,), lambda value: (value.days, value.seconds, value.microseconds), list),
    "$complex": ((complex,), lambda value: (value.real, value.imag), list),
    "$range": ((range,), lambda value: (value.start, value.stop, value.step), list),
    "$decimal": ((Decimal,), _as_text, _only),
    "$uuid": ((UUID,), _as_text, _only),
    "$path": ((PosixPath, WindowsPath), _as_text, _only),
    "$posix_path": ((PurePosixPath,), _as_text, _only),
    "$windows_path": ((PureWindowsPath,), _as_text, _only),
}


def _advice(value: Any) -> str:
    kind = type(value)
    name = kind.__name__
    if name == "Secret":
        return "a secret does not belong into a file; take it from the context: context.secrets[name]"
    if kind.__module__ == "numpy" and getattr(value, "shape", None) == () and hasattr(value, "item"):
        return f"numpy.{name} cannot be written; convert it with .item()"
    if hasattr(kind, "__array_interface__") or hasattr(kind, "__array__"):
        return f"an array ({name}) cannot be written; keep it in a file of its own, and load it in an operation"
    if isinstance(value, Iterator | OneShot):
        return "an iterator cannot be written, since reading uses it up; give a list or a range"
    if callable(value):
        return f"{told(value)} is code and no data; an operation of its own can call it"
    plain = next((base.__name__ for base in kind.__mro__[1:] if base in (int, float, str, bytes, list, dict)), None)
    cure = (
        f"convert it with {plain}()" if plain else "give numbers, texts, lists and mappings, and make it in execute()"
    )
    return f"{kind.__module__}.{name} cannot be written; {cure}"


# ---------------------------------------------------------------- reading


def decode(located: Located, path: Path, faults: Faults, function: FunctionOf | None = None) -> Any:
    """Return the value that plain data stands for, with a fault for what is wrong in it.

    Parameters
    ----------
    located : Located
        What the file has.
    path : tuple of (str or int)
        Where in the definition.
    faults : Faults
        Where faults go; what is wrong becomes ``None``.
    function : callable, optional
        Finds what ``$function`` names, if that is allowed; without it there are no functions in the data.

    Returns
    -------
    object
        The value.
    """
    value = located.value
    if isinstance(value, list):
        return [decode(item, (*path, index), faults, function) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    marks = [name for name in value if name.startswith("$")]
    if not marks:
        return {name: decode(member, (*path, name), faults, function) for name, member in value.items()}
    if len(value) > 1:
        faults.add(
            f"{marks[0]!r} stands for a whole value and has no neighbours; a mapping with such names is "
            "{$dict: [[key, value], ...]}",
            path,
            located,
        )
        return None
    return _decode_marked(marks[0], value[marks[0]], path, faults, function)


def _decode_marked(mark: str, located: Located, path: Path, faults: Faults, function: FunctionOf | None) -> Any:
    known = _READ.get(mark)
    path = (*path, mark)
    if mark == FUNCTION and function is not None:
        return function(located, path)
    if known is None:
        faults.add(
            f"there is no kind of value {mark!r}",
            path,
            located,
            expected=f"one of {', '.join(_READ)}",
            found=repr(mark),
            nearest=nearest_name(mark, _READ),
            by_key=True,
        )
        return None
    expected, read = known
    inner = decode(located, path, faults, function)
    try:
        return read(inner)
    except (TypeError, ValueError, ArithmeticError, binascii.Error) as error:
        faults.add(f"this is no {mark}: {error}", path, located, expected=expected)
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("it is no text")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("it is no list")
    return value


def _bytes(value: Any) -> bytes:
    return base64.b64decode(_text(value), validate=True)


def _pairs(value: Any) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for pair in _list(value):
        if not isinstance(pair, list) or len(pair) != 2:
            raise TypeError("it has an item that is no pair")
        if pair[0] in made:
            raise ValueError(f"the key {pair[0]!r} is there twice")
        made[pair[0]] = pair[1]
    return made


def _ints(value: Any, count: int) -> list[int]:
    numbers = _list(value)
    if len(numbers) != count or any(type(number) is not int for number in numbers):
        raise TypeError(f"it is no list of {count} whole numbers")
    return numbers


def _complex(value: Any) -> complex:
    parts = _list(value)
    if len(parts) != 2 or any(type(part) not in (int, float) for part in parts):
        raise TypeError("it is no list of two numbers")
    return complex(*parts)


def _float(value: Any) -> float:
    if value not in ("nan", "inf", "-inf"):
        raise ValueError("it is another text")
    return float(value)


def _decimal(value: Any) -> Decimal:
    try:
        return Decimal(_text(value))
    except InvalidOperation:
        raise ValueError("it is no decimal number") from None


_READ: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "$int": ("a text such as '0x1f'", lambda value: int(_text(value), 16)),
    "$float": ("'nan', 'inf' or '-inf'", _float),
    "$dict": ("a list of pairs", _pairs),
    "$tuple": ("a list", lambda value: tuple(_list(value))),
    "$set": ("a list of what can be in a set", lambda value: set(_list(value))),
    "$frozenset": ("a list of what can be in a set", lambda value: frozenset(_list(value))),
    "$bytes": ("a text in base64", _bytes),
    "$bytearray": ("a text in base64", lambda value: bytearray(_bytes(value))),
    "$datetime": ("a text such as '2026-11-23T12:30:00+00:00'", lambda value: datetime.fromisoformat(_text(value))),
    "$date": ("a text such as '2026-11-23'", lambda value: date.fromisoformat(_text(value))),
    "$time": ("a text such as '12:30:00'", lambda value: time.fromisoformat(_text(value))),
    "$duration": ("days, seconds and microseconds", lambda value: timedelta(*_ints(value, 3))),
    "$complex": ("a list of two numbers", _complex),
    "$range": ("start, stop and step", lambda value: range(*_ints(value, 3))),
    "$decimal": ("a text such as '1.50'", _decimal),
    "$uuid": ("a text such as '12345678-1234-5678-1234-567812345678'", lambda value: UUID(_text(value))),
    "$path": ("a text", lambda value: FilePath(_text(value))),
    "$posix_path": ("a text", lambda value: PurePosixPath(_text(value))),
    "$windows_path": ("a text", lambda value: PureWindowsPath(_text(value))),
}
