"""Whether the module that a process has imported is the one in its file, which may have been written to since."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property
from types import CodeType, FunctionType, ModuleType
from typing import Any

from execution_dataflow.fingerprinting.code_objects import code_facts
from execution_dataflow.fingerprinting.source_texts import is_in_file
from execution_dataflow.fingerprinting.walks import joined

__all__ = ["digest_in_memory", "is_in_memory"]

_PLAIN = (str, bytes, int, float, complex, bool, type(None))


def is_in_memory(module: ModuleType, tree: ast.Module) -> bool:
    """Return whether a module was made from a text, as far as its functions, classes and plain constants tell.

    Parameters
    ----------
    module : module
        The module, as it was imported.
    tree : ast.Module
        What its file says now.
    """
    known = vars(module)
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and statement.name not in known:
            return False
    missing = object()
    for name, value in _constants_of(tree):
        found = known.get(name, missing)
        if type(found) is not type(value) or repr(found) != repr(value):
            return False
    return all(is_in_file(code) for _, code in _codes_of(module))


def digest_in_memory(module: ModuleType) -> bytes:
    """Return a digest of the functions and plain values of a module that is no longer what its file says."""
    codes = sorted(name.encode() + code_facts(code).digest for name, code in _codes_of(module))
    values = [
        f"{name}={value!r}".encode("utf-8", "surrogatepass")
        for name, value in sorted(vars(module).items())
        if isinstance(value, _PLAIN) and not name.startswith("__")
    ]
    return joined(b"in memory", *codes, b"values", *values)


def _constants_of(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    """Yield the names that are given a plain value once, in no function and nowhere else."""
    stored = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)]
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, given = statement.targets[0], statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            target, given = statement.target, statement.value
        else:
            continue
        if isinstance(target, ast.Name) and isinstance(given, ast.Constant) and stored.count(target.id) == 1:
            yield target.id, given.value


def _codes_of(module: ModuleType) -> Iterator[tuple[str, CodeType]]:
    file = getattr(module, "__file__", None)
    classes: list[type] = []
    members: list[Any] = list(vars(module).values())
    while members:
        member = members.pop()
        if isinstance(member, property):
            members += (member.fget, member.fset, member.fdel)
        elif isinstance(member, staticmethod | classmethod):
            members.append(member.__func__)
        elif isinstance(member, cached_property):
            members.append(member.func)
        elif isinstance(member, type):
            if member.__module__ == module.__name__ and member not in classes:
                classes.append(member)
                members += vars(member).values()
        elif isinstance(member, FunctionType):
            if member.__code__.co_filename == file:
                yield member.__qualname__, member.__code__
            members.append(member.__dict__.get("__wrapped__"))
        elif isinstance(fields := getattr(member, "__dict__", None), dict):
            members.append(fields.get("__wrapped__"))  # of a decorator that is a class
