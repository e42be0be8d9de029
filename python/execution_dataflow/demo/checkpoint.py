"""Where the flights example keeps what has succeeded, so that it can go on after it was killed."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree

from execution_dataflow.stores.opening import Store, open_store

__all__ = ["RUN_ID", "kept_beside", "remove_kept"]

RUN_ID = "flights"


def kept_beside(database: Path) -> Store:
    """Open the store beside the database that is to be loaded: ``flights.runs.db`` for ``flights.sqlite``.

    A database that was loaded, and that somebody has removed since, is to be loaded again.
    """
    store = open_store(database.with_suffix(".runs.db"))
    if not database.exists() and any(commit.key == "load" for commit in store.journal.commits(RUN_ID)):
        store.journal.delete_run(RUN_ID)
    return store


def remove_kept(database: Path) -> None:
    """Remove that store and everything in it; the store is closed."""
    file = database.with_suffix(".runs.db")
    rmtree(f"{file}.artifacts", ignore_errors=True)
    for name in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        name.unlink(missing_ok=True)
