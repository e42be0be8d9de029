"""Redis does what a journal and a store of artifacts have to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stores.redis_server import RedisServer

pytest.importorskip("redis")

from execution_dataflow.stores.conformance import ArtifactCheck, JournalCheck, artifact_checks, journal_checks
from execution_dataflow.stores.redis.addresses import RedisAddress
from execution_dataflow.stores.redis.artifacts import RedisArtifacts
from execution_dataflow.stores.redis.opening import open_journal
from execution_dataflow.stores.redis.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--appendonly", "yes", "--appendfsync", "always").start()
    yield server
    server.stop()


@pytest.mark.parametrize("check", journal_checks().values(), ids=journal_checks())
def test_journal_on_redis(check: JournalCheck, server: RedisServer) -> None:
    check(lambda: open_journal(server.address("prefix=conformance")))


@pytest.mark.parametrize("check", artifact_checks().values(), ids=artifact_checks())
def test_artifacts_on_redis(check: ArtifactCheck, server: RedisServer) -> None:
    address = RedisAddress.parse(server.address("prefix=conformance"))
    check(lambda: RedisArtifacts(Server(address)))
