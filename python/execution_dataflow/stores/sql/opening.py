"""Opening a journal in a database, and artifacts beside it."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from execution_dataflow.errors import MissingExtraError
from execution_dataflow.stores.artifacts import ArtifactStore
from execution_dataflow.stores.journal import Journal
from execution_dataflow.stores.sql.addresses import PostgresqlAddress, SqliteAddress, database_of

if TYPE_CHECKING:
    from execution_dataflow.stores.sql.journal import SqlJournal

__all__ = ["open_artifacts_beside", "open_journal"]


def open_journal(address: str) -> SqlJournal:
    """Open a journal, and create what is missing.

    Parameters
    ----------
    address : str
        ``sqlite:///runs.db``, ``postgresql://user@host/database``, and settings after a question mark.

    Raises
    ------
    ValueError
        The address has a mistake.
    MissingExtraError
        SQLAlchemy or psycopg is not installed.
    StoreFormatError
        It is no store, or one of a later version.
    StoreError
        It cannot be opened.
    """
    if database_of(address) == "sqlite":
        place = SqliteAddress.parse(address)
        _need("sqlite", "a store in SQLite", "sqlalchemy")
        from execution_dataflow.stores.sql.journal import SqlJournal
        from execution_dataflow.stores.sql.sqlite_database import SqliteDatabase

        return SqlJournal(SqliteDatabase(place))
    server = PostgresqlAddress.parse(address)
    _need("postgresql", "a store in PostgreSQL", "sqlalchemy", "psycopg")
    from execution_dataflow.stores.sql.journal import SqlJournal
    from execution_dataflow.stores.sql.postgresql_database import PostgresqlDatabase

    return SqlJournal(PostgresqlDatabase(server))


def open_artifacts_beside(journal: Journal) -> ArtifactStore:
    """Open the artifacts of a journal: a directory beside a file of SQLite, otherwise the database itself."""
    from execution_dataflow.stores.sql.artifacts import DatabaseArtifacts
    from execution_dataflow.stores.sql.journal import SqlJournal
    from execution_dataflow.stores.sql.sqlite_database import SqliteDatabase

    if not isinstance(journal, SqlJournal):
        raise TypeError(f"artifacts beside a journal in a database need a SqlJournal, not {type(journal).__name__}")
    database = journal.database
    if isinstance(database, SqliteDatabase) and database.place.artifacts == "directory":
        path = database.place.path
        directory: ArtifactStore = import_module("execution_dataflow.stores.directory").DirectoryArtifacts(
            path.with_name(f"{path.name}.artifacts")
        )
        return directory
    return DatabaseArtifacts(database)


def _need(extra: str, purpose: str, *modules: str) -> None:
    if any(find_spec(module) is None for module in modules):
        raise MissingExtraError(extra, purpose)
