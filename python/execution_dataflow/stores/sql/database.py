"""Connections to a database, and transactions in it: what SQLite and PostgreSQL have in common."""

from __future__ import annotations

import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import SQLAlchemyError

from execution_dataflow.store_errors import StoreError
from execution_dataflow.stores.sql.schema import STEPS, prepare, stored_version
from execution_dataflow.stores.sql.segments import Segment
from execution_dataflow.stores.sql.tables import CACHE

__all__ = ["Database", "not_text"]

T = TypeVar("T")

# A statement of several rows lets go of the interpreter once for all of them, and waits for it once: a thread that
# runs operations meanwhile would otherwise make each row wait.
_ROWS_AT_ONCE = 500
# The driver and the server keep a statement in memory.
_BYTES_AT_ONCE = 16 << 20
_ADD_SEGMENTS = "INSERT INTO segments (run, commit_count, commit_keys, artifacts, data, checksum) VALUES "
# Engines that came with a fork. Freeing them would close the parent's connections: SQLite would take the file's log for
# its own, and a server would be told that the parent is leaving.
_INHERITED: list[Engine] = []
_OPEN: weakref.WeakSet[Database] = weakref.WeakSet()


class Database(ABC):
    """A pool of connections. Every method may be called from any thread, and in a process that was forked.

    Parameters
    ----------
    address : str
        For messages: no password is in it.
    """

    is_local: bool
    schema: str
    mark: str
    """What stands for a value in a statement of the driver."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.closed = False
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        _OPEN.add(self)

    @property
    def engine(self) -> Engine:
        """The pool of this process."""
        with self._lock:
            if self.closed:
                raise StoreError(f"the store {self.address} was closed; open it again")
            if self._engine is None:
                self._engine = self.connect()
            return self._engine

    def open(self) -> None:
        """Create what is missing; several processes may do so at once."""
        try:
            self.create_missing()
        except BaseException:
            self.close()
            raise

    def create_missing(self) -> None:
        """Create the tables that are not there, or refuse what is there and no store."""
        if self.read(lambda connection: stored_version(connection, self.address, self.schema)) < len(STEPS):
            self.write(self._prepare)

    def close(self) -> None:
        """Close all connections that are not in use. A second call does nothing."""
        with self._lock:
            engine, self._engine, self.closed = self._engine, None, True
        if engine is not None:
            engine.dispose()

    def after_fork(self) -> None:
        """Let go of the parent's connections without a word to anybody."""
        self._lock = threading.Lock()
        if self._engine is not None:
            _INHERITED.append(self._engine)
            self._engine = None

    def _prepare(self, connection: Connection) -> None:
        self.lock_schema(connection)
        prepare(connection, self.address, self.schema)

    @abstractmethod
    def connect(self) -> Engine:
        """Make a pool; it connects when it is used."""

    @abstractmethod
    def lock_schema(self, connection: Connection) -> None:
        """Let nobody else change the tables until this transaction ends."""

    @abstractmethod
    def read(self, work: Callable[[Connection], T]) -> T:
        """Do something that only reads in a transaction, all of whose statements see the same."""

    def cached_row(self, key: str) -> tuple[Any, ...] | None:
        """Return a row of the cache's index, in the order of its columns; ``None`` if there is none."""
        row = self.read(lambda connection: connection.execute(select(CACHE).where(CACHE.c.key == key)).first())
        return None if row is None else tuple(row)

    def is_over(self, moment: float) -> bool:
        """Return whether a moment has passed, by the store's clock."""
        return moment <= self.read(self.now)

    @abstractmethod
    def write(self, work: Callable[[Connection], T]) -> T:
        """Do something in a transaction and commit it durably; it may be called again after it was rolled back."""

    def write_lightly(self, work: Callable[[Connection], T]) -> T:
        """Do something in a transaction that a loss of power may undo: it could be done anew."""
        return self.write(work)

    @abstractmethod
    def write_once(self, work: Callable[[Connection], T]) -> T:
        """Do the same for what would do harm if it was committed twice, although nobody heard of the first time."""

    @abstractmethod
    def now(self, connection: Connection) -> float:
        """Return the time by the store's clock, in seconds of the Unix epoch."""

    def add_segments(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows of the table of segments, without ids, in the order of its columns."""
        some: list[tuple[Any, ...]] = []
        size = 0
        for index, row in enumerate(rows, 1):
            some.append(row)
            size += len(row[4])
            if len(some) == _ROWS_AT_ONCE or size > _BYTES_AT_ONCE or index == len(rows):
                marks = f"({', '.join([self.mark] * len(row))})"
                values = tuple(chain.from_iterable(some))
                connection.exec_driver_sql(_ADD_SEGMENTS + ", ".join([marks] * len(some)), values)
                some, size = [], 0

    @abstractmethod
    def error_of(self, error: SQLAlchemyError) -> StoreError:
        """Say what went wrong, for people."""

    def is_damage(self, error: BaseException | None) -> bool:
        """Return whether an error says that what is stored is damaged, and reading around it may help."""
        return False

    def readable_segments(self, connection: Connection, run: int) -> tuple[list[Segment], int]:
        """Read what can still be read of the segments of a run, the last first, and count those that cannot."""
        return [], 0


def not_text(address: str, error: UnicodeEncodeError) -> StoreError:
    """Say which name no database takes: one with half of a surrogate pair, as `os.fsdecode` makes of broken names."""
    text = error.object if len(error.object) <= 80 else f"{error.object[:80]}..."
    return StoreError(f"{address} cannot keep {text!r}: {error.reason} (position {error.start})")


def _after_fork() -> None:
    for database in list(_OPEN):
        database.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
