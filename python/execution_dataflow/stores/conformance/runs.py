"""Runs, and what has committed in them."""

from __future__ import annotations

from collections.abc import Callable

from execution_dataflow.store_errors import LeaseLostError, RunHeldError, StateConflictError
from execution_dataflow.stores.conformance.opened import (
    Checks,
    JournalCheck,
    acquired,
    equal,
    made_commit,
    new_name,
    opened,
    refused,
    together,
)
from execution_dataflow.stores.journal import Commit, Journal, StateChange
from execution_dataflow.stores.owners import new_owner

__all__ = ["CHECKS"]

CHECKS: Checks[JournalCheck] = Checks()


def _by_key(journal: Journal, run_id: str) -> dict[str, Commit]:
    found = list(journal.commits(run_id))
    by_key = {commit.key: commit for commit in found}
    equal(len(found), len(by_key), "commits() yields each key once; number of commits")
    return by_key


@CHECKS
def journal_is_one(open_journal: Callable[[], Journal]) -> None:
    """It has the methods of the protocol, and an address without a password."""
    with opened(open_journal) as journal:
        equal(isinstance(journal, Journal), True, "isinstance(journal, Journal)")
        equal("://" in journal.address, True, f"the address {journal.address!r} has a scheme")
        equal(isinstance(journal.is_local, bool), True, "is_local is a bool")


@CHECKS
def commits_come_back_equal(open_journal: Callable[[], Journal]) -> None:
    """Another connection reads what was appended, bit by bit."""
    run_id = new_name("run")
    commits = [
        made_commit("clean/parse", 1),
        made_commit("square[17]", 2, ("a/b-1.npy", "c_2")),
        made_commit("größe/名前", 3),
        made_commit("quoted \"twice\", 'once' {in braces} \\ back\tand\nforth %s ? NULL", 4),
        Commit("nothing", bytes(48), 1, 0.0, 0.0, b"", ()),
        Commit("large", bytes(48), 1, 0.0, 0.0, bytes(range(256)) * 4096, ("x",)),
    ]
    with opened(open_journal) as journal:
        lease = acquired(journal, run_id)
        journal.append(lease, 1, commits[:2])
        journal.append(lease, 2, commits[2:])
    with opened(open_journal) as journal:
        equal(_by_key(journal, run_id), {commit.key: commit for commit in commits}, "what was committed")
        equal(all(type(commit) is Commit for commit in journal.commits(run_id)), True, "they are of the class Commit")


@CHECKS
def many_commits_come_back(open_journal: Callable[[], Journal]) -> None:
    """More than any page of a query holds; and reading may stop half way, and go on beside writing."""
    run_id = new_name("run")
    commits = {f"item[{number}]": made_commit(f"item[{number}]", number) for number in range(10_000)}
    with opened(open_journal) as journal:
        lease = acquired(journal, run_id)
        journal.append(lease, 1, list(commits.values()))
        reading = journal.commits(run_id)
        first = next(reading)
        equal(commits[first.key], first, "the first commit")
        journal.append(lease, 2, [made_commit("another")])
        equal({commit.key for commit in reading} - {"another"}, set(commits) - {first.key}, "the others")
        next(journal.commits(run_id))
        equal(_by_key(journal, run_id), {**commits, "another": made_commit("another")}, "what was committed")


@CHECKS
def later_commit_of_a_key_replaces_the_earlier(open_journal: Callable[[], Journal]) -> None:
    """In one batch, and in another."""
    run_id = new_name("run")
    with opened(open_journal) as journal:
        lease = acquired(journal, run_id)
        journal.append(lease, 1, [made_commit("a", 1, ("old",)), made_commit("a", 2), made_commit("b", 3)])
        journal.append(lease, 2, [made_commit("b", 4, ("new",))])
        equal(_by_key(journal, run_id), {"a": made_commit("a", 2), "b": made_commit("b", 4, ("new",))}, "the commits")
        summary = journal.find_run(run_id)
        equal(summary.commits if summary else None, 2, "the number of commits, each key once")


@CHECKS
def runs_are_apart(open_journal: Callable[[], Journal]) -> None:
    """The same key in two runs is two commits; a run that does not exist has none."""
    one, other = new_name("run"), new_name("run")
    with opened(open_journal) as journal:
        journal.append(acquired(journal, one), 1, [made_commit("a", 1)])
        journal.append(acquired(journal, other), 1, [made_commit("a", 2)])
        equal(_by_key(journal, one), {"a": made_commit("a", 1)}, "the one run")
        equal(_by_key(journal, other), {"a": made_commit("a", 2)}, "the other run")
        equal(list(journal.commits(new_name("run"))), [], "the commits of a run that does not exist")


@CHECKS
def batch_that_comes_twice_is_written_once(open_journal: Callable[[], Journal]) -> None:
    """Its changes of state are not made again, although they expect what was before."""
    run_id, space = new_name("run"), new_name("space")
    change = StateChange(space, "count", b"1", expected=0)
    with opened(open_journal) as journal:
        lease = acquired(journal, run_id)
        for _ in range(2):
            journal.append(lease, 1, [made_commit("a", 1)], [change])
        journal.append(lease, 1, [made_commit("b", 1)], [StateChange(space, "count", b"2")])
        found = journal.read_state(space, "count")
        equal((found.value, found.version) if found else None, (b"1", 1), "the value and its version")
        equal(_by_key(journal, run_id), {"a": made_commit("a", 1)}, "the commits")


@CHECKS
def batches_may_come_in_any_order(open_journal: Callable[[], Journal]) -> None:
    """Several threads number and send them: an earlier number that comes later is no repetition."""
    run_id = new_name("run")
    with opened(open_journal) as journal:
        lease = acquired(journal, run_id)
        for batch in (3, 1, 2, 3, 1):
            journal.append(lease, batch, [made_commit(f"batch {batch}", batch)])
        actions = [
            lambda batch=batch: journal.append(lease, batch, [made_commit(f"batch {batch}", batch)])
            for batch in range(4, 12)
        ]
        equal(together(actions), [], "what appending in threads raised")
        expected = {f"batch {batch}": made_commit(f"batch {batch}", batch) for batch in range(1, 12)}
        equal(_by_key(journal, run_id), expected, "the commits")


@CHECKS
def batch_numbers_begin_anew_with_each_lease(open_journal: Callable[[], Journal]) -> None:
    """Batch 1 of the next lease is no repetition of batch 1 of the last."""
    run_id = new_name("run")
    with opened(open_journal) as journal:
        lease = acquired(journal, run_id)
        journal.append(lease, 1, [made_commit("a", 1)])
        journal.release(lease, "FAILED")
        journal.append(acquired(journal, run_id), 1, [made_commit("b", 2)])
        equal(_by_key(journal, run_id), {"a": made_commit("a", 1), "b": made_commit("b", 2)}, "the commits")


@CHECKS
def batch_with_a_conflict_leaves_nothing(open_journal: Callable[[], Journal]) -> None:
    """Neither its commits nor the changes before the one that conflicts; its number may be used again."""
    run_id, space = new_name("run"), new_name("space")
    with opened(open_journal) as journal:
        lease = acquired(journal, run_id)
        journal.append(lease, 1, [], [StateChange(space, "there", b"x")])
        changes = [StateChange(space, "other", b"y"), StateChange(space, "there", b"z", expected=7)]
        error = refused(
            StateConflictError,
            lambda: journal.append(lease, 2, [made_commit("a")], changes),
            "a version that is not the expected one",
        )
        equal((error.namespace, error.key), (space, "there"), "what the error names")
        equal(_by_key(journal, run_id), {}, "the commits")
        equal(journal.read_state(space, "other"), None, "the change before it")
        journal.append(lease, 2, [made_commit("a")], changes[:1])
        equal(_by_key(journal, run_id), {"a": made_commit("a")}, "the commits of the second try")


@CHECKS
def run_tells_what_is_known_of_it(open_journal: Callable[[], Journal]) -> None:
    """Its graph, state, times, number of commits, holder and metadata."""
    run_id, owner = new_name("run"), new_owner()
    with opened(open_journal) as journal:
        equal(journal.find_run(run_id), None, "a run that does not exist")
        lease = journal.acquire(run_id, "etl", owner, 60.0, {"graph": "flows:etl", "who": "Ada"})
        began = journal.find_run(run_id)
        assert began is not None, "find_run() does not find a run that was begun"
        journal.append(lease, 1, [made_commit("a"), made_commit("b")])
        during = journal.find_run(run_id)
        assert during is not None, "find_run() does not find a run that goes on"
        equal((during.run_id, during.graph_name, during.state), (run_id, "etl", "RUNNING"), "run, graph and state")
        equal((during.commits, during.epoch, during.holder), (2, 1, owner), "commits, epoch and holder")
        equal(50.0 < during.lease_seconds_left <= 60.0, True, f"a lease of 60 s has {during.lease_seconds_left} left")
        equal(began.created_at == during.created_at <= during.updated_at, True, "it changed after it was created")
        equal(during.updated_at >= began.updated_at, True, "a change makes updated_at later")
        journal.release(lease, "FAILED")
        again = journal.acquire(run_id, "etl 2", owner, 60.0, {"who": "Grace", "host": "x"})
        journal.release(again, "SUCCEEDED")
    with opened(open_journal) as journal:
        after = journal.find_run(run_id)
        assert after is not None, "find_run() does not find a run that has ended"
        equal((after.graph_name, after.state, after.commits, after.epoch), ("etl 2", "SUCCEEDED", 2, 2), "the end")
        equal((after.holder, after.lease_seconds_left <= 0), (None, True), "nobody holds a run that was given back")
        equal(dict(after.metadata), {"graph": "flows:etl", "who": "Grace", "host": "x"}, "its metadata")
        equal(after.created_at, began.created_at, "when it was created")


@CHECKS
def runs_are_listed_the_last_changed_first(open_journal: Callable[[], Journal]) -> None:
    """Each as `find_run` tells it."""
    names = [new_name("run") for _ in range(3)]
    with opened(open_journal) as journal:
        leases = [acquired(journal, name) for name in names]
        journal.append(leases[0], 1, [made_commit("a")])
        found = [summary for summary in journal.runs() if summary.run_id in names]
        equal([summary.run_id for summary in found], [names[0], names[2], names[1]], "the order")
        equal([summary.commits for summary in found], [1, 0, 0], "their numbers of commits")


@CHECKS
def deleted_run_is_gone(open_journal: Callable[[], Journal]) -> None:
    """It tells its artifacts, leaves other runs and state alone, and may be begun again."""
    run_id, other, space = new_name("run"), new_name("run"), new_name("space")
    with opened(open_journal) as journal:
        lease = acquired(journal, run_id)
        commits = [made_commit("a", 1, ("one", "two")), made_commit("b", 2), made_commit("c", 3, ("two", "three"))]
        journal.append(lease, 1, commits, [StateChange(space, "mark", b"1")])
        journal.append(acquired(journal, other), 1, [made_commit("a", 4)])
        error = refused(RunHeldError, lambda: journal.delete_run(run_id), "deleting a run that is held")
        equal(error.run_id, run_id, "what the error names")
        equal(len(_by_key(journal, run_id)), 3, "a run that is held keeps its commits; their number")
        journal.release(lease, "SUCCEEDED")
        equal(sorted(journal.delete_run(run_id)), ["one", "three", "two"], "the artifacts that it referred to")
        equal((journal.find_run(run_id), list(journal.commits(run_id))), (None, []), "what is left of it")
        equal(journal.delete_run(run_id), (), "deleting it once more")
        equal(journal.read_state(space, "mark") is not None, True, "state stays")
        equal(_by_key(journal, other), {"a": made_commit("a", 4)}, "the other run")
        refused(LeaseLostError, lambda: journal.append(lease, 2, [made_commit("d")]), "a batch for a deleted run")
        again = acquired(journal, run_id)
        equal(list(journal.commits(run_id)), [], "the commits of a run that was begun again")
        journal.append(again, 1, [made_commit("e")])
        equal(set(_by_key(journal, run_id)), {"e"}, "what it commits then")


@CHECKS
def closing_twice_does_nothing(open_journal: Callable[[], Journal]) -> None:
    """And what was written is there when it is opened again."""
    run_id = new_name("run")
    journal = open_journal()
    journal.append(acquired(journal, run_id), 1, [made_commit("a")])
    journal.close()
    journal.close()
    with opened(open_journal) as journal:
        equal(set(_by_key(journal, run_id)), {"a"}, "the commits")
