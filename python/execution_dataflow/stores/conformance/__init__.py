"""What every store has to do, as functions that the test suite of a store calls.

They are the checks that the package's own stores pass, and need no test framework. A check takes a function that opens
the store: each call opens the same one anew, and the check closes what it opened. Names differ from check to check, so
all may run against one server, one after the other or at once.

Examples
--------
With pytest, the whole suite of a journal is::

    @pytest.mark.parametrize("check", journal_checks().values(), ids=journal_checks())
    def test_journal(check):
        check(lambda: MyJournal("my://address"))

And without it:

>>> import tempfile
>>> from execution_dataflow.stores.sql.opening import open_journal
>>> with tempfile.TemporaryDirectory() as folder:
...     for name, check in journal_checks().items():
...         if name.startswith("state_"):
...             check(lambda: open_journal(f"sqlite:///{folder}/runs.db"))
"""

from __future__ import annotations

from execution_dataflow.stores.conformance.artifacts import CHECKS as _ARTIFACTS
from execution_dataflow.stores.conformance.caches import CHECKS as _CACHES
from execution_dataflow.stores.conformance.leases import CHECKS as _LEASES
from execution_dataflow.stores.conformance.opened import ArtifactCheck, JournalCheck
from execution_dataflow.stores.conformance.runs import CHECKS as _RUNS
from execution_dataflow.stores.conformance.state import CHECKS as _STATE

__all__ = ["ArtifactCheck", "JournalCheck", "artifact_checks", "journal_checks"]


def journal_checks() -> dict[str, JournalCheck]:
    """Return the checks of a `Journal` by name; each raises an `AssertionError` that says what is wrong."""
    return {**_RUNS.checks, **_LEASES.checks, **_STATE.checks, **_CACHES.checks}


def artifact_checks() -> dict[str, ArtifactCheck]:
    """Return the checks of an `ArtifactStore` by name; each raises an `AssertionError` that says what is wrong."""
    return dict(_ARTIFACTS.checks)
