"""What a run has committed: batches that are written once, and rows that are checked when they are read."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from functools import partial

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from execution_dataflow.store_errors import RunHeldError, StoreError
from execution_dataflow.stores.journal import Commit, Lease, RunSummary, StateChange
from execution_dataflow.stores.sql import leases, state_values
from execution_dataflow.stores.sql.database import Database
from execution_dataflow.stores.sql.run_counts import count_readable
from execution_dataflow.stores.sql.segments import MOST_COMMITS, Segment, keys_in, segments_of, whole_commits
from execution_dataflow.stores.sql.tables import BATCHES, RUNS, SEGMENTS

__all__ = ["append", "commits", "delete_run", "summaries"]

_LOGGER = logging.getLogger("execution_dataflow.stores")
# Rows that are read in one transaction: a transaction that stays open keeps SQLite's log from being written back.
_PAGE = 128
_LAST = (1 << 63) - 1
_NAMED = 20


def append(
    connection: Connection,
    database: Database,
    lease: Lease,
    batch: int,
    commits: Sequence[Commit],
    changes: Sequence[StateChange],
) -> None:
    """Write a batch if it is not there already.

    Batches of several threads come in any order, so each has a row of its own: the highest number tells nothing.
    """
    run = leases.locked_run(connection, lease)
    numbered = {"run": run, "epoch": lease.epoch, "batch": batch}
    there = select(BATCHES.c.batch).where(*(BATCHES.c[name] == value for name, value in numbered.items()))
    if connection.execute(there).first() is not None:
        return
    connection.execute(insert(BATCHES).values(**numbered))
    if changes:
        state_values.change(connection, changes)
    if commits:
        database.add_segments(connection, segments_of(run, commits))
    connection.execute(update(RUNS).where(RUNS.c.id == run).values(updated_at=database.now(connection)))


def commits(database: Database, run_id: str) -> Iterator[Commit]:
    """Yield what can be read of a run, page by page, the last rows first."""
    run = database.read(
        lambda connection: connection.execute(select(RUNS.c.id).where(RUNS.c.run_id == run_id)).scalar()
    )
    if run is None:
        return
    seen: set[str] = set()
    damaged: list[Segment] = []
    before, lost, more = _LAST, 0, True
    while more:
        try:
            rows = database.read(partial(_segments_before, run=run, before=before))
            more = len(rows) == _PAGE
        except StoreError as error:
            if not database.is_damage(error.__cause__):
                raise
            _LOGGER.warning("%s. Until then what can be read is read around the damage", error)
            found, lost = database.read(partial(database.readable_segments, run=run))
            rows = [row for row in found if row[0] < before]
            more = False
        if more:
            before = rows[-1][0]
        whole, broken = whole_commits(rows, seen)
        damaged += broken
        yield from whole
    _report(database, run_id, damaged, lost)


def _segments_before(connection: Connection, run: int, before: int) -> Sequence[Segment]:
    chosen = select(SEGMENTS).where(SEGMENTS.c.run == run, SEGMENTS.c.id < before)
    return [tuple(row) for row in connection.execute(chosen.order_by(SEGMENTS.c.id.desc()).limit(_PAGE))]


def _report(database: Database, run_id: str, damaged: Sequence[Segment], lost: int) -> None:
    if damaged:
        keys = [key for segment in damaged for key in keys_in(segment[3])]
        more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
        names = ", ".join(repr(name) for name in keys[:_NAMED]) + more
        _LOGGER.warning(
            "%s: %d rows of run %r are damaged (their checksums differ) and are left out, so that what they have "
            "committed runs again: %s",
            database.address,
            len(damaged),
            run_id,
            names or "what that is cannot be read",
        )
    if lost:
        _LOGGER.warning(
            "%s: at least %d rows of run %r cannot be read and are left out, so that what they have committed runs "
            "again: up to %d operations each",
            database.address,
            lost,
            run_id,
            MOST_COMMITS,
        )


def summaries(connection: Connection, database: Database, run_id: str | None = None) -> list[RunSummary]:
    """Return what is known of all runs, or of one."""
    chosen = select(RUNS).order_by(RUNS.c.updated_at.desc(), RUNS.c.id.desc())
    if run_id is not None:
        chosen = chosen.where(RUNS.c.run_id == run_id)
    rows = connection.execute(chosen).mappings().all()
    now = database.now(connection)
    return [_summary(row, _count(connection, database, row), now) for row in rows]


def _count(connection: Connection, database: Database, row: RowMapping) -> int:
    count = row["commit_count"]
    return count_readable(connection, database, row["id"]) if count is None else int(count)


def _summary(row: RowMapping, commits: int, now: float) -> RunSummary:
    holder = leases.holder_of(row)
    left = leases.seconds_left(row["lease_ends"], row["lease_seconds"], now) if holder is not None else 0.0
    return RunSummary(
        run_id=row["run_id"],
        graph_name=row["graph_name"],
        state=row["state"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        commits=commits,
        holder=holder,
        lease_seconds_left=left,
        epoch=row["leases"],
        metadata=json.loads(row["metadata"]),
    )


def delete_run(connection: Connection, database: Database, run_id: str) -> RunHeldError | list[str]:
    """Delete a run; return the artifacts that it referred to, or who holds it."""
    row = connection.execute(select(RUNS).where(RUNS.c.run_id == run_id).with_for_update()).mappings().first()
    if row is None:
        return []
    error = leases.held(connection, row, database.now(connection))
    if error is not None:
        return error
    run = row["id"]
    texts = connection.execute(select(SEGMENTS.c.artifacts).where(SEGMENTS.c.run == run, SEGMENTS.c.artifacts != ""))
    names = dict.fromkeys(name for text in texts.scalars() for name in text.split("\n"))
    for table in (SEGMENTS, BATCHES):
        connection.execute(delete(table).where(table.c.run == run))
    connection.execute(delete(RUNS).where(RUNS.c.id == run))
    return list(names)
