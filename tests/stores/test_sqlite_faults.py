"""A journal in a file of SQLite when things go wrong around it: a clear error, and nothing committed is lost."""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from stores.stored_runs import begin, keys_of, made_commits

from execution_dataflow.store_errors import LeaseLostError, RunHeldError, StoreError, StoreFormatError
from execution_dataflow.stores.journal import StateChange
from execution_dataflow.stores.owners import new_owner
from execution_dataflow.stores.sql.addresses import SqliteAddress
from execution_dataflow.stores.sql.journal import SqlJournal
from execution_dataflow.stores.sql.opening import open_journal
from execution_dataflow.stores.sql.sqlite_database import SqliteDatabase


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def test_commits_are_synchronised_with_the_disk(path: Path) -> None:
    journal = open_journal(f"sqlite:///{path}")
    with journal.database.engine.connect() as connection:
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    assert settings == ["wal", 2]
    journal.close()


def test_several_journals_of_one_file_write_at_once(path: Path) -> None:
    code = """
import sys
import threading
from execution_dataflow.stores.sql.opening import open_journal
from stores.stored_runs import begin, made_commits
journal = open_journal(sys.argv[1])
lease = begin(journal, sys.argv[2])
for batch in range(20):
    journal.append(lease, batch, made_commits(5, f"{sys.argv[2]}-{batch}"))
journal.release(lease, "SUCCEEDED")
"""
    names = [f"run{number}" for number in range(3)]
    # The file does not exist: they make it at the same time.
    writers = [run_python(code, f"sqlite:///{path}", name) for name in names]
    said = [writer.communicate(timeout=60) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0], said
    journal = open_journal(f"sqlite:///{path}")
    assert {run.run_id: (run.commits, run.state) for run in journal.runs()} == dict.fromkeys(names, (100, "SUCCEEDED"))
    for name in names:
        assert len(keys_of(journal, name)) == 100
    journal.close()


def run_python(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    search = [str(Path(__file__).parents[1]), *sys.path]
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path[:] = {search!r}\n{code}", *arguments], stdout=subprocess.PIPE
    )


def test_process_that_is_killed_while_it_writes_leaves_whole_batches(path: Path) -> None:
    code = """
import sys
import threading
from execution_dataflow.stores.sql.opening import open_journal
from stores.stored_runs import begin, made_commits
from execution_dataflow.stores.journal import StateChange
journal = open_journal(sys.argv[1])
lease = begin(journal)
for batch in range(1, 100000):
    journal.append(lease, batch, made_commits(7, f"{batch}"), [StateChange("loader", "batches", str(batch).encode())])
    if batch == 20:
        print(flush=True)
"""
    writer = run_python(code, f"sqlite:///{path}")
    assert writer.stdout is not None
    writer.stdout.readline()
    writer.kill()
    writer.wait()
    writer.stdout.close()
    journal = open_journal(f"sqlite:///{path}")
    value = journal.read_state("loader", "batches")
    assert value is not None
    batches = int(value.value)
    assert batches >= 20
    assert keys_of(journal) == {commit.key for n in range(1, batches + 1) for commit in made_commits(7, f"{n}")}
    # Its process is gone, so nobody waits for its lease.
    assert begin(journal).epoch == 1
    journal.close()


def test_locked_file_is_an_error_after_a_while_and_none_later(path: Path) -> None:
    journal = open_journal(f"sqlite:///{path}?busy_seconds=0.2")
    lease = begin(journal)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"another process has kept .*runs\.db locked for 0\.2 s.*busy_seconds="):
        journal.append(lease, 1, made_commits(1))
    # Who only reads waits for nobody.
    assert keys_of(journal) == set()
    other.execute("ROLLBACK")
    other.close()
    journal.append(lease, 1, made_commits(1))
    assert keys_of(journal) == {"node[0]"}
    journal.close()


def test_full_disk_is_an_error_and_keeps_what_was_committed(path: Path) -> None:
    journal = open_journal(f"sqlite:///{path}")
    lease = begin(journal)
    journal.append(lease, 1, made_commits(10))
    limit_pages(journal, 60)
    change = StateChange("loader", "mark", b"1")
    with pytest.raises(StoreError, match=r"there is no room for .*runs\.db: the disk is full"):
        journal.append(lease, 2, made_commits(2000, "more"), [change])
    assert keys_of(journal) == {commit.key for commit in made_commits(10)}
    assert journal.read_state("loader", "mark") is None
    limit_pages(journal, 1 << 30)
    journal.append(lease, 2, made_commits(2000, "more"), [change])
    assert len(keys_of(journal)) == 2010
    journal.close()


def limit_pages(journal: SqlJournal, pages: int) -> None:
    """Let the file grow no more, as a disk that is full would. The one connection there is comes back to the pool."""
    with journal.database.engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


def test_disk_that_is_full_when_the_store_is_made_leaves_nothing_half_made(path: Path, tmp_path: Path) -> None:
    class Small(SqliteDatabase):
        def _set_up(self, connection: sqlite3.Connection) -> None:
            super()._set_up(connection)
            connection.execute("PRAGMA max_page_count = 5")

    with pytest.raises(StoreError, match="the disk is full"):
        SqlJournal(Small(SqliteAddress(path)))
    journal = open_journal(f"sqlite:///{path}")
    assert list(journal.runs()) == []
    journal.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="who may write is told otherwise there")
def test_read_only_file_can_be_read_and_says_why_it_is_not_written(path: Path) -> None:
    journal = open_journal(f"sqlite:///{path}")
    journal.append(begin(journal), 1, made_commits(3))
    journal.close()
    path.chmod(0o444)
    folder = path.parent

    def look() -> None:
        # Root may write everywhere.
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        journal = open_journal(f"sqlite:///{path}")
        assert len(keys_of(journal)) == 3
        with pytest.raises(StoreError, match=r"runs\.db cannot be written: the file or its directory is read-only"):
            begin(journal, "another")
        journal.close()
        with pytest.raises(StoreError, match=r"new\.db cannot be opened: it is not permitted there"):
            open_journal(f"sqlite:///{folder / 'closed' / 'new.db'}")

    (folder / "closed").mkdir(mode=0o555)
    folder.chmod(0o777)
    for parent in folder.parents[:2]:
        parent.chmod(0o755)
    in_child(look)


def in_child(action: Callable[[], None]) -> None:
    """Do something in a forked process, and fail if it fails."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Other tests of this session may have left threads, which do not matter to this child.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            action()
            os.write(writing, b"ok")
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode()[:4000])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        answer = said.read()
    os.waitpid(child, 0)
    assert answer == b"ok", answer.decode()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_forked_child_has_connections_of_its_own(path: Path) -> None:
    journal = open_journal(f"sqlite:///{path}")
    journal.append(begin(journal, "parent"), 1, made_commits(3))

    def write() -> None:
        lease = begin(journal, "child")
        journal.append(lease, 1, made_commits(2))
        journal.release(lease, "SUCCEEDED")
        journal.close()

    in_child(write)
    # The log was not taken from the parent when the child closed its own.
    journal.append(begin(journal, "parent again"), 1, made_commits(4))
    assert {run.run_id: run.commits for run in journal.runs()} == {"parent": 3, "child": 2, "parent again": 4}
    journal.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_places_where_no_file_can_be_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened: it is a directory"):
        open_journal(f"sqlite:///{tmp_path}")
    with pytest.raises(StoreError, match=r"cannot be opened: there is no directory .*none"):
        open_journal(f"sqlite:///{tmp_path}/none/runs.db")


def test_file_of_something_else_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreFormatError, match=r"is a database of something else: it has the tables customers"):
        open_journal(f"sqlite:///{path}")
    assert path.read_bytes() == before
    path.write_text("Dear diary, this is no database. " * 100)
    with pytest.raises(StoreFormatError, match="is no SQLite database"):
        open_journal(f"sqlite:///{path}")


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def test_clock_that_jumps_ahead_lets_one_alone_write(path: Path) -> None:
    clock = Clock()
    journal = SqlJournal(SqliteDatabase(SqliteAddress(path), clock))
    first = begin(journal)
    journal.append(first, 1, made_commits(1, "first"))
    clock.ahead = 3600
    second = begin(journal)
    for refused in (lambda: journal.append(first, 2, made_commits(1, "late")), lambda: journal.renew(first)):
        with pytest.raises(LeaseLostError):
            refused()
    journal.append(second, 1, made_commits(1, "second"))
    assert keys_of(journal) == {"first[0]", "second[0]"}
    journal.close()


def test_clock_that_jumps_back_holds_no_run_for_ever(path: Path) -> None:
    clock = Clock()
    journal = SqlJournal(SqliteDatabase(SqliteAddress(path), clock))
    begin(journal, seconds=30)
    assert journal.claim("cache/cafe", new_owner(), 30)
    clock.ahead = -86_400
    with pytest.raises(RunHeldError) as caught:
        begin(journal)
    assert 29 < caught.value.expires_in_seconds <= 30
    assert not journal.claim("cache/cafe", new_owner(), 30)
    summary = journal.find_run("run")
    assert summary is not None
    assert 29 < summary.lease_seconds_left <= 30
    # Nobody renews it: by the new time it ends as well.
    clock.ahead += 31
    assert begin(journal).epoch == 1
    assert journal.claim("cache/cafe", new_owner(), 30)
    journal.close()


def test_name_that_is_no_text_is_refused_and_leaves_nothing(path: Path) -> None:
    journal = open_journal(f"sqlite:///{path}")
    lease = begin(journal)
    with pytest.raises(StoreError, match=r"cannot keep 'half\\udc80.*surrogates not allowed"):
        journal.append(lease, 1, made_commits(2), [StateChange("loader", "half\udc80", b"1")])
    with pytest.raises(StoreError, match="cannot keep"):
        journal.change_state([StateChange("loader", "half\udc80", b"1")])
    assert keys_of(journal) == set()
    # The names of operations lie in a form that keeps them all.
    journal.append(lease, 1, made_commits(2, "half\udc80"))
    assert keys_of(journal) == {"half\udc80[0]", "half\udc80[1]"}
    journal.close()


@pytest.mark.skipif(os.name == "nt", reason="a file that is open is not deleted there")
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_file_that_was_deleted_while_it_was_open_is_not_written(
    path: Path, tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack:

        def opened(file: Path) -> SqlJournal:
            journal = open_journal(f"sqlite:///{file}")
            stack.callback(journal.close)
            return journal

        journal, other = opened(path), opened(tmp_path / "other.db")
        lease = begin(journal, "run")
        journal.append(lease, 1, made_commits(2))
        begin(other, "another")
        for ending in ("", "-wal", "-shm"):
            Path(f"{path}{ending}").unlink()
        if how == "replaced":
            other.close()
            (tmp_path / "other.db").rename(path)
        with pytest.raises(LeaseLostError, match="or its store was deleted"):
            journal.append(lease, 2, made_commits(3))
        assert "was deleted or replaced while it was open" in caplog.text
        # Somebody else and this journal see the same from now on.
        journal.append(begin(journal, "run"), 1, made_commits(1))
        with pytest.raises(RunHeldError):
            begin(opened(path), "run")
        # The old connections leave the log of the new file alone when they go.
        gc.collect()
        late = opened(path)
        assert len(keys_of(late, "run")) == 1
        assert {run.run_id for run in late.runs()} == ({"run"} if how == "deleted" else {"run", "another"})


def test_closed_journal_says_so(path: Path) -> None:
    journal = open_journal(f"sqlite:///{path}")
    journal.close()
    with pytest.raises(StoreError, match=r"the store sqlite:///.*runs\.db was closed; open it again"):
        journal.find_run("run")


def test_busy_threads_do_not_hold_up_what_is_written(path: Path) -> None:
    journal = open_journal(f"sqlite:///{path}")
    lease = begin(journal)
    over = threading.Event()

    def spin() -> None:
        while not over.is_set():
            sum(range(100))

    spinning = threading.Thread(target=spin)
    spinning.start()
    try:
        began = time.monotonic()
        journal.append(lease, 1, made_commits(2000))
        took = time.monotonic() - began
    finally:
        over.set()
        spinning.join()
    # 5 ms for each time that the interpreter's lock was let go of: 10 s for 2000 rows, were it once for each.
    assert took < 4
    assert len(keys_of(journal)) == 2000
    journal.close()
