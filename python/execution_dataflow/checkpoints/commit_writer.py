"""The thread that writes what has committed, many commits at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Thread

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
    """What one attempt has committed, and how far that has come."""

    __slots__ = ("changes", "commit", "error", "is_written", "size")

    def __init__(self, commit: Commit | None, changes: Sequence[StateChange]) -> None:
        self.commit = commit
        self.changes = changes
        self.size = 0 if commit is None else len(commit.outputs)
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
        self._entries: deque[_Entry] = deque()
        self._condition = Condition()
        self._is_urgent = False
        self._ends = False
        self._is_writing = False
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
        entry = _Entry(commit, ())
        self._entries.append(entry)
        self._waiting_bytes += entry.size
        count = len(self._entries)
        if count == _BATCH or count > _MOST_WAITING or self._waiting_bytes > _MOST_WAITING_BYTES:
            self._press(entry if count != _BATCH else None)

    def write(self, commit: Commit | None, changes: Sequence[StateChange] = ()) -> None:
        """Write a commit with its changes of state, and return when they are durable.

        Raises
        ------
        StateConflictError
            A value was changed by somebody else; nothing of this was written.
        StoreError, LeaseLostError
            Nothing is written any more.
        """
        entry = _Entry(commit, changes)
        self._entries.append(entry)
        self._press(entry)

    def flush(self) -> None:
        """Return when all that was added is durable, or when nothing is written any more."""
        entries = self._entries
        with self._condition:
            last = entries[-1] if entries else None
            if last is None and not self._is_writing:
                return
            self._is_urgent = True
            self._condition.notify_all()
            self._condition.wait_for(
                lambda: self.error is not None or ((last is None or last.is_written) and not self._is_writing)
            )

    def close(self) -> None:
        """Write what is left, and end the thread."""
        with self._condition:
            self._ends = True
            self._condition.notify_all()
        self._thread.join()
        # Who is told has this, by way of others.
        self._on_failure = _ignored

    def _press(self, entry: _Entry | None) -> None:
        """Have the thread write now, and wait for one entry to be written."""
        with self._condition:
            self._is_urgent = True
            self._condition.notify_all()
            if entry is None:
                return
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
                    self._is_writing = True
                try:
                    self._write_all()
                    self._renew_if_due()
                finally:
                    with self._condition:
                        self._is_writing = False
                        self._condition.notify_all()
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
            taken = [entries.popleft() for _ in range(min(len(entries), _BATCH))]
            self._waiting_bytes -= sum(entry.size for entry in taken)
            try:
                self._append(taken)
            except StateConflictError:
                # One of them must not be written; the others must not suffer for it.
                self._append_one_by_one(taken)
            with self._condition:
                for entry in taken:
                    entry.is_written = entry.error is None
                self._condition.notify_all()

    def _append_one_by_one(self, entries: Sequence[_Entry]) -> None:
        for entry in entries:
            try:
                self._append([entry])
            except StateConflictError as error:
                entry.error = error

    def _append(self, entries: Sequence[_Entry]) -> None:
        self._batch += 1
        commits = [entry.commit for entry in entries if entry.commit is not None]
        changes = [change for entry in entries for change in entry.changes]
        self._journal.append(self._lease, self._batch, commits, changes)


def _ignored(error: BaseException) -> None:
    """Say nothing to a run that has ended."""
