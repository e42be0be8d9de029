"""Writing tables into a SQLite database that is either the old one or the complete new one, and never half of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import polars as pl
from polars import selectors

__all__ = ["foreign_content", "write_database"]

# Marks the database as one that a later run may replace: the letters "NYCF".
APPLICATION_ID = 0x4E594346
BATCH_ROWS = 20_000


def write_database(database: Path, tables: Mapping[str, pl.DataFrame], report: Callable[[int], None]) -> None:
    """Write tables into a new SQLite database, which then takes the place of the old one in one step.

    Writing goes to a file beside it. Whatever goes wrong, that file is removed and the old database is as it was. Doing
    it again gives the same database.

    Parameters
    ----------
    database : Path
        The file to write. Its folder must exist.
    tables : mapping of str to polars.DataFrame
        The tables by name.
    report : callable
        Is told, now and then, how many rows are written, all tables together. It stops the writing by raising.

    Raises
    ------
    FileExistsError
        When the file exists and is not a database that this function wrote.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> database = Path(folder.name, "fleet.sqlite")
    >>> planes = pl.DataFrame({"tailnum": ["N14228", "N24211"], "seats": [149, None]})
    >>> write_database(database, {"planes": planes}, report=print)
    2
    >>> with closing(sqlite3.connect(database)) as connection:
    ...     connection.execute("SELECT * FROM planes").fetchall()
    [('N14228', 149), ('N24211', None)]
    >>> folder.cleanup()
    """
    if (content := foreign_content(database)) is not None:
        raise FileExistsError(f"{database} exists and is {content}: remove it, or name another file")
    partial = database.with_name(f".{database.name}.{uuid4().hex}.partial")
    try:
        with closing(sqlite3.connect(partial)) as connection, connection:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("BEGIN")
            written = 0
            for table, frame in tables.items():
                insert = _create_table(connection, table, frame.schema)
                # SQLite has no type for points in time: its date functions read ISO 8601 text.
                rows = frame.with_columns(selectors.datetime().dt.strftime("%Y-%m-%d %H:%M"))
                for batch in rows.iter_slices(BATCH_ROWS):
                    connection.executemany(insert, batch.rows())
                    written += batch.height
                    report(written)
        partial.replace(database)
    finally:
        partial.unlink(missing_ok=True)


def _create_table(connection: sqlite3.Connection, table: str, schema: pl.Schema) -> str:
    """Create a table, and return the statement that inserts a row."""
    columns = ", ".join(f'"{name}" {_sqlite_type(dtype)}' for name, dtype in schema.items())
    connection.execute(f'CREATE TABLE "{table}" ({columns})')
    return f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(schema))})'


def _sqlite_type(dtype: pl.DataType) -> str:
    if dtype.is_integer() or dtype == pl.Boolean:
        return "INTEGER"
    return "REAL" if dtype.is_float() else "TEXT"


def foreign_content(path: Path) -> str | None:
    """Say what a file is that must not be replaced; None when it is missing, empty, or a database from here."""
    if path.is_dir():
        return "a folder"
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            (found,) = connection.execute("PRAGMA application_id").fetchone()
    except sqlite3.DatabaseError:
        return "not a SQLite database"
    return None if found == APPLICATION_ID else "another program's database"
