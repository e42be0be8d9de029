"""The shop's server: authorisation, limits, idempotency keys, and the faults that real services have.

    python -m order_service DATABASE        the token comes on standard input; the port goes to standard output

It stops when its standard input ends, so that it never outlives who started it.
"""

from __future__ import annotations

import hmac
import json
import sqlite3
import sys
import threading
import time
from contextlib import closing
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from order_service.business import ROUTES, Refusal
from order_service.ledger import open_ledger, transaction

# More than this at the same time, or in a second, is refused with 429.
MOST_AT_ONCE = 8
MOST_A_SECOND = 80
# How long the rating of some customers takes.
SLOW_SECONDS = 0.8


def fault_of(key: str, tries: int) -> str:
    """Return what goes wrong with a request that came so many times before; the same in every run.

    Of ten requests one is answered with 503 the first time, one the first two times, and of one the answer is lost
    after everything was done. What undoes something is no exception.
    """
    chance = sha256(key.encode()).digest()[0] % 10
    if chance == 0 and tries == 0:
        return "busy"
    if chance == 1 and tries < 2:
        return "busy"
    if chance == 2 and tries == 0:
        return "lost answer"
    return ""


class Shop(ThreadingHTTPServer):
    """The server, and what its requests share."""

    daemon_threads = True

    def __init__(self, database: Path, token: str) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.database = database
        self.token = token
        self.lock = threading.Lock()
        self.busy = 0
        self.recent: list[float] = []

    def admit(self) -> bool:
        """Count a request in, unless there are too many."""
        now = time.monotonic()
        with self.lock:
            self.recent = [moment for moment in self.recent if now - moment < 1]
            if self.busy >= MOST_AT_ONCE or len(self.recent) >= MOST_A_SECOND:
                return False
            self.recent.append(now)
            self.busy += 1
            return True

    def leave(self) -> None:
        """Count a request out."""
        with self.lock:
            self.busy -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be silent about clients that have gone away; everything else is a mistake in this program."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Request(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    # An answer leaves in one packet, at once.
    wbufsize = -1
    disable_nagle_algorithm = True

    @property
    def shop(self) -> Shop:
        """The server that has taken the connection."""
        assert isinstance(self.server, Shop)
        return self.server

    def handle_request(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        _, resource, number = f"{self.path}/0".split("/")[:3]
        given = self.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.shop.token}".encode()):
            self.answer(401, {"reason": f"the token {given.removeprefix('Bearer ')!r} is not valid"})
            return
        with closing(open_ledger(self.shop.database)) as ledger:
            if resource == "customers":
                # The rating is bought from somebody who is slow at times, and whom the shop's limits do not concern.
                if int(number) % 3 == 0:
                    self.note(ledger, "slow")
                    time.sleep(SLOW_SECONDS)
                reply = self.carry_out(ledger, resource, int(number), body)
            elif self.shop.admit():
                try:
                    reply = self.carry_out(ledger, resource, int(number), body)
                finally:
                    self.shop.leave()
            else:
                self.note(ledger, "too many")
                reply = 429, {"reason": "too many requests"}
        if reply is None:
            self.close_connection = True  # without a word
        else:
            self.answer(*reply)

    do_GET = do_POST = do_DELETE = handle_request

    def carry_out(
        self, ledger: sqlite3.Connection, resource: str, number: int, body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]] | None:
        """Do what is asked, or go wrong; the answer, or ``None`` if it is lost."""
        given = self.headers.get("Idempotency-Key")
        key = given or f"{self.command} {self.path}"
        tries = ledger.execute("SELECT count(*) FROM requests WHERE key = ?", (key,)).fetchone()[0]
        fault = fault_of(key, tries)
        if fault == "busy":
            self.note(ledger, fault, key)
            return 503, {"reason": "the service is busy, try again"}
        with transaction(ledger):
            self.note(ledger, fault or "answered", key)
            known = ledger.execute("SELECT status, body FROM answers WHERE key = ?", (given,)).fetchone()
            if known is not None:
                return known["status"], json.loads(known["body"])
            try:
                status, reply = 200, ROUTES[self.command, resource](ledger, number, body)
            except Refusal as refusal:
                status, reply = refusal.status, {"reason": str(refusal)}
            if given is not None and status != 503:
                ledger.execute("INSERT INTO answers VALUES (?, ?, ?)", (given, status, json.dumps(reply)))
        return None if fault else (status, reply)

    def note(self, ledger: sqlite3.Connection, outcome: str, key: str | None = None) -> None:
        ledger.execute(
            "INSERT INTO requests (method, path, key, outcome) VALUES (?, ?, ?, ?)",
            (self.command, self.path, key, outcome),
        )

    def answer(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: every request is in the database."""


def main() -> None:
    server = Shop(Path(sys.argv[1]), sys.stdin.readline().strip())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
