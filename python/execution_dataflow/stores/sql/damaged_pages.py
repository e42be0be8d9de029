"""Reading around damaged pages of a SQLite file.

A table and its index are separate trees of pages. Where the index is whole, it tells every row id; where it is not, ids
are tried. Ranges of ids are halved around what cannot be read, so that a damaged leaf costs its own rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from execution_dataflow.stores.sql.checksums import Row

__all__ = ["readable_rows"]

# How many ids are tried where not even the last one can be read, and how often a range may fail: an inner page that is
# damaged takes thousands of leaves with it.
_IDS_TRIED = 1 << 24
_MOST_FAILURES = 100_000


def readable_rows(
    connection: Connection, columns: str, table: str, index: str | None = None, run: int | None = None
) -> tuple[list[Row], int]:
    """Read what can be read of a table.

    Parameters
    ----------
    connection : Connection
        To a SQLite file.
    columns, table : str
        What to read.
    index : str, optional
        An index of the table, which knows its row ids.
    run : int, optional
        The rows of this run alone.

    Returns
    -------
    tuple
        The rows, and how many others there are at least.
    """
    condition, parameters = ("", ()) if run is None else ("run = ?", (run,))
    ids, known = _row_ids(connection, table, index, condition, parameters)
    # NOT INDEXED leaves row ids, which need no index.
    statement = f"SELECT {columns} FROM {table} NOT INDEXED WHERE rowid BETWEEN ? AND ?"
    statement += f" AND {condition}" if condition else ""
    found: list[Row] = []
    lost = failures = 0
    waiting = [(0, len(ids))] if len(ids) else []
    while waiting:
        first, end = waiting.pop()
        try:
            bounds = (ids[first], ids[end - 1])
            found.extend(tuple(row) for row in connection.exec_driver_sql(statement, (*bounds, *parameters)).fetchall())
        except DBAPIError:
            failures += 1
            if end - first == 1 or failures > _MOST_FAILURES:
                lost += end - first
            else:
                middle = (first + end) // 2
                waiting += [(first, middle), (middle, end)]
    # An id that was only tried need not be that of a row.
    return found, lost if known else min(lost, 1)


def _row_ids(
    connection: Connection, table: str, index: str | None, condition: str, parameters: tuple[int, ...]
) -> tuple[Sequence[int], bool]:
    """The row ids, and whether these are really such."""
    if index is not None:
        where = f" WHERE {condition}" if condition else ""
        statement = f"SELECT rowid FROM {table} INDEXED BY {index}{where} ORDER BY rowid"
        try:
            return [row[0] for row in connection.exec_driver_sql(statement, parameters)], True
        except DBAPIError:
            pass
    try:
        return range(1, int(connection.exec_driver_sql(f"SELECT max(rowid) FROM {table}").scalar() or 0) + 1), False
    except DBAPIError:
        return range(1, _IDS_TRIED + 1), False
