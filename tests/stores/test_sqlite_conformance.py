"""SQLite does what a journal and a store of artifacts have to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from execution_dataflow.stores.conformance import ArtifactCheck, JournalCheck, artifact_checks, journal_checks
from execution_dataflow.stores.sql.artifacts import DatabaseArtifacts
from execution_dataflow.stores.sql.opening import open_artifacts_beside, open_journal


@pytest.mark.parametrize("check", journal_checks().values(), ids=journal_checks())
def test_journal_in_a_file(check: JournalCheck, tmp_path: Path) -> None:
    check(lambda: open_journal(f"sqlite:///{tmp_path / 'runs.db'}"))


@pytest.mark.parametrize("check", artifact_checks().values(), ids=artifact_checks())
def test_artifacts_in_a_file(check: ArtifactCheck, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'runs.db'}?artifacts=database"
    journals = []

    def open_artifacts() -> DatabaseArtifacts:
        journals.append(open_journal(address))
        store = open_artifacts_beside(journals[-1])
        assert isinstance(store, DatabaseArtifacts)
        return store

    check(open_artifacts)
    for journal in journals:
        journal.close()
