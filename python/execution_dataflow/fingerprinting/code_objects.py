"""What a code object says by itself: its text or its instructions, the names that it uses, and what of its context."""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from hashlib import blake2b
from threading import Lock
from types import CodeType
from typing import NamedTuple

from execution_dataflow.fingerprinting.source_texts import function_text

__all__ = ["CodeFacts", "Import", "Name", "code_facts", "context_attributes"]

_OPTIMIZED = 0x1
_HAS_DOCSTRING = 0x4000000
_MOST_CODES = 65_536
_ATTRIBUTE = ("LOAD_ATTR", "LOAD_METHOD")
# What instructions on local variables have in their names, and the functions that see them without any.
_OF_LOCALS = ("FAST", "DEREF", "CLOSURE")
_SEES_LOCALS = frozenset({"locals", "vars", "eval", "exec", "dir"})


class Name(NamedTuple):
    """A global name that code reads.

    Parameters
    ----------
    name : str
        The name.
    attributes : tuple of str
        What is read of it at once, as in ``name.first.second``.
    """

    name: str
    attributes: tuple[str, ...]


class Import(NamedTuple):
    """An import in a function.

    Parameters
    ----------
    module : str
        As it is written.
    level : int
        The number of dots before.
    names : tuple of str
        What is imported from it.
    """

    module: str
    level: int
    names: tuple[str, ...]


class CodeFacts(NamedTuple):
    """What a code object says by itself.

    Parameters
    ----------
    digest : bytes
        Of its text, or else of its instructions: then another version of Python gives another one.
    uses : tuple of Name or Import
        What it refers to, with what is defined inside of it.
    """

    digest: bytes
    uses: tuple[Name | Import, ...]


_known: dict[int, tuple[CodeType, CodeFacts]] = {}
_storing = Lock()


def code_facts(code: CodeType) -> CodeFacts:
    """Return what a code object says by itself; found once for each."""
    known = _known.get(id(code))
    if known is not None and known[0] is code:
        return known[1]
    text = function_text(code)
    content = b"text" + text if text is not None else b"instructions" + _instructions(code)
    facts = CodeFacts(blake2b(content, digest_size=16).digest(), tuple(dict.fromkeys(_uses(code))))
    with _storing:
        if len(_known) >= _MOST_CODES:
            _known.clear()
        _known[id(code)] = code, facts
    return facts


def _instructions(code: CodeType) -> bytes:
    constants = list(code.co_consts)
    if _has_documentation(code):
        constants[0] = None
    arguments = code.co_argcount + code.co_kwonlyargcount
    facts = (
        sys.version_info[:2],
        code.co_code,
        code.co_names,
        code.co_freevars,
        code.co_cellvars,
        code.co_varnames[:arguments],
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & ~_HAS_DOCSTRING),
        getattr(code, "co_exceptiontable", b""),
    )
    return repr(facts).encode("utf-8", "surrogatepass") + b"".join(map(_constant, constants))


def _constant(value: object) -> bytes:
    if isinstance(value, CodeType):
        return b"<" + value.co_name.encode() + _instructions(value) + b">"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_constant, value)) + b")"
    if isinstance(value, frozenset):
        return b"{" + b"".join(sorted(map(_constant, value))) + b"}"
    return f"{type(value).__name__}:{value!r},".encode("utf-8", "surrogatepass")


def _has_documentation(code: CodeType) -> bool:
    if sys.version_info >= (3, 14):
        return bool(code.co_flags & _HAS_DOCSTRING)
    # Before, the first constant of a function with a name is its documentation, or None.
    is_function = bool(code.co_flags & _OPTIMIZED) and not code.co_name.startswith("<")
    return is_function and bool(code.co_consts) and isinstance(code.co_consts[0], str)


def _uses(code: CodeType) -> Iterator[Name | Import]:
    name: str | None = None
    attributes: list[str] = []
    before: list[object] = []
    for step in _steps(code):
        if name is not None:
            if step.opname in _ATTRIBUTE:
                attributes.append(step.argval)
                continue
            yield Name(name, tuple(attributes))
            name = None
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
            name, attributes = step.argval, []
        elif step.opname == "IMPORT_NAME":
            level, names = before[-2:] if len(before) >= 2 else (0, None)
            yield Import(
                step.argval,
                level if isinstance(level, int) else 0,
                names if isinstance(names, tuple) else (),
            )
        before = [*before[-1:], step.argval]
    if name is not None:
        yield Name(name, tuple(attributes))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _uses(constant)


def context_attributes(code: CodeType, argument: str) -> frozenset[str] | None:
    """Return what code reads of one of its arguments.

    Parameters
    ----------
    code : CodeType
        The code of a function.
    argument : str
        The name of a parameter.

    Returns
    -------
    frozenset of str or None
        The attributes; ``None`` if it does anything else with it than reading attributes, so that nobody knows.

    Examples
    --------
    >>> def execute(self, context):
    ...     context.logger.info(context.parameters["day"])
    >>> sorted(context_attributes(execute.__code__, "context"))
    ['logger', 'parameters']
    >>> context_attributes((lambda context: vars(context)).__code__, "context") is None
    True
    """
    if _SEES_LOCALS.intersection(code.co_names):
        return None
    found: set[str] = set()
    is_loaded = False
    for step in _steps(code):
        if is_loaded:
            if step.opname not in _ATTRIBUTE:
                return None
            found.add(step.argval)
            is_loaded = False
        elif any(word in step.opname for word in _OF_LOCALS):
            named = step.argval if isinstance(step.argval, tuple) else (step.argval,)
            if argument not in named:
                continue
            # Loaded last, and by itself: all else stores it, hands it over, or keeps it for a function inside.
            if "LOAD" not in step.opname or "CLOSURE" in step.opname or named.index(argument) != len(named) - 1:
                return None
            is_loaded = True
    return frozenset(found)


def _steps(code: CodeType) -> Iterator[dis.Instruction]:
    return (step for step in dis.get_instructions(code) if step.opname not in ("EXTENDED_ARG", "CACHE"))
