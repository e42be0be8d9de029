"""SQLite: one file with a write-ahead log, in which several processes read while one writes."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from execution_dataflow.store_errors import StoreError, StoreFormatError
from execution_dataflow.stores.sql import segments
from execution_dataflow.stores.sql.addresses import SqliteAddress
from execution_dataflow.stores.sql.damaged_pages import readable_rows
from execution_dataflow.stores.sql.database import Database, not_text
from execution_dataflow.stores.sql.segments import Segment

__all__ = ["SqliteDatabase"]

T = TypeVar("T")

_LOGGER = logging.getLogger("execution_dataflow.stores")

# In the order of the columns of the table.
_FIND_CACHED = (
    "SELECT key, operation, outputs, artifacts, size, seconds, created_at, used_at, expires_at, checksum "
    "FROM cache WHERE key = ?"
)


class SqliteDatabase(Database):
    """A file.

    A transaction is in the log, and the log synchronised with the disk, before `write` returns: ``synchronous=FULL`` in
    WAL mode, with F_FULLFSYNC on macOS, where fsync alone leaves data in the drive. With the mode's more usual
    ``NORMAL`` a loss of power could take back what was committed last.

    Parameters
    ----------
    address : SqliteAddress
        The file, and settings.
    clock : callable
        Tells the time, in seconds of the Unix epoch.
    """

    is_local = True
    schema = "main"
    mark = "?"

    def __init__(self, address: SqliteAddress, clock: Callable[[], float] = time.time) -> None:
        super().__init__(str(address))
        self.place = address
        self._clock = clock
        # Threads that wait for SQLite's own lock sleep and try again; one that waits here is next.
        self._writing = threading.Lock()
        self._reopening = threading.Lock()
        self._file: tuple[int, int] | None = None

    def after_fork(self) -> None:  # noqa: D102
        super().after_fork()
        self._writing = threading.Lock()
        self._reopening = threading.Lock()

    def connect(self) -> Engine:  # noqa: D102
        engine = create_engine(
            "sqlite+pysqlite://",
            creator=self._connection,
            poolclass=QueuePool,
            pool_size=4,
            # As many as threads ask for at once: nobody waits here for a connection that waits for a lock.
            max_overflow=-1,
            pool_use_lifo=True,
            hide_parameters=True,
        )
        event.listen(engine, "begin", _begin)
        return engine

    def _connection(self) -> sqlite3.Connection:
        # isolation_level=None: the module begins no transactions by itself.
        connection = sqlite3.connect(
            self.place.path, timeout=self.place.busy_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            self._set_up(connection)
        except BaseException:
            connection.close()
            raise
        if self._file is None:
            self._file = self._file_now()
        return connection

    def _file_now(self) -> tuple[int, int] | None:
        """What tells the file that is there now from another one of its name; ``None`` if there is none."""
        try:
            found = os.stat(self.place.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _is_replaced(self) -> bool:
        return self._file is not None and self._file_now() != self._file

    def _reopen_if_replaced(self) -> None:
        """Open what is there now if our file was deleted, or another one put in its place: nobody else sees ours.

        Runs that were under way have lost their lease then. SQLite does not touch the log of the new file when it
        closes the old one.
        """
        if not self._is_replaced():
            return
        with self._reopening:
            if not self._is_replaced():
                return
            _LOGGER.warning("%s was deleted or replaced while it was open, and is opened anew", self.place.path)
            with self._lock:
                engine, self._engine, self._file = self._engine, None, None
            if engine is not None:
                engine.dispose()
            self.create_missing()

    def _set_up(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
        connection.execute("PRAGMA cache_size = -16000")
        if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal" or not self._may_change(connection):
            return
        # Changing the mode does not wait for others as transactions do.
        deadline = time.monotonic() + self.place.busy_seconds
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if _code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > deadline:
                    raise
            time.sleep(0.01)

    @staticmethod
    def _may_change(connection: sqlite3.Connection) -> bool:
        """Whether a file is empty or ours: the journal mode of others is their affair."""
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return not tables or "store_format" in tables

    def lock_schema(self, connection: Connection) -> None:
        """The transaction itself lets nobody else write."""

    def read(self, work: Callable[[Connection], T]) -> T:  # noqa: D102
        with self._explaining(), self.engine.connect() as connection:
            transaction = connection.begin()
            try:
                return work(connection)
            finally:
                # After it has met a damaged page, SQLite takes no COMMIT, even of nothing.
                transaction.rollback()

    def write(self, work: Callable[[Connection], T]) -> T:  # noqa: D102
        self._reopen_if_replaced()
        with self._explaining(), self._writing, self.engine.connect() as connection:
            connection.execution_options(writes=True)
            with connection.begin():
                return work(connection)

    def cached_row(self, key: str) -> tuple[Any, ...] | None:
        """A cache is asked before each operation, and SQLAlchemy takes 20 times what this statement takes."""
        with self._explaining():
            pooled = self.engine.raw_connection()
            try:
                row: tuple[Any, ...] | None = pooled.cursor().execute(_FIND_CACHED, (key,)).fetchone()
            finally:
                pooled.close()
            return row

    def write_lightly(self, work: Callable[[Connection], T]) -> T:
        """The file stays whole, and nobody waits for the disk."""
        self._reopen_if_replaced()
        with self._explaining(), self._writing, self.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.execute("PRAGMA synchronous = NORMAL")
            try:
                connection.execution_options(writes=True)
                with connection.begin():
                    return work(connection)
            finally:
                driver.execute("PRAGMA synchronous = FULL")

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Raise errors of the library as those of a store, which say what to do."""
        try:
            yield
        except SQLAlchemyError as error:
            raise self.error_of(error) from error
        except sqlite3.Error as error:
            raise self.error_of_sqlite(error) from error
        except UnicodeEncodeError as error:
            raise not_text(self.address, error) from error

    def is_over(self, moment: float) -> bool:  # noqa: D102
        return moment <= self._clock()

    def write_once(self, work: Callable[[Connection], T]) -> T:
        """A commit to a file answers, and nothing is ever tried again."""
        return self.write(work)

    def now(self, connection: Connection) -> float:  # noqa: D102
        return self._clock()

    def is_damage(self, error: BaseException | None) -> bool:  # noqa: D102
        original = error.orig if isinstance(error, DBAPIError) else error
        return isinstance(original, sqlite3.Error) and _code(original) == sqlite3.SQLITE_CORRUPT

    def readable_segments(self, connection: Connection, run: int) -> tuple[list[Segment], int]:  # noqa: D102
        rows, lost = readable_rows(connection, segments.COLUMNS, "segments", "segments_of_run", run)
        return sorted(rows, key=itemgetter(0), reverse=True), lost

    def error_of(self, error: SQLAlchemyError) -> StoreError:  # noqa: D102
        original = error.orig if isinstance(error, DBAPIError) else None
        if isinstance(original, sqlite3.Error):
            return self.error_of_sqlite(original)
        return StoreError(f"{self.address}: {original or error}")

    def error_of_sqlite(self, error: sqlite3.Error) -> StoreError:
        """Say what an error of SQLite means and what to do."""
        path = self.place.path
        match _code(error):
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return StoreError(
                    f"another process has kept {path} locked for {self.place.busy_seconds:g} s: end it (one that only "
                    "looked into the file may have left a transaction open), or wait longer with ?busy_seconds= in the "
                    "address"
                )
            case sqlite3.SQLITE_FULL:
                return StoreError(f"there is no room for {path}: the disk is full. What was committed before is kept")
            case sqlite3.SQLITE_READONLY:
                return StoreError(f"{path} cannot be written: the file or its directory is read-only for this user")
            case sqlite3.SQLITE_CANTOPEN:
                return StoreError(
                    f"{path} cannot be opened: {self._why_not_opened()}. A store is a file in a directory that this "
                    "user may write to"
                )
            case sqlite3.SQLITE_NOTADB:
                return StoreFormatError(
                    f"{path} is no SQLite database, or its first bytes were overwritten: name another file, or restore "
                    "it from a backup"
                )
            case sqlite3.SQLITE_CORRUPT:
                return StoreError(
                    f"{path} is damaged ({error}): move it and its -wal file away and restore it from a backup, or "
                    "copy what can still be read of it with execution_dataflow.stores.sql.salvage.salvage()"
                )
            case sqlite3.SQLITE_IOERR:
                return StoreError(
                    f"{path} cannot be read or written: {error} ({getattr(error, 'sqlite_errorname', '')})"
                )
        return StoreError(f"{path}: {error}")

    def _why_not_opened(self) -> str:
        path = self.place.path
        if path.is_dir():
            return "it is a directory"
        if not path.parent.is_dir():
            return f"there is no directory {path.parent}"
        return "it is not permitted there, or there are too many open files"


def _begin(connection: Connection) -> None:
    """Begin a transaction: one that writes takes the lock at once, so that it never has to give up half way."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _code(error: sqlite3.Error) -> int:
    """The primary result code; a text that is no UTF-8 comes without one."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return sqlite3.SQLITE_CORRUPT if "decode" in str(error) else 0
    return int(code) & 0xFF
