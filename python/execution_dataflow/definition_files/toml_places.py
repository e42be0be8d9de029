"""Where the values of a TOML file stand: the standard library's parser reads them and does not tell.

This looks at a text that the parser has found to be right, so that only what separates values matters here.
"""

from __future__ import annotations

import re
import tomllib
from typing import NamedTuple

from execution_dataflow.definition_files.located import Path, TextPlaces

__all__ = ["Place", "toml_places"]

_SPACE = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'',
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\r\n]+")


class Place(NamedTuple):
    """Where a value begins, and its name.

    Parameters
    ----------
    value : (int, int)
        Line and column of the value.
    key : (int, int) or None
        Line and column of its name; ``None`` for the item of a list.
    """

    value: tuple[int, int]
    key: tuple[int, int] | None


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = TextPlaces(text)
        self.places: dict[Path, Place] = {}
        # The tables of an array of tables have the path of the latest one, until the next begins.
        self._counts: dict[Path, int] = {}

    def scan(self) -> None:
        at = self._gap(0)
        table: Path = ()
        while at < len(self._text):
            if self._text[at] == "[":
                is_array = self._text.startswith("[[", at)
                keys, at = self._keys(at + 1 + is_array)
                table = self._header(keys, is_array)
                at = self._space(at) + 1 + is_array
            else:
                at = self._member(at, table)
            at = self._gap(at)

    def _space(self, at: int) -> int:
        return _end(_SPACE, self._text, at)

    def _gap(self, at: int) -> int:
        return _end(_GAP, self._text, at)

    def _keys(self, at: int) -> tuple[list[tuple[str, int]], int]:
        """Read a dotted name; returns its parts with where each begins."""
        keys: list[tuple[str, int]] = []
        while True:
            at = self._space(at)
            quoted = self._text[at] in "\"'"
            end = _end(_STRING if quoted else _BARE, self._text, at)
            written = self._text[at:end]
            keys.append((tomllib.loads(f"key = {written}")["key"] if quoted else written, at))
            at = self._space(end)
            if self._text[at : at + 1] != ".":
                return keys, at
            at += 1

    def _header(self, keys: list[tuple[str, int]], is_array: bool) -> Path:
        path: Path = ()
        for number, (name, start) in enumerate(keys):
            path = (*path, name)
            place = self._lines.of(start)
            self.places.setdefault(path, Place(place, place))
            if is_array and number == len(keys) - 1:
                self._counts[path] = self._counts.get(path, 0) + 1
                path = (*path, self._counts[path] - 1)
                self.places[path] = Place(place, None)
            elif path in self._counts:
                path = (*path, self._counts[path] - 1)
        return path

    def _member(self, at: int, table: Path) -> int:
        keys, at = self._keys(at)
        path = table
        start = self._space(at + 1)
        for name, key in keys:
            path = (*path, name)
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
            self.places.setdefault(path, Place(self._lines.of(key), self._lines.of(key)))
        self.places[path] = Place(self._lines.of(start), self._lines.of(keys[-1][1]))
        return self._value(start, path)

    def _value(self, at: int, path: Path) -> int:
        first = self._text[at]
        if first == "[":
            return self._list(at + 1, path)
        if first == "{":
            return self._table(at + 1, path)
        return _end(_STRING if first in "\"'" else _SCALAR, self._text, at)

    def _list(self, at: int, path: Path) -> int:
        index = 0
        at = self._gap(at)
        while self._text[at] != "]":
            self.places[*path, index] = Place(self._lines.of(at), None)
            at = self._gap(self._value(at, (*path, index)))
            at = self._gap(at + (self._text[at] == ","))
            index += 1
        return at + 1

    def _table(self, at: int, path: Path) -> int:
        at = self._gap(at)
        while self._text[at] != "}":
            at = self._gap(self._member(at, path))
            at = self._gap(at + (self._text[at] == ","))
        return at + 1


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    if match is None:
        raise ValueError(f"offset {at} of a TOML file is not what its parser has read there")
    return match.end()


def toml_places(text: str) -> dict[Path, Place]:
    r"""Return where each value of a TOML file stands.

    Parameters
    ----------
    text : str
        A file that ``tomllib`` has read.

    Returns
    -------
    dict of tuple to Place
        By the keys and indices that lead to it.

    Raises
    ------
    ValueError, IndexError
        The text is not as this reads it.

    Examples
    --------
    >>> toml_places('name = "etl"\n[operations.load]\npath = "x"')[("operations", "load", "path")]
    Place(value=(3, 8), key=(3, 1))
    """
    scanner = _Scanner(text)
    scanner.scan()
    return scanner.places
