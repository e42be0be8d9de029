"""The tables of a store and their versions: files of every version that there ever was can be opened."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import inspect

from execution_dataflow.store_errors import StoreError, StoreFormatError
from execution_dataflow.stores.journal import CachedResult, Commit, StateChange, StateValue
from execution_dataflow.stores.owners import new_owner
from execution_dataflow.stores.sql import schema
from execution_dataflow.stores.sql.opening import open_journal
from execution_dataflow.stores.sql.tables import METADATA

# Written by `write_store` below when version 1 was the newest.
VERSION_1 = Path(__file__).parents[1] / "data" / "store-version-1.sqlite"

COMMITS = [
    Commit(
        "load", bytes(range(48)), 1, 1_700_000_000.125, 1_700_000_001.25, b"\x01rows", ("ab/load-0.npy", "cd/x.arrow")
    ),
    Commit("clean/parse", bytes(48), 3, 1_700_000_002.0, 1_700_000_003.5, b"", ()),
    Commit("größe[17]", b"\xff" * 48, 2, 1_700_000_004.0, 1_700_000_005.0, bytes(range(256)), ("ef/one",)),
]
CACHED = CachedResult("c0ffee", "clean", b"cached", ("gh/two",), 4096, 1.5, 1_700_000_000.0, 1_700_000_009.0, None)


def write_store(path: Path) -> None:
    """Write a store with something of everything, in small pages."""
    journal = open_journal(f"sqlite:///{path}")
    lease = journal.acquire("2026-11-23", "etl", new_owner(), 60.0, {"graph": "flows:etl"})
    journal.append(lease, 1, COMMITS, [StateChange("loader", "watermark", b"17")])
    journal.append(lease, 2, [], [StateChange("loader", "watermark", b"18"), StateChange("loader", "gone", b"x")])
    journal.change_state([StateChange("loader", "gone", None)])
    journal.put_cached(CACHED)
    journal.release(lease, "FAILED")
    journal.close()
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA journal_mode = DELETE", "PRAGMA page_size = 512", "VACUUM"):
        connection.execute(statement)
    connection.close()


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return Path(shutil.copy(VERSION_1, tmp_path / "runs.db"))


def holds_everything(path: Path) -> None:
    journal = open_journal(f"sqlite:///{path}")
    assert sorted(journal.commits("2026-11-23")) == sorted(COMMITS)
    summary = journal.find_run("2026-11-23")
    assert summary is not None
    assert (summary.graph_name, summary.state, summary.commits, summary.epoch) == ("etl", "FAILED", 3, 1)
    assert (summary.metadata, summary.holder) == ({"graph": "flows:etl"}, None)
    assert journal.read_state("loader", "watermark") == StateValue(b"18", 2)
    assert journal.read_state("loader", "gone") is None
    assert list(journal.cached()) == [CACHED]
    # And it goes on from there.
    lease = journal.acquire("2026-11-23", "etl", new_owner(), 60.0, {})
    assert lease.epoch == 1
    journal.append(lease, 1, [COMMITS[0]._replace(key="another")], [StateChange("loader", "gone", b"y", expected=0)])
    assert len(list(journal.commits("2026-11-23"))) == 4
    assert journal.read_state("loader", "gone") == StateValue(b"y", 2)
    journal.close()


def test_file_of_version_1_is_read(golden: Path) -> None:
    with sqlite3.connect(golden) as connection:
        assert connection.execute("SELECT version FROM store_format").fetchall() == [(1,)]
    connection.close()
    holds_everything(golden)


def test_file_of_version_1_is_brought_to_a_later_version(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [*schema.STEPS, ["ALTER TABLE runs ADD COLUMN note {text}"], ["CREATE TABLE notes (id {identity})"]]
    monkeypatch.setattr(schema, "STEPS", steps)
    monkeypatch.setattr("execution_dataflow.stores.sql.database.STEPS", steps)
    holds_everything(golden)
    assert columns_of(golden, "runs")[-1] == "note"
    assert columns_of(golden, "notes") == ["id"]
    # Once is enough.
    journal = open_journal(f"sqlite:///{golden}")
    journal.close()
    monkeypatch.undo()
    with pytest.raises(StoreFormatError, match=r"later version of execution-dataflow: its format is 3, .* up to 1;"):
        open_journal(f"sqlite:///{golden}")


def columns_of(path: Path, table: str) -> list[str]:
    with sqlite3.connect(path) as connection:
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    connection.close()
    return names


def test_step_that_fails_changes_nothing(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = columns_of(golden, "runs")
    steps: list[Sequence[str]] = [
        *schema.STEPS,
        ["ALTER TABLE runs ADD COLUMN note {text}", "CREATE TABLE runs (id {integer})"],
    ]
    monkeypatch.setattr(schema, "STEPS", steps)
    monkeypatch.setattr("execution_dataflow.stores.sql.database.STEPS", steps)
    with pytest.raises(StoreError, match="already exists"):
        open_journal(f"sqlite:///{golden}")
    monkeypatch.undo()
    assert columns_of(golden, "runs") == before
    holds_everything(golden)


def test_store_written_now_is_the_newest_version(tmp_path: Path) -> None:
    write_store(tmp_path / "runs.db")
    holds_everything(tmp_path / "runs.db")


def test_tables_are_what_the_steps_make(tmp_path: Path) -> None:
    journal = open_journal(f"sqlite:///{tmp_path / 'runs.db'}")
    made = inspect(journal.database.engine)
    assert set(made.get_table_names()) == {*METADATA.tables, "store_format"}
    for name, table in METADATA.tables.items():
        assert [column["name"] for column in made.get_columns(name)] == table.c.keys(), name
    journal.close()


def test_version_that_is_missing_is_a_broken_store(golden: Path) -> None:
    with sqlite3.connect(golden) as connection:
        connection.execute("DELETE FROM store_format")
    connection.close()
    with pytest.raises(StoreFormatError, match="no version that can be read"):
        open_journal(f"sqlite:///{golden}")
