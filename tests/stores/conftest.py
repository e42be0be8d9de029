"""Servers that the tests of stores share."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest
from services import PostgresServer, free_port


@pytest.fixture(scope="session")
def running_postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres(running_postgres: PostgresServer) -> PostgresServer:
    """A server that runs, whatever the test before has done to it."""
    if running_postgres.process is None or running_postgres.process.poll() is not None:
        running_postgres.start()
    return running_postgres


@pytest.fixture
def schema() -> str:
    """The name of a schema that nobody has used."""
    return f"store_{uuid.uuid4().hex[:12]}"


@pytest.fixture
def unused_port() -> int:
    """A port of this machine on which nobody listens."""
    return free_port()


@pytest.fixture
def no_cloud_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of a cloud are those that a test gives, and none that the environment happens to have."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
