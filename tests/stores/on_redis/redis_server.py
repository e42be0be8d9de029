"""A Redis server of a test's own: started, stopped and killed as the test likes."""

from __future__ import annotations

import signal
import socket
from typing import Self

from services import Server, environment_of, free_port, need_program

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


class RedisServer(Server):
    """A server on loopback. What it was started with stays the same when it is started again."""

    def __init__(self, *options: str) -> None:
        self.program = need_program("redis-server")
        super().__init__("redis")
        self.options = options
        # It is one program with several names, and does what its name says.
        (self.folder / "redis-server").symlink_to(self.program)
        # A server of a cluster listens 10,000 ports higher, too.
        while self.port > 55_000:
            self.port = free_port()

    def address(self, query: str = "", user: str = "") -> str:
        return f"redis://{user}127.0.0.1:{self.port}/0{query and '?'}{query}"

    def start(self) -> None:
        place = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.launch([self.folder / "redis-server", *place, *self.options], environment_of(self.program), self._answers)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64)[:5] in (b"+PONG", b"-NOAU")
        except OSError:
            return False

    def kill(self) -> None:
        """End it with no time for a last word."""
        self.stop(signal.SIGKILL)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()
