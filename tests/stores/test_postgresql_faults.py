"""A journal in PostgreSQL when connections and the server go away: everything is written, and once."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from services import PostgresServer
from sqlalchemy import event
from stores.stored_runs import begin, keys_of, made_commits

from execution_dataflow.store_errors import StateConflictError, StoreError, StoreFormatError
from execution_dataflow.stores.journal import Journal, StateChange, StateValue
from execution_dataflow.stores.sql import database
from execution_dataflow.stores.sql.artifacts import DatabaseArtifacts
from execution_dataflow.stores.sql.journal import SqlJournal
from execution_dataflow.stores.sql.opening import open_journal


@pytest.fixture
def journal(postgres: PostgresServer, schema: str) -> Iterator[SqlJournal]:
    opened = open_journal(postgres.address(schema))
    yield opened
    opened.close()


def lose_the_next_answer_to_commit(journal: SqlJournal, before: bool = False) -> list[str]:
    """Let the connection break when the next transaction commits: just before that, or when it has done so."""
    dialect = journal.database.engine.dialect
    original = dialect.do_commit
    lost: list[str] = []

    def commit_and_lose(connection: Any) -> None:
        dialect.do_commit = original
        lost.append("lost")
        if not before:
            original(connection)
        connection.dbapi_connection.close() if hasattr(connection, "dbapi_connection") else connection.close()
        raise psycopg.OperationalError("the connection is lost")

    dialect.do_commit = commit_and_lose  # type: ignore[method-assign]
    return lost


@pytest.mark.parametrize("before", [False, True])
def test_batch_whose_answer_was_lost_is_written_once(journal: SqlJournal, before: bool) -> None:
    lease = begin(journal)
    lost = lose_the_next_answer_to_commit(journal, before)
    # Were it written twice, the second time would find another version.
    journal.append(lease, 1, made_commits(3), [StateChange("loader", "count", b"1", expected=0)])
    assert lost == ["lost"]
    assert journal.read_state("loader", "count") == StateValue(b"1", 1)
    assert len(keys_of(journal)) == 3


@pytest.mark.parametrize("before", [False, True])
def test_change_of_state_whose_answer_was_lost_is_made_once(journal: SqlJournal, before: bool) -> None:
    for version in range(3):
        lost = lose_the_next_answer_to_commit(journal, before)
        journal.change_state([StateChange("loader", "count", b"%d" % version, expected=version)])
        assert lost == ["lost"]
    journal.change_state([StateChange("loader", "other", b"x")])
    assert journal.read_state("loader", "count") == StateValue(b"2", 3)
    with pytest.raises(StateConflictError):
        journal.change_state([StateChange("loader", "count", b"9", expected=2)])
    with journal.database.engine.connect() as connection:
        marks = connection.exec_driver_sql("SELECT count(*) FROM batches").scalar()
    assert marks == 1, "marks of changes that are over are removed by the next"


def test_run_that_was_acquired_without_an_answer_is_ones_own(journal: SqlJournal) -> None:
    lost = lose_the_next_answer_to_commit(journal)
    lease = begin(journal)
    assert lost == ["lost"]
    journal.append(lease, 1, made_commits(1))
    lose_the_next_answer_to_commit(journal)
    journal.release(lease, "SUCCEEDED")
    lose_the_next_answer_to_commit(journal)
    assert journal.delete_run("run") == ()
    lease = begin(journal)
    journal.append(lease, 1, [made_commits(1)[0]._replace(artifacts=("a", "b"))])
    journal.release(lease, "SUCCEEDED")
    lose_the_next_answer_to_commit(journal)
    assert sorted(journal.delete_run("run")) == ["a", "b"]


def write_while(journal: SqlJournal, batches: int, disturb: Callable[[], None]) -> None:
    """Append batches and count them in state, both ways, while something happens; check that each was written once."""
    lease = begin(journal)
    raised: list[BaseException] = []
    written = threading.Event()

    def write() -> None:
        try:
            for batch in range(1, batches + 1):
                change = StateChange("loader", "batches", b"%d" % batch, expected=batch - 1)
                journal.append(lease, batch, made_commits(5, f"{batch}"), [change])
                journal.change_state([StateChange("loader", "changes", b"%d" % batch, expected=batch - 1)])
                if batch == 5:
                    written.set()
        except BaseException as error:
            raised.append(error)
            written.set()

    writer = threading.Thread(target=write)
    writer.start()
    written.wait(30)
    while writer.is_alive():
        disturb()
        writer.join(0.1)
    assert raised == []
    assert journal.read_state("loader", "batches") == StateValue(b"%d" % batches, batches)
    assert journal.read_state("loader", "changes") == StateValue(b"%d" % batches, batches)
    assert keys_of(journal) == {c.key for n in range(1, batches + 1) for c in made_commits(5, f"{n}")}


def test_connections_that_are_terminated_lose_and_repeat_nothing(journal: SqlJournal, postgres: PostgresServer) -> None:
    terminated: list[int] = []
    statement = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE application_name = 'execution-dataflow' AND pid <> pg_backend_pid()"
    )
    with postgres.connect() as other:

        def terminate() -> None:
            row = other.execute(statement).fetchone()
            terminated.append(row[0] if row else 0)

        write_while(journal, 40, terminate)
    assert sum(terminated) >= 3


def test_server_that_is_stopped_and_started_loses_and_repeats_nothing(
    journal: SqlJournal, postgres: PostgresServer
) -> None:
    # SIGQUIT is a crash: the server recovers from its log.
    how = iter([signal.SIGINT, signal.SIGQUIT])

    def restart() -> None:
        signal_number = next(how, None)
        if signal_number is not None:
            postgres.stop(signal_number)
            time.sleep(0.1)
            postgres.start()

    write_while(journal, 60, restart)
    assert next(how, None) is None


def test_server_that_stays_away_is_an_error_after_the_stated_time(postgres: PostgresServer, schema: str) -> None:
    journal = open_journal(postgres.address(schema, reconnect_seconds=0.5))
    lease = begin(journal)
    postgres.stop()
    began = time.monotonic()
    with pytest.raises(
        StoreError, match=r"was lost, and could not be made again for 0\.5 s \(\?reconnect_seconds="
    ) as caught:
        journal.append(lease, 1, made_commits(1))
    assert time.monotonic() - began < 5
    assert postgres.password not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r} {journal!r}"
    postgres.start()
    journal.append(lease, 1, made_commits(1))
    assert keys_of(journal) == {"node[0]"}
    journal.close()


def test_wrong_password_is_refused_at_once_and_not_shown(postgres: PostgresServer, schema: str) -> None:
    address = postgres.address(schema).replace("s3cret", "wr0ng")
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"cannot be reached: .*password authentication failed") as caught:
        open_journal(address)
    assert time.monotonic() - began < 5
    assert "wr0ng" not in f"{caught.value} {caught.value!r} {caught.value.__cause__} {caught.value.__cause__!r}"


def test_user_who_may_not_create_a_schema_is_told_what_to_do(postgres: PostgresServer, schema: str) -> None:
    with postgres.connect() as connection:
        connection.execute(f"CREATE ROLE {schema}_user LOGIN PASSWORD 'pw'")
        address = f"postgresql://{schema}_user:pw@127.0.0.1:{postgres.port}/postgres?schema={schema}"
        with pytest.raises(StoreError, match=f"lacks a right: .*CREATE SCHEMA {schema} AUTHORIZATION user"):
            open_journal(address)
        connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {schema}_user")
    journal = open_journal(address)
    begin(journal)
    journal.close()


def test_schema_of_something_else_is_left_alone(postgres: PostgresServer, schema: str) -> None:
    with postgres.connect() as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute(f"CREATE TABLE {schema}.customers (name text)")
    with pytest.raises(StoreFormatError, match="something else: it has the tables customers"):
        open_journal(postgres.address(schema))


def test_several_open_a_new_schema_at_once(postgres: PostgresServer, schema: str) -> None:
    journals: list[Journal] = []
    threads = [
        threading.Thread(target=lambda: journals.append(open_journal(postgres.address(schema)))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(journals) == 6
    for number, journal in enumerate(journals):
        begin(journal, f"run{number}")
    assert len(list(journals[0].runs())) == 6
    for journal in journals:
        journal.close()


def test_large_batches_and_artifacts_go_in_pieces(journal: SqlJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BYTES_AT_ONCE", 10_000)
    lease = begin(journal)
    statements: list[str] = []
    event.listen(
        journal.database.engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, *rest: statements.append(statement),
    )
    commits = [*made_commits(10, size=3000), *made_commits(2, "large", 30_000)]
    journal.append(lease, 1, commits)
    assert len([statement for statement in statements if "INTO segments" in statement]) == 4
    assert sorted(journal.commits("run")) == sorted(commits)
    artifacts = DatabaseArtifacts(journal.database, part_bytes=1000)
    data = os.urandom(2500)
    statements.clear()
    artifacts.write("large", [data, b"end"])
    assert len([statement for statement in statements if "INTO artifact_parts" in statement]) == 3
    assert artifacts.read("large") == data + b"end"
    artifacts.close()
    with pytest.raises(StoreError, match="were closed"):
        artifacts.read("large")


def test_times_are_the_servers(journal: SqlJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1.0)
    begin(journal)
    summary = journal.find_run("run")
    assert summary is not None
    assert summary.created_at > 1_700_000_000
    assert 50 < summary.lease_seconds_left <= 60


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_forked_child_has_connections_of_its_own(journal: SqlJournal) -> None:
    lease = begin(journal, "parent")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            journal.append(begin(journal, "child"), 1, made_commits(2))
            journal.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    journal.append(lease, 1, made_commits(3))
    assert {run.run_id: run.commits for run in journal.runs()} == {"parent": 3, "child": 2}
