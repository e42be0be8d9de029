"""PostgreSQL: a server that several machines write to, and whose connections may be lost at any moment.

What was lost is done again on a new connection, for as long as the address says. Nothing is done twice by that: the
number of a batch, or a mark, is written in the same transaction, and where an answer to COMMIT was lost it is there.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, create_engine, delete, event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from execution_dataflow.store_errors import StoreError
from execution_dataflow.stores.sql.addresses import PostgresqlAddress
from execution_dataflow.stores.sql.database import Database, not_text
from execution_dataflow.stores.sql.tables import BATCHES

__all__ = ["PostgresqlDatabase"]

T = TypeVar("T")

# Any number will do that other programs do not use for their own advisory locks.
_SCHEMA_LOCK = 0x0ED4_7AF1_0000_0001
# What libpq is asked for unless the address says otherwise: a server that has gone without a word is noticed within
# about half a minute, not after the hours that TCP would wait.
_PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "execution-dataflow",
}
# A process that is stopped in the middle of a transaction must not keep others from taking its run over. Durability is
# raised to what was promised if the server's default is less, and left alone if it is more.
_SESSION = """
    SELECT set_config('search_path', %s, false),
           set_config('idle_in_transaction_session_timeout', '30s', false),
           set_config('lock_timeout', '30s', false),
           set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                      ELSE current_setting('synchronous_commit') END, false)
"""
# The connection is gone, the server stops or starts, or it has too many connections just now.
_GONE = {"57P01", "57P02", "57P03", "57P05", "25P03", "53300"}
# Another transaction was in the way; a unique key is one that somebody else has created since.
_IN_THE_WAY = {"40001", "40P01", "23505", "55P03"}


class PostgresqlDatabase(Database):
    """A schema in a database of a server; several may be in one database.

    Parameters
    ----------
    address : PostgresqlAddress
        The server and the database, and settings.
    """

    is_local = False
    mark = "%s"

    def __init__(self, address: PostgresqlAddress) -> None:
        super().__init__(str(address))
        self.place = address
        self.schema = address.schema
        self._reached = False
        # Marks of transactions that are known to be over: the next one removes them.
        self._over: list[int] = []
        self._over_lock = threading.Lock()

    def after_fork(self) -> None:  # noqa: D102
        super().after_fork()
        self._over, self._over_lock = [], threading.Lock()

    def connect(self) -> Engine:  # noqa: D102
        arguments = {**_PATIENCE, **self.place.connect}
        engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: psycopg.connect(**arguments),
            pool_size=4,
            max_overflow=-1,
            pool_use_lifo=True,
            hide_parameters=True,
            use_native_hstore=False,
        )
        event.listen(engine, "connect", self._set_up)
        return engine

    def _set_up(self, connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_SESSION, (f'"{self.schema}"',))
        connection.commit()

    def lock_schema(self, connection: Connection) -> None:  # noqa: D102
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _SCHEMA_LOCK})
        there = text("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = :name")
        if connection.execute(there, {"name": self.schema}).first() is None:
            connection.exec_driver_sql(f'CREATE SCHEMA "{self.schema}"')

    def read(self, work: Callable[[Connection], T]) -> T:  # noqa: D102
        return self._repeated(work, "REPEATABLE READ")

    def write(self, work: Callable[[Connection], T]) -> T:  # noqa: D102
        return self._repeated(work, "READ COMMITTED")

    def write_once(self, work: Callable[[Connection], T]) -> T:
        """Write a mark in the same transaction; when the answer to it was lost, the mark tells whether it was done."""
        mark = {"run": 0, "epoch": 0, "batch": secrets.randbits(62)}
        results: list[T] = []
        with self._over_lock:
            over, self._over = self._over, []

        def marked(connection: Connection) -> T:
            # This waits for a transaction of ours that a lost connection has left behind, whose mark is not there yet.
            written = connection.exec_driver_sql(
                "INSERT INTO batches (run, epoch, batch) VALUES (0, 0, %s) ON CONFLICT DO NOTHING", (mark["batch"],)
            )
            if written.rowcount == 0:
                return results[-1]
            if over:
                connection.execute(delete(BATCHES).where(BATCHES.c.run == 0, BATCHES.c.batch.in_(over)))
            results.append(work(connection))
            return results[-1]

        try:
            result = self._repeated(marked, "READ COMMITTED")
        except BaseException:
            with self._over_lock:
                self._over += over
            raise
        with self._over_lock:
            self._over.append(mark["batch"])
        return result

    def close(self) -> None:  # noqa: D102
        with self._over_lock:
            over, self._over = self._over, []
        if over and not self.closed:
            try:
                with self.engine.begin() as connection:
                    connection.execute(delete(BATCHES).where(BATCHES.c.run == 0, BATCHES.c.batch.in_(over)))
            except (SQLAlchemyError, StoreError):
                # They are in nobody's way.
                pass
        super().close()

    def _repeated(self, work: Callable[[Connection], T], isolation: str) -> T:
        """Do work in a transaction, and again when the connection was lost or somebody else was in the way."""
        deadline: float | None = None
        pause = 0.02
        while True:
            try:
                with self.engine.connect() as connection:
                    connection.execution_options(isolation_level=isolation)
                    with connection.begin():
                        result = work(connection)
                    self._reached = True
                    return result
            except SQLAlchemyError as error:
                if not self._may_pass(error):
                    raise self.error_of(error) from error
                now = time.monotonic()
                deadline = now + self.place.reconnect_seconds if deadline is None else deadline
                if now + pause > deadline:
                    raise self.error_of(error) from error
            except UnicodeEncodeError as error:
                raise not_text(self.address, error) from error
            # Different for each process, so that they do not come back all at once.
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, 2.0)

    def _may_pass(self, error: SQLAlchemyError) -> bool:
        """Whether the same may succeed a little later."""
        original = error.orig if isinstance(error, DBAPIError) else None
        if not isinstance(original, psycopg.Error):
            return False
        state = original.sqlstate
        if state is None:
            # The connection was lost or could not be made. A server that never answered may not be one.
            lost = isinstance(original, psycopg.OperationalError | psycopg.InterfaceError)
            return lost and (self._reached or "starting up" in str(original))
        return state in _GONE or state in _IN_THE_WAY or state.startswith("08")

    def now(self, connection: Connection) -> float:  # noqa: D102
        # Not the beginning of the transaction, which may have waited for a lock since.
        return float(connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())::float8").scalar_one())

    def error_of(self, error: SQLAlchemyError) -> StoreError:  # noqa: D102
        original = error.orig if isinstance(error, DBAPIError) else None
        if not isinstance(original, psycopg.Error):
            return StoreError(f"{self.address}: {error}")
        said = " ".join(str(original).split())
        match original.sqlstate:
            case None if self._reached:
                return StoreError(
                    f"the connection to {self.address} was lost, and could not be made again for "
                    f"{self.place.reconnect_seconds:g} s (?reconnect_seconds= in the address says for how long to "
                    f"try): {said}"
                )
            case None:
                return StoreError(f"{self.address} cannot be reached: {said}")
            case "53100":
                return StoreError(
                    f"the disk of the server of {self.address} is full. What was committed before is kept"
                )
            case "25006":
                return StoreError(f"the server of {self.address} takes no writes now, as a standby does: {said}")
            case "42501":
                return StoreError(
                    f"the user of {self.address} lacks a right: {said}. The store is the schema {self.schema}: either "
                    "that user may create schemas in the database, or one who may does it: CREATE SCHEMA "
                    f"{self.schema} AUTHORIZATION user"
                )
            case state if state in _GONE or state in _IN_THE_WAY or state.startswith("08"):
                return StoreError(
                    f"{self.address} did not come back within {self.place.reconnect_seconds:g} s "
                    f"(?reconnect_seconds= in the address says for how long to try): {said}"
                )
        return StoreError(f"{self.address}: {said} (SQLSTATE {original.sqlstate})")
