"""Where the program writes: results to standard output, everything else to standard error."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO

from execution_dataflow.commands.mistakes import UnwrittenOutput

__all__ = ["ResultStream", "flush_output", "forgive_characters", "give_up_output", "only_results_on_stdout", "silenced"]


class ResultStream:
    """Standard output, for results. A reader that has gone away (``| head``) is no error.

    Parameters
    ----------
    file : text file or None
        What is written to; ``None`` if the program was started without standard output.
    """

    def __init__(self, file: TextIO | None) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write a text and a line end, and everything that was kept back.

        Raises
        ------
        UnwrittenOutput
            The file is full or closed.
        """
        if self._file is None:
            raise UnwrittenOutput("it is closed")
        try:
            self._file.write(f"{text}\n")
            self._file.flush()
        except BrokenPipeError:
            give_up_output()
        except OSError as error:
            raise UnwrittenOutput(error.strerror or str(error)) from None
        except ValueError as error:
            if not self._file.closed:
                raise
            raise UnwrittenOutput(str(error)) from None

    def close(self) -> None:
        """Close the file; later errors of a reader that is gone do not matter."""
        with suppress(OSError):
            if self._file is not None:
                self._file.close()


def flush_output(more: str = "") -> None:
    """Write what was kept back for standard output; a reader that has gone away is no error.

    Parameters
    ----------
    more : str
        What is written behind it.

    Raises
    ------
    UnwrittenOutput
        The file is full or closed. Nothing is kept back for it any more.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(more)
        sys.stdout.flush()
    except BrokenPipeError:
        give_up_output()
    except OSError as error:
        give_up_output()
        raise UnwrittenOutput(error.strerror or str(error)) from None
    except ValueError:  # closed by somebody who has flushed it
        pass


def give_up_output() -> None:
    """Send what is left in standard output nowhere: its reader is gone, and the interpreter flushes it once more."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):
        pass


def forgive_characters() -> None:
    """Write characters that the terminal's encoding does not have as escapes, instead of raising."""
    for file in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(file, "reconfigure", None)
        if reconfigure is not None:
            with suppress(OSError, ValueError):
                reconfigure(errors="backslashreplace")


@contextmanager
def silenced(wanted: bool) -> Iterator[None]:
    """Keep what Python code prints from both streams, if that is wanted."""
    if not wanted:
        yield
        return
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


@contextmanager
def only_results_on_stdout(wanted: bool) -> Iterator[ResultStream]:
    """Keep standard output for results: whatever else is printed, by whichever process, goes to standard error.

    Parameters
    ----------
    wanted : bool
        Whether to do so. If not, all share standard output.

    Yields
    ------
    ResultStream
        The standard output.
    """
    if not wanted:
        yield ResultStream(sys.stdout)
        return
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    kept = sys.stdout
    try:
        other = sys.stderr.fileno()
        # Its own descriptor, and the one that the system means by it where that is another.
        originals = {number: os.dup(number) for number in (1, kept.fileno())}
    except (OSError, ValueError, AttributeError):
        # No file of the system, as in a notebook: print() is all that there is to divert.
        sys.stdout = sys.stderr
        try:
            yield ResultStream(kept)
        finally:
            sys.stdout = kept
        return
    # The descriptor and not only sys.stdout: worker processes and native libraries write there too.
    for number in originals:
        os.dup2(other, number)
    # What stands in for standard error above a display takes Python's own output too.
    sys.stdout = sys.stderr
    results = ResultStream(os.fdopen(os.dup(originals[kept.fileno()]), "w", encoding="utf-8"))
    try:
        yield results
    finally:
        sys.stdout = kept
        with suppress(OSError, ValueError):
            kept.flush()
        for number, original in originals.items():
            os.dup2(original, number)
            os.close(original)
        results.close()
