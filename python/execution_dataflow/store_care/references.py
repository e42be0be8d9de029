"""Which artifacts the records of a journal refer to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from execution_dataflow.stores.journal import Commit, Journal, RunSummary

__all__ = ["References", "artifacts_of", "references"]


@dataclass
class References:
    """What is referred to.

    Attributes
    ----------
    names : set of str
        The artifacts.
    unread : list of str
        The runs of which some records could not be read: what those refer to is not known.
    """

    names: set[str] = field(default_factory=set)
    unread: list[str] = field(default_factory=list)


def references(journal: Journal, *, without: frozenset[str] = frozenset()) -> References:
    """Return all artifacts that something refers to: commits of runs and cached results.

    Parameters
    ----------
    journal : Journal
        Where the records are.
    without : frozenset of str
        Runs that are passed over.
    """
    found = References()
    for summary in list(journal.runs()):
        if summary.run_id in without:
            continue
        read = 0
        for commit in journal.commits(summary.run_id):
            read += 1
            found.names.update(commit.artifacts)
        if read < summary.commits and _lacks(journal, summary, read):
            found.unread.append(summary.run_id)
    for cached in journal.cached():
        found.names.update(cached.artifacts)
    return found


def _lacks(journal: Journal, summary: RunSummary, read: int) -> bool:
    """Whether records are missing indeed: the run may have been deleted, or begun anew, since it was listed."""
    now = journal.find_run(summary.run_id)
    return now is not None and read < now.commits


def artifacts_of(commits: Iterator[Commit]) -> Iterator[str]:
    """Yield the artifacts that commits refer to."""
    for commit in commits:
        yield from commit.artifacts
