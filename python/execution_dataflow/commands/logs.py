"""Logging for the program: to standard error, as loud as was asked for."""

from __future__ import annotations

import logging
import sys
from typing import Any

__all__ = ["set_up_logging"]

_LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG}


class _ToStandardError(logging.StreamHandler[Any]):
    """Writes to what ``sys.stderr`` is when something is logged: a display may have come before it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr


class _Format(logging.Formatter):
    """Names the operation that logged, where one did."""

    def format(self, record: logging.LogRecord) -> str:
        record.place = getattr(record, "operation", None) or record.name
        return super().format(record)


def set_up_logging(verbosity: int) -> None:
    """Write log records to standard error, unless the user's module has set up logging by itself.

    Parameters
    ----------
    verbosity : int
        -1 is quiet, 0 shows warnings, 1 information, 2 everything.
    """
    root = logging.getLogger()
    if root.handlers:
        return
    handler = _ToStandardError()
    handler.setFormatter(_Format("%(asctime)s %(levelname)s %(place)s: %(message)s", "%H:%M:%S"))
    root.addHandler(handler)
    root.setLevel(_LEVELS[max(-1, min(2, verbosity))])
