"""How signals end the program: cleaned up, with one line, and with the exit code that shells expect."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from execution_dataflow.errors import RunInterrupted
from execution_dataflow.program_start import end_quietly

__all__ = ["Ending", "end_on_signals", "interruption_text"]

# A signal's own code, and what is said of it. Windows has no SIGHUP, and sends SIGBREAK when a console is closed.
_WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up", "SIGBREAK": "interrupted"}


_NOBODYS = (signal.SIG_DFL, signal.default_int_handler, end_quietly)

# A second press of the keys within this time is the first one still.
_ONE_PRESS_SECONDS = 1.0
# An operation that is stuck in native code cannot be interrupted; then a person is told what to do.
_HINT_SECONDS = 3.0


class Ending:
    """Which signal ends the program, if one does.

    The first one ends it as Ctrl-C does: the run is cancelled and cleaned up. Another one, later, ends it at once.

    Attributes
    ----------
    number : int
        The signal; SIGINT unless another one came.
    """

    def __init__(self) -> None:
        self.number: int = signal.SIGINT
        self._came: float | None = None
        self._hint: threading.Timer | None = None

    @property
    def code(self) -> int:
        """The exit code: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number

    @property
    def word(self) -> str:
        """What is said of it."""
        return _WORDS.get(signal.Signals(self.number).name, "interrupted")

    def end(self, number: int, frame: FrameType | None) -> None:
        """End the program; a handler of signals."""
        if self._came is not None:
            if time.monotonic() - self._came >= _ONE_PRESS_SECONDS:
                self._end_at_once(number)
            return
        self._came = time.monotonic()
        self.number = number
        self._hint = threading.Timer(_HINT_SECONDS, self._give_hint)
        self._hint.daemon = True
        self._hint.start()
        raise KeyboardInterrupt

    def close(self) -> None:
        """Say nothing more."""
        if self._hint is not None:
            self._hint.cancel()

    def _give_hint(self) -> None:
        try:
            print("waiting for operations that cannot be interrupted; Ctrl-C again ends them at once", file=sys.stderr)
        except (OSError, ValueError):
            pass

    def _end_at_once(self, number: int) -> None:
        # No locks, no clean-up: worker processes end with this one, and their memory with them.
        shown = "\x1b[?25h\r\n" if os.isatty(2) else ""
        try:
            os.write(2, f"{shown}{self.word}, without waiting for operations that still run\n".encode())
        finally:
            os._exit(128 + number)


@contextmanager
def end_on_signals() -> Iterator[Ending]:
    """Let signals end the program in one way, so that runs are cleaned up: Ctrl-C, and what would kill it silently.

    What the program that started this one said to ignore (``nohup``) stays ignored.

    Yields
    ------
    Ending
        Which signal came.
    """
    ending = Ending()
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in _WORDS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) in _NOBODYS:
                before[number] = signal.signal(number, ending.end)
    try:
        yield ending
    finally:
        ending.close()
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
