"""What becomes of kept results: they expire, make room, are damaged, and are never missed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cached_operations import note, noted, run_one, square
from patience import eventually

from execution_dataflow import CachePolicy, ExecutionEngine, ResultCache, open_store, operation
from execution_dataflow.store_errors import StoreError
from execution_dataflow.stores.opening import Store

ROWS = 20_000


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace.txt"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/results.db") as opened:
        yield opened


@operation(cache=True)
def table(start: int, trace: str) -> np.ndarray:
    note(trace, start)
    return np.arange(start, start + ROWS, dtype=float)


def artifacts(store: Store) -> list[str]:
    return sorted(info.name for info in store.artifacts.list("cache/"))


def test_expired_result_is_computed_anew(store: Store, trace: Path) -> None:
    @operation(cache=CachePolicy(expires_seconds=0.3))
    def short(trace: str) -> int:
        note(trace, "short")
        return 1

    with ResultCache(store) as cache, ExecutionEngine(cache=cache) as engine:
        for pause, expected in ((0.0, ["short"]), (0.0, []), (0.35, ["short"])):
            time.sleep(pause)
            run_one(engine, short, trace=str(trace))
            assert noted(trace) == expected
        run_one(engine, square, x=1, trace=str(trace))
        time.sleep(0.35)
        assert [entry.is_expired(time.time()) for entry in cache.entries("short")] == [True]
        assert [entry.operation.rpartition(".")[2] for entry in cache.evict()] == ["short"]
        assert [entry.operation for entry in cache.entries()] == ["cached_operations.square"]


def test_limit_of_the_whole_lets_go_of_what_was_used_longest_ago(store: Store, trace: Path) -> None:
    size = ROWS * 8 + 1000
    with ResultCache(store, max_bytes=3 * size) as cache, ExecutionEngine(cache=cache) as engine:
        for start in (1, 2, 3):
            run_one(engine, table, start=start, trace=str(trace))
        keys = [entry.key for entry in cache.entries()]
        # As if they had been used in this order, long ago.
        for age, key in enumerate((keys[1], keys[0], keys[2])):
            store.journal.put_cached(
                store.journal.find_cached(key)._replace(used_at=time.time() - 1000 + age)  # type: ignore[union-attr]
            )
        run_one(engine, table, start=1, trace=str(trace))
        run_one(engine, table, start=4, trace=str(trace))
        cache.evict()
        noted(trace)
        assert len(artifacts(store)) == len(cache.entries()) == 2
        for start, expected in ((1, []), (4, []), (2, ["2"])):
            result = run_one(engine, table, start=start, trace=str(trace))
            assert noted(trace) == expected
            assert result.get_output("step")[0] == start


def test_limits_of_an_operation_count_for_it_alone_and_by_themselves(store: Store, trace: Path) -> None:
    @operation(cache=CachePolicy(max_entries=2))
    def few(x: int, trace: str) -> int:
        note(trace, x)
        return x

    with ResultCache(store) as cache, ExecutionEngine(cache=cache) as engine:
        for x in range(5):
            run_one(engine, square, x=x, trace=str(trace))
            run_one(engine, few, x=x, trace=str(trace))
            assert eventually(lambda: len(cache.entries("few")) <= 2)
        assert len(cache.entries("square")) == 5
        assert run_one(engine, few, x=4, trace=str(trace)).cached == {"step": 1}


def test_result_larger_than_the_limit_is_not_kept_and_that_is_said(store: Store, trace: Path) -> None:
    with ResultCache(store, max_bytes=1000) as cache, ExecutionEngine(cache=cache) as engine:
        result = run_one(engine, table, start=1, trace=str(trace))
        assert "the cache may take 1,000" in result.warnings[0]
        assert (cache.entries(), artifacts(store)) == ([], [])


def test_damaged_result_is_computed_and_reported_and_never_returned(store: Store, trace: Path) -> None:
    with ResultCache(store) as cache, ExecutionEngine(cache=cache) as engine:
        run_one(engine, table, start=1, trace=str(trace))
        (name,) = artifacts(store)
        content = bytearray(store.artifacts.read(name))
        content[len(content) // 2] ^= 1
        store.artifacts.write(name, [content])
        result = run_one(engine, table, start=1, trace=str(trace))
        np.testing.assert_array_equal(result.get_output("step"), np.arange(1.0, ROWS + 1))
        assert noted(trace) == ["1", "1"]
        assert "is damaged" in result.warnings[0]
        again = run_one(engine, table, start=1, trace=str(trace))
        assert (again.cached, again.warnings, len(artifacts(store))) == ({"step": 1}, [], 1)


def test_artifact_that_is_gone_is_reported_and_computed(store: Store, trace: Path) -> None:
    with ResultCache(store) as cache, ExecutionEngine(cache=cache) as engine:
        run_one(engine, table, start=1, trace=str(trace))
        store.artifacts.delete(artifacts(store)[0])
        result = run_one(engine, table, start=1, trace=str(trace))
        assert (noted(trace), len(result.warnings)) == (["1", "1"], 1)


def test_result_of_another_key_is_not_taken_for_this_one(store: Store, trace: Path) -> None:
    with ResultCache(store) as cache, ExecutionEngine(cache=cache) as engine:
        for x in (2, 3):
            run_one(engine, square, x=x, trace=str(trace))
        two, three = (store.journal.find_cached(entry.key) for entry in cache.entries())
        assert two is not None
        assert three is not None
        store.journal.put_cached(two._replace(outputs=three.outputs))
        result = run_one(engine, square, x=2, trace=str(trace))
        assert (result.get_output("step"), result.cached) == (4, {})


class FailingJournal:
    """A journal that counts how often it is asked, and fails from some moment on."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal
        self.fails: tuple[str, ...] = ()
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        if name in self.fails:

            def fail(*arguments: Any) -> Any:
                self.asked += 1
                raise StoreError("the connection is lost")

            return fail
        return getattr(self._journal, name)


@pytest.mark.parametrize("call", ["find_cached", "claim", "put_cached", "release_claim", "touch_cached"])
def test_failing_store_never_fails_an_operation(store: Store, trace: Path, call: str) -> None:
    journal = FailingJournal(store.journal)
    with ResultCache(replace(store, journal=journal)) as cache, ExecutionEngine(cache=cache) as engine:
        journal.fails = (call,)
        result = run_one(engine, square, x=2, trace=str(trace))
        assert (result.get_output("step"), noted(trace)) == (4, ["2"])
        assert ["the connection is lost" in text for text in result.warnings] == (
            [True] if call in ("find_cached", "claim", "put_cached") else []
        )
        journal.fails = ()
        assert run_one(engine, square, x=2, trace=str(trace)).get_output("step") == 4


def test_store_that_fails_again_and_again_is_left_alone_for_a_while(store: Store, trace: Path) -> None:
    journal = FailingJournal(store.journal)
    with ResultCache(replace(store, journal=journal)) as cache, ExecutionEngine(cache=cache) as engine:
        journal.fails = ("find_cached",)
        for x in range(10):
            run_one(engine, square, x=x, trace=str(trace))
        assert journal.asked == 3
        journal.fails = ()


def test_entries_are_cleared_by_operation_and_with_their_artifacts(store: Store, trace: Path) -> None:
    with ResultCache(store) as cache, ExecutionEngine(cache=cache) as engine:
        for number in (1, 2):
            run_one(engine, square, x=number, trace=str(trace))
            run_one(engine, table, start=number, trace=str(trace))
        assert len(cache.clear("test_cache_stores.table")) == 2
        assert artifacts(store) == []
        kept = cache.entries()
        assert [entry.operation for entry in kept] == ["cached_operations.square"] * 2
        assert cache.clear(keys=[kept[0].key]) == kept[:1]
        assert cache.clear("nothing") == []
        assert cache.clear() == kept[1:]


def test_hits_are_noted_once_and_not_for_each(store: Store, trace: Path) -> None:
    journal = FailingJournal(store.journal)
    with ResultCache(replace(store, journal=journal)) as cache, ExecutionEngine(cache=cache) as engine:
        run_one(engine, square, x=1, trace=str(trace))
        (entry,) = cache.entries()
        found = store.journal.find_cached(entry.key)
        assert found is not None
        store.journal.put_cached(found._replace(used_at=1000.0))
        journal.fails = ("touch_cached", "put_cached", "claim")
        for _ in range(5):
            assert run_one(engine, square, x=1, trace=str(trace)).cached == {"step": 1}
        assert journal.asked == 0
        journal.fails = ()
        assert cache.entries()[0].used_at > time.time() - 60


def test_closed_cache_says_so_and_harms_nobody(store: Store, trace: Path) -> None:
    cache = ResultCache(store)
    cache.close()
    with pytest.raises(ValueError, match="closed"):
        cache.entries()
    with ExecutionEngine(cache=cache) as engine:
        result = run_one(engine, square, x=1, trace=str(trace))
    assert (result.get_output("step"), len(result.warnings)) == (1, 1)
