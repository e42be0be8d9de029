"""Redis does what a journal and a store of artifacts have to do."""

from __future__ import annotations

import pytest
from stores.on_redis.redis_server import RedisServer

pytest.importorskip("redis")

from execution_dataflow.stores.conformance import ArtifactCheck, JournalCheck, artifact_checks, journal_checks
from execution_dataflow.stores.redis.addresses import RedisAddress
from execution_dataflow.stores.redis.artifacts import RedisArtifacts
from execution_dataflow.stores.redis.opening import open_journal
from execution_dataflow.stores.redis.server import Server


@pytest.mark.parametrize("check", journal_checks().values(), ids=journal_checks())
def test_journal_on_redis(check: JournalCheck, redis_server: RedisServer) -> None:
    check(lambda: open_journal(redis_server.address("prefix=conformance")))


@pytest.mark.parametrize("check", artifact_checks().values(), ids=artifact_checks())
def test_artifacts_on_redis(check: ArtifactCheck, redis_server: RedisServer) -> None:
    address = RedisAddress.parse(redis_server.address("prefix=conformance"))
    check(lambda: RedisArtifacts(Server(address)))
