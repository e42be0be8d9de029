"""What the shop knows, in SQLite: stock, reservations, packing stations, payments, shipments and every request."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["open_ledger", "set_up", "transaction"]

TABLES = """
CREATE TABLE stock (sku TEXT PRIMARY KEY, on_hand INTEGER NOT NULL CHECK (on_hand >= 0));
CREATE TABLE reservations (
    id INTEGER PRIMARY KEY, order_id TEXT NOT NULL, sku TEXT NOT NULL, quantity INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'released', 'shipped'))
);
CREATE TABLE stations (id INTEGER PRIMARY KEY, taken_by TEXT);
CREATE TABLE payments (
    id INTEGER PRIMARY KEY, order_id TEXT NOT NULL, amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'captured', 'cancelled'))
);
-- What moved on the customer's account: a charge is positive, a refund negative. Nothing is ever changed or deleted.
CREATE TABLE movements (
    id INTEGER PRIMARY KEY, payment_id INTEGER NOT NULL REFERENCES payments, amount_cents INTEGER NOT NULL
);
CREATE TABLE shipments (id INTEGER PRIMARY KEY, order_id TEXT NOT NULL, tracking TEXT NOT NULL, signature INTEGER);
-- The answers that were given, so that a request that comes again is answered again and not carried out again.
CREATE TABLE answers (key TEXT PRIMARY KEY, status INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE requests (
    id INTEGER PRIMARY KEY, method TEXT NOT NULL, path TEXT NOT NULL, key TEXT, outcome TEXT NOT NULL
);
"""


def set_up(path: Path, stock: dict[str, int], stations: int) -> None:
    """Make a new database with so much in stock and so many packing stations."""
    connection = open_ledger(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(TABLES)
        connection.executemany("INSERT INTO stock VALUES (?, ?)", stock.items())
        connection.executemany(
            "INSERT INTO stations VALUES (?, NULL)", [(number,) for number in range(1, stations + 1)]
        )
    finally:
        connection.close()


def open_ledger(path: Path) -> sqlite3.Connection:
    """Return a connection that waits for others, and in which transactions begin where they are asked for."""
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
