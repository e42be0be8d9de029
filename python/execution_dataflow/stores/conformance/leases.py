"""Who may write to a run: one alone."""

from __future__ import annotations

import time
from collections.abc import Callable

from execution_dataflow.store_errors import LeaseLostError, RunHeldError
from execution_dataflow.stores.conformance.opened import (
    Checks,
    JournalCheck,
    acquired,
    equal,
    gone_owner,
    made_commit,
    new_name,
    opened,
    refused,
    together,
)
from execution_dataflow.stores.journal import Journal, Lease, StateChange
from execution_dataflow.stores.owners import holder_is_gone, new_owner

__all__ = ["CHECKS"]

CHECKS: Checks[JournalCheck] = Checks()

# A lease that ends while a check waits. Long enough that a busy machine does not end it before.
_SHORT = 0.4


@CHECKS
def held_run_is_refused(open_journal: Callable[[], Journal]) -> None:
    """The error says who holds it and for how long."""
    run_id = new_name("run")
    with opened(open_journal) as journal, opened(open_journal) as other:
        lease = acquired(journal, run_id)
        equal((lease.run_id, lease.epoch, lease.seconds), (run_id, 0, 60.0), "run, epoch and seconds of a lease")
        error = refused(RunHeldError, lambda: acquired(other, run_id), "acquiring a run that is held")
        equal(error.run_id, run_id, "what the error names")
        equal(str(lease.owner.process) in error.holder, True, f"the holder {error.holder!r} names the process")
        equal(50.0 < error.expires_in_seconds <= 60.0, True, f"it ends in {error.expires_in_seconds} s")
        journal.append(lease, 1, [made_commit("a")])


@CHECKS
def one_of_many_wins(open_journal: Callable[[], Journal]) -> None:
    """Whoever asks at the same time; also when the run does not exist yet."""
    run_id = new_name("run")
    won: list[Lease] = []
    with opened(open_journal) as journal, opened(open_journal) as other:
        actions = [lambda each=each: won.append(acquired(each, run_id)) for each in (journal, other) * 4]
        raised = together(actions)
        equal([type(error) for error in raised], [RunHeldError] * 7, "what those raise that do not win")
        equal(len(won), 1, "how many win")


@CHECKS
def released_run_may_be_taken_up(open_journal: Callable[[], Journal]) -> None:
    """With a later epoch; what comes from the earlier lease then is refused."""
    run_id = new_name("run")
    with opened(open_journal) as journal:
        first = acquired(journal, run_id)
        journal.release(first, "FAILED")
        refused(LeaseLostError, lambda: journal.append(first, 1, [made_commit("a")]), "a batch of a released lease")
        refused(LeaseLostError, lambda: journal.renew(first), "renewing a released lease")
        second = acquired(journal, run_id)
        equal(second.epoch, 1, "the epoch of the second lease")
        refused(LeaseLostError, lambda: journal.append(first, 1, [made_commit("a")]), "a batch of an earlier lease")
        journal.release(first, "SUCCEEDED")
        summary = journal.find_run(run_id)
        equal(summary.state if summary else None, "RUNNING", "the state after a release by who lost it")
        journal.append(second, 1, [made_commit("b")])
        equal({commit.key for commit in journal.commits(run_id)}, {"b"}, "the commits")


@CHECKS
def lease_that_ends_may_be_taken_over(open_journal: Callable[[], Journal]) -> None:
    """And nothing of the one who was late is written: neither commits nor state."""
    run_id, space = new_name("run"), new_name("space")
    with opened(open_journal) as journal, opened(open_journal) as other:
        late = acquired(journal, run_id, _SHORT)
        refused(RunHeldError, lambda: acquired(other, run_id), "acquiring before it ended")
        time.sleep(_SHORT + 0.1)
        journal.append(late, 1, [made_commit("in time")])
        summary = other.find_run(run_id)
        equal(summary is not None and summary.lease_seconds_left <= 0, True, "find_run() says that it has ended")
        equal(summary.holder if summary else None, late.owner, "whom find_run() names")
        taken = acquired(other, run_id)
        change = StateChange(space, "mark", b"1")
        refused(LeaseLostError, lambda: journal.append(late, 2, [made_commit("late")], [change]), "a late batch")
        refused(LeaseLostError, lambda: journal.renew(late), "renewing what was taken over")
        other.append(taken, 1, [made_commit("new")])
        equal({commit.key for commit in other.commits(run_id)}, {"in time", "new"}, "the commits")
        equal(other.read_state(space, "mark"), None, "the state")


@CHECKS
def renewed_lease_goes_on(open_journal: Callable[[], Journal]) -> None:
    """Beyond its first end."""
    run_id = new_name("run")
    with opened(open_journal) as journal:
        lease = acquired(journal, run_id, 2 * _SHORT)
        time.sleep(_SHORT)
        journal.renew(lease)
        time.sleep(_SHORT + 0.1)
        refused(RunHeldError, lambda: acquired(journal, run_id), "acquiring a run whose lease was renewed")


@CHECKS
def run_of_a_process_that_is_gone_is_free(open_journal: Callable[[], Journal]) -> None:
    """At once, whatever its lease says; also for who deletes it."""
    gone = gone_owner()
    if not holder_is_gone(gone):
        return  # A system that does not tell, such as Windows: the lease does.
    run_id, other = new_name("run"), new_name("run")
    with opened(open_journal) as journal:
        lease = acquired(journal, run_id, 3600.0, gone)
        journal.append(lease, 1, [made_commit("a")])
        taken = acquired(journal, run_id)
        equal(taken.epoch, 1, "the epoch of who takes it over")
        refused(LeaseLostError, lambda: journal.append(lease, 2, [made_commit("b")]), "a batch of who is gone")
        acquired(journal, other, 3600.0, gone_owner())
        equal(journal.delete_run(other), (), "deleting a run whose process is gone")


@CHECKS
def owner_who_asks_twice_has_it_once(open_journal: Callable[[], Journal]) -> None:
    """The answer to the first call may have been lost: the same owner is no other."""
    run_id, owner = new_name("run"), new_owner()
    with opened(open_journal) as journal:
        first = acquired(journal, run_id, owner=owner)
        journal.append(first, 1, [made_commit("a")])
        second = acquired(journal, run_id, owner=owner)
        journal.append(second, 1, [made_commit("b")])
        equal({commit.key for commit in journal.commits(run_id)}, {"a", "b"}, "the commits of both")


@CHECKS
def claim_is_one_owners_alone(open_journal: Callable[[], Journal]) -> None:
    """Until it gives it back, its time is over, or its process has ended."""
    name, one, other = new_name("claim"), new_owner(), new_owner()
    with opened(open_journal) as journal:
        equal(journal.claim(name, one, 60.0), True, "the first to claim")
        equal(journal.claim(name, other, 60.0), False, "another one")
        equal(journal.claim(new_name("claim"), other, 60.0), True, "another name")
        journal.release_claim(name, other)
        equal(journal.claim(name, other, 60.0), False, "after a release by who does not have it")
        equal(journal.claim(name, one, _SHORT), True, "who has it already")
        time.sleep(_SHORT + 0.1)
        equal(journal.claim(name, other, 60.0), True, "after its time is over")
        journal.release_claim(name, other)
        equal(journal.claim(name, one, 60.0), True, "after it was given back")
        journal.release_claim(name, one)
        gone = gone_owner()
        if holder_is_gone(gone):
            journal.claim(name, gone, 3600.0)
            equal(journal.claim(name, one, 60.0), True, "after the process of who has it has ended")


@CHECKS
def claim_of_many_is_one_owners(open_journal: Callable[[], Journal]) -> None:
    """Whoever claims at the same time."""
    name = new_name("claim")
    answers: list[bool] = []
    with opened(open_journal) as journal:
        raised = together([lambda: answers.append(journal.claim(name, new_owner(), 60.0))] * 8)
        equal(raised, [], "what claiming raised")
        equal(answers.count(True), 1, "how many have it")
