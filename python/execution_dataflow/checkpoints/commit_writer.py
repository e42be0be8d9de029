"""The thread that writes what has committed, many commits at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import groupby
from threading import Condition, Thread

from execution_dataflow.errors import DataflowError
from execution_dataflow.store_errors import StateConflictError
from execution_dataflow.stores.journal import Commit, Journal, Lease, StateChange

__all__ = ["CommitWriter"]

# What a process that is killed may lose of a run with durability="batched", beside what is being written.
_LINGER_SECONDS = 0.05
# Enough to make the cost of one transaction small beside that of its records.
_BATCH = 5_000
# A run that commits faster than the journal takes it waits, so that its memory stays bounded.
_MOST_WAITING = 20_000
_MOST_WAITING_BYTES = 64 << 20
# A lease is renewed three times before it ends.
_RENEWALS = 3.0


class _Entry:
    """What one attempt has committed for which somebody waits, and how far that has come."""

    __slots__ = ("changes", "commit", "error", "is_written")

    def __init__(self, commit: Commit | None, changes: Sequence[StateChange]) -> None:
        self.commit = commit
        self.changes = changes
        self.is_written = False
        self.error: BaseException | None = None


class CommitWriter:
    """Writes commits to a journal on a thread of its own, in the order in which they come, and renews the lease.

    Parameters
    ----------
    journal : Journal
        Where they go.
    lease : Lease
        The right to write.
    on_failure : callable
        Told, once, of the error after which nothing is written any more.
    """

    def __init__(self, journal: Journal, lease: Lease, on_failure: Callable[[BaseException], object]) -> None:
        self._journal = journal
        self._lease = lease
        self._on_failure = on_failure
        # A commit for which nobody waits stands for itself.
        self._entries: deque[Commit | _Entry] = deque()
        self._condition = Condition()
        self._is_urgent = False
        self._ends = False
        self._waiting_bytes = 0
        self._batch = 0
        self._renew_at = time.monotonic() + lease.seconds / _RENEWALS
        self.error: BaseException | None = None
        """What keeps it from writing any more."""
        self._thread = Thread(target=self._work, name="execution-dataflow-checkpoint", daemon=True)
        self._thread.start()

    def add(self, commit: Commit) -> None:
        """Have a commit written soon. Blocks while very many wait to be written.

        Raises
        ------
        StoreError, LeaseLostError
            Nothing is written any more.
        """
        if self.error is not None:
            raise self.error
        entries = self._entries
        entries.append(commit)
        self._waiting_bytes += len(commit[5])
        count = len(entries)
        if count == _BATCH:
            self._call_for()
        elif count > _MOST_WAITING or self._waiting_bytes > _MOST_WAITING_BYTES:
            self._wait_for(_Entry(None, ()))

    def write(self, commit: Commit | None, changes: Sequence[StateChange] = ()) -> None:
        """Write a commit with its changes of state, and return when they are durable.

        Raises
        ------
        StateConflictError
            A value was changed by somebody else; nothing of this was written.
        StoreError, LeaseLostError
            Nothing is written any more.
        """
        self._wait_for(_Entry(commit, changes))

    def flush(self) -> None:
        """Return when all that was added is durable, or when nothing is written any more."""
        if self.error is None:
            with suppress(DataflowError):
                self._wait_for(_Entry(None, ()))

    def close(self) -> None:
        """Write what is left, and end the thread."""
        with self._condition:
            self._ends = True
            self._condition.notify_all()
        self._thread.join()
        # Who is told has this, by way of others.
        self._on_failure = _ignored

    def _call_for(self) -> None:
        """Have the thread write now."""
        with self._condition:
            self._is_urgent = True
            self._condition.notify_all()

    def _wait_for(self, entry: _Entry) -> None:
        """Have the thread write now, and wait until it has written an entry, and so all before it."""
        self._entries.append(entry)
        with self._condition:
            self._is_urgent = True
            self._condition.notify_all()
            self._condition.wait_for(lambda: entry.is_written or entry.error is not None or self.error is not None)
        error = entry.error or (None if entry.is_written else self.error)
        if error is not None:
            raise error

    def _work(self) -> None:
        try:
            while True:
                with self._condition:
                    if not self._is_urgent and not self._ends and len(self._entries) < _BATCH:
                        self._condition.wait(_LINGER_SECONDS)
                    self._is_urgent = False
                    ends = self._ends
                self._write_all()
                self._renew_if_due()
                if ends and not self._entries:
                    return
        except BaseException as error:
            self.error = error
            with self._condition:
                self._condition.notify_all()
            self._on_failure(error)

    def _renew_if_due(self) -> None:
        now = time.monotonic()
        if now >= self._renew_at:
            self._journal.renew(self._lease)
            self._renew_at = now + self._lease.seconds / _RENEWALS

    def _write_all(self) -> None:
        entries = self._entries
        while entries:
            self._renew_if_due()
            taken = [entries.popleft() for _ in range(min(len(entries), _BATCH))]
            waited_for = [entry for entry in taken if type(entry) is _Entry]
            # A hint, which threads may lose a part of; what is taken away is what was counted.
            self._waiting_bytes = max(
                0, self._waiting_bytes - sum(len(each[5]) for each in taken if type(each) is Commit)
            )
            try:
                self._append(taken)
            except StateConflictError:
                # One of them must not be written; the others must not suffer for it.
                self._append_changes_one_by_one(taken)
            if waited_for:
                with self._condition:
                    for entry in waited_for:
                        entry.is_written = entry.error is None
                    self._condition.notify_all()

    def _append_changes_one_by_one(self, entries: Sequence[Commit | _Entry]) -> None:
        """Write each entry that changes a state in a batch of its own, and those between two of them in one."""
        for changes_state, group in groupby(entries, lambda entry: type(entry) is _Entry and bool(entry.changes)):
            if not changes_state:
                self._append(list(group))
                continue
            for entry in group:
                try:
                    self._append([entry])
                except StateConflictError as error:
                    assert type(entry) is _Entry, "only changes of state can be in conflict"
                    entry.error = error

    def _append(self, entries: Sequence[Commit | _Entry]) -> None:
        commits: list[Commit] = []
        changes: list[StateChange] = []
        for entry in entries:
            if type(entry) is Commit:
                commits.append(entry)
            elif type(entry) is _Entry:
                if entry.commit is not None:
                    commits.append(entry.commit)
                changes += entry.changes
        if commits or changes:
            self._batch += 1
            self._journal.append(self._lease, self._batch, commits, changes)


def _ignored(error: BaseException) -> None:
    """Say nothing to a run that has ended."""
