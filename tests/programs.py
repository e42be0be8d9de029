"""Whole programs for tests: written to a file, run as an unguarded script in a process of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence
from pathlib import Path

# Long enough for a machine that is busy with something else; a program that takes as long hangs.
LIMIT_SECONDS = 60.0


class Program:
    """A program that is running.

    Parameters
    ----------
    folder : Path
        Where the script is written and run.
    parts : str
        The program, in parts that are indented each in its own way.
    options : sequence of str
        Options of the interpreter.
    """

    def __init__(self, folder: Path, *parts: str, options: Sequence[str] = ()) -> None:
        script = folder / "program.py"
        script.write_text("\n".join(textwrap.dedent(part).strip("\n") for part in parts) + "\n", encoding="utf-8")
        # Not a test's: what such a variable changes, a user's program would not have.
        ours = ("PYTEST", "PYTHONSAFEPATH")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", *options, str(script)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        # A program that hangs is shown with the stacks of its threads, and then it ends.
        self._alarm = threading.Timer(LIMIT_SECONDS, self._give_up)
        self._alarm.daemon = True
        self._alarm.start()

    def _give_up(self) -> None:
        self.process.send_signal(signal.SIGABRT)

    def wait_for(self, line: str) -> None:
        """Read what it prints up to a line."""
        assert self.process.stdout is not None
        for printed in self.process.stdout:
            self.lines.append(printed.rstrip("\n"))
            if self.lines[-1] == line:
                return
        raise AssertionError(f"the program ended before it printed {line!r}: {self.lines}\n{self.finish()[2]}")

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def finish(self) -> tuple[int, list[str], str]:
        """Wait for its end and return its exit code, the lines that it printed, and its stderr."""
        try:
            out, err = self.process.communicate()
        finally:
            self._alarm.cancel()
        self.lines += out.splitlines()
        return self.process.returncode, self.lines, err


def run_program(folder: Path, *parts: str, options: Sequence[str] = ()) -> tuple[int, list[str], str]:
    """Run a program to its end and return its exit code, the lines that it printed, and its stderr."""
    return Program(folder, *parts, options=options).finish()
