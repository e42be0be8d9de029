"""Exceptions that pass between processes: they keep their type and say where they were raised (rule R7)."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from itertools import pairwise
from traceback import TracebackException
from typing import Any

from execution_dataflow.error_record import place_of, without_engine
from execution_dataflow.executors.processes.values import Packed
from execution_dataflow.process_errors import RemoteTraceback, TransferError

__all__ = ["attach_traceback", "pack_failure", "text_of", "told"]

_LONGEST_CHAIN = 16


def pack_failure(error: BaseException, pack: Callable[[Any], Packed]) -> tuple[Packed, str, str | None]:
    """Return an exception with its chain of causes as it is sent, its traceback, and where it was raised."""
    kept = without_engine(error.__traceback__)
    text = "".join(TracebackException(type(error), error, kept).format())
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and len(chain) < _LONGEST_CHAIN:
        chain.append(at)
        at = at.__cause__
    where = place_of(error.__traceback__)
    packed = [_packed(one, pack) for one in chain]
    return pack([part.stream for part in packed]), text, where


def attach_traceback(streams: list[bytes], text: str, where: str | None) -> BaseException:
    """Return the exception that was sent, with the traceback as its cause, and its own causes below that."""
    chain = [_loaded(stream, text) for stream in streams]
    for error, cause in pairwise(chain[1:]):
        error.__cause__ = cause
    traceback = RemoteTraceback(text, where)
    traceback.__cause__ = chain[1] if len(chain) > 1 else None
    chain[0].__cause__ = traceback
    return chain[0]


def _packed(error: BaseException, pack: Callable[[Any], Packed]) -> Packed:
    """The exception as it pickles itself; else its class, arguments and fields; else an error that names it."""
    forms: list[Any] = [error, _Rebuilt(error), _Rebuilt(error, plain=True)]
    if isinstance(error, BaseExceptionGroup):
        forms.append(_RebuiltGroup(error, pack))
    for form in forms:
        try:
            packed = pack(form)
            # Many an exception with an __init__ of its own pickles, and cannot be made again.
            if type(pickle.loads(packed.stream)) is type(error):
                return packed
        except BaseException:
            continue
    kind = type(error)
    return pack(
        TransferError(
            f"{kind.__module__}.{kind.__qualname__} was raised in a worker process, and cannot be sent from there: "
            f"neither it nor its class can be pickled. Its text: {text_of(error)}"
        )
    )


class _Rebuilt:
    """Pickles an exception by its class, arguments and fields, so that its ``__init__`` is not called."""

    def __init__(self, error: BaseException, plain: bool = False) -> None:
        arguments = tuple(error.args)
        fields = dict(getattr(error, "__dict__", {}))
        if plain:
            arguments = tuple(_plain(argument) for argument in arguments)
            fields = {name: _plain(value) for name, value in fields.items()}
        self._parts = (type(error), arguments, fields)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, self._parts


class _RebuiltGroup:
    """Pickles a group of exceptions by its class, text and fields, and each of its members in its own way."""

    def __init__(self, error: BaseExceptionGroup[BaseException], pack: Callable[[Any], Packed]) -> None:
        fields = {name: _plain(value) for name, value in vars(error).items()}
        members = [_packed(member, pack).stream for member in error.exceptions]
        self._parts = (type(error), error.message, members, fields)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_group, self._parts


def _rebuild_group(
    kind: type[BaseExceptionGroup[BaseException]], message: str, members: list[bytes], fields: dict[str, Any]
) -> BaseException:
    return _rebuild(kind, (message, [pickle.loads(member) for member in members]), fields)


def _rebuild(kind: type[BaseException], arguments: tuple[Any, ...], fields: dict[str, Any]) -> BaseException:
    try:
        error = kind.__new__(kind, *arguments)
    except TypeError:
        # It takes more, or is of a class with two built-in bases, neither of which is "safe" to the interpreter.
        error = BaseException.__new__(kind, *arguments)
    error.args = arguments
    error.__dict__.update(fields)
    return error


def _plain(value: Any) -> Any:
    """The value, or its text if it cannot be pickled."""
    try:
        pickle.dumps(value)
    except BaseException:
        return text_of(value)
    return value


def text_of(value: Any) -> str:
    """Return the text of an exception, or the repr of another value, whatever it raises when it is asked for it."""
    try:
        return str(value) if isinstance(value, BaseException) else repr(value)
    except BaseException as fault:
        return f"(no text: {type(fault).__name__})"


def told(fault: BaseException) -> str:
    """Return the class and the text of an exception."""
    return f"{type(fault).__name__}: {text_of(fault)}"


def _loaded(stream: bytes, text: str) -> BaseException:
    try:
        error = pickle.loads(stream)
    except BaseException as fault:
        error = TransferError(
            f"an exception was raised in a worker process that cannot be made again here: {told(fault)}. "
            f"It was: {text.strip().splitlines()[-1] if text.strip() else 'unknown'}"
        )
    return error if isinstance(error, BaseException) else TransferError(f"{text_of(error)} is no exception")
