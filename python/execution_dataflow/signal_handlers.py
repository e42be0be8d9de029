"""Exceptions that signal handlers raise: they are meant for the program, wherever it happened to be."""

from __future__ import annotations

import signal
import threading
from types import CodeType

__all__ = ["raised_by_signal_handler"]


def raised_by_signal_handler(error: BaseException) -> bool:
    """Return whether one of the program's signal handlers raised an exception.

    Parameters
    ----------
    error : BaseException
        An exception that was caught on this thread.

    Returns
    -------
    bool
        Whether its traceback leads through a handler.
    """
    if threading.current_thread() is not threading.main_thread():
        return False  # handlers run on the main thread alone
    handlers = {_code(signal.getsignal(number)) for number in signal.valid_signals()}
    handlers.discard(None)
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code in handlers:
            return True
        traceback = traceback.tb_next
    return False


def _code(handler: object) -> CodeType | None:
    called = type(handler).__call__ if callable(handler) else None  # for an object that can be called
    for function in (handler, getattr(handler, "__func__", None), called):
        code = getattr(function, "__code__", None)
        if isinstance(code, CodeType):
            return code
    return None
