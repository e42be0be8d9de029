"""Addresses of databases: mistakes are named, and passwords are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from execution_dataflow.errors import MissingExtraError
from execution_dataflow.store_errors import StoreError
from execution_dataflow.stores.opening import open_store
from execution_dataflow.stores.sql import opening
from execution_dataflow.stores.sql.addresses import PostgresqlAddress, SqliteAddress
from execution_dataflow.stores.sql.opening import open_artifacts_beside, open_journal


def test_path_and_settings_of_a_file() -> None:
    address = SqliteAddress.parse("sqlite:////data/a?b/runs.db?busy_seconds=2.5&artifacts=database")
    assert address == SqliteAddress(Path("/data/a?b/runs.db").absolute(), 2.5, "database")
    assert SqliteAddress.parse(str(address)) == address
    assert SqliteAddress.parse("sqlite+pysqlite:///runs.db") == SqliteAddress(Path("runs.db").absolute())
    assert SqliteAddress.parse("sqlite:///what?.db").path.name == "what?.db"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("sqlite://runs.db", "three slashes before a path of this folder"),
        ("sqlite://", "three slashes"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "names no file: what is kept in memory would be gone"),
        ("sqlite:///runs.db?busy_second=3", "no setting 'busy_second' of SQLite.*did you mean busy_seconds"),
        ("sqlite:///runs.db?busy_seconds=soon", "busy_seconds=soon .*must be a number of seconds"),
        ("sqlite:///runs.db?busy_seconds=-1", "must be a number of seconds from 0"),
        ("sqlite:///runs.db?artifacts=here", "artifacts=here .*must be directory or database"),
        ("sqlite+aiosqlite:///runs.db", "driver pysqlite, not aiosqlite"),
        ("postgresql+asyncpg://h/d", "driver psycopg, not asyncpg"),
        ("postgresql://h/d?schema=a-b", "schema='a-b' .*letters, digits"),
        ("postgresql://h/d?reconnect_seconds=nan", "reconnect_seconds=nan .*must be a number"),
        ("postgresql://ada:secret@h:port/d", "cannot be read: its form is postgresql://user@host:port/database"),
    ],
)
def test_mistakes_are_named(address: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        open_journal(address)
    assert "secret" not in str(caught.value)


def test_password_is_nowhere_to_be_seen() -> None:
    text = "postgresql://ada:s3cret%40%2F@db.example:5433/runs?password=s3cret2&sslpassword=s3cret3&sslmode=require"
    address = PostgresqlAddress.parse(text)
    assert str(address) == "postgresql://ada@db.example:5433/runs?sslmode=require"
    assert "s3cret" not in repr(address)
    assert address.connect["password"] == "s3cret@/"
    assert address.connect == {
        "user": "ada",
        "password": "s3cret@/",
        "host": "db.example",
        "port": 5433,
        "dbname": "runs",
        "sslpassword": "s3cret3",
        "sslmode": "require",
    }


def test_server_that_is_not_there_is_an_error_at_once(unused_port: int) -> None:
    with pytest.raises(StoreError, match=r"postgresql://ada@127\.0\.0\.1:\d+/runs cannot be reached") as caught:
        open_journal(f"postgresql://ada:s3cret@127.0.0.1:{unused_port}/runs")
    assert "s3cret" not in f"{caught.value} {caught.value!r} {caught.value.__cause__} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("address", "library", "extra"),
    [("sqlite:///runs.db", "sqlalchemy", "sqlite"), ("postgresql://host/runs", "psycopg", "postgresql")],
)
def test_missing_library_is_named(
    address: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(opening, "find_spec", lambda name: None if name == library else True)
    with pytest.raises(MissingExtraError, match=rf'pip install "execution-dataflow\[{extra}\]"'):
        open_journal(address)
    assert not list(tmp_path.iterdir())


def test_artifacts_lie_in_the_database_on_request(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/runs.db?artifacts=database") as store:
        store.artifacts.write("one", [b"1"])
        assert store.artifacts.address == store.journal.address == f"sqlite:///{tmp_path}/runs.db?artifacts=database"
        assert store.artifacts.is_local
    assert [path.name for path in tmp_path.iterdir()] == ["runs.db"]


def test_artifacts_beside_need_a_journal_in_a_database() -> None:
    with pytest.raises(TypeError, match="need a SqlJournal, not str"):
        open_artifacts_beside("sqlite:///runs.db")  # type: ignore[arg-type]


def test_password_in_something_like_an_address_is_not_shown() -> None:
    with pytest.raises(ValueError, match="what was given is no address of a store") as caught:
        open_store("postgresql:ada:s3cret@db.example/runs")
    assert "s3cret" not in str(caught.value)
