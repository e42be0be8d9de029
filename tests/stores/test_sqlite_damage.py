"""A damaged file of SQLite: nothing wrong is returned, what is whole is, and it is said what to do."""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path

import pytest
from stores.stored_runs import begin, filled, keys_of, made_commits, overwrite, pages_with

from execution_dataflow.store_errors import DamagedArtifactError, StoreError, StoreFormatError
from execution_dataflow.stores.journal import CachedResult, StateChange
from execution_dataflow.stores.sql.opening import open_journal
from execution_dataflow.stores.sql.salvage import salvage

COUNT = 2000
EVERYTHING = {commit.key: commit for commit in made_commits(COUNT)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed file with a run of 2000 commits, some state and a cached result."""
    path = tmp_path / "runs.db"
    journal = open_journal(f"sqlite:///{path}")
    lease = begin(journal)
    journal.append(lease, 1, list(EVERYTHING.values()), [StateChange("loader", "watermark", b"<the watermark>")])
    journal.put_cached(CachedResult("cafe", "clean", b"<cached outputs>", (), 3, 0.5, 1.0, 2.0, None))
    journal.release(lease, "FAILED")
    journal.close()
    assert not path.with_name("runs.db-wal").exists()
    return path


def address(path: Path) -> str:
    return f"sqlite:///{path}"


def neighbours(number: int) -> set[str]:
    """What may be in the same row of the file."""
    return {f"node[{other}]" for other in range(number - 20, number + 20)}


def test_changed_byte_leaves_out_its_row_and_names_what_is_in_it(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    at = path.read_bytes().index(filled(17, 100))
    overwrite(path, at + 50, b"!")
    journal = open_journal(address(path))
    with caplog.at_level(logging.WARNING, "execution_dataflow.stores"):
        found = {commit.key: commit for commit in journal.commits("run")}
    assert found.items() <= EVERYTHING.items()
    lost = set(EVERYTHING) - set(found)
    assert "node[17]" in lost <= neighbours(17)
    assert "1 rows of run 'run' are damaged" in caplog.text
    assert all(repr(key) in caplog.text for key in lost)
    journal.close()


def test_changed_key_is_noticed_too(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"node[1234]", b"lode[1234]"))
    journal = open_journal(address(path))
    assert "node[1234]" in set(EVERYTHING) - keys_of(journal) <= neighbours(1234)
    journal.close()


@pytest.mark.parametrize("rubbish", [b"\xff" * 4096, b"\x00" * 4096, bytes(range(256)) * 16])
def test_damaged_page_costs_its_own_records(path: Path, rubbish: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (page,) = pages_with(path, filled(1000, 100))
    overwrite(path, page * 4096, rubbish)
    journal = open_journal(address(path))
    with caplog.at_level(logging.WARNING, "execution_dataflow.stores"):
        found = {commit.key: commit for commit in journal.commits("run")}
    assert found.items() <= EVERYTHING.items()
    lost = set(EVERYTHING) - set(found)
    assert "node[1000]" in lost
    assert len(lost) < 40
    assert "rows of run 'run' cannot be read and are left out, so that what they have committed runs" in caplog.text
    journal.close()


def test_damaged_index_costs_nothing(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'segments_of_run'")
    connection.close()
    overwrite(path, (page - 1) * 4096, b"\xff" * 4096)
    journal = open_journal(address(path))
    assert {commit.key: commit for commit in journal.commits("run")} == EVERYTHING
    journal.close()


def test_writing_to_a_damaged_page_says_what_to_do(path: Path) -> None:
    for page in pages_with(path, b"node["):
        overwrite(path, page * 4096, b"\xff" * 4096)
    journal = open_journal(address(path))
    with pytest.raises(
        StoreError, match=r"is damaged .*restore it from a backup, or copy what can still be read.*salvage"
    ):
        journal.append(begin(journal), 1, made_commits(1))
    journal.close()


def test_damaged_state_is_an_error_and_a_damaged_cached_result_none(path: Path) -> None:
    data = path.read_bytes()
    overwrite(path, data.index(b"<the watermark>") + 3, b"!")
    overwrite(path, data.index(b"<cached outputs>") + 3, b"!")
    journal = open_journal(address(path))
    with pytest.raises(DamagedArtifactError, match="the state 'watermark' of 'loader' is damaged"):
        journal.read_state("loader", "watermark")
    with pytest.raises(DamagedArtifactError):
        journal.change_state([StateChange("loader", "watermark", b"1", expected=1)])
    assert journal.find_cached("cafe") is None
    assert list(journal.cached()) == []
    journal.close()


def test_truncated_file_is_said_to_be_damaged_and_read_as_far_as_it_goes(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    try:
        journal = open_journal(address(path))
    except StoreError as error:
        assert "is damaged" in str(error)  # noqa: PT017 - either is right
        return
    assert keys_of(journal) < set(EVERYTHING)
    journal.close()


def test_overwritten_header_is_no_database(path: Path) -> None:
    overwrite(path, 0, b"rubbish" * 20)
    with pytest.raises(StoreFormatError, match="is no SQLite database, or its first bytes were overwritten"):
        open_journal(address(path))


def test_salvage_copies_what_is_whole(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    overwrite(path, data.index(filled(1500, 100)) + 20, b"!")
    (page,) = pages_with(path, filled(1000, 100))
    overwrite(path, page * 4096, b"\xff" * 4096)
    before = path.read_bytes()
    copied = salvage(path, tmp_path / "new.db")
    assert path.read_bytes() == before
    journal = open_journal(address(tmp_path / "new.db"))
    found = {commit.key: commit for commit in journal.commits("run")}
    assert found.items() <= EVERYTHING.items()
    # Of rows that cannot be read nobody knows how many they held.
    assert COUNT - 80 < len(found) == copied.commits
    assert 2 <= copied.lost <= COUNT - copied.commits
    assert (copied.runs, copied.state_values, copied.cached_results) == (1, 1, 1)
    value = journal.read_state("loader", "watermark")
    assert value is not None
    assert value.value == b"<the watermark>"
    # It is a store like any other.
    lease = begin(journal)
    assert lease.epoch == 1
    journal.append(lease, 1, made_commits(COUNT))
    assert keys_of(journal) == set(EVERYTHING)
    journal.close()


def test_salvage_overwrites_nothing(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="exists already"):
        salvage(path, path)
    with pytest.raises(StoreError, match="there is no file"):
        salvage(tmp_path / "none.db", tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()


def test_reading_around_damage_takes_no_time_to_speak_of(path: Path) -> None:
    # An inner page of the table: thousands of ids lead nowhere.
    for page in pages_with(path, b"node[9"):
        overwrite(path, page * 4096, b"\xff" * 4096)
    began = time.monotonic()
    journal = open_journal(address(path))
    assert keys_of(journal) < set(EVERYTHING)
    journal.close()
    assert time.monotonic() - began < 20
