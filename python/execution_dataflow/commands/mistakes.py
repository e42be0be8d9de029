"""What a person did wrong at the command line, and how the program says it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NoReturn

from execution_dataflow.nearest import nearest_name

__all__ = [
    "INTERRUPTED",
    "INVALID",
    "RUN_FAILED",
    "SUCCESS",
    "UNWRITTEN",
    "Mistake",
    "UnwrittenOutput",
    "complain",
    "suggestion",
]

SUCCESS, RUN_FAILED, INVALID, UNWRITTEN, INTERRUPTED = 0, 1, 2, 3, 130


class Mistake(Exception):
    """A graph that cannot be found or loaded, or an argument that cannot be used; the program ends with code 2.

    Parameters
    ----------
    message : str
        What is wrong, what was expected, and the nearest valid thing.
    details : str
        What comes before the message: the traceback of a module that raised, for instance.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class UnwrittenOutput(Exception):
    """Standard output cannot be written: it is full or closed; the program ends with code 3.

    Parameters
    ----------
    why : str
        What the system says.
    """

    def __init__(self, why: str) -> None:
        super().__init__(f"standard output cannot be written: {why}")


def suggestion(name: str, known: Iterable[str], what: str = "") -> str:
    """Return the end of a message about an unknown name: what may have been meant, or what there is.

    Examples
    --------
    >>> suggestion("montj", ["month", "year"], "parameters")
    "; did you mean 'month'? The parameters: month, year"
    >>> suggestion("x", [], "parameters")
    '; there are no parameters'
    """
    names = list(known)
    if not names:
        return f"; there are no {what}" if what else ""
    nearest = nearest_name(name, names)
    meant = f"; did you mean {nearest!r}?" if nearest is not None else ""
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"{meant or '.'} The {what}: {shown}" if what else meant


def complain(message: str, details: str = "") -> None:
    """Print an error to standard error; nothing is raised where nobody listens any more."""
    try:
        if details:
            print(details.rstrip("\n"), file=sys.stderr)
        print(f"error: {message}", file=sys.stderr)
    except (OSError, ValueError):
        pass


def refuse(message: str, details: str = "") -> NoReturn:
    """Raise a `Mistake`, without what was caught before: the message says it."""
    raise Mistake(message, details) from None
