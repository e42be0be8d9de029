"""Records on Redis: damage, formats, prefixes, limits, and addresses."""

from __future__ import annotations

import logging
import os
import random
import sys
from collections.abc import Iterator

import pytest
from stores.on_redis.redis_server import RedisServer

pytest.importorskip("redis")

import redis

from execution_dataflow.errors import MissingExtraError
from execution_dataflow.store_errors import (
    ArtifactNotFoundError,
    DamagedArtifactError,
    StoreError,
    StoreFormatError,
)
from execution_dataflow.stores.journal import CachedResult, Commit, StateChange
from execution_dataflow.stores.opening import Store, open_store
from execution_dataflow.stores.owners import new_owner
from execution_dataflow.stores.redis.addresses import RedisAddress
from execution_dataflow.stores.redis.artifacts import RedisArtifacts
from execution_dataflow.stores.redis.server import Server

MIB = 1 << 20


@pytest.fixture
def server(redis_server: RedisServer) -> RedisServer:
    with redis.Redis(port=redis_server.port) as admin:
        admin.flushall()
    return redis_server


@pytest.fixture
def admin(server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port) as client:
        yield client


@pytest.fixture
def store(server: RedisServer) -> Iterator[Store]:
    with open_store(server.address("prefix=p")) as store:
        yield store


def spoil(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def test_damaged_commits_are_left_out_and_logged(
    store: Store, admin: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    lease = store.journal.acquire("run", "graph", new_owner(), 60.0, {})
    kept = [Commit(f"k{number}", bytes(48), 1, 0.5, 1.5, b"o" * 30, ("a/b",)) for number in range(140)]
    store.journal.append(lease, 1, kept)
    table = "{p}commits:run"
    length = len(admin.hget(table, "k0"))
    for at in range(length):
        admin.hset(table, f"k{at}", spoil(admin.hget(table, f"k{at}"), at))
    admin.hset(table, f"k{length}", b"short")
    with caplog.at_level(logging.WARNING, "execution_dataflow.stores"):
        found = list(store.journal.commits("run"))
    assert sorted(found) == sorted(kept[length + 1 :])
    assert len(caplog.records) == length + 1
    assert "a commit of run 'run' in redis://" in caplog.text


def test_damaged_state_is_never_returned(store: Store, admin: redis.Redis) -> None:
    store.journal.change_state([StateChange("space", "key", b"value")])
    record = admin.hget("{p}state:space", "key")
    for at in range(len(record)):
        admin.hset("{p}state:space", "key", spoil(record, at))
        with pytest.raises(DamagedArtifactError, match="the state 'key' of 'space' is damaged"):
            store.journal.read_state("space", "key")
    admin.hset("{p}state:space", "key", record[:10])
    with pytest.raises(DamagedArtifactError, match="too short"):
        store.journal.read_state("space", "key")


def test_damaged_cached_result_is_left_out(store: Store, admin: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    result = CachedResult("key", "clean", b"outputs", ("x",), 10, 0.5, 1.0, 2.0, None)
    store.journal.put_cached(result)
    record = admin.hget("{p}cached", "key")
    for at in range(len(record)):
        admin.hset("{p}cached", "key", spoil(record, at))
        assert store.journal.find_cached("key") is None
        assert list(store.journal.cached()) == []
    assert "the cached result b'key'" in caplog.text


def test_damaged_run_is_reported_and_left_out_of_the_list(
    store: Store, admin: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("one", "two", "three"):
        store.journal.acquire(name, "graph", new_owner(), 60.0, {})
    admin.hset("{p}run:two", "holder", b"{")
    admin.hdel("{p}run:three", "graph")
    assert [run.run_id for run in store.journal.runs()] == ["one"]
    assert "the run 'two'" in caplog.text
    assert "the run 'three'" in caplog.text
    with pytest.raises(DamagedArtifactError, match=r"the run 'two' in redis://.*its holder cannot be read"):
        store.journal.find_run("two")


def test_store_of_another_format_is_refused(server: RedisServer, admin: redis.Redis) -> None:
    admin.set("{p}format", "99")
    with pytest.raises(StoreFormatError, match=r"has format '99'.*reads '1'.*another prefix="):
        open_store(server.address("prefix=p"))
    admin.delete("{p}format")
    admin.sadd("{p}format", "x")
    with pytest.raises(StoreFormatError, match="of another kind"):
        open_store(server.address("prefix=p"))
    open_store(server.address("prefix=q")).close()


def test_prefixes_are_apart_even_if_one_begins_another(server: RedisServer, admin: redis.Redis) -> None:
    with open_store(server.address("prefix=a")) as one, open_store(server.address("prefix=a:run")) as other:
        lease = one.journal.acquire("run:x", "graph", new_owner(), 60.0, {})
        other.journal.acquire("x", "graph", new_owner(), 60.0, {})
        one.journal.append(lease, 1, [Commit("k", bytes(48), 1, 0.0, 0.0, b"")])
        assert [run.run_id for run in one.journal.runs()] == ["run:x"]
        assert [run.run_id for run in other.journal.runs()] == ["x"]
        assert list(other.journal.commits("x")) == []
    assert all(key.startswith((b"{a}", b"{a:run}")) for key in admin.scan_iter())


def test_deleted_runs_and_artifacts_leave_nothing(store: Store, admin: redis.Redis) -> None:
    before = set(admin.keys())
    lease = store.journal.acquire("run", "graph", new_owner(), 60.0, {"a": "b"})
    store.journal.append(lease, 70_000, [Commit("k", bytes(48), 1, 0.0, 0.0, b"", ("x", "y"))])
    store.artifacts.write("x", [bytes(9 * MIB)])
    store.artifacts.write("y", [b"small"])
    store.journal.release(lease, "SUCCEEDED")
    for name in store.journal.delete_run("run"):
        store.artifacts.delete(name)
    assert set(admin.keys()) == before


def test_large_artifact_is_replaced_whole_and_leaves_no_parts(store: Store, admin: redis.Redis) -> None:
    old, new = os.urandom(9 * MIB), os.urandom(5 * MIB + 3)
    store.artifacts.write("a", [old[:7], memoryview(old)[7 : 6 * MIB], old[6 * MIB :]])
    found = store.artifacts.read("a")
    assert found == old
    assert len(admin.keys("{p}chunk:*")) == 3
    store.artifacts.write("a", [new])
    assert store.artifacts.read("a") == new
    assert len(admin.keys("{p}chunk:*")) == 2
    assert all(admin.ttl(key) == -1 for key in admin.keys("{p}chunk:*"))
    assert found == old


def test_artifact_that_was_never_finished_is_not_seen_and_goes_away(
    store: Store, admin: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise StoreError("stopped here")

    assert isinstance(store.artifacts, RedisArtifacts)
    with monkeypatch.context() as patch:
        patch.setattr(Server, "write", fail)
        with pytest.raises(StoreError, match="stopped here"):
            store.artifacts.write("a", [bytes(5 * MIB)])
    with pytest.raises(ArtifactNotFoundError):
        store.artifacts.read("a")
    parts = admin.keys("{p}chunk:*")
    assert len(parts) == 2
    assert all(0 < admin.ttl(part) <= 3600 for part in parts)


def test_artifact_with_a_missing_part_is_damaged(store: Store, admin: redis.Redis) -> None:
    store.artifacts.write("a", [bytes(9 * MIB)])
    admin.delete(*[key for key in admin.keys("{p}chunk:*") if key.endswith(b":1")])
    with pytest.raises(DamagedArtifactError, match="a is damaged: its part 2 of 3 is missing"):
        store.artifacts.read("a")
    store.artifacts.write("b", [b"small"])
    admin.delete(*[key for key in admin.keys("{p}chunk:*") if admin.strlen(key) == 5])
    with pytest.raises(DamagedArtifactError, match="its value is missing"):
        store.artifacts.read("b")


def test_artifact_above_the_limit_is_told_where_to_go(server: RedisServer) -> None:
    with open_store(server.address("artifact_limit=1000")) as store:
        store.artifacts.write("fits", [bytes(1000)])
        with pytest.raises(StoreError, match=r"'large' has 1,001 bytes.*at most 1,000.*artifacts=\), a directory or a"):
            store.artifacts.write("large", [bytes(1000), b"x"])
        assert [info.name for info in store.artifacts.list()] == ["fits"]


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a b", "ä", "a\n"])
def test_name_that_leads_elsewhere_is_refused(store: Store, name: str) -> None:
    for attempt in (store.artifacts.read, store.artifacts.delete, lambda name: store.artifacts.write(name, [b""])):
        with pytest.raises(ValueError, match="is no name of an artifact"):
            attempt(name)


def test_batches_beyond_any_number_are_refused(store: Store) -> None:
    lease = store.journal.acquire("run", "graph", new_owner(), 60.0, {})
    for batch in (0, -1, 2**32):
        with pytest.raises(ValueError, match="batch is from 1 to"):
            store.journal.append(lease, batch, [])


def test_closed_store_says_so(server: RedisServer) -> None:
    store = open_store(server.address())
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.journal.find_run("x")


def test_state_does_what_a_dict_with_versions_does(store: Store) -> None:
    drawn = random.Random(6)
    values: dict[tuple[str, str], bytes] = {}
    versions: dict[tuple[str, str], int] = {}
    for number in range(150):
        space, key = drawn.choice("ab*"), drawn.choice(["k[1]", "k", "k?", "\\k"])
        place, value = (space, key), drawn.choice([None, b"", str(number).encode()])
        store.journal.change_state([StateChange(space, key, value)])
        if value is None:
            values.pop(place, None)
        else:
            values[place], versions[place] = value, versions.get(place, 0) + 1
        found = store.journal.read_state(space, key)
        assert (found.value if found else None) == values.get(place)
        assert found is None or found.version == versions[place]
    assert list(store.journal.namespaces()) == sorted({space for space, _ in values})
    for space in "ab*":
        for prefix in ("", "k", "k[", "k?", "\\"):
            expected = sorted(key for place, key in values if place == space and key.startswith(prefix))
            assert list(store.journal.state_keys(space, prefix)) == expected


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("redis://:pa/SECRETss@host", "percent-encoded"),
        ("redis://:SECRET@host:many", "percent-encoded"),
        ("redis://", "no address of a Redis server"),
        ("redis://host/first", "the database, which follows the host, is a whole number of at least 0, not 'first'"),
        ("redis://host?prefx=a", "no option 'prefx'.*did you mean prefix=?"),
        ("redis://host?prefix=", "prefix= is a text without braces"),
        ("redis://host?prefix={a}", "prefix= is a text without braces"),
        ("redis://host?retry_seconds=soon", "retry_seconds is a number of seconds, at least 0, not 'soon'"),
        ("redis://host?timeout_seconds=0", r"timeout_seconds is a number of seconds, at least 0\.05"),
        ("redis://host?artifact_limit=1MB", "artifact_limit is a whole number"),
        ("redis://host?ssl_cert_reqs=none", "only means something for rediss://"),
        ("rediss://host?ssl_cert_reqs=some", "required, optional or none"),
    ],
)
def test_address_that_is_none_is_refused(address: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        open_store(address)
    assert "SECRET" not in str(caught.value)


def test_missing_library_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtraError, match=r'a store on Redis needs.*pip install "execution-dataflow\[redis\]"'):
        open_store("redis://host")


def test_address_opens_the_same_store_again() -> None:
    for text in ("rediss://ada:pw@host:7000/3?prefix=x%2Fy", "redis://[::1]:6380/1", "redis://host"):
        place = RedisAddress.parse(text)
        again = RedisAddress.parse(str(place))
        assert (again.host, again.port, again.database) == (place.host, place.port, place.database)
        assert (again.prefix, again.tls, again.username) == (place.prefix, place.tls, place.username)
        assert "pw" not in str(place) + repr(place)
