"""What a run has committed: batches that are written once, and rows that are checked when they are read."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from functools import partial

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from execution_dataflow.store_errors import RunHeldError, StoreError
from execution_dataflow.stores.journal import Commit, Lease, RunSummary, StateChange
from execution_dataflow.stores.sql import leases, state_values
from execution_dataflow.stores.sql.checksums import checked_commits, commit_row
from execution_dataflow.stores.sql.database import Database
from execution_dataflow.stores.sql.tables import BATCHES, COMMITS, RUNS

__all__ = ["append", "commits", "delete_run", "summaries"]

_LOGGER = logging.getLogger("execution_dataflow.stores")
# Rows that are read in one transaction: a transaction that stays open keeps SQLite's log from being written back.
_PAGE = 4096
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
        database.upsert_commits(connection, [commit_row(run, commit) for commit in commits])
    connection.execute(update(RUNS).where(RUNS.c.id == run).values(updated_at=database.now(connection)))


def commits(database: Database, run_id: str) -> Iterator[Commit]:
    """Yield what can be read of a run, page by page."""
    run = database.read(
        lambda connection: connection.execute(select(RUNS.c.id).where(RUNS.c.run_id == run_id)).scalar()
    )
    if run is None:
        return
    damaged: list[str] = []
    after, lost, more = "", 0, True
    while more:
        try:
            rows = database.read(partial(database.commits_after, run=run, after=after, limit=_PAGE))
            more = len(rows) == _PAGE
        except StoreError as error:
            if not database.is_damage(error.__cause__):
                raise
            _LOGGER.warning("%s. Until then what can be read is read around the damage", error)
            found, lost = database.read(partial(database.rows_one_by_one, run=run))
            # A key that is no text, or not the right one, is found out by its checksum.
            rows = [row for row in found if not (isinstance(row[0], str) and row[0] <= after)]
            more = False
        yield from checked_commits(run, rows, damaged)
        if more:
            after = rows[-1][0]
    _report(database, run_id, damaged, lost)


def _report(database: Database, run_id: str, damaged: Sequence[str], lost: int) -> None:
    if damaged:
        more = f" and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
        names = ", ".join(repr(name) for name in damaged[:_NAMED]) + more
        _LOGGER.warning(
            "%s: %d records of run %r are damaged (their checksums differ) and are left out, so that their operations "
            "run again: %s",
            database.address,
            len(damaged),
            run_id,
            names,
        )
    if lost:
        _LOGGER.warning(
            "%s: at least %d records of run %r cannot be read and are left out, so that their operations run again",
            database.address,
            lost,
            run_id,
        )


def summaries(connection: Connection, database: Database, run_id: str | None = None) -> list[RunSummary]:
    """Return what is known of all runs, or of one."""
    counted = select(func.count()).select_from(COMMITS).where(COMMITS.c.run == RUNS.c.id).scalar_subquery()
    chosen = select(RUNS, func.coalesce(RUNS.c.commit_count, counted).label("commits"))
    chosen = chosen.order_by(RUNS.c.updated_at.desc(), RUNS.c.id.desc())
    if run_id is not None:
        chosen = chosen.where(RUNS.c.run_id == run_id)
    rows = connection.execute(chosen).mappings().all()
    now = database.now(connection)
    return [_summary(row, now) for row in rows]


def _summary(row: RowMapping, now: float) -> RunSummary:
    holder = leases.holder_of(row)
    left = leases.seconds_left(row["lease_ends"], row["lease_seconds"], now) if holder is not None else 0.0
    return RunSummary(
        run_id=row["run_id"],
        graph_name=row["graph_name"],
        state=row["state"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        commits=row["commits"],
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
    texts = connection.execute(select(COMMITS.c.artifacts).where(COMMITS.c.run == run, COMMITS.c.artifacts != ""))
    names = dict.fromkeys(name for text in texts.scalars() for name in text.split("\n"))
    for table in (COMMITS, BATCHES):
        connection.execute(delete(table).where(table.c.run == run))
    connection.execute(delete(RUNS).where(RUNS.c.id == run))
    return list(names)
