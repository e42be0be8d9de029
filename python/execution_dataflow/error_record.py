"""What is kept of a failed attempt: the exception itself, and the text that tells a person what happened (rule R7)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import FrameType, TracebackType

from execution_dataflow.process_errors import RemoteTraceback

__all__ = ["ErrorRecord", "exception_text", "place_of", "place_of_stack", "without_engine"]

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_STANDARD_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
# Where installed packages lie, on every platform and in every virtual environment.
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
# An exception's text can hold a whole table; beyond this a person reads the traceback.
_LONGEST_TEXT = 4000
_LONGEST_CAUSE_CHAIN = 3


def exception_text(error: BaseException) -> str:
    """Return an exception as ``Type: message``, whatever its ``__str__`` does.

    Parameters
    ----------
    error : BaseException
        The exception.

    Returns
    -------
    str
        Its class and message, with its notes. No blank lines; cut after 4,000 characters.

    Examples
    --------
    >>> exception_text(ValueError("no rows"))
    'ValueError: no rows'
    >>> exception_text(ValueError())
    'ValueError'
    >>> class Mute(Exception):
    ...     def __str__(self):
    ...         raise RuntimeError("no")
    >>> exception_text(Mute())
    'Mute: (no text: its __str__ raised RuntimeError)'
    """
    kind = type(error).__name__
    try:
        message = str(error)
    except (Exception, SystemExit) as fault:
        message = f"(no text: its __str__ raised {type(fault).__name__})"
    notes = getattr(error, "__notes__", ())
    if isinstance(notes, list) and notes:
        message = f"{message} ({'; '.join(note for note in notes if isinstance(note, str))})"
    message = "\n".join(line for line in message.strip().splitlines() if line.strip())
    if len(message) > _LONGEST_TEXT:
        message = f"{message[:_LONGEST_TEXT]}... ({len(message) - _LONGEST_TEXT} more characters)"
    return f"{kind}: {message}" if message else kind


def _unchanged(text: str) -> str:
    return text


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """The failure of one operation.

    Parameters
    ----------
    node : int
        The index of the operation in its plan.
    operation : str
        Its stable identity.
    attempt : int
        The attempt that failed last, from 1.
    max_attempts : int
        How many were allowed.
    exception : BaseException
        What it raised, with its traceback and cause.
    earlier : sequence of str
        The texts of the attempts before it. Their exceptions are not kept, since frames keep arrays alive.
    redact : callable, optional
        Takes a text and returns it without secrets.
    fallback : str, optional
        What stood in for it, by ``on_failure=``: the name of an operation, or ``"a value"``.

    Examples
    --------
    >>> record = ErrorRecord(0, "load", 2, 3, OSError("disk full"), ["OSError: busy"])
    >>> print(record.describe())
    Operation 'load' failed on attempt 2 of 3: OSError: disk full. Earlier attempts: (1) OSError: busy.
    """

    node: int
    operation: str
    attempt: int
    max_attempts: int
    exception: BaseException
    earlier: Sequence[str] = ()
    redact: Callable[[str], str] = _unchanged
    fallback: str | None = None

    @property
    def message(self) -> str:
        """The exception as ``Type: message``, without secrets."""
        return self.redact(exception_text(self.exception))

    @property
    def where(self) -> str | None:
        """The innermost line of the user's code that the exception passed, as ``file:line in function``."""
        cause = self.exception.__cause__
        if isinstance(cause, RemoteTraceback):
            return cause.where
        place = place_of(self.exception.__traceback__)
        # The error of a map was never raised, and the one of its item was.
        if place is not None or cause is None or self.exception.__traceback__ is not None:
            return place
        remote = cause.__cause__
        return remote.where if isinstance(remote, RemoteTraceback) else place_of(cause.__traceback__)

    @property
    def traceback_text(self) -> str:
        """The whole traceback with its causes, without the engine's own frames and without secrets."""
        from traceback import TracebackException

        error = self.exception
        kept = without_engine(error.__traceback__)
        return self.redact("".join(TracebackException(type(error), error, kept).format()))

    def describe(self) -> str:
        """Return one paragraph: what failed, on which attempt, why, and where.

        Returns
        -------
        str
            Text without blank lines and without secrets.
        """
        attempt = f" on attempt {self.attempt} of {self.max_attempts}" if self.max_attempts > 1 else ""
        sentences = [f"Operation {self.operation!r} failed{attempt}: {self._reason()}"]
        place = self.where
        sentences[0] += f" (at {place})." if place is not None else "."
        if self.earlier:
            listing = "; ".join(f"({number}) {text}" for number, text in enumerate(self.earlier, 1))
            sentences.append(f"Earlier attempts: {listing}.")
        if self.fallback is not None:
            sentences.append(f"{self.fallback[0].upper()}{self.fallback[1:]} stood in for it.")
        return self.redact(" ".join(sentences))

    def __repr__(self) -> str:
        return f"<ErrorRecord {self.operation!r}, attempt {self.attempt} of {self.max_attempts}: {self.message}>"

    def _reason(self) -> str:
        text = exception_text(self.exception).rstrip(".")
        cause, depth = self.exception.__cause__, 0
        while cause is not None and depth < _LONGEST_CAUSE_CHAIN:
            if isinstance(cause, RemoteTraceback):
                cause = cause.__cause__
                continue
            why = exception_text(cause).rstrip(".")
            # The error of a map quotes that of its item.
            text = text if why in text else f"{text}, caused by {why}"
            cause, depth = cause.__cause__, depth + 1
        return text


def place_of(traceback: TracebackType | None) -> str | None:
    """Return where the user's code was: the innermost frame that is theirs, else the innermost not of the engine."""
    users: str | None = None
    others: str | None = None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not _is_engine(code.co_filename):
            text = f"{code.co_filename}:{traceback.tb_lineno} in {code.co_name}"
            if _is_library(code.co_filename):
                others = text
            else:
                users = text
        traceback = traceback.tb_next
    return users if users is not None else others


def place_of_stack(frames: Iterable[FrameType]) -> str | None:
    """Return where the user's code is, from frames that still run.

    Parameters
    ----------
    frames : iterable of frame
        The innermost first.

    Returns
    -------
    str or None
        ``file:line in function`` of the innermost frame that is theirs, else of the innermost that is not the engine's.
    """
    others: str | None = None
    for frame in frames:
        code = frame.f_code
        if not _is_engine(code.co_filename):
            text = f"{code.co_filename}:{frame.f_lineno} in {code.co_name}"
            if not _is_library(code.co_filename):
                return text
            others = others or text
    return others


def _is_engine(path: str) -> bool:
    return path.startswith(_PACKAGE)


def _is_library(path: str) -> bool:
    if path.startswith("<frozen "):
        return True
    return path.startswith(_STANDARD_LIBRARY) or any(part in path for part in _INSTALLED)


def without_engine(traceback: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the first frame that is not the engine's; all of it when there is none."""
    first = traceback
    while first is not None and _is_engine(first.tb_frame.f_code.co_filename):
        first = first.tb_next
    return first if first is not None else traceback
