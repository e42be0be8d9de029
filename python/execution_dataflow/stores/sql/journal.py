"""A journal in a relational database."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

from sqlalchemy import Connection

from execution_dataflow.store_errors import RunHeldError, StoreError
from execution_dataflow.stores.journal import CachedResult, Commit, Lease, Owner, RunSummary, StateChange, StateValue
from execution_dataflow.stores.sql import cache_index, leases, run_records, state_values
from execution_dataflow.stores.sql.database import Database
from execution_dataflow.stores.sql.run_counts import count_of_run

__all__ = ["SqlJournal"]

_KEYS_AT_ONCE = 1024


class SqlJournal:
    """A `Journal` in a database.

    Parameters
    ----------
    database : Database
        The database; it is opened here, and closed with the journal.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.open()

    @property
    def database(self) -> Database:
        """Where it is, for a store of artifacts beside it."""
        return self._database

    @property
    def address(self) -> str:
        """What opens it again, for messages: no password is in it."""
        return self._database.address

    @property
    def is_local(self) -> bool:
        """Whether it is a file of this machine."""
        return self._database.is_local

    def __repr__(self) -> str:
        return f"<SqlJournal {self.address}>"

    # ------------------------------------------------------------ runs

    def acquire(
        self, run_id: str, graph_name: str, owner: Owner, lease_seconds: float, metadata: Mapping[str, str]
    ) -> Lease:
        """Begin a run, or take one up again, for one owner alone."""
        database = self._database
        lease = database.write(
            lambda connection: leases.acquire(connection, database, run_id, graph_name, owner, lease_seconds, metadata)
        )
        if isinstance(lease, RunHeldError):
            raise lease
        return lease

    def renew(self, lease: Lease) -> None:
        """Let a lease be valid for its whole time again."""
        self._database.write(lambda connection: leases.renew(connection, self._database, lease))

    def release(self, lease: Lease, state: str) -> None:
        """Give a run back, and note how it ended."""
        database = self._database
        counted = None
        try:
            counted = database.read(lambda connection: count_of_run(connection, lease.run_id))
        except StoreError as error:
            # Not in the transaction that writes: one that has met a damaged page takes no COMMIT.
            if not database.is_damage(error.__cause__):
                raise
        database.write(lambda connection: leases.release(connection, database, lease, state, counted))

    def append(self, lease: Lease, batch: int, commits: Sequence[Commit], changes: Sequence[StateChange] = ()) -> None:
        """Write commits and changes of state, all or none."""
        database = self._database
        database.write(lambda connection: run_records.append(connection, database, lease, batch, commits, changes))

    def commits(self, run_id: str) -> Iterator[Commit]:
        """Yield what has committed in a run, in no order."""
        return run_records.commits(self._database, run_id)

    def find_run(self, run_id: str) -> RunSummary | None:
        """Return what is known of a run."""
        database = self._database
        found = database.read(lambda connection: run_records.summaries(connection, database, run_id))
        return found[0] if found else None

    def runs(self) -> Iterator[RunSummary]:
        """Yield all runs, the one that changed last first."""
        database = self._database
        yield from database.read(lambda connection: run_records.summaries(connection, database))

    def delete_run(self, run_id: str) -> tuple[str, ...]:
        """Delete a run and what it has committed."""
        database = self._database
        # A connection that is lost may have deleted it: what it referred to must still be told.
        names: dict[str, None] = {}

        def work(connection: Connection) -> RunHeldError | None:
            found = run_records.delete_run(connection, database, run_id)
            if isinstance(found, RunHeldError):
                return found
            names.update(dict.fromkeys(found))
            return None

        error = database.write(work)
        if error is not None:
            raise error
        return tuple(names)

    # ------------------------------------------------------------ state

    def read_state(self, namespace: str, key: str) -> StateValue | None:
        """Return a value of persistent state."""
        return self._database.read(lambda connection: state_values.read(connection, namespace, key))

    def change_state(self, changes: Sequence[StateChange]) -> None:
        """Change state outside of a run, all of it or nothing."""
        self._database.write_once(lambda connection: state_values.change(connection, changes))

    def state_keys(self, namespace: str, prefix: str = "") -> Iterator[str]:
        """Yield the keys of a namespace that begin with a prefix, sorted."""
        after: str | None = None
        while True:
            page = partial(state_values.keys, namespace=namespace, prefix=prefix, after=after, limit=_KEYS_AT_ONCE)
            found = self._database.read(page)
            yield from found
            if len(found) < _KEYS_AT_ONCE:
                return
            after = found[-1]

    def namespaces(self) -> Iterator[str]:
        """Yield the namespaces that have a value, sorted."""
        yield from self._database.read(state_values.namespaces)

    # ------------------------------------------------------------ caches

    def find_cached(self, key: str) -> CachedResult | None:
        """Return a cached result that has not expired."""
        return cache_index.find(self._database, key)

    def put_cached(self, result: CachedResult) -> None:
        """Keep a result; one of the same key is replaced."""
        self._database.write_lightly(lambda connection: cache_index.put(connection, result))

    def touch_cached(self, keys: Collection[str], used_at: float) -> None:
        """Note when results were last used."""
        self._database.write_lightly(lambda connection: cache_index.touch(connection, keys, used_at))

    def cached(self) -> Iterator[CachedResult]:
        """Yield all cached results, the one that was used longest ago first."""
        return cache_index.results(self._database)

    def delete_cached(self, keys: Collection[str]) -> None:
        """Delete cached results."""
        self._database.write(lambda connection: cache_index.forget(connection, keys))

    def claim(self, name: str, owner: Owner, seconds: float) -> bool:
        """Take a name for one owner alone."""
        database = self._database
        return database.write_lightly(lambda connection: leases.claim(connection, database, name, owner, seconds))

    def release_claim(self, name: str, owner: Owner) -> None:
        """Give a name back."""
        self._database.write_lightly(lambda connection: leases.release_claim(connection, name, owner))

    def close(self) -> None:
        """Free connections. A second call does nothing."""
        self._database.close()
