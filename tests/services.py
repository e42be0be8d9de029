"""Servers for tests: private ones, on loopback, with their data in a folder that goes with them."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Where scripts/install_services.sh unpacks what it may not install.
UNPACKED = Path(os.environ.get("SERVICES_FOLDER", ROOT / "target" / "services"))


def find_program(name: str) -> Path | None:
    """Find a program of a server: on the path, where Debian keeps versions of PostgreSQL, or unpacked."""
    found = shutil.which(name)
    if found:
        return Path(found).resolve()
    places = [
        *sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True),
        *sorted(UNPACKED.glob(f"usr/lib/postgresql/*/bin/{name}"), reverse=True),
        *(UNPACKED / folder / name for folder in ("usr/bin", "usr/sbin")),
    ]
    return next((place for place in places if os.access(place, os.X_OK)), None)


def need_program(name: str) -> Path:
    """Find a program, or skip the test; on CI, where it can be installed, its absence is a failure."""
    found = find_program(name)
    if found is None:
        if os.environ.get("CI") and sys.platform == "linux" and shutil.which("apt-get"):
            pytest.fail(f"{name} is not installed: scripts/install_services.sh should have done so")
        pytest.skip(f"{name} is not installed here: sh scripts/install_services.sh")
    return found


def environment_of(program: Path) -> dict[str, str]:
    """The environment of a program, which may have been unpacked with the libraries that it needs."""
    libraries = [str(path) for path in UNPACKED.glob("usr/lib/*-linux-*")] if program.is_relative_to(UNPACKED) else []
    return {
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        **({"LD_LIBRARY_PATH": ":".join(libraries)} if libraries else {}),
    }


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def unprivileged() -> dict[str, object]:
    """How to start a process as somebody who is not root, for servers that refuse to be."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return {}
    import pwd

    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def end_with_parent() -> None:
    """Let the system end this process when the test run is killed, which could not stop it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGINT)


class Server:
    """A process that answers after a while, in a folder of its own that belongs to whom it runs as."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix=f"dataflow-{name}-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.identity = unprivileged()
        if self.identity:
            os.chown(self.folder, self.identity["user"], self.identity["group"])  # type: ignore[arg-type]

    def launch(
        self, command: Sequence[str | Path], environment: Mapping[str, str], answers: Callable[[], bool]
    ) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                cwd=self.folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,
                **self.identity,  # type: ignore[call-overload]
            )
        deadline = time.monotonic() + 30
        while not answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{self.name} did not start:\n{(self.folder / 'log').read_text(errors='replace')}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def remove(self) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


class PostgresServer(Server):
    """A cluster with one superuser, who has a password. Nothing is synchronised with the disk: it need not last."""

    user = "ada"
    password = "s3cret/@:pw"

    def __init__(self) -> None:
        self.program = need_program("postgres")
        super().__init__("postgres")
        self.environment = environment_of(self.program)
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        command = [self.program.with_name("initdb"), "--pgdata=data", f"--username={self.user}", "--pwfile=password"]
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync", "--wal-segsize=1"]
        made = subprocess.run(
            [*map(str, command), *options],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **self.identity,  # type: ignore[call-overload]
        )
        if made.returncode:
            pytest.fail(f"initdb failed: {made.stdout}{made.stderr}")

    def start(self) -> None:
        # What the tests do not need costs time at the start and the end.
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": self.port,
            "fsync": "off",
            "shared_buffers": "32MB",
            "max_connections": 60,
            "autovacuum": "off",
            "jit": "off",
            # In the folder that goes with the server, even when it is killed.
            "dynamic_shared_memory_type": "mmap",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.launch([self.program, "-D", "data", *options], self.environment, self._answers)

    def _answers(self) -> bool:
        try:
            with self.connect():
                return True
        except Exception:
            return False

    def connect(self):
        import psycopg

        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=self.user, password=self.password, dbname="postgres", autocommit=True
        )

    def address(self, schema: str, **settings: object) -> str:
        """The address of a store in a schema of its own."""
        from urllib.parse import quote, urlencode

        query = urlencode({"schema": schema, **settings})
        return f"postgresql://{self.user}:{quote(self.password, safe='')}@127.0.0.1:{self.port}/postgres?{query}"
