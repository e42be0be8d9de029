"""A load gives the whole new database or leaves the old one, and never takes the place of somebody else's file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from execution_dataflow.demo.database import BATCH_ROWS, foreign_content, write_database

PLANES = pl.DataFrame({"tailnum": ["N14228", "N24211"], "seats": [149, None]})


def ignore(written: int) -> None:
    pass


def rows(database: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def test_values_come_back_as_they_went(tmp_path: Path) -> None:
    database = tmp_path / "all.sqlite"
    frame = pl.DataFrame(
        {
            "i": [1, None],
            "f": [0.1, None],
            "s": ["é", None],
            "b": [True, None],
            "t": [datetime(2013, 7, 27, 1, 6), None],
        }
    )
    write_database(database, {"mixed": frame}, ignore)
    assert rows(database, "SELECT * FROM mixed") == [(1, 0.1, "é", 1, "2013-07-27 01:06"), (None,) * 5]
    types = [kind for _, _, kind, *_ in rows(database, "PRAGMA table_info(mixed)")]
    assert types == ["INTEGER", "REAL", "TEXT", "INTEGER", "TEXT"]


def test_an_empty_table_is_still_a_table(tmp_path: Path) -> None:
    write_database(tmp_path / "a.sqlite", {"planes": PLANES.clear()}, ignore)
    assert rows(tmp_path / "a.sqlite", "SELECT count(*) FROM planes") == [(0,)]


def test_progress_counts_the_rows_of_all_tables(tmp_path: Path) -> None:
    counted: list[int] = []
    many = pl.DataFrame({"n": range(2 * BATCH_ROWS + 1)})
    write_database(tmp_path / "a.sqlite", {"many": many, "planes": PLANES}, counted.append)
    assert counted == [BATCH_ROWS, 2 * BATCH_ROWS, 2 * BATCH_ROWS + 1, 2 * BATCH_ROWS + 3]


def test_a_new_load_replaces_the_old_database(tmp_path: Path) -> None:
    database = tmp_path / "a.sqlite"
    write_database(database, {"planes": PLANES}, ignore)
    write_database(database, {"fleet": PLANES}, ignore)
    assert rows(database, "SELECT name FROM sqlite_master") == [("fleet",)]
    assert list(tmp_path.iterdir()) == [database]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_load_that_stops_half_way_leaves_the_old_database(tmp_path: Path, error: type[BaseException]) -> None:
    database = tmp_path / "a.sqlite"
    write_database(database, {"planes": PLANES}, ignore)
    before = database.read_bytes()

    def stop(written: int) -> None:
        raise error

    with pytest.raises(error):
        write_database(database, {"fleet": PLANES}, stop)
    assert database.read_bytes() == before
    assert list(tmp_path.iterdir()) == [database]


def test_files_of_others_are_recognised(tmp_path: Path) -> None:
    text, other, ours, empty = (tmp_path / name for name in ("text", "other.db", "ours.db", "empty"))
    text.write_text("no database")
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (x)")
    write_database(ours, {"planes": PLANES}, ignore)
    empty.touch()
    assert foreign_content(text) == "not a SQLite database"
    assert foreign_content(other) == "another program's database"
    assert foreign_content(tmp_path) == "a folder"
    assert [foreign_content(path) for path in (ours, empty, tmp_path / "missing")] == [None] * 3


def test_a_file_of_others_is_not_replaced(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no database")
    with pytest.raises(FileExistsError, match="not a SQLite database"):
        write_database(text, {"planes": PLANES}, ignore)
    assert text.read_text() == "no database"
