"""Who may write to a run, and who has claimed a name: one owner, until it gives it back, ends, or is late.

The lease of a process that is late may be taken by another; the number of leases, compared in each transaction that
writes, keeps what the first one sends after that out.

Clocks jump. One that jumps ahead ends leases early, and the number of leases protects the run. One that jumps back
makes them seem to end late: nothing is valid for longer than its own duration from now on, and whoever sees such a
lease writes that down.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from execution_dataflow.store_errors import LeaseLostError, RunHeldError
from execution_dataflow.stores.journal import Lease, Owner
from execution_dataflow.stores.owners import holder_is_gone
from execution_dataflow.stores.sql.database import Database
from execution_dataflow.stores.sql.run_counts import Counted
from execution_dataflow.stores.sql.tables import BATCHES, CLAIMS, RUNS, SEGMENTS

__all__ = [
    "acquire",
    "claim",
    "held",
    "holder_of",
    "locked_run",
    "release",
    "release_claim",
    "renew",
    "seconds_left",
]

# How long after its end a claim that nobody gave back is forgotten.
_FORGET_CLAIMS_AFTER = 86_400.0
_DELETED_AT_ONCE = 1000


def acquire(
    connection: Connection,
    database: Database,
    run_id: str,
    graph_name: str,
    owner: Owner,
    lease_seconds: float,
    metadata: Mapping[str, str],
) -> Lease | RunHeldError:
    """Begin a run or take it up; the error is returned, so that the transaction is committed all the same."""
    row = connection.execute(select(RUNS).where(RUNS.c.run_id == run_id).with_for_update()).mappings().first()
    now = database.now(connection)
    values: dict[str, Any] = {
        "graph_name": graph_name,
        "state": "RUNNING",
        "updated_at": now,
        **_owner_columns(owner),
        "lease_seconds": lease_seconds,
        "lease_ends": now + lease_seconds,
        "commit_count": None,
    }
    connection.execute(delete(CLAIMS).where(CLAIMS.c.ends < now - _FORGET_CLAIMS_AFTER))
    if row is None:
        text = json.dumps(dict(metadata))
        connection.execute(insert(RUNS).values(run_id=run_id, created_at=now, leases=1, metadata=text, **values))
        return Lease(run_id, owner, 0, lease_seconds)
    # The same owner asks again when the answer to its first call was lost.
    if row["owner_token"] != owner.token and (error := held(connection, row, now)) is not None:
        return error
    text = json.dumps({**json.loads(row["metadata"]), **metadata})
    leases = row["leases"] + 1
    connection.execute(update(RUNS).where(RUNS.c.id == row["id"]).values(leases=leases, metadata=text, **values))
    connection.execute(delete(BATCHES).where(BATCHES.c.run == row["id"]))
    return Lease(run_id, owner, leases - 1, lease_seconds)


def held(connection: Connection, row: RowMapping, now: float) -> RunHeldError | None:
    """Return who holds a run, as an error; ``None`` if nobody does any more."""
    holder = holder_of(row)
    left = seconds_left(row["lease_ends"], row["lease_seconds"], now)
    if holder is None or left <= 0 or holder_is_gone(holder):
        return None
    if row["lease_ends"] > now + left:
        connection.execute(update(RUNS).where(RUNS.c.id == row["id"]).values(lease_ends=now + left))
    host = holder.host.partition("/")[0]
    return RunHeldError(row["run_id"], f"process {holder.process} on {host}", left)


def seconds_left(ends: float, seconds: float, now: float) -> float:
    """Return for how long a lease is valid: never for longer than when it was given."""
    return min(ends - now, seconds)


def holder_of(row: RowMapping) -> Owner | None:
    """Return the owner in a row of runs or claims."""
    token = row["owner_token"]
    if token is None:
        return None
    return Owner(token, row["owner_host"], row["owner_process"], row["owner_started"])


def locked_run(connection: Connection, lease: Lease) -> int:
    """Return the number of the run of a lease, and let nobody else write to it until the transaction ends.

    Raises
    ------
    LeaseLostError
        Somebody else has taken the run over, or it was given back.
    """
    found = connection.execute(
        select(RUNS.c.id, RUNS.c.leases, RUNS.c.owner_token).where(RUNS.c.run_id == lease.run_id).with_for_update()
    ).first()
    if found is None or (found[1], found[2]) != (lease.epoch + 1, lease.owner.token):
        raise LeaseLostError(lease.run_id)
    return int(found[0])


def renew(connection: Connection, database: Database, lease: Lease) -> None:
    """Let a lease be valid for its whole time from now on."""
    run = locked_run(connection, lease)
    ends = database.now(connection) + lease.seconds
    connection.execute(update(RUNS).where(RUNS.c.id == run).values(lease_ends=ends, lease_seconds=lease.seconds))


def release(connection: Connection, database: Database, lease: Lease, state: str, counted: Counted | None) -> None:
    """Give a run back, and delete rows in which nothing counts any more; nothing happens if the lease was lost."""
    try:
        run = locked_run(connection, lease)
    except LeaseLostError:
        return
    count, replaced = counted or (None, [])
    for first in range(0, len(replaced), _DELETED_AT_ONCE):
        connection.execute(delete(SEGMENTS).where(SEGMENTS.c.id.in_(replaced[first : first + _DELETED_AT_ONCE])))
    connection.execute(
        update(RUNS)
        .where(RUNS.c.id == run)
        .values(state=state, owner_token=None, lease_ends=0.0, updated_at=database.now(connection), commit_count=count)
    )
    connection.execute(delete(BATCHES).where(BATCHES.c.run == run))


def claim(connection: Connection, database: Database, name: str, owner: Owner, seconds: float) -> bool:
    """Take a name for one owner."""
    row = connection.execute(select(CLAIMS).where(CLAIMS.c.name == name).with_for_update()).mappings().first()
    now = database.now(connection)
    values = {**_owner_columns(owner), "seconds": seconds, "ends": now + seconds}
    if row is None:
        connection.execute(insert(CLAIMS).values(name=name, **values))
        return True
    holder = holder_of(row)
    left = seconds_left(row["ends"], row["seconds"], now)
    if holder is not None and holder.token != owner.token and left > 0 and not holder_is_gone(holder):
        if row["ends"] > now + left:
            connection.execute(update(CLAIMS).where(CLAIMS.c.name == name).values(ends=now + left))
        return False
    connection.execute(update(CLAIMS).where(CLAIMS.c.name == name).values(**values))
    return True


def release_claim(connection: Connection, name: str, owner: Owner) -> None:
    """Give a name back, if it is the owner's."""
    connection.execute(delete(CLAIMS).where(CLAIMS.c.name == name, CLAIMS.c.owner_token == owner.token))


def _owner_columns(owner: Owner) -> dict[str, Any]:
    return {
        "owner_token": owner.token,
        "owner_host": owner.host,
        "owner_process": owner.process,
        "owner_started": owner.process_started,
    }
