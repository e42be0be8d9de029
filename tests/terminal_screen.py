"""A terminal for tests: a program on a pseudo-terminal, and the screen that a person would see."""

from __future__ import annotations

import os
import re
import select
import signal
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LIMIT_SECONDS = 60.0
_SEQUENCE = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])")


class Screen:
    """What is on a terminal's screen, of all that was written to it; lines that scrolled away are kept too."""

    def __init__(self) -> None:
        self.lines: list[str] = [""]
        self._row = 0
        self._column = 0
        self.cursor_is_shown = True

    def write(self, text: str) -> None:
        """Take what a program writes."""
        position = 0
        while position < len(text):
            found = _SEQUENCE.match(text, position)
            if found is not None:
                self._control(found[1], found[2])
                position = found.end()
                continue
            self._put(text[position])
            position += 1

    def _control(self, argument: str, letter: str) -> None:
        if letter == "A":
            self._row = max(0, self._row - int(argument or 1))
        elif letter == "K":
            assert argument == "2"
            self.lines[self._row] = ""
        elif letter in "hl" and argument == "?25":
            self.cursor_is_shown = letter == "h"
        else:
            assert letter == "m", f"the screen does not know ESC [ {argument} {letter}"

    def _put(self, sign: str) -> None:
        if sign == "\r":
            self._column = 0
        elif sign == "\n":
            self._row += 1
            if self._row == len(self.lines):
                self.lines.append("")
        else:
            line = self.lines[self._row].ljust(self._column)
            self.lines[self._row] = line[: self._column] + sign + line[self._column + 1 :]
            self._column += 1

    @property
    def text(self) -> list[str]:
        """The lines that are not empty."""
        return [line.rstrip() for line in self.lines if line.strip()]


class Terminal:
    """A program that runs on a pseudo-terminal of 24 lines and 100 columns.

    Parameters
    ----------
    arguments : sequence of str
        The program and its arguments.
    cwd : Path
        Where it runs.
    environment : mapping of str to str
        Its environment.
    """

    def __init__(self, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> None:
        import fcntl
        import pty
        import subprocess
        import termios

        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))

        def take_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            list(arguments),
            cwd=cwd,
            env=dict(environment),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            preexec_fn=take_terminal,
        )
        os.close(slave)
        self.raw = ""
        self._bytes = b""
        self._deadline = time.monotonic() + LIMIT_SECONDS

    def wait_for(self, text: str) -> None:
        """Read what it writes until a text was there."""
        while text not in self.raw:
            assert self._read(), f"it ended before it wrote {text!r}: {self.raw!r}"

    def press_ctrl_c(self) -> None:
        """Press the keys."""
        os.write(self._master, b"\x03")

    def end(self) -> tuple[int, Screen]:
        """Wait for its end, and return the exit code and the screen."""
        try:
            while self._read():
                pass
            code = self.process.wait(timeout=LIMIT_SECONDS)
        finally:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL)
            os.close(self._master)
        screen = Screen()
        screen.write(self.raw)
        return code, screen

    def _read(self) -> bool:
        assert time.monotonic() < self._deadline, f"it does not end: {self.raw!r}"
        ready, _, _ = select.select([self._master], [], [], 1.0)
        if not ready:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux says so when the other side was closed
            return False
        self._bytes += data
        self.raw = self._bytes.decode("utf-8", errors="ignore")
        return bool(data)
