"""Reading around damaged pages of a SQLite file.

A table and its index are separate trees of pages. Where the index is whole, it tells every row id of a run; where it is
not, ids are tried. Ranges of ids are halved around what cannot be read, so a damaged leaf costs its own rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from execution_dataflow.stores.sql.checksums import CommitRow

__all__ = ["rows_one_by_one"]

_COLUMNS = "key, fingerprint, attempt, started, ended, outputs, artifacts, checksum"
_IDS = "SELECT rowid FROM commits INDEXED BY sqlite_autoindex_commits_1 WHERE run = ? ORDER BY rowid"
_LAST_ID = "SELECT max(rowid) FROM commits"
# NOT INDEXED leaves row ids, which need no index.
_ROWS = f"SELECT {_COLUMNS} FROM commits NOT INDEXED WHERE rowid BETWEEN ? AND ? AND run = ?"
# How many ids are tried where not even the last one can be read, and how often a range may fail: an inner page that is
# damaged takes thousands of leaves with it.
_IDS_TRIED = 1 << 24
_MOST_FAILURES = 100_000


def rows_one_by_one(connection: Connection, run: int) -> tuple[list[CommitRow], int]:
    """Read what can be read of the commits of a run.

    Parameters
    ----------
    connection : Connection
        To a SQLite file.
    run : int
        The number of the run.

    Returns
    -------
    tuple
        The rows, and how many others there are at least.
    """
    ids: Sequence[int]
    try:
        ids = [row[0] for row in connection.exec_driver_sql(_IDS, (run,))]
        known = True
    except DBAPIError:
        ids, known = range(1, _last_id(connection) + 1), False
    found: list[CommitRow] = []
    lost = failures = 0
    waiting = [(0, len(ids))] if len(ids) else []
    while waiting:
        first, end = waiting.pop()
        try:
            parameters = (ids[first], ids[end - 1], run)
            found.extend(tuple(row) for row in connection.exec_driver_sql(_ROWS, parameters).fetchall())
        except DBAPIError:
            failures += 1
            if end - first == 1 or failures > _MOST_FAILURES:
                lost += end - first
            else:
                middle = (first + end) // 2
                waiting += [(first, middle), (middle, end)]
    # Ids that were only tried may never have been those of a row of this run.
    return found, lost if known else min(lost, 1)


def _last_id(connection: Connection) -> int:
    try:
        return int(connection.exec_driver_sql(_LAST_ID).scalar() or 0)
    except DBAPIError:
        return _IDS_TRIED
