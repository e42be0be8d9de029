"""The text of functions, as a tree: what does not change with comments, blank lines and places.

A file may have been written to since it was imported. So a tree is taken for that of a function only if compiling the
file gives the very code that the function has.
"""

from __future__ import annotations

import ast
import linecache
import warnings
from collections.abc import Iterator
from threading import Lock
from types import CodeType
from typing import Any, TypeAlias

__all__ = ["function_text", "is_in_file", "normal_form"]

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

# What says nothing of what code does, or only what its place says already.
_LEFT_OUT = frozenset({"ctx", "kind", "type_comment", "type_ignores", "type_params", "returns"})
_MOST_FILES = 256


class _File:
    """The functions of one file."""

    def __init__(self, lines: list[str], name: str) -> None:
        self.lines = lines
        self._nodes: dict[tuple[str, int], list[_Function]] = {}
        self._codes: dict[tuple[str, int], list[CodeType]] = {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse("".join(lines), name)
                code = compile(tree, name, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return
        for node in ast.walk(tree):
            if isinstance(node, _Function):
                self._nodes.setdefault((_name(node), _first_line(node)), []).append(node)
        for known in _codes_in(code):
            self._codes.setdefault((known.co_name, known.co_firstlineno), []).append(known)

    def find(self, code: CodeType) -> _Function | None:
        """Return the tree of a function; ``None`` if it is not to be told, or was another one."""
        nodes = self._nodes.get((code.co_name, code.co_firstlineno), ())
        return nodes[0] if len(nodes) == 1 and self.has(code) else None

    def has(self, code: CodeType) -> bool:
        """Return whether compiling the file gives this code."""
        return code in self._codes.get((code.co_name, code.co_firstlineno), ())


_files: dict[str, _File] = {}
_reading = Lock()


def function_text(code: CodeType) -> bytes | None:
    """Return the text of a function in a form that only changes with what it does.

    Parameters
    ----------
    code : CodeType
        The code of a function.

    Returns
    -------
    bytes or None
        ``None`` where there is no text, where several functions begin in one line, or where the file has changed since
        the function was made of it.
    """
    name = code.co_filename
    node = _file(name).find(code)
    if node is None:
        linecache.checkcache(name)
        node = _file(name).find(code)
    return None if node is None else normal_form(node)


def is_in_file(code: CodeType) -> bool:
    """Return whether compiling the file of a function, as it is now, gives the code that the function has."""
    linecache.checkcache(code.co_filename)
    return _file(code.co_filename).has(code)


def _file(name: str) -> _File:
    lines = linecache.getlines(name)
    with _reading:
        known = _files.get(name)
        if known is None or known.lines is not lines:
            if len(_files) >= _MOST_FILES:
                _files.clear()
            _files[name] = known = _File(lines, name)
    return known


def _name(node: _Function) -> str:
    return "<lambda>" if isinstance(node, ast.Lambda) else node.name


def _first_line(node: _Function) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes_in(constant)


def normal_form(node: ast.AST) -> bytes:
    r"""Return a tree as bytes, without places, documentation, and the name and decorators of the function that it is.

    Decorators show in what they made of the function. Annotations count only where somebody else than this package may
    have read them.

    Examples
    --------
    >>> first = ast.parse('def double(x: int) -> int:\n    "Twice."\n    return 2 * x').body[0]
    >>> second = ast.parse("def twice(x):\n\n    # as often\n    return 2*x").body[0]
    >>> normal_form(first) == normal_form(second)
    True
    """
    parts: list[str] = []
    _write(node, parts, is_outermost=True)
    return "".join(parts).encode("utf-8", "surrogatepass")


def _write(node: Any, parts: list[str], *, is_outermost: bool = False, in_class: bool = False) -> None:
    if isinstance(node, list):
        parts.append("[")
        for item in node:
            _write(item, parts, in_class=in_class)
            parts.append(",")
        parts.append("]")
        return
    if not isinstance(node, ast.AST):
        parts.append(f"{type(node).__name__}:{node!r}")
        return
    parts.append(f"{type(node).__name__}(")
    is_class = isinstance(node, ast.ClassDef)
    left_out = set(_LEFT_OUT)
    if isinstance(node, ast.Lambda) and is_outermost:
        left_out.add("args")
        _write_without_defaults(node.args, parts)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        if is_outermost:
            left_out |= {"name", "decorator_list"}
            # Defaults count with the values that they have.
            parts.append("args=")
            _write_without_defaults(node.args, parts)
            left_out.add("args")
        if any(not _is_ours(decorator) for decorator in node.decorator_list):
            left_out.discard("returns")
            parts.append("annotations=")
            _write([argument.annotation for argument in _arguments(node)], parts)
    elif isinstance(node, ast.arg) or (isinstance(node, ast.AnnAssign) and not in_class):
        left_out.add("annotation")
    for name, value in ast.iter_fields(node):
        if value is None or value == [] or name in left_out:
            continue
        parts.append(f"{name}=")
        _write(_without_documentation(node, value) if name == "body" else value, parts, in_class=is_class)
        parts.append(",")
    parts.append(")")


def _write_without_defaults(arguments: ast.arguments, parts: list[str]) -> None:
    for kind, names in ast.iter_fields(arguments):
        if kind not in ("defaults", "kw_defaults") and names:
            parts.append(f"{kind}=")
            _write(names, parts)


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    given = node.args
    both = [argument for argument in (given.vararg, given.kwarg) if argument is not None]
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *both]


def _is_ours(decorator: ast.expr) -> bool:
    named = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (named.attr if isinstance(named, ast.Attribute) else getattr(named, "id", None)) == "operation"


def _without_documentation(node: ast.AST, body: Any) -> Any:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module) or not body:
        return body
    first = body[0].value if isinstance(body[0], ast.Expr) else None
    return body[1:] if isinstance(first, ast.Constant) and isinstance(first.value, str) else body
