"""How much a run has committed, and what of it something later has replaced."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from execution_dataflow.stores.sql.database import Database
from execution_dataflow.stores.sql.segments import keys_in
from execution_dataflow.stores.sql.tables import RUNS, SEGMENTS

__all__ = ["Counted", "count_of_run", "count_readable"]

Counted: TypeAlias = tuple[int, list[int]]
"""How many keys there are, and the ids of rows in which nothing counts any more."""

_KEYS = select(SEGMENTS.c.id, SEGMENTS.c.commit_keys)


def count_of_run(connection: Connection, run_id: str) -> Counted:
    """Count what a run has committed."""
    of_run = _KEYS.join(RUNS, RUNS.c.id == SEGMENTS.c.run).where(RUNS.c.run_id == run_id)
    return _counted(connection.execute(of_run.order_by(SEGMENTS.c.id.desc())))


def count_readable(connection: Connection, database: Database, run: int) -> int:
    """Count what a run has committed, or what can still be read of that."""
    try:
        return _counted(connection.execute(_KEYS.where(SEGMENTS.c.run == run)))[0]
    except DBAPIError as error:
        if not database.is_damage(error):
            raise
        found, _ = database.readable_segments(connection, run)
        return _counted((row[0], row[3]) for row in found)[0]


def _counted(rows: Iterable[Any]) -> Counted:
    seen: set[str] = set()
    replaced = []
    for number, text in rows:
        keys, before = keys_in(text), len(seen)
        seen.update(keys)
        if keys and len(seen) == before:
            replaced.append(number)
    return len(seen), replaced
