"""A Redis server of a test's own: its own port and folder, started, stopped and killed as the test likes."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

PROGRAM = shutil.which("redis-server")


class RedisServer:
    """A server on loopback. What it was started with stays the same when it is started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        if PROGRAM is None:
            pytest.skip("redis-server is not installed: scripts/install_services.sh installs it")
        self.folder = folder
        self.options = options
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def address(self, query: str = "", user: str = "") -> str:
        return f"redis://{user}127.0.0.1:{self.port}/0{query and '?'}{query}"

    def start(self) -> RedisServer:
        assert PROGRAM is not None
        place = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "")
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([PROGRAM, *place, *self.options], stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self.folder / "log").read_text())
            time.sleep(0.02)
        return self

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64)[:5] in (b"+PONG", b"-NOAU")
        except OSError:
            return False

    def kill(self) -> None:
        """End it with no time for a last word."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None
