"""The types of parameters as text: ``int``, ``list[str] | None``, ``'mypackage.tables:Table'``.

A text is read by the grammar below and never evaluated. Names without a module are built-in classes, ``Any``, ``None``
and ``Literal``; others have to be allowed.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable
from functools import reduce
from operator import or_
from types import GenericAlias, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from execution_dataflow.definition_files.allowed import Allowed, RefusedNameError
from execution_dataflow.definition_files.located import MAX_DEPTH
from execution_dataflow.definition_files.references import reference_of
from execution_dataflow.nearest import nearest_name

__all__ = ["text_of_type", "type_of_text"]

_TOKEN = re.compile(
    r"\s*(?:(?P<name>[^\W\d]\w*(?:\.\w+)*(?::[^\W\d]\w*(?:\.\w+)*)?)|(?P<literal>-?\d+|'[^'\\]*'|\"[^\"\\]*\")"
    r"|(?P<sign>\.\.\.|[\[\],|]))"
)
_BUILT_IN = {name: value for name, value in vars(builtins).items() if isinstance(value, type)}
_VALUES: dict[str, Any] = {"None": None, "True": True, "False": False}
_SPECIAL: dict[str, Any] = {"Any": Any, "None": None, "Literal": Literal}
_LONGEST_VALUE = 1000


def text_of_type(hint: Any) -> str:
    """Return a type as text.

    Raises
    ------
    NoReferenceError, TypeError
        It cannot be written.

    Examples
    --------
    >>> text_of_type(dict[str, int] | None)
    'dict[str, int] | None'
    """
    if hint is Any:
        return "Any"
    if hint is None or hint is NoneType:
        return "None"
    if hint is ...:
        return "..."
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " | ".join(map(text_of_type, arguments))
    if origin is Literal:
        for value in arguments:
            if type(value) not in (int, str, bool, NoneType) or set("'\\") & set(str(value)):
                raise TypeError(f"a Literal with {value!r} cannot be written")
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if isinstance(hint, GenericAlias) and isinstance(origin, type):
        return f"{text_of_type(origin)}[{', '.join(map(text_of_type, arguments))}]"
    if isinstance(hint, type):
        return reference_of(hint).removeprefix("builtins:")
    raise TypeError(f"{hint!r} cannot be written; declare a class, a union of classes, or leave the type out")


class _Parser:
    def __init__(self, text: str, allowed: Allowed) -> None:
        self._allowed = allowed
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            match = _TOKEN.match(text, at)
            if match is None:
                raise RefusedNameError(f"{text!r} is no type: {text[at:].strip()[:20]!r} has no meaning in one")
            kind = str(match.lastgroup)
            self._tokens.append((kind, match.group(kind)))
            at = match.end()
        self._text = text
        self._at = 0

    def whole(self) -> Any:
        hint = self._union(0)
        if self._at < len(self._tokens):
            raise self._error(f"{self._tokens[self._at][1]!r} is too much")
        return hint

    def _error(self, problem: str) -> RefusedNameError:
        return RefusedNameError(f"{self._text!r} is no type: {problem}", expected="a type such as 'list[int] | None'")

    def _next(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise self._error("something is missing at its end")
        self._at += 1
        return self._tokens[self._at - 1]

    def _is_next(self, sign: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == ("sign", sign):
            self._at += 1
            return True
        return False

    def _union(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise self._error(f"it nests more than {MAX_DEPTH} deep")
        members = [self._one(depth)]
        while self._is_next("|"):
            members.append(self._one(depth))
        if len(members) == 1:
            return members[0]
        try:
            return reduce(or_, [NoneType if member is None else member for member in members])
        except TypeError as error:
            raise self._error(str(error)) from None

    def _one(self, depth: int) -> Any:
        kind, written = self._next()
        if kind == "literal":
            # A text in a type would be looked up as one, which runs what stands in it.
            raise self._error(f"{written[:20]} stands for itself only in Literal[...]")
        if kind == "sign":
            raise self._error(f"a name is missing before {written!r}")
        hint = self._named(written)
        if not self._is_next("["):
            if hint is Literal:
                raise self._error("Literal needs values in brackets")
            return hint
        if hint is Literal:
            return Literal[tuple(self._members(self._value))]
        if not isinstance(hint, type):
            raise self._error(f"{written} takes no types in brackets")
        return GenericAlias(hint, tuple(self._members(lambda: ... if self._is_next("...") else self._union(depth + 1))))

    def _members(self, member: Callable[[], Any]) -> list[Any]:
        """Read what stands in brackets, the first of which was read."""
        members = [member()]
        while self._is_next(","):
            members.append(member())
        if not self._is_next("]"):
            raise self._error("']' is missing")
        return members

    def _value(self) -> Any:
        """Read one value of a Literal."""
        kind, written = self._next()
        if kind == "literal" and len(written) <= _LONGEST_VALUE:
            return ast.literal_eval(written)  # a number or a text without escapes: what the pattern lets through
        if kind != "name" or written not in _VALUES:
            known = "numbers, quoted texts, True, False and None"
            raise self._error(f"{written[:20]!r} is no value of a Literal, which takes {known}")
        return _VALUES[written]

    def _named(self, written: str) -> Any:
        if ":" in written:
            return self._allowed.find_class(written)
        if written in _SPECIAL:
            return _SPECIAL[written]
        if written in _BUILT_IN:
            return _BUILT_IN[written]
        raise RefusedNameError(
            f"there is no built-in type {written!r}",
            expected="a built-in type, or 'module:Name'",
            nearest=nearest_name(written, [*_BUILT_IN, *_SPECIAL]),
        )


def type_of_text(text: str, allowed: Allowed) -> Any:
    """Return the type that a text names.

    Parameters
    ----------
    text : str
        The text.
    allowed : Allowed
        Which classes may be named, beside those that are built in.

    Returns
    -------
    type or type hint
        The type.

    Raises
    ------
    RefusedNameError
        It is no type, or it is not allowed.

    Examples
    --------
    >>> type_of_text("dict[str, int] | None", Allowed([]))
    dict[str, int] | None
    """
    return _Parser(text, allowed).whole()
