"""Copying what can still be read of a damaged SQLite file into a new one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Table, insert

from execution_dataflow.store_errors import StoreError
from execution_dataflow.stores.journal import CachedResult
from execution_dataflow.stores.sql.addresses import SqliteAddress
from execution_dataflow.stores.sql.checksums import Row, cache_checksum, state_checksum
from execution_dataflow.stores.sql.damaged_pages import readable_rows
from execution_dataflow.stores.sql.database import Database
from execution_dataflow.stores.sql.segments import keys_in, segments_of, whole_commits
from execution_dataflow.stores.sql.sqlite_database import SqliteDatabase
from execution_dataflow.stores.sql.tables import CACHE, RUNS, STATE

__all__ = ["Salvaged", "salvage"]


@dataclass(frozen=True)
class Salvaged:
    """What was copied, and what could not be.

    Attributes
    ----------
    runs, commits, state_values, cached_results : int
        How many of each are in the new file.
    lost : int
        How many records at least are not: their pages cannot be read, or their checksums differ.
    """

    runs: int
    commits: int
    state_values: int
    cached_results: int
    lost: int


def salvage(damaged: str | Path, into: str | Path) -> Salvaged:
    """Copy what can be read of a damaged store to a new one.

    What is copied has the checksum that it was written with. Artifacts are not looked at: they verify themselves when
    they are read. Artifacts that were kept in the file (``?artifacts=database``) are not copied; what they were the
    outputs of is computed again.

    Parameters
    ----------
    damaged : str or Path
        The file; nothing in it is changed. Nobody else may have it open.
    into : str or Path
        A file that does not exist yet. Moved to where the damaged one was, it takes its place.

    Returns
    -------
    Salvaged
        How much was copied.

    Raises
    ------
    StoreError
        The new file exists, or nothing of the old one can be read.

    Examples
    --------
    >>> import tempfile
    >>> from execution_dataflow.stores.sql.opening import open_journal
    >>> from execution_dataflow.stores.journal import StateChange
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     journal = open_journal(f"sqlite:///{folder}/runs.db")
    ...     journal.change_state([StateChange("loader", "watermark", b"17")])
    ...     journal.close()
    ...     salvage(f"{folder}/runs.db", f"{folder}/new.db")
    Salvaged(runs=0, commits=0, state_values=1, cached_results=0, lost=0)
    """
    source, target = Path(damaged).absolute(), Path(into).absolute()
    if not source.is_file():
        raise StoreError(f"there is no file {source}")
    if target.exists():
        raise StoreError(f"{target} exists already: what is read goes into a new file")
    old, new = SqliteDatabase(SqliteAddress(source)), SqliteDatabase(SqliteAddress(target))
    try:
        new.open()
        return old.read(lambda reading: new.write(lambda writing: _copy(old, reading, new, writing)))
    finally:
        old.close()
        new.close()


def _copy(old: Database, reading: Connection, new: Database, writing: Connection) -> Salvaged:
    runs, lost = _rows(reading, RUNS, "sqlite_autoindex_runs_1")
    _write(writing, RUNS, runs)
    commits = 0
    for run in (int(row[0]) for row in runs):
        rows, unread = old.readable_segments(reading, run)
        whole, differing = whole_commits(rows, set())
        new.add_segments(writing, segments_of(run, whole))
        commits += len(whole)
        lost += unread + sum(len(keys_in(row[3])) or 1 for row in differing)
    found, unread = _rows(reading, STATE, "sqlite_autoindex_state_1")
    state = [row for row in found if _is_whole_state(row)]
    _write(writing, STATE, state)
    lost += unread + len(found) - len(state)
    found, unread = _rows(reading, CACHE, "sqlite_autoindex_cache_1")
    cached = [row for row in found if _is_whole_result(row)]
    _write(writing, CACHE, cached)
    lost += unread + len(found) - len(cached)
    return Salvaged(len(runs), commits, len(state), len(cached), lost)


def _rows(reading: Connection, table: Table, index: str) -> tuple[list[Row], int]:
    return readable_rows(reading, ", ".join(table.c.keys()), table.name, index)


def _write(writing: Connection, table: Table, rows: list[Row]) -> None:
    if rows:
        names = table.c.keys()
        writing.execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows])


def _is_whole_state(row: Row) -> bool:
    try:
        return bool(state_checksum(*row[:-1]) == row[-1])
    # What is damaged may be of another type.
    except Exception:
        return False


def _is_whole_result(row: Row) -> bool:
    try:
        names = tuple(row[3].split("\n")) if row[3] else ()
        result = CachedResult._make((*row[:3], names, *row[4:-1]))
        return bool(cache_checksum(result) == row[-1])
    except Exception:
        return False
