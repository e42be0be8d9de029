"""`prune_runs` deletes what was asked for and what nothing refers to, and nothing that anybody still needs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from stores_in_memory import DAY, MemoryStore, cached_of, commit_of

from execution_dataflow.store_care import prune_runs, standing_of
from execution_dataflow.store_errors import StoreError
from execution_dataflow.stores.owners import new_owner

MONTH = timedelta(days=30)
HOUR = 1 / 24


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


def test_old_runs_go_with_their_artifacts_and_young_ones_stay(memory: MemoryStore) -> None:
    memory.add_run("old", days=31, artifacts=["old/a", "old/b"])
    memory.add_run("young", days=29, artifacts=["young/a"])
    report = prune_runs(memory.store, older_than=MONTH)
    assert [run.run_id for run in report.runs] == ["old"]
    assert (report.artifacts, report.freed_bytes, report.unreferenced) == (2, 8, 0)
    assert set(memory.journal.held) == {"young"}
    assert set(memory.artifacts.kept) == {"young/a"}


def test_without_a_choice_no_run_goes(memory: MemoryStore) -> None:
    memory.add_run("old", days=1000, artifacts=["a"])
    report = prune_runs(memory.store)
    assert (report.runs, report.artifacts) == ((), 0)
    assert set(memory.artifacts.kept) == {"a"}


def test_all_that_is_asked_for_has_to_hold(memory: MemoryStore) -> None:
    memory.add_run("old failure", state="FAILED", days=40)
    memory.add_run("old success", days=40)
    memory.add_run("young failure", state="FAILED", days=1)
    report = prune_runs(memory.store, older_than=MONTH, states=["failed"])
    assert [run.run_id for run in report.runs] == ["old failure"]


def test_the_latest_runs_of_each_graph_are_kept(memory: MemoryStore) -> None:
    for day in range(5):
        memory.add_run(f"etl-{day}", days=day)
    memory.add_run("other", graph="other", days=100)
    report = prune_runs(memory.store, keep=2)
    assert sorted(run.run_id for run in report.runs) == ["etl-2", "etl-3", "etl-4"]
    assert set(memory.journal.held) == {"etl-0", "etl-1", "other"}


def test_a_dry_run_says_the_same_and_deletes_nothing(memory: MemoryStore) -> None:
    memory.add_run("old", days=31, artifacts=["a", "b"])
    memory.add_run("young", artifacts=["c"])
    memory.clock.ahead -= DAY
    memory.artifacts.write("left", [b"12345"])
    memory.clock.ahead += DAY
    kept = dict(memory.artifacts.kept)
    dry = prune_runs(memory.store, older_than=MONTH, dry_run=True)
    assert (set(memory.journal.held), memory.artifacts.kept) == ({"old", "young"}, kept)
    real = prune_runs(memory.store, older_than=MONTH)
    assert (dry.artifacts, dry.freed_bytes, dry.unreferenced) == (3, 13, 1)
    assert (real.runs, real.artifacts, real.freed_bytes, real.unreferenced) == (dry.runs, 3, 13, 1)
    assert str(dry) == "would delete 1 run and 3 artifacts (13 bytes)"
    assert set(memory.artifacts.kept) == {"c"}


def test_a_run_that_somebody_holds_is_left(memory: MemoryStore) -> None:
    memory.add_run("mine", days=40, artifacts=["a"], owner=new_owner(), is_over=False)
    memory.journal.held["mine"].lease_ends = memory.clock() + 60
    for dry_run in (True, False):
        report = prune_runs(memory.store, older_than=MONTH, dry_run=dry_run)
        assert ([run.run_id for run in report.held], report.runs) == (["mine"], ())
        assert set(memory.artifacts.kept) == {"a"}


def test_a_run_that_is_taken_up_while_it_is_deleted_is_left(memory: MemoryStore) -> None:
    memory.add_run("old", days=40, artifacts=["a"])
    found = memory.journal.find_run

    def taken_up(run_id: str) -> object:
        memory.journal.find_run = found  # type: ignore[method-assign]
        summary = found(run_id)
        memory.journal.acquire(run_id, "etl", new_owner(), 60.0, {})
        return summary

    memory.journal.find_run = taken_up  # type: ignore[method-assign, assignment]
    report = prune_runs(memory.store, older_than=MONTH)
    assert [run.run_id for run in report.held] == ["old"]
    assert set(memory.artifacts.kept) == {"a"}


def test_a_run_that_has_changed_since_it_was_listed_is_left(memory: MemoryStore) -> None:
    memory.add_run("old", days=40, artifacts=["a"])
    listed = list(memory.journal.runs())
    memory.add_run("old")
    memory.journal.runs = lambda: iter(listed)  # type: ignore[method-assign]
    assert prune_runs(memory.store, older_than=MONTH).runs == ()
    assert set(memory.artifacts.kept) == {"a"}


def test_an_interrupted_run_is_told_from_one_that_runs(memory: MemoryStore) -> None:
    memory.add_run("killed", days=2, is_over=False)
    memory.add_run("failed", days=2, state="FAILED")
    memory.add_run("running", owner=new_owner(), is_over=False)
    assert {run.run_id: standing_of(run) for run in memory.journal.runs()} == {
        "killed": "INTERRUPTED",
        "failed": "FAILED",
        "running": "RUNNING",
    }
    report = prune_runs(memory.store, states=["interrupted"])
    assert [run.run_id for run in report.runs] == ["killed"]


def test_what_nothing_refers_to_goes_after_a_grace(memory: MemoryStore) -> None:
    memory.clock.ahead = -2 * HOUR * DAY
    memory.artifacts.write("left by a killed process", [b"123"])
    memory.clock.ahead = 0.0
    memory.artifacts.write("about to be committed", [b"123"])
    report = prune_runs(memory.store)
    assert (report.artifacts, report.unreferenced, report.young) == (1, 1, 1)
    assert set(memory.artifacts.kept) == {"about to be committed"}


def test_a_commit_that_comes_while_artifacts_are_listed_loses_nothing(memory: MemoryStore) -> None:
    lease = memory.add_run("slow", days=0.5, is_over=False)
    memory.clock.ahead = -2 * HOUR * DAY
    memory.artifacts.write("late", [b"123"])
    memory.clock.ahead = 0.0
    memory.artifacts.after_listing = lambda: memory.journal.append(lease, 9, [commit_of("op", "late")])
    assert prune_runs(memory.store).artifacts == 0
    assert set(memory.artifacts.kept) == {"late"}


def test_nothing_goes_that_was_written_since_a_run_began_that_is_under_way(memory: MemoryStore) -> None:
    """Its commits may wait for a database that is away, or the clock may have jumped."""
    memory.add_run("waiting", days=3 * HOUR, owner=new_owner(), is_over=False)
    memory.journal.held["waiting"].lease_ends = memory.clock() + 60
    for name, hours in (("since", 2), ("long before", 5)):
        memory.clock.ahead = -hours * HOUR * DAY
        memory.artifacts.write(name, [b"123"])
    memory.clock.ahead = 0.0
    report = prune_runs(memory.store)
    assert (report.artifacts, report.young) == (1, 1)
    assert set(memory.artifacts.kept) == {"since"}


def test_what_a_cache_or_another_run_refers_to_stays(memory: MemoryStore) -> None:
    memory.add_run("old", days=40, artifacts=["own", "of the cache", "of both"])
    memory.journal.put_cached(cached_of("key", "of the cache"))
    memory.add_run("young", artifacts=["of both"])
    report = prune_runs(memory.store, older_than=MONTH)
    assert (len(report.runs), report.artifacts) == (1, 1)
    assert set(memory.artifacts.kept) == {"of the cache", "of both"}


def test_records_that_cannot_be_read_keep_what_they_may_refer_to(memory: MemoryStore) -> None:
    memory.add_run("spoilt", days=2, artifacts=["a", "b"])
    memory.add_run("old", days=40, artifacts=["c"])
    memory.journal.held["spoilt"].damaged.add("op0")
    report = prune_runs(memory.store, older_than=MONTH)
    assert set(memory.artifacts.kept) == {"a", "b"}
    assert "records of 'spoilt' cannot be read" in report.notes[0]
    assert prune_runs(memory.store, older_than=timedelta(days=1)).artifacts == 2
    assert not memory.artifacts.kept


def test_the_age_of_an_artifact_is_that_of_its_own_clock(memory: MemoryStore) -> None:
    """A bucket whose clock is two hours behind writes artifacts that look old at once."""
    memory.artifacts.is_local = False
    memory.clock.ahead = -2 * HOUR * DAY
    memory.artifacts.write("just now", [b"123"])
    report = prune_runs(memory.store)
    assert (report.artifacts, report.young) == (0, 1)
    assert set(memory.artifacts.kept) == {"just now"}


def test_a_store_that_fails_says_so_and_another_call_goes_on(memory: MemoryStore) -> None:
    memory.add_run("old", days=40, artifacts=["a", "b"])
    memory.artifacts.is_read_only = True
    with pytest.raises(StoreError, match="cannot be written"):
        prune_runs(memory.store, older_than=MONTH)
    memory.artifacts.is_read_only = False
    report = prune_runs(memory.store, older_than=MONTH)
    assert (report.runs, report.unreferenced) == ((), 2)
    assert not memory.artifacts.kept


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"states": ["succeded"]}, "there is no state 'succeded' of a run; did you mean SUCCEEDED?"),
        ({"keep": -1}, "keep= is not negative"),
        ({"older_than": timedelta(days=-1)}, "older_than= is not negative"),
        ({"grace": timedelta(days=-1)}, "grace= is not negative"),
    ],
)
def test_a_choice_that_makes_no_sense_deletes_nothing(
    memory: MemoryStore, options: dict[str, object], message: str
) -> None:
    memory.add_run("old", days=40, artifacts=["a"])
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        prune_runs(memory.store, **options)  # type: ignore[arg-type]
    assert set(memory.artifacts.kept) == {"a"}
