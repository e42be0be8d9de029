"""How signals end the program: cleaned up, with one line, and with the exit code that shells expect."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from execution_dataflow.errors import RunInterrupted

__all__ = ["Ending", "end_on_signals", "interruption_text"]

# A signal's own code, and what is said of it. Windows has no SIGHUP, and sends SIGBREAK when a console is closed.
_WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up", "SIGBREAK": "interrupted"}


class Ending:
    """Which signal ends the program, if one does.

    Attributes
    ----------
    number : int
        The signal; SIGINT unless another one came.
    """

    def __init__(self) -> None:
        self.number: int = signal.SIGINT

    @property
    def code(self) -> int:
        """The exit code: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number

    @property
    def word(self) -> str:
        """What is said of it."""
        return _WORDS.get(signal.Signals(self.number).name, "interrupted")

    def end(self, number: int, frame: FrameType | None) -> None:
        """End the program as Ctrl-C does; a handler of signals."""
        self.number = number
        raise KeyboardInterrupt


@contextmanager
def end_on_signals() -> Iterator[Ending]:
    """Let signals that would kill the program without a word end it as Ctrl-C does, so that runs are cleaned up.

    What the program that started this one said to ignore (``nohup``) stays ignored.

    Yields
    ------
    Ending
        Which signal came.
    """
    ending = Ending()
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, ending.end)
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interruption_text(error: BaseException, word: str) -> str:
    """Return the one line that is said of an interruption.

    Parameters
    ----------
    error : BaseException
        What was raised.
    word : str
        What happened.

    Returns
    -------
    str
        With how far the run had come, where there was one.
    """
    result = error.result if isinstance(error, RunInterrupted) else None
    if result is None:
        return word
    states = result.states.values()
    done = sum(state.name in ("SUCCEEDED", "RESTORED", "SKIPPED") for state in states)
    return f"{word}: run {result.run_id!r} of {result.graph_name}, {done} of {len(states)} operations were done"
