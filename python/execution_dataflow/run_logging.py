"""The logger of a run: standard logging with the run and the operation, a level of its own, and no secrets."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # Only for annotations: at run time LoggerAdapter is used without its parameter.
    Adapter = logging.LoggerAdapter[logging.Logger]
else:
    Adapter = logging.LoggerAdapter

__all__ = ["RUN_LOGGER", "RunLogger", "level_number", "run_logger"]

RUN_LOGGER = "execution_dataflow.run"


def level_number(level: object) -> int:
    """Return a log level as a number; ``None`` is ``logging.NOTSET``, which leaves the decision to global logging.

    Parameters
    ----------
    level : int, str or None
        A level's number or name, in any case.

    Returns
    -------
    int
        The number.

    Examples
    --------
    >>> level_number("info"), level_number(10), level_number(None)
    (20, 10, 0)
    >>> level_number("LOUD")
    Traceback (most recent call last):
        ...
    ValueError: log_level 'LOUD' is no level; use one of 'CRITICAL', ... 'NOTSET'
    """
    if level is None:
        return logging.NOTSET
    if isinstance(level, str):
        names = logging.getLevelNamesMapping()
        if level in names:
            return names[level]
        if level.upper() in names:
            return names[level.upper()]
        raise ValueError(f"log_level {level!r} is no level; use one of {', '.join(map(repr, names))}")
    if isinstance(level, int) and not isinstance(level, bool):
        return level
    raise TypeError(f"log_level is a level's name or number, not {type(level).__name__}")


class _LoggerOfOneRun(logging.Logger):
    """A logger below the base one that no registry knows: its level is nobody else's, and it dies with the run."""

    def __init__(self, base: logging.Logger, level: int, redact: Callable[[str], str] | None) -> None:
        super().__init__(base.name, level)
        self.parent = base
        self._redact = redact

    def isEnabledFor(self, level: int) -> bool:
        # The cache of logging.Logger is emptied through the registry, which does not know this logger: ask every time.
        return self.manager.disable < level and level >= self.getEffectiveLevel()

    def handle(self, record: logging.LogRecord) -> None:
        base = self.parent
        if base is not None:
            # Propagated records skip a parent's switch and filters, yet these are the records they were put there for.
            passed: object = not base.disabled and base.filter(record)
            if not passed:
                return
            if isinstance(passed, logging.LogRecord):
                record = passed  # since Python 3.12 a filter may put another record in the place of this one
        if self._redact is not None:
            _redact_record(record, self._redact)
        super().handle(record)


def _redact_record(record: logging.LogRecord, redact: Callable[[str], str]) -> None:
    try:
        message = record.getMessage()
    except Exception:
        message = f"{record.msg!r} with arguments {record.args!r} that do not fit it"
        record.msg, record.args = redact(message), ()
    else:
        redacted = redact(message)
        if redacted is not message:
            record.msg, record.args = redacted, ()
    if record.exc_info and record.exc_info[0] is not None:
        text = logging.Formatter().formatException(record.exc_info)
        redacted = redact(text)
        if redacted is not text:
            # Formatters show exc_text where there is no exc_info.
            record.exc_text, record.exc_info = redacted, None
    for name, value in list(vars(record).items()):
        if isinstance(value, str) and redact(value) is not value:
            setattr(record, name, redact(value))


class RunLogger(Adapter):
    """A `logging.LoggerAdapter` whose records carry ``run_id`` and ``operation``; what ``context.logger`` is.

    Examples
    --------
    >>> from execution_dataflow.run_logging import run_logger
    >>> log = RunLogger(run_logger(None, 10), {"run_id": "r1", "operation": "load"})
    >>> log.process("hello", {"extra": {"rows": 3}})
    ('hello', {'extra': {'run_id': 'r1', 'operation': 'load', 'rows': 3}})
    """

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the run and the operation to what the caller gave as ``extra``.

        Parameters
        ----------
        msg : object
            The message.
        kwargs : mutable mapping
            The keywords of the logging call.

        Returns
        -------
        tuple
            Both, with ``extra`` completed.
        """
        # logging's own process() drops the caller's extra before Python 3.13.
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


def run_logger(base: logging.Logger | None, level: int, redact: Callable[[str], str] | None = None) -> logging.Logger:
    """Return a logger for one run, whose level is its own.

    Parameters
    ----------
    base : logging.Logger, optional
        Where records go: to its handlers and those above it. The default is the logger ``execution_dataflow.run``.
    level : int
        The lowest level that passes; 0 leaves it to the level of the base.
    redact : callable, optional
        Takes a text and returns it without secrets.

    Returns
    -------
    logging.Logger
        A logger that no registry of logging knows.
    """
    parent = base if base is not None else logging.getLogger(RUN_LOGGER)
    if level == logging.NOTSET and redact is None:
        return parent
    return _LoggerOfOneRun(parent, level, redact)
