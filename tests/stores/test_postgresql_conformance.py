"""PostgreSQL does what a journal and a store of artifacts have to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from services import PostgresServer

from execution_dataflow.stores.conformance import ArtifactCheck, JournalCheck, artifact_checks, journal_checks
from execution_dataflow.stores.sql.artifacts import DatabaseArtifacts
from execution_dataflow.stores.sql.journal import SqlJournal
from execution_dataflow.stores.sql.opening import open_artifacts_beside, open_journal


# One schema for all: names in it differ from check to check.
@pytest.fixture(scope="module")
def address(running_postgres: PostgresServer) -> str:
    return running_postgres.address("conformance")


@pytest.fixture(scope="module")
def journal(address: str) -> Iterator[SqlJournal]:
    opened = open_journal(address)
    yield opened
    opened.close()


@pytest.mark.parametrize("check", journal_checks().values(), ids=journal_checks())
def test_journal_in_a_schema(check: JournalCheck, address: str) -> None:
    check(lambda: open_journal(address))


@pytest.mark.parametrize("check", artifact_checks().values(), ids=artifact_checks())
def test_artifacts_in_a_schema(check: ArtifactCheck, journal: SqlJournal) -> None:
    def open_artifacts() -> DatabaseArtifacts:
        store = open_artifacts_beside(journal)
        assert isinstance(store, DatabaseArtifacts)
        return store

    check(open_artifacts)
