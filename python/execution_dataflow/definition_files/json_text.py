"""Definitions as JSON, read with the place of every value.

The standard library's parser does not tell places, keeps the last of equal names in silence and takes ``NaN``, which is
no JSON. Escapes in strings are left to it.
"""

from __future__ import annotations

import re
from json import JSONDecodeError, dumps, loads
from math import isinf
from typing import Any

from execution_dataflow.definition_files.located import MAX_DEPTH, Faults, Located, Path, TextError, TextPlaces

__all__ = ["read_json", "write_json"]

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_CONTROL = re.compile(r"[\x00-\x1f]")
_WORDS = {"true": True, "false": False, "null": None}
_NO_JSON = re.compile(r"-?(?:NaN|Infinity)|[A-Za-z_][\w.-]*")


class _Reader:
    def __init__(self, text: str, faults: Faults) -> None:
        self._text = text
        self._places = TextPlaces(text)
        self._faults = faults

    def document(self) -> Located:
        start = self._skip(0)
        if start == len(self._text):
            raise self._error("the file is empty; a definition begins with {", start)
        value, end = self._value(start, ())
        end = self._skip(end)
        if end != len(self._text):
            raise self._error("there is something after the end of the definition", end)
        return value

    def _skip(self, at: int) -> int:
        match = _SPACE.match(self._text, at)
        assert match is not None
        return match.end()

    def _error(self, problem: str, at: int) -> TextError:
        return TextError(problem, *self._places.of(at))

    def _value(self, at: int, path: Path) -> tuple[Located, int]:
        first = self._text[at : at + 1]
        line, column = self._places.of(at)
        value: Any
        if first in ("{", "["):
            if len(path) >= MAX_DEPTH:
                raise self._error(f"values nest more than {MAX_DEPTH} deep", at)
            value, end = (self._mapping if first == "{" else self._list)(at + 1, path)
        elif first == '"':
            value, end = self._string(at)
        else:
            value, end = self._scalar(at)
        return Located(value, line, column), end

    def _string(self, at: int) -> tuple[str, int]:
        match = _STRING.match(self._text, at)
        if match is None:
            stop = _CONTROL.search(self._text, at)
            if stop is None:
                raise self._error("a text that begins here has no end", at)
            what = "a line ends" if stop.group() == "\n" else f"the control character {stop.group()!r} stands"
            raise self._error(f"{what} within a text; write it as an escape such as \\n", stop.start())
        written = match.group()
        if "\\" not in written:
            return written[1:-1], match.end()
        try:
            text: str = loads(written)
        except JSONDecodeError as error:
            raise self._error(f"{error.msg[:1].lower()}{error.msg[1:]}", at + error.pos) from None
        return text, match.end()

    def _scalar(self, at: int) -> tuple[Any, int]:
        number = _NUMBER.match(self._text, at)
        if number is not None:
            return self._number(number, at), number.end()
        word = _NO_JSON.match(self._text, at)
        if word is None:
            found = repr(self._text[at]) if at < len(self._text) else "the end of the file"
            raise self._error(f"expected a value, found {found}", at)
        if word.group() in _WORDS:
            return _WORDS[word.group()], word.end()
        if word.group() in ("NaN", "Infinity", "-Infinity"):
            special = {"NaN": "nan", "Infinity": "inf"}.get(word.group(), "-inf")
            raise self._error(f'{word.group()} is no JSON; write {{"$float": "{special}"}}', at)
        raise self._error(f"{word.group()} is no JSON; write text in double quotes", at)

    def _number(self, match: re.Match[str], at: int) -> int | float:
        if match.group(1) is None and match.group(2) is None:
            try:
                return int(match.group())
            except ValueError:
                raise self._error("the number has too many digits", at) from None
        number = float(match.group())
        if isinf(number):
            raise self._error(f"the number {match.group()} is too large for a float", at)
        return number

    def _list(self, at: int, path: Path) -> tuple[list[Located], int]:
        items: list[Located] = []
        at = self._skip(at)
        if self._text[at : at + 1] == "]":
            return items, at + 1
        while True:
            item, at = self._value(self._skip(at), (*path, len(items)))
            items.append(item)
            at = self._skip(at)
            if self._text[at : at + 1] == "]":
                return items, at + 1
            at = self._comma(at, "]")

    def _comma(self, at: int, end: str) -> int:
        if self._text[at : at + 1] != ",":
            found = repr(self._text[at]) if at < len(self._text) else "the end of the file"
            raise self._error(f"expected ',' or {end!r}, found {found}", at)
        return at + 1

    def _mapping(self, at: int, path: Path) -> tuple[dict[str, Located], int]:
        members: dict[str, Located] = {}
        at = self._skip(at)
        if self._text[at : at + 1] == "}":
            return members, at + 1
        while True:
            start = self._skip(at)
            if self._text[start : start + 1] != '"':
                found = repr(self._text[start]) if start < len(self._text) else "the end of the file"
                raise self._error(f"expected a name in double quotes, found {found}", start)
            name, at = self._string(start)
            at = self._skip(at)
            if self._text[at : at + 1] != ":":
                raise self._error(f"expected ':' after {name!r}", at)
            member, at = self._value(self._skip(at + 1), (*path, name))
            member.key_place = self._places.of(start)
            if name in members:
                line, column = member.key_place
                self._faults.note(f"{name!r} stands here a second time", line, column, (*path, name))
            else:
                members[name] = member
            at = self._skip(at)
            if self._text[at : at + 1] == "}":
                return members, at + 1
            at = self._comma(at, "}")


def read_json(text: str, faults: Faults) -> Located:
    """Read a definition in JSON; raises `TextError` where it cannot go on."""
    return _Reader(text, faults).document()


def write_json(document: dict[str, Any]) -> str:
    """Write a definition as JSON."""
    return dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
