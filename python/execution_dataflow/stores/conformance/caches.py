"""The index of results that are kept across runs."""

from __future__ import annotations

import time
from collections.abc import Callable

from execution_dataflow.stores.conformance.opened import Checks, JournalCheck, equal, new_name, opened
from execution_dataflow.stores.journal import CachedResult, Journal

__all__ = ["CHECKS"]

CHECKS: Checks[JournalCheck] = Checks()


def _result(used_at: float = 5.5, expires_at: float | None = None, artifacts: tuple[str, ...] = ()) -> CachedResult:
    outputs = bytes(range(256))
    return CachedResult(new_name("ca"), "clean", outputs, artifacts, 1 << 40, 1 / 3, 4.25, used_at, expires_at)


@CHECKS
def cached_result_comes_back_equal(open_journal: Callable[[], Journal]) -> None:
    """And is replaced by one of the same key."""
    result = _result(expires_at=time.time() + 3600.123456, artifacts=("a/b", "c"))
    with opened(open_journal) as journal:
        equal(journal.find_cached(result.key), None, "a result that does not exist")
        journal.put_cached(result)
    with opened(open_journal) as journal:
        equal(journal.find_cached(result.key), result, "the result")
        other = result._replace(outputs=b"", artifacts=(), size=3, expires_at=None)
        journal.put_cached(other)
        equal(journal.find_cached(result.key), other, "the one that replaced it")


@CHECKS
def expired_result_is_not_found(open_journal: Callable[[], Journal]) -> None:
    """But listed, for who cleans up."""
    result = _result(expires_at=time.time() - 1)
    with opened(open_journal) as journal:
        journal.put_cached(result)
        equal(journal.find_cached(result.key), None, "an expired result")
        equal([one for one in journal.cached() if one.key == result.key], [result], "the listed one")


@CHECKS
def cached_results_are_listed_by_use(open_journal: Callable[[], Journal]) -> None:
    """The one that was used longest ago first; a use that is noted late takes no later one back."""
    results = [_result(used_at) for used_at in (30.5, 10.5, 20.5)]
    keys = [result.key for result in results]
    with opened(open_journal) as journal:
        for result in results:
            journal.put_cached(result)

        def order() -> list[int]:
            return [keys.index(result.key) for result in journal.cached() if result.key in keys]

        equal(order(), [1, 2, 0], "the order")
        journal.touch_cached(keys[1:2], 40.5)
        equal(order(), [2, 0, 1], "the order after one was used")
        journal.touch_cached([*keys, "ca-unknown"], 25.25)
        equal(order(), [2, 0, 1], "the order after an earlier use was noted")
        found = journal.find_cached(keys[2])
        equal(found.used_at if found else None, 25.25, "when it was used")
        journal.touch_cached([], 50.0)


@CHECKS
def many_cached_results_are_listed(open_journal: Callable[[], Journal]) -> None:
    """More than a page of a query holds, among them many of one time; and deleted at once."""
    with opened(open_journal) as journal:
        results = [_result(7.0) for _ in range(40)]
        for result in results:
            journal.put_cached(result)
        keys = {result.key for result in results}
        found = [result.key for result in journal.cached() if result.key in keys]
        equal(sorted(found), sorted(keys), "the listed keys")
        journal.delete_cached([*keys, "ca-unknown"])
        journal.delete_cached([])
        equal([result.key for result in journal.cached() if result.key in keys], [], "those left")


@CHECKS
def deleted_result_is_gone(open_journal: Callable[[], Journal]) -> None:
    """And others are not."""
    one, other = _result(), _result()
    with opened(open_journal) as journal:
        journal.put_cached(one)
        journal.put_cached(other)
        journal.delete_cached([one.key])
        equal(journal.find_cached(one.key), None, "the deleted one")
        equal(journal.find_cached(other.key), other, "the other one")
