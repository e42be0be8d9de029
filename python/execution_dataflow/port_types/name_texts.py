"""Types that are given to ports as text, which may come from anywhere: they name types, and run nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, get_args, get_origin

__all__ = ["code_in"]

# What looks up names. A call, an assignment or a comprehension would do something.
_LOOKS_UP = (
    ast.Expression,
    ast.Name,
    ast.Attribute,
    ast.Subscript,
    ast.Tuple,
    ast.List,
    ast.Starred,
    ast.Constant,
    ast.UnaryOp,
    ast.USub,
    ast.BinOp,
    ast.BitOr,
    ast.Load,
)
_DEEPEST = 100


def code_in(hint: object) -> str | None:
    """Return a text in a hint that would run something if it were looked up as a type; ``None`` if there is none.

    Annotations of functions are no affair of this: they are code, as the function is.

    Parameters
    ----------
    hint : object
        What a port was given as its type.

    Returns
    -------
    str or None
        The text.

    Raises
    ------
    SyntaxError
        A text is no expression.

    Examples
    --------
    >>> code_in("list[Order] | None"), code_in(list["exit()"])
    (None, 'exit()')
    """
    return next((text for text in _texts_in(hint, 0) if _runs(text, 0)), None)


def _texts_in(hint: object, depth: int) -> Iterator[str]:
    if isinstance(hint, str):
        yield hint
    elif get_origin(hint) is not Literal and type(hint) is not type and depth < _DEEPEST:
        # What annotates a type is no type.
        inner = get_args(hint)[:1] if get_origin(hint) is Annotated else get_args(hint)
        for part in inner:
            yield from _texts_in(part, depth + 1)


def _runs(text: str, depth: int) -> bool:
    if depth > _DEEPEST:
        return True
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (RecursionError, MemoryError, ValueError) as error:
        raise SyntaxError(str(error)) from None
    return any(_part_runs(part, depth) for part in _types_in([tree]))


def _part_runs(part: ast.AST, depth: int) -> bool:
    if isinstance(part, ast.Constant) and isinstance(part.value, str):
        # A text within a text is looked up as well.
        return _runs(part.value, depth + 1)
    return not isinstance(part, _LOOKS_UP)


def _types_in(parts: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield all parts of an expression, but for values in it that are no types."""
    waiting = list(parts)
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, ast.Subscript):
            waiting += [part.value, *_types_in_brackets(part)]
        else:
            waiting += ast.iter_child_nodes(part)


def _types_in_brackets(part: ast.Subscript) -> list[ast.AST]:
    name = ast.unparse(part.value).rpartition(".")[2]
    if name == "Literal":
        members = part.slice.elts if isinstance(part.slice, ast.Tuple) else [part.slice]
        return [member for member in members if not isinstance(member, ast.Constant)]
    if name == "Annotated" and isinstance(part.slice, ast.Tuple):
        first, *notes = part.slice.elts
        return [first, *(note for note in notes if not isinstance(note, ast.Constant))]
    return [part.slice]
