"""What stands between a client and a Redis server, loses answers, and answers WAITAOF as a later server does."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO


def read_message(stream: BinaryIO) -> bytes:
    """One command or answer of the protocol, as it came."""
    line = stream.readline()
    if not line:
        raise ConnectionError
    if line[:1] == b"$" and line[:2] != b"$-":
        return line + stream.read(int(line[1:]) + 2)
    if line[:1] == b"*" and line[:2] != b"*-":
        return line + b"".join(read_message(stream) for _ in range(int(line[1:])))
    return line


class RedisProxy:
    """Passes commands on, one after the other."""

    def __init__(self, port: int) -> None:
        self.upstream = port
        # Of so many commands that hold this text the server gets each, and the client no answer.
        self.losing = b""
        self.lost = 0
        self.asked: list[bytes] = []
        self.disk: Iterator[bytes] | None = None

        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                try:
                    proxy._serve(self.request)
                except OSError:
                    pass

        class Threads(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Threads(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _serve(self, client: socket.socket) -> None:
        with (
            socket.create_connection(("127.0.0.1", self.upstream)) as server,
            client.makefile("rb") as commands,
            server.makefile("rb") as answers,
        ):
            while True:
                command: Any = read_message(commands)
                if b"\r\nWAITAOF\r\n" in command:
                    assert self.disk is not None
                    self.asked.append(command)
                    client.sendall(next(self.disk))
                    continue
                server.sendall(command)
                answer = read_message(answers)
                if self.disk is not None:
                    answer = answer.replace(b"redis_version:7.0.", b"redis_version:7.9.")
                if self.lost and self.losing in command:
                    self.lost -= 1
                    return
                client.sendall(answer)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(20)
