"""Answers of a Redis server that are lost on the way, and those that say when something is on its disk."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

import pytest
from stores.on_redis.redis_proxy import RedisProxy
from stores.on_redis.redis_server import RedisServer

pytest.importorskip("redis")

from execution_dataflow.store_errors import StateConflictError, StoreError
from execution_dataflow.stores.journal import CachedResult, Commit, StateChange
from execution_dataflow.stores.owners import new_owner
from execution_dataflow.stores.redis import scripts
from execution_dataflow.stores.redis.artifacts import RedisArtifacts
from execution_dataflow.stores.redis.journal import RedisJournal

COMMIT = Commit("key", bytes(48), 1, 1.0, 2.0, b"value", ("a", "b"))
ON_DISK, NOT_YET = b"*2\r\n:1\r\n:0\r\n", b"*2\r\n:0\r\n:0\r\n"


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[RedisProxy]:
    proxy = RedisProxy(redis_server.port)
    yield proxy
    proxy.stop()


def opened(proxy: RedisProxy, prefix: str, query: str = "retry_seconds=10") -> RedisJournal:
    return RedisJournal(f"redis://127.0.0.1:{proxy.port}?prefix={prefix}&{query}")


def lose(proxy: RedisProxy, script: scripts.Script, times: int = 1) -> None:
    proxy.losing, proxy.lost = script.name, times


def test_what_was_done_is_done_once_although_the_answer_was_lost(proxy: RedisProxy) -> None:
    journal = opened(proxy, "lost")
    # The server knows each script by its name then, so that a lost answer is one to something that was done.
    for _ in range(2):
        owner = new_owner()
        lose(proxy, scripts.ACQUIRE)
        lease = journal.acquire("run", "graph", owner, 60.0, {"a": "b"})
        lose(proxy, scripts.APPEND)
        current = journal.read_state("space", "count")
        journal.append(lease, 1, [COMMIT], [StateChange("space", "count", b"x", current.version if current else 0)])
        lose(proxy, scripts.CHANGE_STATE)
        other = journal.read_state("space", "other")
        journal.change_state([StateChange("space", "other", b"x", other.version if other else 0)])
        lose(proxy, scripts.RENEW)
        journal.renew(lease)
        lose(proxy, scripts.CLAIM)
        assert journal.claim("name", owner, 60.0)
        lose(proxy, scripts.RELEASE_CLAIM)
        journal.release_claim("name", owner)
        lose(proxy, scripts.RELEASE)
        journal.release(lease, "SUCCEEDED")
    assert proxy.lost == 0
    summary = journal.find_run("run")
    assert summary is not None
    assert (summary.epoch, summary.commits, summary.state, summary.holder) == (2, 1, "SUCCEEDED", None)
    for key in ("count", "other"):
        value = journal.read_state("space", key)
        assert value is not None
        assert value.version == 2
    for _ in range(2):
        lose(proxy, scripts.DELETE_RUN)
        assert set(journal.delete_run("run")) in ({"a", "b"}, set())
    assert journal.find_run("run") is None
    journal.close()


def test_conflict_is_told_although_the_answer_was_lost(proxy: RedisProxy) -> None:
    journal = opened(proxy, "conflict")
    journal.change_state([StateChange("space", "key", b"x")])
    lose(proxy, scripts.CHANGE_STATE)
    with pytest.raises(StateConflictError):
        journal.change_state([StateChange("space", "key", b"y", 0)])
    assert proxy.lost == 0
    journal.close()


def test_artifact_and_cached_result_outlive_lost_answers(proxy: RedisProxy) -> None:
    journal = opened(proxy, "artifact")
    store = RedisArtifacts(journal.server.again())
    result = CachedResult("key", "clean", b"", (), 1, 0.5, 1.0, 2.0, None)
    for size in (10, 10, 5 << 20, 5 << 20):
        data = bytes([size % 251]) * size
        lose(proxy, scripts.WRITE_ARTIFACT)
        store.write("a", [data])
        assert store.read("a") == data
        lose(proxy, scripts.PUT_CACHED)
        journal.put_cached(result)
        assert journal.find_cached("key") == result
    assert proxy.lost == 0
    assert len(journal.server.command("KEYS", "{artifact}chunk:*")) == 2
    lose(proxy, scripts.DELETE_ARTIFACT)
    store.delete("a")
    assert journal.server.command("KEYS", "{artifact}chunk:*") == []
    store.close()
    journal.close()


def test_append_returns_when_the_server_says_that_it_is_on_disk(
    proxy: RedisProxy, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.disk = itertools.repeat(ON_DISK)
    journal = opened(proxy, "disk")
    assert journal.server.waits_for_disk
    assert caplog.text == ""
    lease = journal.acquire("run", "graph", new_owner(), 60.0, {})
    proxy.disk = iter([NOT_YET, NOT_YET, ON_DISK])
    proxy.asked.clear()
    journal.append(lease, 1, [COMMIT], [StateChange("space", "count", b"x")])
    assert len(proxy.asked) == 3
    value = journal.read_state("space", "count")
    assert value is not None
    assert value.version == 1, "asking for the disk again writes nothing again"
    assert len(list(journal.commits("run"))) == 1
    journal.close()


def test_disk_that_stays_behind_is_an_error(proxy: RedisProxy) -> None:
    proxy.disk = itertools.repeat(ON_DISK)
    journal = opened(proxy, "stuck", "retry_seconds=0.2")
    lease = journal.acquire("run", "graph", new_owner(), 60.0, {})
    proxy.disk = itertools.repeat(NOT_YET)
    with pytest.raises(StoreError, match=r"did not report in time.*is on its disk, and was asked for 0\.2 s"):
        journal.append(lease, 1, [COMMIT])
    journal.close()


def test_file_that_is_switched_off_later_is_logged(proxy: RedisProxy, caplog: pytest.LogCaptureFixture) -> None:
    proxy.disk = itertools.repeat(ON_DISK)
    journal = opened(proxy, "off")
    lease = journal.acquire("run", "graph", new_owner(), 60.0, {})
    proxy.disk = iter([b"-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\r\n"])
    with caplog.at_level(logging.WARNING, "execution_dataflow.stores"):
        journal.append(lease, 1, [COMMIT])
    assert "does not write to disk any more" in caplog.text
    journal.append(lease, 2, [COMMIT])
    assert not journal.server.waits_for_disk
    journal.close()


def test_script_that_is_unknown_is_sent_before_the_disk_is_waited_for(proxy: RedisProxy) -> None:
    proxy.disk = itertools.repeat(ON_DISK)
    journal = opened(proxy, "unknown")
    journal.server.command("SCRIPT", "FLUSH")
    lease = journal.acquire("run", "graph", new_owner(), 60.0, {})
    journal.append(lease, 1, [COMMIT])
    assert len(list(journal.commits("run"))) == 1
    journal.close()
