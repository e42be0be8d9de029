"""The program's own output, passed above a moving display: what operations print stays whole, and so does that."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import IO, Any, cast

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment

__all__ = ["AboveDisplay", "output_above"]


class _Verbatim:
    """Text that the console writes as it is: its own colours, tabs and long lines."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Segment(self._text)


class AboveDisplay(io.TextIOBase):
    """A stand-in for ``sys.stdout`` or ``sys.stderr``: whole lines go above the display while there is one.

    A line that is not yet complete waits for its end while a display moves: the cursor is needed elsewhere.

    Parameters
    ----------
    file : text file
        What it stands for.
    console : rich.console.Console
        The console of the display, on the same terminal.
    """

    def __init__(self, file: IO[str], console: Console) -> None:
        self._file = file
        self._console = console
        self._lock = RLock()
        self._begun = ""
        self._is_covered = False

    def cover(self, is_covered: bool) -> None:
        """Say that a display begins or has ended; what waits for the end of its line is written then."""
        with self._lock:
            begun, self._begun = self._begun, ""
            self._is_covered = is_covered
            if begun:
                self._file.write(begun)
                self._file.flush()

    def write(self, text: str) -> int:
        """Write text."""
        with self._lock:
            if not self._is_covered:
                return self._file.write(text)
            if not isinstance(text, str):
                raise TypeError(f"write() argument must be str, not {type(text).__name__}")
            whole, newline, rest = text.rpartition("\n")
            if not newline:
                self._begun += text
                return len(text)
            lines, self._begun = f"{self._begun}{whole}\n", rest
        # Not under the lock: the console's own comes first for whoever draws.
        self._console.print(_Verbatim(lines), soft_wrap=True, end="")
        return len(text)

    def flush(self) -> None:
        """Flush what was written."""
        with self._lock:
            if not self._is_covered:
                self._file.flush()

    def fileno(self) -> int:
        """Return the descriptor of the file."""
        return self._file.fileno()

    def isatty(self) -> bool:
        """Return whether the file is a terminal."""
        return self._file.isatty()

    def writable(self) -> bool:
        """Return true."""
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def output_above(console: Console) -> Iterator[list[AboveDisplay]]:
    """Put stand-ins in the place of ``sys.stdout`` and ``sys.stderr``, those that are the console's own terminal.

    They stand there from before a user's module is imported, since that may keep what it finds.

    Parameters
    ----------
    console : rich.console.Console
        The console of the display.

    Yields
    ------
    list of AboveDisplay
        What was put there, to be told of a display.
    """
    if not console.is_terminal:
        yield []
        return
    kept = sys.stdout, sys.stderr
    made: list[AboveDisplay] = []
    replaced = []
    for file in kept:
        if _is_same_terminal(file, console.file):
            made.append(AboveDisplay(file, console))
            replaced.append(cast(Any, made[-1]))
        else:
            replaced.append(file)
    sys.stdout, sys.stderr = replaced
    try:
        yield made
    finally:
        sys.stdout, sys.stderr = kept


def _is_same_terminal(file: IO[str] | None, other: IO[str]) -> bool:
    try:
        if file is None or not file.isatty():
            return False
        return os.name == "nt" or os.path.samestat(os.fstat(file.fileno()), os.fstat(other.fileno()))
    except (OSError, ValueError):
        return False
