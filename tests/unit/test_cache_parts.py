"""The parts of a cache by themselves: what goes when it is full, who waits for whom, where it lies."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from patience import eventually

from execution_dataflow import CacheEntry, CachePolicy, GraphDefinition, operation
from execution_dataflow.caching.claims import Claims
from execution_dataflow.caching.eviction import Limits, to_evict
from execution_dataflow.caching.flights import Flights
from execution_dataflow.caching.touches import Touches
from execution_dataflow.caching.user_directory import VARIABLE, address_of, file_of, user_cache_address
from execution_dataflow.stores.journal import CachedResult
from execution_dataflow.stores.opening import open_store
from execution_dataflow.stores.owners import new_owner


def entry(key: str, operation: str = "load", size: int = 10, expires_at: float | None = None) -> CacheEntry:
    return CacheEntry(key, operation, size, 1.0, 0.0, 0.0, expires_at)


def keys(entries: list[CacheEntry]) -> str:
    return "".join(one.key for one in entries)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), ""),
        (Limits(max_entries=4), ""),
        (Limits(max_entries=3), "a"),
        (Limits(max_entries=1), "abc"),
        (Limits(max_bytes=40), ""),
        (Limits(max_bytes=39), "a"),
        (Limits(max_bytes=39, max_entries=2), "ab"),
    ],
)
def test_what_was_used_longest_ago_goes_first(limits: Limits, expected: str) -> None:
    assert keys(to_evict(map(entry, "abcd"), limits, {}, 1.0)) == expected


def test_expired_results_go_first_and_make_room() -> None:
    found = [entry("a"), entry("b"), entry("c", expires_at=1.0), entry("d", expires_at=1.5)]
    assert keys(to_evict(found, Limits(max_entries=3), {}, 1.0)) == "c"
    assert keys(to_evict(found, Limits(max_entries=2), {}, 2.0)) == "cd"


def test_limits_of_operations_come_before_those_of_all() -> None:
    found = [entry("a"), entry("b", "clean"), entry("c", "clean"), entry("d"), entry("e", "clean")]
    assert keys(to_evict(found, Limits(), {"clean": Limits(max_entries=1)}, 1.0)) == "bc"
    assert keys(to_evict(found, Limits(max_entries=3), {"clean": Limits(max_entries=1)}, 1.0)) == "bc"
    assert keys(to_evict(found, Limits(max_entries=2), {"clean": Limits(max_entries=2)}, 1.0)) == "bac"


def test_eviction_frees_more_than_it_must_so_that_not_every_result_evicts() -> None:
    found = [entry(f"{number:03}", size=1) for number in range(161)]
    assert len(to_evict(found, Limits(max_bytes=160), {}, 1.0)) == 11


def test_who_would_wait_for_itself_may_not() -> None:
    flights = Flights()
    (one, _), (two, _), (three, _) = (flights.join(("cache", name)) for name in ("one", "two", "three"))
    assert flights.may_wait(two, (one,))
    assert flights.may_wait(three, (two,))
    assert not flights.may_wait(one, (three,))
    assert not flights.may_wait(one, (one,))
    flights.stop_waiting(three, (two,))
    assert flights.may_wait(one, (three,))


def test_flight_is_joined_until_it_ends_and_tells_all() -> None:
    flights, told = Flights(), []
    flight, is_first = flights.join(("cache", "key"))
    assert (is_first, flights.join(("cache", "key"))) == (True, (flight, False))
    flight.call_at_end(lambda: told.append("before"))
    flights.leave(flight)
    flight.call_at_end(lambda: told.append("after"))
    assert (told, flight.wait(0)) == (["before", "after"], True)
    assert flights.join(("cache", "key"))[1]


def test_claim_of_a_long_computation_is_renewed(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/claims.db") as store:
        mine, other = Claims(store.journal, new_owner(), 0.4), new_owner()
        assert mine.take("name")
        for _ in range(7):
            time.sleep(0.1)
            assert not store.journal.claim("name", other, 0.4)
        mine.give_back("name")
        assert store.journal.claim("name", other, 0.4)
        mine.close()
        assert eventually(lambda: "execution-dataflow-claims" not in {one.name for one in threading.enumerate()})


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there, the system has a place of its own")
def test_cache_of_the_user_lies_where_the_system_keeps_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache_address() == f"sqlite:///{tmp_path}/execution-dataflow/results.db"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert user_cache_address() == f"sqlite:///{Path.home()}/.cache/execution-dataflow/results.db"
    for named, file in ((str(tmp_path), tmp_path / "results.db"), (str(tmp_path / "my.db"), tmp_path / "my.db")):
        monkeypatch.setenv(VARIABLE, named)
        assert file_of(user_cache_address()) == file


def test_address_of_a_store_stays_what_it_is() -> None:
    assert address_of("redis://cache/0") == "redis://cache/0"
    assert file_of("redis://cache/0") is None
    assert file_of("sqlite:///a/b.db?busy_seconds=3") == Path("a/b.db")


@pytest.mark.parametrize(
    ("text", "size"), [("2 GB", 2_000_000_000), ("512 MiB", 512 << 20), ("1 gb", 10**9), ("7", 7), (9, 9)]
)
def test_sizes_are_read_as_people_write_them(text: str | int, size: int) -> None:
    assert CachePolicy(max_bytes=text).max_bytes == size


@operation
def plain(x: int) -> int:
    return x


@operation(cache=True)
def kept(x: int) -> int:
    return x


def by_x(inputs: Any) -> int:
    return int(inputs["x"])


@pytest.mark.parametrize("format", ["json", "yaml", "toml"])
def test_cache_of_an_operation_is_saved_in_files(format: Any) -> None:
    graph = GraphDefinition("kept")
    policy = CachePolicy(expires_seconds=60, max_bytes="1 MB", max_entries=5, key=by_x)
    for name, options in {
        "simple": {"cache": True},
        "detailed": {"cache": policy},
        "as declared": {},
        "not": {"cache": False},
    }.items():
        graph.add((plain if name in ("simple", "detailed") else kept).new(name=name, **options), x=1)
    home = __name__
    loaded = GraphDefinition.loads(graph.dumps(format=format), format=format, allow=[home, f"{home}:by_x"]).compile()
    assert {one.name: one.cache for one in loaded.operations} == {
        "simple": CachePolicy(),
        "detailed": policy,
        "as declared": CachePolicy(),
        "not": None,
    }


class CountingJournal:
    """Counts what it is told of uses."""

    def __init__(self) -> None:
        self.touched: list[set[str]] = []

    def touch_cached(self, keys: set[str], used_at: float) -> None:
        self.touched.append(set(keys))


def result(key: str, used_at: float) -> CachedResult:
    return CachedResult(key, "load", b"", (), 1, 1.0, 0.0, used_at, None)


def test_uses_are_told_for_many_at_once_and_not_of_what_was_used_just_now() -> None:
    journal: Any = CountingJournal()
    touches = Touches(journal)
    touches.note(result("fresh", time.time() - 1))
    touches.flush()
    assert journal.touched == []
    for number in range(300):
        touches.note(result(f"old {number}", time.time() - 1000))
    touches.flush()
    assert [len(keys) for keys in journal.touched] == [256, 44]
