"""The tables of a store, and the ordered steps that lead from one version of them to the next.

A step is never changed once it was released: files of that version are out there. A new version is one more step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, inspect, text

from execution_dataflow.store_errors import StoreFormatError

__all__ = ["STEPS", "TYPES", "prepare", "stored_version"]

# What a step calls a type, in each database. Text is compared by code points everywhere, as Python does.
TYPES: Mapping[str, Mapping[str, str]] = {
    "sqlite": {
        "identity": "INTEGER PRIMARY KEY",
        "integer": "INTEGER",
        "real": "REAL",
        "text": "TEXT",
        "bytes": "BLOB",
        "by_key": " WITHOUT ROWID",
    },
    "postgresql": {
        "identity": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "integer": "BIGINT",
        "real": "DOUBLE PRECISION",
        "text": 'TEXT COLLATE "C"',
        "bytes": "BYTEA",
        "by_key": "",
    },
}

_VERSION_1 = (
    "CREATE TABLE store_format (version {integer} NOT NULL)",
    "INSERT INTO store_format (version) VALUES (0)",
    """
    CREATE TABLE runs (
        id {identity},
        run_id {text} NOT NULL UNIQUE,
        graph_name {text} NOT NULL,
        state {text} NOT NULL,
        created_at {real} NOT NULL,
        updated_at {real} NOT NULL,
        metadata {text} NOT NULL,
        leases {integer} NOT NULL,
        owner_token {text},
        owner_host {text} NOT NULL,
        owner_process {integer} NOT NULL,
        owner_started {text} NOT NULL,
        lease_seconds {real} NOT NULL,
        lease_ends {real} NOT NULL,
        commit_count {integer}
    )
    """,
    """
    CREATE TABLE batches (
        run {integer} NOT NULL,
        epoch {integer} NOT NULL,
        batch {integer} NOT NULL,
        PRIMARY KEY (run, epoch, batch)
    ){by_key}
    """,
    # Many commits in one row; the index leads round a damaged page.
    """
    CREATE TABLE segments (
        id {identity},
        run {integer} NOT NULL,
        commit_count {integer} NOT NULL,
        commit_keys {text} NOT NULL,
        artifacts {text} NOT NULL,
        data {bytes} NOT NULL,
        checksum {integer} NOT NULL
    )
    """,
    "CREATE INDEX segments_of_run ON segments (run, id)",
    """
    CREATE TABLE state (
        namespace {text} NOT NULL,
        key {text} NOT NULL,
        value {bytes},
        version {integer} NOT NULL,
        checksum {integer} NOT NULL,
        PRIMARY KEY (namespace, key)
    )
    """,
    """
    CREATE TABLE cache (
        key {text} NOT NULL PRIMARY KEY,
        operation {text} NOT NULL,
        outputs {bytes} NOT NULL,
        artifacts {text} NOT NULL,
        size {integer} NOT NULL,
        seconds {real} NOT NULL,
        created_at {real} NOT NULL,
        used_at {real} NOT NULL,
        expires_at {real},
        checksum {integer} NOT NULL
    )
    """,
    "CREATE INDEX cache_by_use ON cache (used_at, key)",
    """
    CREATE TABLE claims (
        name {text} NOT NULL PRIMARY KEY,
        owner_token {text} NOT NULL,
        owner_host {text} NOT NULL,
        owner_process {integer} NOT NULL,
        owner_started {text} NOT NULL,
        seconds {real} NOT NULL,
        ends {real} NOT NULL
    )
    """,
    """
    CREATE TABLE artifacts (
        id {identity},
        name {text} NOT NULL UNIQUE,
        size {integer} NOT NULL,
        written_at {real} NOT NULL
    )
    """,
    """
    CREATE TABLE artifact_parts (
        artifact {integer} NOT NULL,
        number {integer} NOT NULL,
        data {bytes} NOT NULL,
        PRIMARY KEY (artifact, number)
    )
    """,
)

STEPS: list[Sequence[str]] = [_VERSION_1]
"""Step ``n`` makes version ``n + 1`` of version ``n``; version 0 is an empty database."""


def stored_version(connection: Connection, address: str, schema: str) -> int:
    """Return the version of what is in a schema of a database, 0 if it is empty.

    Raises
    ------
    StoreFormatError
        It is no store, or one of a later version of this package.
    """
    tables = set(inspect(connection).get_table_names(schema=schema))
    if not tables:
        return 0
    if "store_format" not in tables:
        raise StoreFormatError(
            f"{address} is a database of something else: it has the tables {', '.join(sorted(tables)[:5])} and none of "
            "a store; give the store a file (or schema=) of its own"
        )
    version = connection.execute(text("SELECT max(version) FROM store_format")).scalar()
    if not isinstance(version, int) or version < 1:
        raise StoreFormatError(f"{address} has no version that can be read in its table store_format")
    if version > len(STEPS):
        raise StoreFormatError(
            f"{address} was written by a later version of execution-dataflow: its format is {version}, and this one "
            f"reads up to {len(STEPS)}; install that version, or use another store"
        )
    return version


def prepare(connection: Connection, address: str, schema: str) -> None:
    """Bring a schema to the present version, within the transaction of a connection that nobody else may write in."""
    types = TYPES[connection.dialect.name]
    for number in range(stored_version(connection, address, schema), len(STEPS)):
        for statement in STEPS[number]:
            connection.exec_driver_sql(statement.format(**types))
        connection.execute(text("UPDATE store_format SET version = :version"), {"version": number + 1})
