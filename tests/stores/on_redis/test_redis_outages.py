"""What a journal on Redis does when connections break, the server goes away or refuses, and what is left afterwards."""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from collections.abc import Iterator

import pytest
from stores.on_redis.redis_server import DURABLE, RedisServer

pytest.importorskip("redis")

from execution_dataflow.store_errors import LeaseLostError, StoreError
from execution_dataflow.stores.journal import Commit, StateChange
from execution_dataflow.stores.opening import open_store
from execution_dataflow.stores.owners import new_owner
from execution_dataflow.stores.redis.journal import RedisJournal


def commits(first: int, count: int = 1) -> list[Commit]:
    return [Commit(f"item[{number}]", bytes(48), 1, 1.0, 2.0, b"value") for number in range(first, first + count)]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer(*DURABLE) as server:
        yield server


def kill_connections(server: RedisServer) -> None:
    import redis

    with redis.Redis(port=server.port) as admin:
        admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def test_connections_that_are_killed_are_made_anew(server: RedisServer) -> None:
    journal = RedisJournal(server.address())
    lease = journal.acquire("run", "graph", new_owner(), 60.0, {})
    for batch in range(1, 40):
        if batch % 4 == 0:
            kill_connections(server)
        journal.append(lease, batch, commits(batch), [StateChange("space", "count", b"x", batch - 1)])
    assert {commit.key for commit in journal.commits("run")} == {f"item[{number}]" for number in range(1, 40)}
    value = journal.read_state("space", "count")
    assert value is not None
    assert value.version == 39
    journal.close()


def test_what_append_returned_for_is_there_after_the_server_was_killed(server: RedisServer) -> None:
    journal = RedisJournal(server.address("retry_seconds=20"))
    lease = journal.acquire("run", "graph", new_owner(), 60.0, {})
    returned: list[int] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            batch = len(returned) + 1
            journal.append(lease, batch, commits(batch), [StateChange("space", "count", b"x", batch - 1)])
            returned.append(batch)

    thread = threading.Thread(target=write)
    thread.start()
    for _ in range(3):
        before = len(returned)
        while len(returned) < before + 30 and thread.is_alive():
            time.sleep(0.001)
        server.kill()
        server.start()
    stop.set()
    thread.join(30)
    count = len(returned)
    assert count >= 90
    assert {commit.key for commit in journal.commits("run")} == {f"item[{number}]" for number in range(1, count + 1)}
    value = journal.read_state("space", "count")
    assert value is not None
    assert value.version == count, "each batch counts once"
    journal.close()


def test_server_that_stays_away_is_given_up_in_the_stated_time(server: RedisServer) -> None:
    journal = RedisJournal(server.address("retry_seconds=0.5"))
    lease = journal.acquire("run", "graph", new_owner(), 60.0, {})
    journal.append(lease, 1, commits(1))
    server.stop()
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"asked again for 0\.5 s \(retry_seconds= in the address") as caught:
        journal.append(lease, 2, commits(2))
    assert 0.4 < time.monotonic() - began < 5
    assert type(caught.value.__cause__).__name__ == "ConnectionError"
    server.start()
    journal.append(lease, 2, commits(2))
    assert len(list(journal.commits("run"))) == 2
    journal.close()


def test_server_that_is_not_there_is_reported_when_it_is_opened() -> None:
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"redis://127\.0\.0\.1:9/0: .*refused"):
        open_store("redis://127.0.0.1:9?retry_seconds=0.2")
    assert time.monotonic() - began < 5


def test_server_without_memory_writes_nothing_of_a_batch(server: RedisServer) -> None:
    import redis

    journal = RedisJournal(server.address())
    lease = journal.acquire("run", "graph", new_owner(), 60.0, {})
    journal.append(lease, 1, commits(1), [StateChange("space", "kept", b"1")])
    with redis.Redis(port=server.port) as admin:
        admin.config_set("maxmemory", 1)
        with pytest.raises(StoreError, match="nothing of this was written; maxmemory is"):
            journal.append(lease, 2, commits(2), [StateChange("space", "kept", None), StateChange("space", "new", b"")])
        with pytest.raises(StoreError, match="nothing of this was written"):
            journal.change_state([StateChange("space", "kept", None)])
        admin.config_set("maxmemory", 0)
    assert [commit.key for commit in journal.commits("run")] == ["item[1]"]
    assert list(journal.state_keys("space")) == ["kept"]
    journal.append(lease, 2, commits(2))
    assert len(list(journal.commits("run"))) == 2
    journal.close()


def test_scripts_that_the_server_forgot_are_sent_again(server: RedisServer) -> None:
    import redis

    journal = RedisJournal(server.address())
    lease = journal.acquire("run", "graph", new_owner(), 60.0, {})
    with redis.Redis(port=server.port) as admin:
        for batch in range(1, 4):
            admin.script_flush()
            journal.append(lease, batch, commits(batch))
    assert len(list(journal.commits("run"))) == 3
    journal.close()


def test_deleted_run_is_lost_for_who_held_it_even_if_it_is_begun_anew(server: RedisServer) -> None:
    journal = RedisJournal(server.address())
    lease = journal.acquire("run", "graph", new_owner(), 0.01, {})
    time.sleep(0.05)
    journal.delete_run("run")
    with pytest.raises(LeaseLostError):
        journal.append(lease, 1, commits(1))
    journal.acquire("run", "graph", new_owner(), 60.0, {})
    with pytest.raises(LeaseLostError):
        journal.append(lease, 1, commits(1))
    journal.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_process_has_connections_of_its_own(server: RedisServer) -> None:
    journal = RedisJournal(server.address())
    lease = journal.acquire("run", "graph", new_owner(), 60.0, {})
    journal.append(lease, 1, commits(1))
    process = os.fork()
    if process == 0:
        try:
            for batch in range(2, 40):
                journal.append(lease, batch, commits(batch))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    for batch in range(40, 80):
        journal.append(lease, batch, commits(batch))
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert len(list(journal.commits("run"))) == 79
    journal.close()


def test_password_is_needed_and_never_shown(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer("--requirepass", "SECRETPASS") as server:
        for user in ("", ":WRONGPASS@"):
            with pytest.raises(StoreError, match=r"does not let this user in.*REDISCLI_AUTH") as caught:
                open_store(server.address(user=user))
            assert "WRONGPASS" not in "".join(traceback.format_exception(caught.value))
        with caplog.at_level(logging.WARNING), open_store(server.address(user=":SECRETPASS@")) as store:
            texts = (repr(store), store.address, repr(store.journal), repr(store.artifacts), repr(store.journal.server))
            assert not any("SECRETPASS" in text for text in texts)
            assert all(str(server.port) in text for text in texts)
        assert "writes no append-only file" in caplog.text
        assert "SECRETPASS" not in caplog.text
        monkeypatch.setenv("REDISCLI_AUTH", "SECRETPASS")
        open_store(server.address()).close()


def test_server_of_a_cluster_is_refused() -> None:
    refused = pytest.raises(StoreError, match=r"part of a cluster.*give the address of a server that is no part")
    with RedisServer("--cluster-enabled", "yes") as server, refused:
        open_store(server.address())


def test_what_a_server_does_not_promise_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer(*DURABLE, "--maxmemory-policy", "allkeys-lru") as server:
        import redis

        with caplog.at_level(logging.WARNING, "execution_dataflow.stores"):
            open_store(server.address()).close()
            assert "may throw away what is stored" in caplog.text
            assert "disk" not in caplog.text
            with redis.Redis(port=server.port) as admin:
                admin.config_set("appendfsync", "everysec")
                admin.config_set("maxmemory-policy", "noeviction")
            caplog.clear()
            open_store(server.address()).close()
            assert "later than it answers (appendfsync everysec)" in caplog.text
            assert "throw away" not in caplog.text
