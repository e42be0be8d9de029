"""A server that speaks like S3, with buckets in memory, and faults when a test asks for some."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
KEYS = "access_key_id=AKIATESTTEST&secret_access_key=SECRETTESTTEST"


@dataclass
class Fault:
    """What happens to the next requests of a kind instead of an answer; with ``"cut"``, half of the answer comes."""

    method: str
    status: str
    times: int
    within: str = ""


@dataclass
class BucketServer:
    """moto's server, in threads of this process, behind what makes faults and counts requests."""

    requests: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def start(self) -> BucketServer:
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            def log(self, *args: object) -> None:
                pass

        inner: Application = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()

        def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            fault = self._fault_of(environ["REQUEST_METHOD"], f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}")
            if fault is None:
                return inner(environ, start_response)
            if fault.status == "cut":
                # The headers promise all of it.
                whole = b"".join(inner(environ, start_response))
                return [whole[: len(whole) // 2]]
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(fault.status, [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"]

        self._server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, name="bucket server", daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def _fault_of(self, method: str, target: str) -> Fault | None:
        with self._lock:
            self.requests.append(f"{method} {target}")
            for fault in self.faults:
                if fault.times and fault.method == method and fault.within in target:
                    fault.times -= 1
                    return fault
        return None

    def make_bucket(self, name: str) -> None:
        self._send("PUT", f"/{name}", b"")

    def check_keys(self, after: int) -> None:
        """Have moto compare keys with those of its users, of which there are none, after so many requests."""
        self._send("POST", "/moto-api/reset-auth", str(after).encode())

    def _send(self, method: str, path: str, data: bytes) -> None:
        headers = {"Content-Type": "text/plain"}
        request = urllib.request.Request(self.endpoint + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            answer.read()

    def address(self, place: str, query: str = KEYS) -> str:
        return f"s3://{place}?endpoint={self.endpoint}&region=us-east-1{query and '&'}{query}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(20)
