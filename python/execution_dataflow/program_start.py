"""Ctrl-C while the program ``execution-dataflow`` is still being imported: one word, and the exit code of it.

Python answers it with a traceback through whatever it was importing. What is here runs before all else of the package,
and does nothing where that is imported by another program.
"""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["end_quietly", "is_this_program", "watch_start"]

_NAME = "execution-dataflow"
_PACKAGE = "execution_dataflow"


def is_this_program() -> bool:
    """Return whether Python was started to run the program, by its name or with ``-m``."""
    started = getattr(sys, "argv", None) or [""]
    if started[0] == "-m":  # which is there while the module is looked for
        given = sys.orig_argv
        return "-m" in given and given[given.index("-m") + 1 :][:1] == [_PACKAGE]
    name = started[0].replace("\\", "/").rpartition("/")[2]
    return name in (_NAME, f"{_NAME}.exe", f"{_NAME}-script.py")


def end_quietly(number: int, frame: object) -> None:
    """End the program; a handler of SIGINT while nothing has begun."""
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(128 + number)


def watch_start() -> None:
    """Let Ctrl-C end the program quietly, until it handles signals itself."""
    if not is_this_program():
        return
    try:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, end_quietly)
    except ValueError:
        pass  # this is not the main thread


watch_start()
